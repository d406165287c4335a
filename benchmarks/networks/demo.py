"""The demo networks: a residual classifier, a detector, a small vision transformer; shipped data
and more of it."""

from pathlib import Path
from typing import Any

import numpy as np

from lwfc.evaluation.study import SPLITS, Study

from .common import cut

__all__ = ["classifier", "detector", "labelled", "transformer"]

# Unlabelled calibration samples, labelled tune and test samples. Of the data set's test images the
# first are the test split, further tune images come from its end; no training saw either.
SIZES = {"classifier": (500, 3000, 2000), "detector": (200, 300, 300),
         "transformer": (500, 3000, 2000)}  # fmt: skip
QUICK = {"classifier": (250, 300, 1000), "detector": (150, 100, 200),
         "transformer": (250, 300, 1000)}  # fmt: skip


def labelled(quick: bool, sizes: tuple[int, int, int]) -> tuple[dict[str, Any], dict[str, Any]]:
    """(images, labels) of so many calibration, tune and test images of Fashion-MNIST."""
    import demo_nets
    from demo_nets.data import read_dataset, to_input

    count, tune, test = sizes
    images = {"calibration": demo_nets.load_classifier_data("calibration", count)[0]}
    labels = {}
    for split, count in (("tune", min(tune, 500)), ("test", test)):
        full = split == "test" and not quick
        images[split], found = demo_nets.load_classifier_data(split, count, full=full)
        labels[split] = found.numpy()
    if tune > 500:
        import torch

        rest = [part[500 - tune :] for part in read_dataset()["test"]]
        images["tune"] = torch.cat([images["tune"], to_input(rest[0])])
        labels["tune"] = np.concatenate([labels["tune"], rest[1].astype(np.int64)])
    return images, labels


def classifier(quick: bool, cache: Path, sizes: tuple[int, int, int] | None = None) -> Study:
    """Fashion-MNIST, 48x14x14 after ReLU; ten classes, labelled."""
    import demo_nets

    model, _ = demo_nets.load_models()
    images, labels = labelled(quick, sizes or (QUICK if quick else SIZES)["classifier"])
    return cut("classifier", model, images, cache, labels=labels)


def detector(quick: bool, cache: Path) -> Study:
    """Scenes of the same objects on photographs, 64x24x24 after leaky ReLU; mAP at IoU 0.5."""
    import demo_nets
    import torch
    from studies.matching import MatchedScenes

    class Scenes(MatchedScenes):
        metric = MatchedScenes.precision

    _, model = demo_nets.load_models()
    images, truth = {}, {}
    for split, count in zip(SPLITS, (QUICK if quick else SIZES)["detector"], strict=True):
        images[split], truth[split] = demo_nets.load_scenes(split, count)

    def metric(outputs: np.ndarray, labels: Any) -> Scenes:
        return Scenes(model.decode(torch.from_numpy(outputs)), labels)

    return cut("detector", model, images, cache, metric=metric, measure="mAP@0.5",
                  labels={split: truth[split] for split in ("tune", "test")})  # fmt: skip


def transformer(quick: bool, cache: Path) -> Study:
    """Fashion-MNIST through a small vision transformer, 49 tokens of 64 features; labelled."""
    from demo_nets.data import SHIPPED, load_weights
    from demo_nets.vit import Transformer

    model = load_weights(Transformer(), SHIPPED / "vit.npz")
    images, labels = labelled(quick, (QUICK if quick else SIZES)["transformer"])
    return cut("transformer", model, images, cache, labels=labels, options={"channel_axis": -1})
