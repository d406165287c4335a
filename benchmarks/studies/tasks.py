"""What the studies judge codecs on: demo networks with calibration, tune and test features."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from .matching import MatchedScenes

__all__ = ["Classification", "Detection", "load_task"]

CALIBRATION = 500  # unlabelled samples, for every codec alike
TUNE = 500  # labelled samples that choose operating points


@dataclass
class Task:
    """A network split in two. Feature arrays are float32, axis 0 counts samples."""

    name: str
    model: Any
    activation: str
    calibration: np.ndarray
    features: dict[str, np.ndarray]  # of the splits "tune" and "test"
    images: dict[str, Any]
    truth: dict[str, Any]
    metric: str = ""
    slope: float = 0.1
    known: dict[str, Any] = field(default_factory=dict)

    def head(self, features: np.ndarray) -> Any:
        """The second half's output for features."""
        import torch

        with torch.no_grad():
            parts = torch.from_numpy(np.ascontiguousarray(features)).split(100)
            return torch.cat([self.model.cloud(part) for part in parts])

    def whole(self, images: Any) -> Any:
        """Both halves' output for images."""
        import torch

        with torch.no_grad():
            return torch.cat([self.model(part) for part in images.split(100)])

    def outcome(self, split: str, output: Any) -> Any:
        """What is compared between networks: see the subclasses."""
        raise NotImplementedError

    def quality(self, outcome: Any) -> float:
        """The metric in percent."""
        raise NotImplementedError

    def interval(self, reference: Any, outcome: Any) -> tuple[float, float]:
        """95 % interval of the loss in points; both networks meet the same samples."""
        raise NotImplementedError

    def reference(self, split: str) -> Any:
        """The outcome without compression."""
        if split not in self.known:
            self.known[split] = self.outcome(split, self.head(self.features[split]))
        return self.known[split]

    def judge(self, split: str, output: Any, interval: bool = False) -> dict[str, Any]:
        """{"loss" in points, "quality" in percent} of a network output, and its interval."""
        outcome, reference = self.outcome(split, output), self.reference(split)
        quality = self.quality(outcome)
        found = {"quality": quality, "loss": self.quality(reference) - quality}
        if interval:
            found["interval"] = self.interval(reference, outcome)
        return found


class Classification(Task):
    """Outcome: which samples were right, boolean (n,)."""

    def outcome(self, split: str, output: Any) -> np.ndarray:
        return output.argmax(1).numpy() == self.truth[split][: len(output)]

    def quality(self, outcome: np.ndarray) -> float:
        return 100 * float(outcome.mean())

    def interval(self, reference: np.ndarray, outcome: np.ndarray) -> tuple[float, float]:
        lost = 100 * (reference.astype(float) - outcome)
        half = 1.96 * lost.std() / np.sqrt(len(lost))
        return float(lost.mean() - half), float(lost.mean() + half)


class Detection(Task):
    """Outcome: the detections of each scene and how they match the truth."""

    def outcome(self, split: str, output: Any) -> MatchedScenes:
        found = self.model.decode(output)
        return MatchedScenes(found, self.truth[split][: len(found)])

    def quality(self, outcome: MatchedScenes) -> float:
        return outcome.official()

    def interval(self, reference: MatchedScenes, outcome: MatchedScenes) -> tuple[float, float]:
        random = np.random.default_rng(7)
        lost = []
        for _ in range(200):
            drawn = random.integers(len(reference), size=len(reference))
            lost.append(reference.precision(drawn) - outcome.precision(drawn))
        return float(np.percentile(lost, 2.5)), float(np.percentile(lost, 97.5))


def load_task(name: str, cache: Path, quick: bool = False) -> Task:
    """ "classifier" or "detector" with all test samples (10,000 and 1,000), or 60 of each kind."""
    import demo_nets

    classifier, detector = demo_nets.load_models()
    images, truth = {}, {}
    sizes = {"calibration": CALIBRATION, "tune": TUNE}
    sizes["test"] = 10_000 if name == "classifier" else 1_000
    for split, size in sizes.items():
        count = 60 if quick else size
        if name == "classifier":
            full = split == "test" and not quick
            images[split], labels = demo_nets.load_classifier_data(split, count, full=full)
            truth[split] = None if labels is None else labels.numpy()
        else:
            images[split], truth[split] = demo_nets.load_scenes(split, count)
    model = classifier if name == "classifier" else detector
    features = {split: _features(name, split, model, part, cache) for split, part in images.items()}
    kind = Classification if name == "classifier" else Detection
    return kind(
        name=name,
        model=model,
        activation="relu" if name == "classifier" else "leaky_relu",
        calibration=features.pop("calibration"),
        features=features,
        images=images,
        truth=truth,
        metric="top-1" if name == "classifier" else "mAP@0.5",
    )


def _features(name: str, split: str, model: Any, images: Any, cache: Path) -> np.ndarray:
    import torch

    path = cache / f"{name}-{split}-{len(images)}.npy"
    if not path.exists():
        with torch.no_grad():
            found = torch.cat([model.edge(part) for part in images.split(100)]).numpy()
        np.save(path, found)
    return np.load(path)
