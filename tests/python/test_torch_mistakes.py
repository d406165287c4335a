"""Mistakes that are easily made with models: each is told at once, and how to go on."""

import warnings

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402

import lwfc  # noqa: E402
import lwfc.torch as lt  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore:The tensor attributes", "ignore:.*LeafSpec")

torch.manual_seed(0)
NET = nn.Sequential(
    nn.Conv2d(3, 16, 3, 2, 1), nn.ReLU(), nn.Conv2d(16, 24, 3, 2, 1), nn.ReLU(),
    nn.Flatten(), nn.Linear(24 * 16, 5),
).eval()  # fmt: skip
X = torch.randn(32, 3, 16, 16)
F = NET[:2](X).detach()
CODEC = lwfc.calibrate(F, channel_axis=1)
WEIGHTS = lwfc.calibrate(F, channel_axis=1, restore="linear")
TRANSFORM = lwfc.calibrate(F, channel_axis=1, transform="dct", step=0.5)
INTEGERS = lwfc.calibrate(F.clip(0, 1).mul(99).byte().numpy(), scale=0.01, channel_axis=1)


def split(at="1", codec=None):
    return lt.split(NET, at, codec, example=X[:2])


CASES = {
    "an array for levels": (lambda: lwfc.encode(4, F), r"levels=<a Tensor of shape \(32, 16, "),
    "a codec for levels": (lambda: lwfc.encode(F, CODEC), r"codec\.encode\(x\)"),
    "capitals": (lambda: lt.calibrate(NET, "1", X, transform="DCT"), "'none', 'dct', 'auto'"),
    "capitals in tune": (lambda: lt.tune(NET, "1", X, len, transform="DCT"), "'none', 'dct'"),
    "a name for the metric": (lambda: lt.tune(NET, "1", X, "top1"), "metric='top1'.*function"),
    "and where to cut": (lambda: lt.explore(NET, X, "top1"), "metric='top1'.*function"),
    "a name for the samples": (lambda: lt.explore(NET, "images"), "loader is a str"),
    "a codec for the layer": (lambda: split(CODEC, "1"), "at=<a Codec>.*must be a name"),
    "a layer that is not there": (lambda: split("layer9"), "export, fx: .*; hooks: "),
    "weights of another layer": (lambda: split("3", WEIGHTS), r"3.*24, 4, 4.*calibrate it at"),
    "a transform of another layer": (lambda: split("3", TRANSFORM), "calibrate it at this cut"),
    "integers' codec for floats": (lambda: split("1", INTEGERS), "calibrate it at.*uint8"),
    "no layer": (lambda: split(()), "names no layer"),
    "what tune did not find": (lambda: lt.attach(NET, {"1": None}), "'1' but None.*max_loss"),
    "a file for a codec": (lambda: lt.attach(NET, {"1": "a.lwfc"}), r"has a str; lwfc\.load"),
    "no sample to explore": (lambda: lt.explore(NET, X[:0]), r"\(0, 3, 16, 16\) hold no sample"),
    "no sample as an example": (lambda: lt.split(NET, "1", example=X[:0]), "hold no sample"),
    "nothing for the cloud": (lambda: split("1", CODEC)[1](None), "NoneType holds no stream"),
    "arrays for the cloud": (lambda: split("1")[1]({"1": F.numpy()}), "'1' is .* be a tensor"),
    "images for the cloud": (lambda: split("1", CODEC)[1](X), r"this half takes.*N, 16, 8, 8"),
}


@pytest.mark.parametrize("name", CASES)
def test_is_told(name):
    call, text = CASES[name]
    with pytest.raises(lwfc.ParameterError, match=text) as error:
        call()
    assert len(str(error.value)) < 700


def test_a_damaged_file_is_named(tmp_path):
    (tmp_path / "halves.pt2s").write_bytes(b"nothing")
    with pytest.raises(lwfc.FormatError, match=r"halves\.pt2s: .*save_split"):
        lt.load_split(tmp_path / "halves.pt2s")


def test_explore_takes_what_calibrate_takes():
    labelled = (X, torch.zeros(len(X)))
    options = {"samples": 8, "shortlist": 0, "profiles": ["rans"], "baselines": False}
    rows = [lt.explore(NET, x, **options).rows for x in (X, X.numpy(), labelled, [X.numpy()])]
    sizes = [[row["coded_bytes"] for row in found] for found in rows]
    assert all(found == sizes[0] for found in sizes)


def _pair():
    with lt.attach(NET, {"1": CODEC, "0": CODEC}):
        pass


WARNED = {
    "no codecs": lambda: lt.attach(NET, {}),
    "an earlier tap": lambda: [lt.attach(NET, {"1": CODEC}) for _ in range(2)][-1].detach(),
    "nothing ran": _pair,
    "few inputs": lambda: lt.calibrate(NET, "1", X[:4], transform="auto", distortion=0.5),
    "integers": lambda: lwfc.encode(np.arange(8)),
    "a hook": lambda: NET(X),
}


@pytest.mark.parametrize("name", WARNED)
def test_warnings_name_the_callers_line(name):
    attached = name == "a hook"
    moved = lwfc.calibrate(F.movedim(1, -1), coder="context", channel_axis=-1, levels=3)
    tap = lt.attach(NET, {"1": moved} if attached else {"3": CODEC})
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        WARNED[name]()
    tap.detach()
    assert said and {one.filename for one in said} == {__file__}
