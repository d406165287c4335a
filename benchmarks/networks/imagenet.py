"""ResNet-50, VGG-16 and AlexNet of torchvision on an ImageNet folder; weights and data are yours.

The data: ``<data>/val/<class>/*.JPEG``, a folder for each class, whose place in the sorted names is
the network's output for it (as torchvision's ImageFolder has it). The weights: a state dict, such
as https://pytorch.org/vision/stable/models.html links to. The three splits are dealt out of the
folder by a seed; no image is in two of them, and no label of the first is used.
"""

from collections import OrderedDict
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from lwfc.base.names import near
from lwfc.evaluation.study import Study

from .common import asked, crossing, cut, dealt, marked, run

__all__ = ["alexnet", "read", "resnet50", "vgg16"]

CUTS = {  # the second stage's end, the third pooling, the second pooling
    "resnet50": "layer2",
    "vgg16": "features.16",
    "alexnet": "features.5",
}
SIZES, QUICK = (200, 1000, 1000), (50, 100, 100)  # calibration, tune and test images
SHORT, SIDE = 256, 224  # pixels: the shorter side before the crop, the crop
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of red, green, blue in [0, 1]
BATCH = 20


def read(path: Path) -> np.ndarray:
    """uint8 (SIDE, SIDE, 3): the shorter side resized to SHORT, the centre cropped."""
    from PIL import Image

    with Image.open(path) as opened:
        image = opened.convert("RGB")
    short = min(image.size)
    width, height = (SHORT * side // short for side in image.size)
    left, top = (round((side - SIDE) / 2) for side in (width, height))
    image = image.resize((width, height), Image.Resampling.BILINEAR)
    return np.asarray(image.crop((left, top, left + SIDE, top + SIDE)))


def of_torchvision(name: str) -> Any:
    """The network without weights. Errors: ImportError."""
    try:
        from torchvision import models
    except (ImportError, RuntimeError) as error:  # beside another torch it does not import
        raise ImportError(
            f"needs torchvision of the same release as torch: pip install torchvision ({error})"
        ) from error
    return getattr(models, name)(weights=None)


def network(bare: Any, weights: Path, at: str, example: Any) -> Any:
    """A network of uint8 (n, 3, H, W), with its halves as ``edge`` and ``cloud``.

    Errors: ValueError for a place that is none, naming those near it.
    """
    import torch

    import lwfc.torch as lt

    class Normalise(torch.nn.Module):
        def forward(self, x: Any) -> Any:
            mean, std = (torch.tensor(v, device=x.device)[:, None, None] for v in (MEAN, STD))
            return (x / 255 - mean) / std

    layers = [layer for layer, _ in bare.named_modules() if layer]
    if at not in layers:
        raise ValueError(f"--at {at}: the network has no such layer; {near(at, layers)}")
    bare.load_state_dict(torch.load(weights, map_location="cpu", weights_only=True))
    whole = torch.nn.Sequential(OrderedDict(normalise=Normalise(), network=bare))
    whole = whole.eval().requires_grad_(False)
    layer = f"network.{at}"
    with asked(at):
        edge, cloud = lt.split(whole, layer, example=example)
    crossing(edge, at)
    # Not as modules: the network's layers would be found twice.
    whole.edge, whole.cloud, whole.split_layer = edge.forward, cloud.forward, layer
    return whole


def classifier(
    name: str,
    quick: bool,
    cache: Path,
    *,
    weights: Path,
    data: Path,
    at: str | None = None,
    sizes: Sequence[int] | None = None,
    build: Callable[[str], Any] = of_torchvision,
) -> Study:
    """Top-1 on labelled images. ``build`` makes the network that the weights are of.

    Errors: ImportError, FileNotFoundError naming what is missing.
    """
    import torch

    bare = build(name)
    classes = sorted(path.name for path in (data / "val").glob("*") if path.is_dir())
    files = sorted((data / "val").glob("*/*.JPEG"))
    at = at or CUTS[name]
    found = dealt(files, sizes or (QUICK if quick else SIZES), f"{data}/val/<class>/*.JPEG")
    cache = marked(cache / name, at, weights, *(file for part in found.values() for file in part))
    images = {split: torch.from_numpy(inputs(np.stack([read(file) for file in part])))
              for split, part in found.items()}  # fmt: skip
    labels = {split: np.array([classes.index(file.parent.name) for file in found[split]])
              for split in ("tune", "test")}  # fmt: skip
    model = network(bare, weights, at, images["calibration"][:2])
    outputs = run(model, images["calibration"][:1]).shape[1]
    if len(classes) != outputs:
        raise FileNotFoundError(
            f"{data}/val has folders of {len(classes)} classes, {name} {outputs} outputs: a "
            "folder's place among all is its class, so all must be there, if need be empty"
        )
    return cut(name, model, images, cache, pixels, inputs, BATCH, differentiable=False,
               labels=labels)  # fmt: skip


def pixels(images: Any) -> np.ndarray:
    """uint8 (n, H, W, 3) of network inputs."""
    return np.ascontiguousarray(np.moveaxis(np.asarray(images), 1, -1))


def inputs(pictures: np.ndarray) -> np.ndarray:
    """Network inputs of uint8 (n, H, W, 3)."""
    return np.ascontiguousarray(np.moveaxis(pictures, -1, 1))


resnet50, vgg16, alexnet = (partial(classifier, name) for name in CUTS)
