"""A YOLO exported to ONNX on a COCO folder; network and data are yours.

The data: ``<data>/val2017/*.jpg`` and ``<data>/annotations/instances_val2017.json``. The network:
pictures (n, 3, H, W) in [0, 1] to (n, 4 + classes, boxes): centre, width and height in pixels of
the input, then a score for each class, before any suppression (``yolo export format=onnx`` of
YOLOv8 and YOLO11). The cut is a tensor's name; in front of the first link to the neck only one
crosses. Crowds are left out of the truth.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from lwfc.evaluation.study import Study

from .common import asked, crossing, dealt, halved, halves, marked

__all__ = ["decode", "letterbox", "yolo"]

IMAGES, ANNOTATIONS = "val2017", "annotations/instances_val2017.json"
SIZES, QUICK = (100, 500, 500), (30, 50, 50)  # calibration, tune and test images
SIDE = 640  # pixels, where the file leaves the input's size open
GREY = 114  # around a picture of another shape
LEAST, OVERLAP, MOST = 0.01, 0.7, 100  # a detection's score; IoU of suppression; an image's boxes


def letterbox(image: Any, height: int, width: int) -> tuple[np.ndarray, float, np.ndarray]:
    """(uint8 (height, width, 3), scale, offset (x, y)) of a picture in the middle of the input."""
    from PIL import Image

    scale = min(width / image.width, height / image.height)
    size = [max(round(scale * side), 1) for side in image.size]
    offset = (width - size[0]) // 2, (height - size[1]) // 2
    canvas = Image.new("RGB", (width, height), (GREY,) * 3)
    canvas.paste(image.convert("RGB").resize(size, Image.Resampling.BILINEAR), offset)
    return np.asarray(canvas), scale, np.array(offset)


def decode(outputs: np.ndarray) -> list[dict[str, Any]]:
    """(n, 4 + classes, boxes) to the detections of each image, suppressed class by class."""
    import torch
    from demo_nets.detector import nms

    rows = torch.from_numpy(outputs).transpose(1, 2)
    centre, half = rows[..., :2], rows[..., 2:4] / 2
    boxes = torch.cat([centre - half, centre + half], -1)
    return [nms(box, score, LEAST, OVERLAP, MOST)
            for box, score in zip(boxes, rows[..., 4:], strict=True)]  # fmt: skip


def truth(objects: list[dict[str, Any]], scale: float, offset: np.ndarray) -> dict[str, Any]:
    """Boxes as corners in the network's input, and classes, of an image's annotations."""
    import torch

    boxes = np.array([o["bbox"] for o in objects], np.float32).reshape(-1, 4)
    boxes[:, 2:] += boxes[:, :2]
    boxes = boxes * np.float32(scale) + np.tile(offset, 2).astype(np.float32)
    labels = np.array([o["class"] for o in objects], np.int64)
    return {"boxes": torch.from_numpy(boxes), "labels": torch.from_numpy(labels)}


def yolo(
    quick: bool,
    cache: Path,
    *,
    weights: Path,
    data: Path,
    at: str | None = None,
    sizes: Sequence[int] | None = None,
) -> Study:
    """mAP at IoU 0.5. Errors: ImportError, FileNotFoundError naming what is missing."""
    import onnx
    from PIL import Image
    from studies.matching import MatchedScenes

    class Scenes(MatchedScenes):
        metric = MatchedScenes.precision

    if at is None:
        raise ValueError("yolo needs --at TENSOR: lwfc.onnx.cuts(file, input) lists them")
    if not (data / ANNOTATIONS).exists():
        raise FileNotFoundError(f"needs {data / ANNOTATIONS}, and the images in {data / IMAGES}")
    told = json.loads((data / ANNOTATIONS).read_text())
    classes = {id: i for i, id in enumerate(sorted(c["id"] for c in told["categories"]))}
    objects: dict[int, list] = {image["id"]: [] for image in told["images"]}
    for one in told["annotations"]:
        if not one.get("iscrowd"):
            objects[one["image_id"]].append(one | {"class": classes[one["category_id"]]})
    ids = {data / IMAGES / image["file_name"]: image["id"] for image in told["images"]}
    files = sorted(path for path in ids if path.exists())
    found = dealt(files, sizes or (QUICK if quick else SIZES), f"{data / IMAGES}/*.jpg")
    cache = marked(cache / "yolo", at, weights, *(file for part in found.values() for file in part))

    (entry,) = onnx.load(weights, load_external_data=False).graph.input
    height, width = (d.dim_value or SIDE for d in entry.type.tensor_type.shape.dim[2:])
    pictures, labels = {}, {}
    for split, part in found.items():
        boxed = [letterbox(Image.open(file), height, width) for file in part]
        pictures[split] = np.stack([picture for picture, *_ in boxed])
        labels[split] = [truth(objects[ids[file]], *placed)
                         for file, (_, *placed) in zip(part, boxed, strict=True)]  # fmt: skip
    with asked(at):
        edge, cloud = halves(weights, at, inputs(pictures["calibration"][:1]))
    name = crossing(edge, at)

    def first(x: np.ndarray) -> np.ndarray:
        return edge.tensors(inputs(x))[name]

    def second(x: np.ndarray) -> np.ndarray:
        outputs = cloud({name: x})
        if outputs.ndim != 3 or outputs.shape[1] != 4 + len(classes):
            raise ValueError(f"{weights} gives {outputs.shape}: needs (n, {4 + len(classes)}, "
                             "boxes), exported without suppression (nms=False)")  # fmt: skip
        return outputs

    return halved("yolo", first, second, pictures, cache, batch=1, measure="mAP@0.5",
                  labels={split: labels[split] for split in ("tune", "test")},
                  metric=lambda outputs, aims: Scenes(decode(outputs), aims),
                  images={split: pictures[split] for split in ("tune", "test")},
                  received=lambda x: x)  # fmt: skip


def inputs(pictures: np.ndarray) -> np.ndarray:
    """Network inputs of uint8 (n, H, W, 3)."""
    return np.moveaxis(pictures, -1, 1).astype(np.float32) / 255
