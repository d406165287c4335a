"""The PyTorch restorer against the blob's defined arithmetic."""

import numpy as np
import pytest
from restoration_data import features, quantize

from lwfc.restoration.blob import Restoration
from lwfc.restoration.fitter import RestorationFitter

torch = pytest.importorskip("torch")

from lwfc.torch.restorer import Restorer  # noqa: E402


def make_blob(kind, levels, channels=12, strength=1.0, **options):
    x = features(12, channels)
    fitter = RestorationFitter(levels, channels, kind, bounds=(0.0, np.inf), **options)
    fitter.update(x, quantize(x, levels))
    return fitter.finish(strength)


CASES = [
    ("local", 2, 12, {}),
    ("local", 4, 5, {"strength": 0.5}),
    ("linear", 2, 12, {"rank": 0}),
    ("linear", 3, 7, {"rank": 0, "strength": 0.25}),
    ("linear", 4, 12, {"rank": 8}),
    ("linear", 40, 12, {"rank": 4}),
]


@pytest.mark.parametrize("kind, levels, channels, options", CASES)
def test_equals_the_definition(kind, levels, channels, options):
    blob = make_blob(kind, levels, channels, **options)
    s = quantize(features(3, channels, seed=7), levels)
    want = Restoration.from_bytes(blob).apply(s)
    got = Restorer(blob)(torch.from_numpy(s)).numpy()
    assert got.dtype == np.float32
    # one rounding of the product and one of the sum, where a device fuses them
    np.testing.assert_allclose(got, want, rtol=2e-7, atol=2e-7 * float(np.abs(want).max()))


def test_takes_a_codec_and_refuses_one_without():
    class Holder:
        restore = make_blob("local", 2)

    assert Restorer(Holder()).channels == 12
    with pytest.raises(ValueError, match="no restoration"):
        Restorer(object())


@pytest.mark.parametrize("options", [{"rank": 0}, {"rank": 8, "strength": 0.5}])
def test_exports(options):
    module = Restorer(make_blob("linear", 3, **options)).eval()
    s = torch.from_numpy(quantize(features(2, seed=8), 3))
    dynamic = {"symbols": {0: torch.export.Dim("n", min=1, max=64)}}
    exported = torch.export.export(module, (s,), dynamic_shapes=dynamic)
    more = torch.from_numpy(quantize(features(5, seed=9), 3))
    torch.testing.assert_close(exported.module()(more), module(more), rtol=0, atol=0)


def test_moves_with_the_network():
    module = torch.nn.Sequential(Restorer(make_blob("linear", 2)), torch.nn.Conv2d(12, 1, 1))
    assert not list(module[0].parameters()) and len(module.state_dict()) > 2
