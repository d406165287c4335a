"""A small one-scale, anchor-free detector for 96x96 grayscale scenes (leaky ReLU)."""

import contextlib
import io

import torch
from torch import nn
from torch.nn import functional as F

STRIDE = 8  # pixels per cell of the output grid
BASE_SIZE = 32.0  # box side in pixels at a size output of zero


class ConvBlock(nn.Sequential):
    """3x3 convolution, batch normalisation, leaky ReLU."""

    def __init__(self, inputs, outputs, stride=1):
        super().__init__(
            nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False),
            nn.BatchNorm2d(outputs),
            nn.LeakyReLU(0.1),
        )


class ResidualBlock(nn.Module):
    """``convs`` 3x3 convolutions around a shortcut, then leaky ReLU."""

    def __init__(self, channels, convs):
        super().__init__()
        layers = [ConvBlock(channels, channels) for _ in range(convs - 1)]
        layers += [nn.Conv2d(channels, channels, 3, 1, 1, bias=False), nn.BatchNorm2d(channels)]
        self.body = nn.Sequential(*layers)

    def forward(self, x):
        return F.leaky_relu(x + self.body(x), 0.1)


class Detector(nn.Module):
    """YOLO-like detector for ten classes.

    Input: float tensor (N, 1, 96, 96) in [0, 1].  Output: raw head tensor
    (N, 5 + classes, 12, 12): objectness, centre offset (2), log size (2), class logits;
    :meth:`decode` turns it into boxes.
    The network splits after ``stage2``, whose output is a leaky-ReLU tensor (N, 64, 24, 24).
    """

    split_layer = "stage2"
    feature_shape = (64, 24, 24)

    def __init__(self, classes=10):
        super().__init__()
        self.classes = classes
        self.stage1 = nn.Sequential(ConvBlock(1, 16, 2), ConvBlock(16, 32))
        self.stage2 = nn.Sequential(ConvBlock(32, 64, 2), ResidualBlock(64, 1))
        self.stage3 = nn.Sequential(ConvBlock(64, 96, 2), ResidualBlock(96, 2))
        self.head = nn.Conv2d(96, 5 + classes, 1)
        nn.init.constant_(self.head.bias[:1], -3.0)

    def edge(self, x):
        """Scenes to the feature tensor at the split."""
        x = (x - 0.45) / 0.25
        return self.stage2(self.stage1(x))

    def cloud(self, feature):
        """Feature tensor at the split to the raw head tensor."""
        return self.head(self.stage3(feature))

    def forward(self, x):
        return self.cloud(self.edge(x))

    @torch.no_grad()
    def decode(self, raw, threshold=0.02, iou=0.5, limit=50):
        """Raw head tensor to one dict per scene with boxes (K, 4), scores (K,), labels (K,).

        Boxes are (x0, y0, x1, y1) in pixels; every class of a cell whose score (objectness
        times class probability) passes ``threshold`` is a candidate, and candidates are
        suppressed per class at overlap ``iou``.
        """
        raw = raw.float()
        boxes = head_boxes(raw).flatten(1, 2)
        objectness = raw[:, 0].sigmoid()
        scores = (objectness[:, None] * raw[:, 5:].softmax(1)).flatten(2).transpose(1, 2)
        return [nms(b, s, threshold, iou, limit) for b, s in zip(boxes, scores, strict=True)]

    @torch.no_grad()
    def detect(self, images, batch=100):
        """Decoded detections of a stack of scenes."""
        return [d for x in images.split(batch) for d in self.decode(self(x))]


def cell_centres(rows, cols):
    """Pixel coordinates (x, y) of the grid's cell centres: (rows, cols, 2)."""
    y, x = torch.meshgrid(torch.arange(rows), torch.arange(cols), indexing="ij")
    return (torch.stack([x, y], -1) + 0.5) * STRIDE


def head_boxes(raw):
    """Boxes (N, rows, cols, 4) as corner coordinates from the raw head tensor."""
    centres = cell_centres(*raw.shape[2:]) + raw[:, 1:3].permute(0, 2, 3, 1) * STRIDE
    half = raw[:, 3:5].permute(0, 2, 3, 1).clamp(-3, 2).exp() * (BASE_SIZE / 2)
    return torch.cat([centres - half, centres + half], -1)


def area(boxes):
    """Areas of corner boxes (..., 4), zero where empty."""
    return (boxes[..., 2:] - boxes[..., :2]).clamp(min=0).prod(-1)


def box_iou(a, b):
    """Intersection over union of broadcastable corner boxes (..., 4)."""
    low = torch.maximum(a[..., :2], b[..., :2])
    high = torch.minimum(a[..., 2:], b[..., 2:])
    inter = (high - low).clamp(min=0).prod(-1)
    return inter / (area(a) + area(b) - inter).clamp(min=1e-6)


def nms(boxes, scores, threshold, iou, limit):
    """Greedy suppression per class: boxes (K, 4), scores (K, classes) to a detection dict."""
    cell, label = (scores > threshold).nonzero(as_tuple=True)
    score = scores[cell, label]
    score, order = score.sort(descending=True, stable=True)
    boxes, label = boxes[cell[order]], label[order]
    rivals = (box_iou(boxes[:, None], boxes[None]) > iou) & (label[:, None] == label[None])
    keep = torch.ones(len(score), dtype=torch.bool)
    for i in range(len(score)):
        if keep[i]:
            keep[i + 1 :] &= ~rivals[i, i + 1 :]
    kept = keep.nonzero()[:limit, 0]
    return {"boxes": boxes[kept], "scores": score[kept], "labels": label[kept]}


def mean_average_precision(detections, targets):
    """mAP at IoU 0.5 in percent, by the COCO evaluation code of faster-coco-eval."""
    from faster_coco_eval import COCO, COCOeval_faster

    truth, found = [], []
    for image, (target, detection) in enumerate(zip(targets, detections, strict=True)):
        sides = target["boxes"][:, 2:] - target["boxes"][:, :2]
        for box, side, label in zip(target["boxes"], sides, target["labels"], strict=True):
            truth.append(
                {
                    "id": len(truth) + 1,
                    "image_id": image,
                    "category_id": int(label),
                    "bbox": box[:2].tolist() + side.tolist(),
                    "area": float(side.prod()),
                    "iscrowd": 0,
                }
            )
        corners, sizes = detection["boxes"][:, :2], detection["boxes"][:, 2:]
        rows = torch.cat([corners, sizes - corners], 1).tolist()
        labels, scores = detection["labels"].tolist(), detection["scores"].tolist()
        for row, label, score in zip(rows, labels, scores, strict=True):
            found.append(
                {"image_id": image, "category_id": label, "bbox": row, "score": score}
            )
    if not found:
        return 0.0
    categories = sorted({t["category_id"] for t in truth})
    with contextlib.redirect_stdout(io.StringIO()):
        gold = COCO(
            {
                "images": [{"id": i} for i in range(len(targets))],
                "annotations": truth,
                "categories": [{"id": c, "name": str(c)} for c in categories],
            }
        )
        evaluation = COCOeval_faster(gold, gold.loadRes(found), "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return 100.0 * float(evaluation.stats[1])
