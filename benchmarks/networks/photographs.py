"""EfficientNet-lite0 as published for ImageNet, 112x14x14 behind its ninth block, on photographs.

No labels come with them: right is the class that the uncompressed network says, on crops of which
it is sure (a softmax of one half and more). Each split has photographs of its own.
"""

from pathlib import Path
from typing import Any

import numpy as np

from lwfc.evaluation.study import Study

from .common import cut, kept, run

__all__ = ["efficientnet"]

PHOTOGRAPHS = {
    "calibration": (
        "astronaut.png", "flower.jpg", "grass.png", "gravel.png", "hubble_deep_field.jpg",
        "ihc.png", "moon.png", "page.png", "text.png", "cell.png", "clock_motion.png",
    ),
    "tune": ("camera.png", "motorcycle_left.png", "retina.jpg", "rocket.jpg", "coins.png"),
    "test": ("chelsea.png", "coffee.png", "china.jpg", "brick.png"),
}  # fmt: skip
SURE = 0.5
SIZES = {"calibration": 60, "tune": 150, "test": 150}
QUICK = {"calibration": 40, "tune": 40, "test": 40}
FIRST = 9  # blocks of the first half


def network() -> Any:
    """EfficientNet-lite0 with its halves as ``edge`` and ``cloud``."""
    import photo_features

    model = photo_features.load_network().requires_grad_(False)

    def edge(x: Any) -> Any:
        x = model._swish(model._bn0(model._conv_stem(x)))
        for block in model._blocks[:FIRST]:
            x = block(x)
        return x

    def cloud(x: Any) -> Any:
        for block in model._blocks[FIRST:]:
            x = block(x)
        x = model._swish(model._bn1(model._conv_head(x)))
        return model._fc(model._avg_pooling(x).flatten(1))

    model.edge, model.cloud, model.split_layer = edge, cloud, f"_blocks.{FIRST - 1}"
    return model


def crops(model: Any, split: str, count: int, cache: Path) -> Any:
    """So many crops of a split's photographs; of "tune" and "test" those the network is sure of."""
    import photo_features
    import torch

    def make() -> np.ndarray:
        found: list[np.ndarray] = []
        for seed in range(count):
            some = photo_features.crops_of(PHOTOGRAPHS[split], 20, seed)
            if split != "calibration":
                softmax = torch.from_numpy(run(model, some, 20)).softmax(1)
                some = some[softmax.amax(1).numpy() >= SURE]
            found += list(some)
            if len(found) >= count:
                break
        return pixels(np.stack(found[:count]))

    return torch.from_numpy(inputs(kept(cache / f"crops-{split}-{count}.npy", make)))


def pixels(images: Any) -> np.ndarray:
    """uint8 (n, H, W, 3) of network inputs."""
    return np.rint(np.moveaxis(np.asarray(images), 1, -1) * 128 + 127).astype(np.uint8)


def inputs(pictures: np.ndarray) -> np.ndarray:
    """Network inputs of uint8 (n, H, W, 3)."""
    return (np.moveaxis(pictures, -1, 1).astype(np.float32) - 127) / 128


def efficientnet(quick: bool, cache: Path) -> Study:
    """Agreement with the uncompressed network on crops of which it is sure."""
    model = network()
    images = {split: crops(model, split, count, cache)
              for split, count in (QUICK if quick else SIZES).items()}  # fmt: skip
    return cut("efficientnet", model, images, cache, pixels, inputs, batch=20,
               measure="agreement")  # fmt: skip
