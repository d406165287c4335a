"""Study "photographs": EfficientNet-lite0, error and agreement against bits, split by photograph.

Agreement: how often the top-1 class is that of the uncompressed network, on crops of photographs
that calibration never saw. The ReLU6 layers lie inside a residual block: its shortcut stays
uncompressed, so their agreement is of the expanded tensor alone. The linear layer is the whole
signal.
"""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from .measuring import BATCH, Rows, calibrated, coded, normalised_error, order0
from .text import table

__all__ = ["load_features", "study"]

CROPS = {"calibration": 150, "test": 200}


def load_features(layer: str, split: str, count: int, cache: Path) -> np.ndarray:
    """float32 (count, C, H, W), computed once and kept in half precision."""
    import photo_features

    path = cache / f"{layer}-{split}-{count}.npy"
    if not path.exists():
        found = photo_features.features((layer,), split, count)[layer]
        np.save(path, found.astype(np.float16))
    return np.load(path).astype(np.float32)


class Rest:
    """The network's answer with one layer's output replaced; what comes before is kept."""

    def __init__(self, layer: str, count: int) -> None:
        import photo_features
        import torch

        self._where = photo_features.LAYERS[layer]
        self._network = photo_features.load_network()
        self._block = int(self._where.module.split(".")[1])
        self._inputs: list[Any] = []
        blocks = self._network._blocks
        handle = blocks[self._block].register_forward_pre_hook(
            lambda _module, inputs: self._inputs.append(inputs[0].clone())
        )
        images = torch.from_numpy(photo_features.crops("test", count))
        with torch.no_grad():
            parts = [self._network(part) for part in images.split(10)]
        handle.remove()
        self._answers = torch.cat(parts).argmax(1)

    def agreement(self, decoded: np.ndarray) -> float:
        """Share in percent of crops whose top-1 class stays."""
        import torch

        modules = dict(self._network.named_modules())
        network, same = self._network, 0
        for number, (part, inputs) in enumerate(
            zip(torch.from_numpy(decoded).split(10), self._inputs, strict=True)
        ):
            replace = modules[self._where.module].register_forward_hook(
                lambda _module, _inputs, _output, part=part: part
            )
            with torch.no_grad():
                x = inputs
                for block in network._blocks[self._block :]:
                    x = block(x)
                x = network._swish(network._bn1(network._conv_head(x)))
                x = network._avg_pooling(x).flatten(1)
                answer = network._fc(x).argmax(1)
            replace.remove()
            same += int((answer == self._answers[10 * number : 10 * number + len(part)]).sum())
        return 100 * same / len(decoded)


def candidates(linear: bool, quick: bool) -> list[tuple[str, dict[str, Any]]]:
    """(family, options); ranges of linear layers are narrower, for fewer outliers matter."""
    paper, ours = {"coder": "cabac"}, {"coder": "context", "restore": "linear"}
    if quick:
        return [("paper", paper | {"levels": 4}), ("ours", ours | {"levels": 2})]
    scales = (0.8, 1.0) if linear else (1.0, 1.4)
    found = [
        ("paper", paper | {"levels": n, "clip_scale": s}) for n in (2, 3, 4, 6) for s in scales
    ]
    found += [
        ("paper", paper | {"levels": n, "quantizer": "ecsq", "rate_weight": 0.02}) for n in (4, 6)
    ]
    return found + [
        ("ours", ours | {"levels": n, "clip_scale": s})
        for n, s in ((2, 1.0), (2, 1.4), (2, 1.8), (3, 1.4))
    ]


class Layer:
    """One layer's features, and the codecs measured on them."""

    def __init__(self, name: str, counts: dict[str, int], cache: Path) -> None:
        self.name = name
        self.linear = name.startswith("linear")
        self.samples = load_features(name, "calibration", counts["calibration"], cache)
        self.x = load_features(name, "test", counts["test"], cache)
        self._rest: Rest | None = None

    def measure(self, options: dict[str, Any]) -> dict[str, Any]:
        """Bits, error and agreement with the uncompressed network."""
        self._rest = self._rest or Rest(self.name, len(self.x))
        codec = calibrated(self.samples, "identity" if self.linear else "relu6", **options)
        nbytes, decoded = coded(codec, self.x, BATCH)
        single, _ = coded(codec, self.x, 1)
        return {
            "bits": 8 * nbytes / self.x.size,
            "bits_single": 8 * single / self.x.size,
            "order0": order0(codec.symbols(self.x), codec.levels),
            "error": normalised_error(self.x, decoded),
            "agreement": self._rest.agreement(decoded),
        }


def study(quick: bool, cache: Path, say: Callable[[str], None]) -> None:
    """EfficientNet-lite0: squared error and top-1 agreement against bits."""
    names = ("relu6-480x14x14", "linear-40x28x28", "relu6-240x28x28")
    for name in names[1:2] if quick else names:
        say(report(name, quick, cache))


def report(name: str, quick: bool, cache: Path) -> str:
    """The tables of one layer."""
    rows = Rows(cache / "photographs.jsonl")
    layer = Layer(name, {"calibration": 20, "test": 20} if quick else CROPS, cache)
    found = []
    for family, options in candidates(layer.linear, quick):
        measured = partial(layer.measure, options)
        row = rows.get(measured, layer=name, count=len(layer.x), **options)
        found.append({"family": family} | options | row)
    columns = ("codec", "settings", "bits, streams of 100", "bits, stream per sample",
               "order-0 entropy", "squared error", "agreement %")  # fmt: skip
    return (
        f"### {name}: {len(layer.samples)} calibration crops of 10 photographs, {len(layer.x)} "
        f"test crops of 4 others\n\n{table(columns, map(_line, frontier(found)))}\n"
        "At equal squared error (the paper's codec interpolated along its frontier):\n\n"
        + table(("settings", "squared error", "bits", "paper's codec", "ratio"), compare(found))
    )


def _line(row: dict[str, Any]) -> list[Any]:
    settings = f"N={row['levels']} s={row.get('clip_scale', 1):g}"
    if "quantizer" in row:
        settings += f" w={row['rate_weight']:g} ecsq"
    return [row["family"], settings, row["bits"], row["bits_single"], row["order0"], row["error"],
            row["agreement"]]  # fmt: skip


def frontier(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Of each family the rows no other beats in bits and error, by rising bits."""
    kept: list[dict[str, Any]] = []
    for row in sorted(rows, key=lambda r: (r["family"], r["bits"])):
        if not kept or row["family"] != kept[-1]["family"] or row["error"] < kept[-1]["error"]:
            kept.append(row)
    return kept


def compare(rows: list[dict[str, Any]]) -> list[list[Any]]:
    """Our points beside the bits the paper's codec needs for the same squared error."""
    best = frontier(rows)
    paper = [r for r in best if r["family"] == "paper"]
    errors, bits = [np.log([r["error"] for r in paper][::-1]), [r["bits"] for r in paper][::-1]]
    lines = []
    for row in (r for r in best if r["family"] == "ours"):
        need = float(np.interp(np.log(row["error"]), errors, bits, left=np.nan, right=np.nan))
        lines.append([_line(row)[1], row["error"], row["bits"], need, row["bits"] / need])
    return lines
