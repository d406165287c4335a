"""lt.calibrate keeps a restoration only where the model's outputs are the better for it."""

import warnings

import numpy as np
import pytest
from restoration_data import features

import lwfc

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402

import lwfc.torch as lt  # noqa: E402


class Tail(nn.Module):
    """What a model makes of its features, ``body``; as a picklable module."""

    def __init__(self, body):
        super().__init__()
        self.features, self.body = nn.Identity(), body

    def forward(self, x):
        return self.body(self.features(x))


def support(y):
    """Sees which values are not 0; estimates from neighbours hardly ever are."""
    return (y > 1e-6).float().mean((2, 3))


def peaks(y):
    return (y - 2.6).relu().mean((2, 3))


def means(y):
    return y.mean((2, 3))


@pytest.fixture
def x():
    return torch.from_numpy(features(40, 6))


@pytest.mark.parametrize(
    "restore, body", [("centroid", means), ("local", support), ("linear", support)]
)
def test_restoration_that_spoils_the_outputs_is_left_out(x, restore, body):
    model, options = Tail(body), dict(levels=2, coder="context")
    with pytest.warns(lwfc.CalibrationWarning, match=f"restore='{restore}' is left out.*compare="):
        codec = lt.calibrate(model, "features", x, restore=restore, **options)
    plain = lt.calibrate(model, "features", x, **options)
    assert codec == plain and codec.restore is None
    found = codec.metadata["compared"]
    assert found["restored"] > found["plain"] > 0 and codec.metadata["restore"] == "none"
    forced = lt.calibrate(model, "features", x, restore=restore, compare=False, **options)
    assert forced != plain
    # on fresh inputs the choice is the right one
    fresh = torch.from_numpy(features(40, 6, seed=9))
    wanted = body(fresh)
    errors = [float(((body(c.simulate(fresh)) - wanted) ** 2).mean()) for c in (plain, forced)]
    assert errors[0] < errors[1]


@pytest.mark.parametrize(
    "restore, body", [("centroid", peaks), ("local", means), ("linear", means)]
)
def test_restoration_that_helps_stays_and_is_fitted_on_all(x, restore, body):
    options = dict(levels=2, restore=restore, clip=(0.0, 4.0))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        codec = lt.calibrate(Tail(body), "features", list(x.split(8)), **options)
    assert codec == lwfc.calibrate(list(x.split(8)), batched=True, **options)
    found = codec.metadata["compared"]
    assert found["restored"] < found["plain"] and found["measure"] == "variance"


def test_outputs_that_cannot_be_compared(x):
    for body in (lambda y: "text", lambda y: y.argmax()):
        codec = lt.calibrate(Tail(body), "features", x, levels=2, restore="linear")
        assert codec.restore is not None and codec.metadata["compared"] is None
    one = lt.calibrate(Tail(means), "features", x[:1], levels=2, restore="centroid")
    assert one.metadata["compared"] is None
    picked = lt.calibrate(
        Tail(lambda y: ("text", {"a": means(y)})),
        "features",
        x,
        outputs=lambda output: output[1]["a"],
        levels=2,
        restore="linear",
    )
    assert picked.metadata["compared"]["measure"] == "variance"


def test_progress_and_one_shot_loaders(x):
    said = []
    codec = lt.calibrate(
        Tail(means),
        "features",
        (part for part in x.split(8)),
        levels=2,
        restore="linear",
        progress=lambda done, total, what: said.append(what),
    )
    assert codec == lwfc.calibrate(list(x.split(8)), levels=2, restore="linear", batched=True)
    assert said


def test_features_of_a_coded_layer_are_refused(x):
    model = Tail(means)
    codec = lt.calibrate(model, "features", x, levels=2)
    with lt.attach(model, {"features": codec}) as tap:
        model(x)
        for use in (lt.calibrate, lambda *a: list(lt.features(*a))):
            with pytest.raises(lwfc.ParameterError, match=r"codec is attached.*tap\.remove"):
                use(model, "features", x)
    assert tap.report()[0]["calls"] == 1
    assert np.isfinite(lt.calibrate(model, "features", x, levels=2).values).all()
