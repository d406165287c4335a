"""The demo's two networks: where they lie, their features, and what decides."""

import importlib
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ..base.errors import LwfcError
from ..codec.codec import Codec

__all__ = ["Network", "find_benchmarks", "load_networks"]

PACKAGES = {"torch": "to run its networks", "faster_coco_eval": "for the detector's metric"}
INSTALL = "pip install 'lwfc[demo]', or '.[demo]' in the checkout"


@dataclass
class Network:
    """One network: unlabelled calibration features, test features, and what decides.

    ``transform(distortion)``: a codec in the metric of the second half, from the unlabelled images.
    """

    name: str
    layer: str
    metric: str
    activation: str
    slope: float
    lo: float
    calibration: np.ndarray
    test: np.ndarray
    evaluate: Callable[[np.ndarray], float]
    reference: float
    transform: Callable[[float], Codec]
    rows: list[dict[str, Any]] = field(default_factory=list)


def find_benchmarks(data: str | None) -> Path:
    """The folder with the networks: given, around the current directory, or around the package."""
    here, source = Path.cwd(), Path(__file__).resolve()
    places = [Path(data)] if data else [here, *here.parents, *source.parents]
    for place in places:
        for folder in (place, place / "benchmarks"):
            if (folder / "demo_nets" / "__init__.py").is_file():
                return folder
    raise LwfcError(
        "the demo's networks and data are in the source checkout: run this there, or name its "
        "benchmarks folder with --data"
    )


def load_networks(folder: Path, quick: bool) -> Iterator[Network]:
    """The classifier and the detector. Errors: LwfcError if a package or the data are missing."""
    for name, purpose in PACKAGES.items():  # all before the first network runs
        try:
            importlib.import_module(name)
        except ImportError as error:
            raise LwfcError(f"the demo needs {name} {purpose}: {INSTALL}") from error
    import torch

    sys.path.insert(0, str(folder))
    try:
        nets = importlib.import_module("demo_nets")
        classifier, detector = nets.load_models()
    except (ImportError, OSError) as error:
        raise LwfcError(f"the demo's networks could not be loaded: {error}") from error
    finally:
        sys.path.remove(str(folder))

    def halves(model: Any, images: Any) -> np.ndarray:
        with torch.no_grad():
            return torch.cat([model.edge(part) for part in images.split(50)]).numpy()

    def cloud(model: Any, features: np.ndarray) -> Any:
        with torch.no_grad():
            parts = torch.from_numpy(features).split(100)
            return torch.cat([model.cloud(part) for part in parts])

    def transformed(model: Any, images: Any) -> Callable[[float], Codec]:
        lt = importlib.import_module("lwfc.torch")

        def make(distortion: float) -> Codec:
            options = {"transform": "dct", "distortion": distortion}
            return lt.calibrate(model, model.split_layer, images, **options)

        return make

    images, labels = nets.load_classifier_data("test", 300 if quick else None)
    unlabelled = nets.load_classifier_data("calibration", 200 if quick else 500)[0]

    def accuracy(features: np.ndarray) -> float:
        return 100 * float((cloud(classifier, features).argmax(1) == labels).float().mean())

    test = halves(classifier, images)
    yield Network("classifier", classifier.split_layer, "top-1 %", "relu", 0.1, 0.0,
                  halves(classifier, unlabelled), test, accuracy, accuracy(test),
                  transformed(classifier, unlabelled))  # fmt: skip

    scenes, targets = nets.load_scenes("test", 60 if quick else 300)
    unlabelled = nets.load_scenes("calibration", 60 if quick else 200)[0]

    def precision(features: np.ndarray) -> float:
        found = detector.decode(cloud(detector, features))
        return nets.mean_average_precision(found, targets)

    test, features = halves(detector, scenes), halves(detector, unlabelled)
    # Clipping all negative values to 0 costs this network points; their mean loses least.
    lo = float(features[features < 0].mean())
    yield Network("detector", detector.split_layer, "mAP@0.5 %", "leaky_relu", 0.1, lo,
                  features, test, precision, precision(test),
                  transformed(detector, unlabelled))  # fmt: skip
