"""Study "transform_cuts": transform="auto" on networks that nothing here was tuned for.

Each cut is calibrated on few and on many samples, with gradients of the second half where PyTorch
gives them and without. What "auto" takes is measured on test inputs, in bytes of one stream a
sample, beside what the transform and the profile with levels take at the same distortion of the
outputs, read off curves of three and five points.
"""

import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

import lwfc

from .measuring import Rows
from .text import table

__all__ = ["study"]

COUNTS = (8, 32, 500)  # calibration samples
TESTS = 50
WANTED = 0.02  # distortion asked of "auto"
AROUND = (0.005, 0.08)  # and, with it, of the transform's curve
WITHOUT = 0.1, (0.02, 0.3)  # the same without gradients: a share of the features' power
PLAIN = ((2, 1.6), (3, 1.6), (4, 1.6), (6, 1.4), (10, 1.2))  # levels, range scale
SMALL = (("unet", "middle"), ("letters", "blocks.1"), ("sounds", "body.1"), ("sounds", "body.3"),
         ("perceptron", "first"), ("rows", "lstm"))  # fmt: skip
RESNET = ("layer1", "layer2.0.conv1", "layer3", "layer4")
EFFICIENTNET = ("_blocks.2", "_blocks.11")
SHIPPED = {"silero": "speech", "magika": "files", "basic_pitch": "music"}


@dataclass
class Cut:
    """Features to calibrate on and to test on, and what the second half makes of the latter.

    ``second``: a batch of test features and its number to outputs. ``gradients``: calibrates on
    so many inputs with the second half, as :func:`lwfc.torch.calibrate`; None: cannot.
    """

    name: str
    x: np.ndarray
    test: np.ndarray
    second: Callable[[np.ndarray, int], Any]
    gradients: Callable[..., lwfc.Codec] | None = None
    axis: int | None = None
    batch: int = 20

    def outputs(self, x: np.ndarray) -> list[Any]:
        starts = range(0, len(x), self.batch)
        return [self.second(x[s : s + self.batch], i) for i, s in enumerate(starts)]


def in_torch(name: str, model: Any, layer: str, images: dict[str, Any], axis: int | None) -> Cut:
    """A cut behind a layer of a PyTorch network."""
    import torch

    import lwfc.torch as lt
    from lwfc.torch.layers import replace

    module, select = model.get_submodule(layer), 0 if layer == "lstm" else None

    def features(x: Any) -> np.ndarray:
        return torch.cat(list(lt.features(model, layer, x.split(20), select=select))).numpy()

    def second(x: np.ndarray, number: int) -> Any:
        def put(_module: Any, _inputs: Any, output: Any) -> Any:
            return replace(output, select, torch.from_numpy(x))

        handle = module.register_forward_hook(put)
        try:
            with torch.no_grad():
                return model(images["test"].split(20)[number])
        finally:
            handle.remove()

    def gradients(count: int, **options: Any) -> lwfc.Codec:
        x = images["calibration"][:count].split(20)
        return lt.calibrate(model, layer, x, select=select, channel_axis=axis, **options)

    both = (features(images[split]) for split in ("calibration", "test"))
    return Cut(f"{name} {layer}", *both, second, gradients, axis)


def cuts(quick: bool, cache: Path) -> Iterator[tuple[str, Callable[[], Cut]]]:
    """(name, how it is made)."""
    from demo_nets import resnet, small

    counts = {"calibration": 40 if quick else max(COUNTS), "test": 20 if quick else TESTS}

    def of_small(name: str, layer: str) -> Cut:
        model, inputs = small.load(name, cache)
        images = {split: inputs(split, n) for split, n in counts.items()}
        return in_torch(name, model, layer, images, 2 if name in ("letters", "rows") else None)

    def of_resnet(layer: str) -> Cut:
        path = cache / "resnet18.pt"
        if not path.exists():
            resnet.train(path)
        images = {split: resnet.samples(split, n)[0] for split, n in counts.items()}
        return in_torch("resnet18", resnet.load(path), layer, images, None)

    def of_efficientnet(layer: str) -> Cut:
        import photo_features
        import torch

        crops = {s: torch.from_numpy(photo_features.crops(s, n)) for s, n in counts.items()}
        return in_torch("efficientnet", photo_features.load_network(), layer, crops, None)

    def of_shipped(name: str, module: str) -> Cut:
        import importlib

        found = getattr(importlib.import_module(f"networks.{module}"), name)(quick, cache)
        test = found.x("test")[: counts["test"]]
        axis = found.options.get("channel_axis", 1) % test.ndim
        return Cut(name, found.x("calibration"), test, lambda x, _: found.tail(x), axis=axis)

    for name, layer in SMALL:
        yield f"{name} {layer}", partial(of_small, name, layer)
    for layer in RESNET:
        yield f"resnet18 {layer}", partial(of_resnet, layer)
    for layer in EFFICIENTNET:
        yield f"efficientnet {layer}", partial(of_efficientnet, layer)
    for name, module in SHIPPED.items():
        yield name, partial(of_shipped, name, module)


