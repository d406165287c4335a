"""Detections matched to the truth once, so that a bootstrap over scenes is cheap."""

from typing import Any

import numpy as np

__all__ = ["MatchedScenes"]

RECALLS = np.linspace(0, 1, 101)  # COCO's


class MatchedScenes:
    """Scenes with every detection's class, score and whether it found an object (IoU 0.5).

    Matching within a scene is greedy by score, as in COCO, so it does not change when scenes are
    drawn anew. ``official`` is the COCO code's figure, ``precision`` this module's for a draw.
    """

    def __init__(self, found: list[dict[str, Any]], truth: list[dict[str, Any]]) -> None:
        self._found, self._truth = found, truth
        rows = [_match(number, *pair) for number, pair in enumerate(zip(found, truth, strict=True))]
        table = np.concatenate(rows) if rows else np.zeros((0, 4))
        self._table = table[np.argsort(-table[:, 2], kind="stable")]
        classes = 1 + max(int(t["labels"].max()) for t in truth if len(t["labels"]))
        self._objects = np.stack([np.bincount(t["labels"], minlength=classes) for t in truth])

    def __len__(self) -> int:
        return len(self._truth)

    def official(self) -> float:
        """mAP@0.5 in percent by faster-coco-eval."""
        from demo_nets import mean_average_precision

        return mean_average_precision(self._found, self._truth)

    def precision(self, drawn: np.ndarray | None = None) -> float:
        """mAP@0.5 in percent of the scenes ``drawn`` (indices, repeats count)."""
        weights = np.ones(len(self)) if drawn is None else np.bincount(drawn, minlength=len(self))
        objects = weights @ self._objects
        scene, label, _, hit = self._table.T
        counted = weights[scene.astype(np.intp)]
        values = []
        for k in np.flatnonzero(objects):
            own = label == k
            right = np.cumsum(counted[own] * hit[own])
            every = np.cumsum(counted[own])
            precision = right / np.maximum(every, 1e-9)
            precision = np.maximum.accumulate(precision[::-1])[::-1]
            at = np.searchsorted(right / objects[k], RECALLS, side="left")
            values.append(np.append(precision, 0.0)[np.minimum(at, len(precision))].mean())
        return 100 * float(np.mean(values))


def _match(number: int, found: dict[str, Any], truth: dict[str, Any]) -> np.ndarray:
    """(detections, 4): scene, class, score, whether it is the first to find its object."""
    boxes, scores = found["boxes"].numpy(), found["scores"].numpy()
    labels, aims, kinds = (t.numpy() for t in (found["labels"], truth["boxes"], truth["labels"]))
    low = np.maximum(boxes[:, None, :2], aims[None, :, :2])
    high = np.minimum(boxes[:, None, 2:], aims[None, :, 2:])
    common = np.clip(high - low, 0, None).prod(-1)
    areas = (np.clip(b[:, 2:] - b[:, :2], 0, None).prod(-1) for b in (boxes, aims))
    mine, theirs = areas
    overlap = common / np.maximum(mine[:, None] + theirs[None] - common, 1e-9)
    overlap[labels[:, None] != kinds[None]] = 0
    hit = np.zeros(len(boxes))
    for i in np.argsort(-scores, kind="stable"):
        if overlap.shape[1] and overlap[i].max() >= 0.5:
            hit[i] = 1
            overlap[:, overlap[i].argmax()] = 0
    return np.stack([np.full(len(boxes), number), labels, scores, hit], 1).astype(float)
