"""The cases of against.py: tensors, and codecs with a transform."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

WORK = Path(__file__).resolve().parents[2] / "build" / "against"
# How transforms are calibrated: in the metric of the demo networks' second halves, else without.
TRANSFORM = {"classifier": {"distortion": 0.02}, "detector": {"distortion": 0.012},
             "linear-40x28x28": {"target_bits": 1.45}}  # fmt: skip
SAMPLES = 40  # calibrated on


@dataclass(frozen=True)
class Case:
    """A tensor of ``batch`` samples, and how its codec is calibrated."""

    data: str
    levels: int
    coder: str
    restore: str
    batch: int = 1
    dtype: str = "float32"

    @property
    def name(self) -> str:
        name = f"{self.data} N={self.levels} {self.coder}+{self.restore}"
        if self.coder == "transform":
            name = f"{self.data} transform"
        name += f" x{self.batch}" if self.batch > 1 else ""
        return name if self.dtype == "float32" else f"{name} {self.dtype}"


SYNTHETIC = ("48x14x14", "64x24x24", "128x28x28", "256x28x28", "512x14x14", "1024x14x14")
NETWORK = ("relu6-144x56x56", "relu6-240x28x28", "relu6-480x14x14", "linear-40x28x28")
DEMO = ("classifier", "detector")


def cases() -> list[Case]:
    """All that the tool knows; ``--cases`` chooses among their names."""
    found = []
    for data in (*SYNTHETIC, *DEMO, *NETWORK[:3]):
        for levels in (2, 3, 4):
            for restore in ("none", "local", "linear"):
                found += [Case(data, levels, "context", restore, batch) for batch in (1, 8)]
            found.append(Case(data, levels, "rans", "none"))
    found.append(Case("64x24x24", 3, "context", "linear", dtype="float16"))
    found += [Case(data, 3, "transform", "", batch) for data in TRANSFORM for batch in (1, 8, 64)]
    return found


def correlated(channels: int, height: int, width: int, samples: int, seed: int) -> np.ndarray:
    """float32 (samples, C, H, W): ReLU of smooth fields, each half its own, half of some shared.

    A quarter as many shared fields as channels, three of them in each channel; 50 to 95 % zeros.
    """
    from .data import smooth

    rng = np.random.default_rng(seed)
    shared = max(2, channels // 4)
    mix = np.zeros((channels, shared), np.float32)
    for row in mix:
        row[rng.choice(shared, min(3, shared), replace=False)] = rng.choice((-1, 1))
    offset = -1.6 * rng.random((channels, 1, 1), np.float32)
    gain = np.exp(0.3 * rng.standard_normal((channels, 1, 1), np.float32))
    out = np.empty((samples, channels, height, width), np.float32)
    for x in out:
        own = smooth(rng, (1, channels, height, width), 1.2)[0]
        common = smooth(rng, (1, shared, height, width), 1.5)[0]
        common = np.tensordot(mix, common, 1)
        field = own / own.std() + common / common.std()
        x[:] = np.maximum(field / np.float32(1.4) + offset, 0) * gain
    return out


def tensors(data: str, features: Path) -> tuple[Path, Path] | None:
    """Files with the calibration and test samples of ``data``, made where missing."""
    paths = tuple(WORK / "data" / f"{data}-{part}.npy" for part in ("calibration", "test"))
    if all(path.exists() for path in paths):
        return paths
    paths[0].parent.mkdir(parents=True, exist_ok=True)
    if data in NETWORK:
        stored = [features / f"{data}-{part}.npy" for part in ("calibration", "test")]
        if not all(path.exists() for path in stored):
            return None
        arrays = [np.load(path)[:SAMPLES].astype(np.float32) for path in stored]
    elif data in DEMO:
        try:
            import demo_nets
            import torch
        except ImportError:
            return None
        torch.set_num_threads(1)
        model = demo_nets.load_models()[DEMO.index(data)]
        if data == "classifier":
            images = demo_nets.load_classifier_data("calibration", SAMPLES + 8)[0]
        else:
            images = demo_nets.load_scenes("calibration", SAMPLES + 8)[0]
        with torch.no_grad():
            x = model.edge(images).numpy()
        arrays = [x[:SAMPLES], x[SAMPLES:]]
    else:
        x = correlated(*(int(n) for n in data.split("x")), SAMPLES + 8, 1)
        arrays = [x[:SAMPLES], x[SAMPLES:]]
    for path, array in zip(paths, arrays, strict=True):
        np.save(path, np.ascontiguousarray(array))
    return paths


def transform(data: str, features: Path) -> Path:
    """The codec file of a transform for `data`, made where it is missing."""
    import lwfc

    path = WORK / "data" / f"{data}-transform.lwfc"
    if path.exists():
        return path
    if data in DEMO:
        import demo_nets
        import torch

        import lwfc.torch as lt

        torch.set_num_threads(1)
        model = demo_nets.load_models()[DEMO.index(data)]
        load = demo_nets.load_classifier_data if data == "classifier" else demo_nets.load_scenes
        images = load("calibration", 500)[0]
        codec = lt.calibrate(model, model.split_layer, images, transform="dct", **TRANSFORM[data])
    else:
        samples = np.load(features / f"{data}-calibration.npy").astype(np.float32)
        codec = lwfc.calibrate(samples, transform="dct", **TRANSFORM[data])
    codec.save(path)
    return path