class Judge:
    """Bits of test samples, and how far the outputs move: nats for logits, else a share."""

    def __init__(self, cut: Cut) -> None:
        from lwfc.torch.outputs import Measure

        self._cut, self._measure = cut, Measure()
        for output in self._outputs(cut.test):
            self._measure.reference(output)
        self._measure.settle()

    def _outputs(self, x: np.ndarray) -> list[Any]:
        import torch

        found = self._cut.outputs(x)
        return [torch.from_numpy(o) if isinstance(o, np.ndarray) else o for o in found]

    def __call__(self, codec: lwfc.Codec) -> dict[str, Any]:
        x = self._cut.test
        nbytes = sum(len(codec.encode(one[None])) for one in x)
        outputs = self._outputs(codec.simulate(x))
        return {
            "bits": 8 * nbytes / x.size,
            "outputs": self._measure.compare(outputs),
            "profile": codec.metadata.get("shape", "levels"),
            "file": len(codec.to_bytes()) / 1000,
            "samples": codec.metadata["samples"],
        }


def at(curve: list[dict[str, Any]], wanted: float) -> float:
    """Bits of a curve at a distortion, straight over logarithms; finer than all, by slope 0.7."""
    if not curve:
        return float("inf")
    points = sorted((np.log(max(p["outputs"], 1e-12)), np.log(p["bits"])) for p in curve)
    x, y = np.array(points).T
    y = np.minimum.accumulate(y)
    where = np.log(max(wanted, 1e-12))
    if where < x[0]:
        return float(np.exp(y[0] + 0.7 * (x[0] - where)))
    return float(np.exp(np.interp(where, x, y)))


class Measured:
    """Rows of one cut, which is made when the first is."""

    def __init__(self, name: str, make: Callable[[], Cut], rows: Rows) -> None:
        self._name, self._make, self._rows = name, make, rows
        self._made: tuple[Cut, Judge] | None = None

    def __call__(self, **key: Any) -> dict[str, Any]:
        return self._rows.get(partial(self._measure, **key), cut=self._name, **key)

    def _measure(self, count: int, gradients: bool, **options: Any) -> dict[str, Any]:
        if self._made is None:
            found = self._make()
            self._made = found, Judge(found)
        cut, judge = self._made
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            if not gradients:
                options |= {"batched": True, "channel_axis": cut.axis}
                return judge(lwfc.calibrate(cut.x[:count], **options))
            return judge(cut.gradients(count, **options)) if cut.gradients else {}


def line(row: Measured, count: int, gradients: bool) -> list[Any]:
    """What auto takes, and what the least would be."""
    wanted, around = (WANTED, AROUND) if gradients else WITHOUT
    transform = partial(row, count=count, gradients=gradients)
    auto = transform(transform="auto", distortion=wanted)
    if not auto:
        return []
    curve, plain = [auto], []
    if auto["profile"] == "levels":  # else it is the transform's codec
        curve = [transform(transform="dct", distortion=d) for d in (wanted, *around)]
        curve = [p for p in curve if p["profile"] != "levels"]
    for levels, scale in PLAIN:
        plain.append(row(count=count, gradients=False, levels=levels, clip_scale=scale,
                         coder="context", restore="linear", bound=True))  # fmt: skip
        if plain[-1]["outputs"] <= auto["outputs"]:
            break
    one, other = (at(points, auto["outputs"]) for points in (curve, plain))
    above = 100 * (auto["bits"] / min(one, other) - 1)
    return [auto["samples"], "yes" if gradients else "no", auto["profile"],
            f"{auto['outputs']:.4f}", auto["bits"], one, other, f"{above:+.0f} %",
            auto["file"]]  # fmt: skip


def study(quick: bool, cache: Path, say: Callable[[str], None]) -> None:
    """A table over all cuts."""
    rows, lines = Rows(cache / f"transform_cuts{'-quick' if quick else ''}.jsonl"), []
    for name, make in cuts(quick, cache):
        row = Measured(name, make, rows)
        for count in COUNTS[:2] if quick else COUNTS:
            found = [line(row, count, gradients) for gradients in (True, False)]
            lines += [[name, *cells] for cells in found if cells]
    say('### `transform="auto"` on cuts that nothing was tuned for\n')
    say(table(("cut", "samples", "gradients", "auto takes", "outputs' distortion", "bits",
               "transform's at it", "levels' at it", "above the least", "file, kB"),
              lines))  # fmt: skip
