"""Demonstration networks for the benchmarks: a classifier and a detector, with data and weights."""

from .classifier import Classifier, accuracy
from .data import SHIPPED, load_classifier_data, load_scenes, load_weights
from .detector import Detector, mean_average_precision

__all__ = [
    "Classifier",
    "Detector",
    "accuracy",
    "load_classifier_data",
    "load_models",
    "load_scenes",
    "mean_average_precision",
]


def load_models(folder=SHIPPED):
    """(Classifier, Detector) in evaluation mode with the shipped half-precision weights."""
    return (
        load_weights(Classifier(), folder / "classifier.npz"),
        load_weights(Detector(), folder / "detector.npz"),
    )
