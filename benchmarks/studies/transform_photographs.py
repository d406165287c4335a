"""Study "transform_photographs": the transform profile on EfficientNet-lite0, by its outputs.

Distortion is the squared error of the logits over their variance, on crops of photographs that
calibration never saw; steps come from calibration crops held out of the fit. The ReLU6 layer lies
inside a residual block, whose shortcut stays uncompressed.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

import lwfc

from .measuring import Rows
from .text import table

__all__ = ["study"]

CROPS = {"calibration": 512, "test": 400}
PLAIN_CROPS = 150  # the context model's fit; more change nothing
# Layer: distortions wanted of the transform, and (levels, range scale) of the profile with levels.
LAYERS: dict[str, tuple[tuple[float, ...], tuple[tuple[int, float], ...]]] = {
    "linear-40x28x28": ((0.005, 0.018, 0.025), ((6, 1.4), (12, 1.2))),
    "linear-112x14x14": ((0.011, 0.018), ((6, 1.4), (12, 1.2))),
    "relu6-240x28x28": ((0.007, 0.012), ((2, 1.0),)),
}


class Network:
    """EfficientNet-lite0, split behind one layer."""

    def __init__(self, layer: str) -> None:
        import photo_features
        from torch import nn

        where = photo_features.LAYERS[layer]
        self.model, self.name = photo_features.load_network(), where.module
        self.activation = "relu6" if where.relu6 else "identity"
        if where.relu6:
            # Both activations of the block move into the normalizations before them: one left
            # behind the cut would clamp once more, and pass no gradient where values are 0.
            block = self.model.get_submodule(self.name.rsplit(".", 1)[0])
            for normalization in ("_bn0", "_bn1"):
                linear = getattr(block, normalization)
                setattr(block, normalization, nn.Sequential(linear, nn.ReLU6()))
            block._swish = nn.Identity()

    @contextmanager
    def coded(self, code: Callable[[Any], Any]) -> Iterator[None]:
        """``code`` takes the layer's output and gives what is to stand there."""
        layer = self.model.get_submodule(self.name)
        handle = layer.register_forward_hook(lambda _module, _inputs, output: code(output))
        try:
            yield
        finally:
            handle.remove()

    def outputs(self, images: Any) -> Any:
        """Logits."""
        import torch

        with torch.no_grad():
            return torch.cat([self.model(part) for part in images.split(20)])


def measured(network: Network, images: Any, codec: lwfc.Codec) -> dict[str, Any]:
    """Real bytes, a stream a crop, and how far outputs and features move."""
    sums = np.zeros(5)

    def code(x: Any) -> Any:
        nbytes = sum(len(codec.encode(one)) for one in x.split(1))
        y = codec.simulate(x)
        values = x.double()
        sums[:] += (nbytes, x.numel(), float((y - x).double().square().sum()),
                    float(values.sum()), float(values.square().sum()))  # fmt: skip
        return y

    before = network.outputs(images)
    with network.coded(code):
        after = network.outputs(images)
    nbytes, count, error, total, squares = sums
    return {
        "bits": 8 * nbytes / count,
        "outputs": float((after - before).square().mean() / before.var()),
        "changed": 100 * float((after.argmax(1) != before.argmax(1)).float().mean()),
        "error": error / (squares - total**2 / count),
        "file": len(codec.to_bytes()) / 1000,
        "shape": codec.metadata.get("shape", ""),
    }


def study(quick: bool, cache: Path, say: Callable[[str], None]) -> None:
    """Three layers, the transform beside context + linear."""
    import photo_features
    import torch

    counts = {"calibration": 20, "test": 20} if quick else CROPS
    rows = Rows(cache / "transform_photographs.jsonl")
    crops = {s: torch.from_numpy(photo_features.crops(s, n)) for s, n in counts.items()}
    for name, (distortions, plain) in LAYERS.items():
        network, lines = Network(name), []
        for wanted in distortions:
            make = partial(transformed, network, crops, wanted)
            row = rows.get(make, layer=name, distortion=wanted, **counts)
            lines.append(["transform", f"distortion {wanted:g}", *cells(row)])
        for levels, scale in plain:
            make = partial(levelled, network, crops, levels, scale)
            row = rows.get(make, layer=name, levels=levels, scale=scale, **counts)
            lines.append(["context + linear", f"N={levels} s={scale:g}", *cells(row)])
        say(f"### {name}, transform: {counts['calibration']} calibration crops, {counts['test']} "
            "test crops of other photographs, a stream a crop\n")  # fmt: skip
        say(table(("profile", "settings", "shape", "bits", "outputs' distortion", "% changed",
                   "squared error", "codec file, kB"), lines))  # fmt: skip


def cells(row: dict[str, Any]) -> list[Any]:
    distortion = f"{row['outputs']:.4f}"
    return [row["shape"], row["bits"], distortion, row["changed"], row["error"], row["file"]]


def transformed(network: Network, crops: dict[str, Any], wanted: float) -> dict[str, Any]:
    """The transform, its step by the outputs on held-out calibration crops."""
    import lwfc.torch as lt

    codec = lt.calibrate(network.model, network.name, crops["calibration"], transform="dct",
                         distortion=wanted, distortion_measure="variance")  # fmt: skip
    return measured(network, crops["test"], codec)


def levelled(network: Network, crops: dict[str, Any], levels: int, scale: float) -> dict[str, Any]:
    """The context coder with linear restoration."""
    import lwfc.torch as lt

    codec = lt.calibrate(network.model, network.name, crops["calibration"][:PLAIN_CROPS],
                         activation=network.activation, levels=levels, clip_scale=scale,
                         coder="context", restore="linear", compare=False,
                         bound=True)  # fmt: skip
    return measured(network, crops["test"], codec)
