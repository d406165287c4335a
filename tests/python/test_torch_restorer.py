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
    np.testing.assert_array_equal(got.view(np.uint32), want.view(np.uint32))


def heavy(rank, channels=900):
    """Weights whose sums pass 2**24, so that float32 would round them."""
    rng = np.random.default_rng(3)
    width = (channels + 1) // 2 * 4
    first = rng.integers(100, 128, size=(rank or channels, width)).astype(np.int8)
    tables = rng.normal(size=(channels, 26, 3)).astype(np.float32)
    tables[:, :, 1] *= 1e-9
    return Restoration(
        kind=2,
        strength=256,
        values=np.arange(26, dtype=np.uint8),
        low=np.full(26, -10, np.float32),
        high=np.full(26, 10, np.float32),
        own=rng.integers(-32767, 32768, size=(channels, 3)).astype(np.int16),
        tables=tables,
        first=first,
        bias=rng.integers(-(2**29), 2**29, size=rank).astype(np.int32),
        shift=rng.integers(0, 24, size=rank).astype(np.uint8),
        second=rng.integers(-127, 128, size=(channels, rank)).astype(np.int8),
    )


@pytest.mark.parametrize("rank", [0, 8])
def test_large_sums_stay_exact(rank):
    blob = heavy(rank)
    s = np.random.default_rng(4).integers(20, 26, size=(1, 900, 3, 4)).astype(np.uint8)
    restorer = Restorer(blob.to_bytes())
    assert restorer.sums == torch.float64
    np.testing.assert_array_equal(restorer(torch.from_numpy(s)).numpy(), blob.apply(s))


def test_casting_a_network_around_it_changes_nothing():
    blob = make_blob("linear", 3, rank=0)
    s = torch.from_numpy(quantize(features(2, seed=8), 3))
    want = Restorer(blob)(s)
    for cast in (torch.nn.Module.half, torch.nn.Module.bfloat16, torch.nn.Module.double):
        network = cast(torch.nn.Sequential(Restorer(blob)))
        assert torch.equal(network[0](s), want)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(Restorer(blob)(s), want)


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
