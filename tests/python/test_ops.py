"""The stages keep the promises of NumPy's ufuncs; one test for each."""

import numpy as np
import pytest
from common import any_floats, features
from hypothesis import given
from hypothesis import strategies as st

import lwfc
from lwfc import dequantize, digitize, lookup, quantize
from lwfc.model.design import uniform_quantizer


def reference(x, lo, hi, levels):
    thresholds, values = uniform_quantizer(lo, hi, levels)
    with np.errstate(over="ignore"):
        symbols = (np.asarray(x).astype(np.float32)[..., None] >= thresholds).sum(-1)
    return symbols.astype(np.uint8), values[symbols]


@given(any_floats(), st.integers(2, 256), st.floats(-50, 50), st.floats(0.01, 100))
def test_definition(x, levels, lo, width):
    q = quantize(x, lo, lo + width, levels)
    symbols, values = reference(x, lo, lo + width, levels)
    assert np.array_equal(q, symbols)
    assert q.dtype == np.uint8
    assert np.array_equal(dequantize(q, lo, lo + width, levels), values)


@given(any_floats(), st.lists(st.floats(-9, 9, width=32), min_size=1, max_size=255))
def test_digitize_and_lookup(x, thresholds):
    thresholds = np.sort(np.array(thresholds, np.float32))
    values = np.arange(len(thresholds) + 1, dtype=np.float32) * 0.5
    q = digitize(x, thresholds)
    with np.errstate(over="ignore"):
        assert np.array_equal(q, (x.astype(np.float32)[..., None] >= thresholds).sum(-1))
    assert np.array_equal(lookup(q, values), q * np.float32(0.5))


def test_out_is_the_object_passed():
    x = features()
    out = np.empty(x.shape, np.uint8)
    assert quantize(x, 0, 3, 4, out=out) is out
    assert np.array_equal(out, quantize(x, 0, 3, 4))
    assert quantize(x, 0, 3, 4, out=(out,)) is out
    y = np.empty(x.shape, np.float64)
    assert dequantize(out, 0, 3, 4, out=y) is y
    assert digitize(x, [1, 2], out=out) is out
    assert lookup(out, [0, 1, 2], out=y) is y
    with pytest.raises(ValueError, match="one entry"):
        quantize(x, 0, 3, 4, out=(out, out))
    with pytest.raises(ValueError, match="broadcast"):
        quantize(x, 0, 3, 4, out=np.empty((2, 2), np.uint8))


def test_ellipsis_out_gives_an_array():
    result = quantize(np.float32(2), 0, 3, 4, out=...)
    assert isinstance(result, np.ndarray) and result.shape == () and result == 2


def test_where_leaves_the_rest_alone():
    x = features()
    mask = x > 1
    out = np.full(x.shape, 99, np.uint8)
    quantize(x, 0, 3, 4, out=out, where=mask)
    assert (out[~mask] == 99).all()
    assert np.array_equal(out[mask], quantize(x, 0, 3, 4)[mask])


def test_casting():
    x = features()
    with pytest.raises(TypeError):
        quantize(x, 0, 3, 4, out=np.empty(x.shape, np.int8), casting="safe")
    with pytest.raises(TypeError):
        quantize(x, 0, 3, 4, out=np.empty(x.shape, bool))
    wide = np.empty(x.shape, np.uint16)
    assert np.array_equal(quantize(x, 0, 3, 4, out=wide), quantize(x, 0, 3, 4))


def test_no_level_count_wraps():
    """A ufunc chooses its loop from its inputs, and would give 255 here."""
    x = np.linspace(0, 1, 4097, dtype=np.float32)
    for levels in (257, 1024, 1, 0, -3):
        for extra in ({}, {"out": np.empty(x.shape, np.uint16)}, {"dtype": np.uint16}):
            with pytest.raises(lwfc.ParameterError, match="2 to 256"):
                quantize(x, 0, 1, levels, **extra)
    assert quantize(x, 0, 1, 256, dtype=np.uint16).max() == 255


@pytest.mark.parametrize("levels", [2.0, "4", None, np.array([2, 300]), np.array([2.0])])
def test_levels_are_integers(levels):
    with pytest.raises(lwfc.ParameterError, match="2 to 256"):
        quantize(features(), 0, 1, levels)


def test_dtype():
    x = features()
    assert quantize(x, 0, 3, 4, dtype=np.int32).dtype == np.int32
    assert quantize(1.0, 0, 3, 4, dtype=np.int32).dtype == np.int32
    assert dequantize(np.uint8(1), 0, 3, 4, dtype=np.float64).dtype == np.float64
    assert dequantize(quantize(x, 0, 3, 4), 0, 3, 4, dtype=np.float16).dtype == np.float16
    with pytest.raises(lwfc.ParameterError, match="wider"):
        quantize(x, 0, 3, 200, dtype=np.int8)
    with pytest.raises(lwfc.ParameterError, match="floats"):
        dequantize(np.uint8(1), 0, 3, 4, dtype=np.int32)
    with pytest.raises(lwfc.ParameterError):
        quantize(x, 0, 3, 4, dtype=complex)


def test_order_keeps_the_memory_layout():
    x = np.ascontiguousarray(features().transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)
    assert quantize(x, 0, 3, 4).strides == tuple(n // 4 for n in x.strides)
    assert quantize(x, 0, 3, 4, order="C").flags.c_contiguous
    assert quantize(x, 0, 3, 4, order="F").flags.f_contiguous


def test_per_channel_ranges_broadcast():
    x = features()
    hi = np.linspace(1, 4, x.shape[1], dtype=np.float32)
    q = quantize(x, 0, hi[:, None, None], 4)
    for c in range(x.shape[1]):
        assert np.array_equal(q[:, c], quantize(x[:, c], 0, hi[c], 4))
    thresholds = np.stack([uniform_quantizer(0, h, 4)[0] for h in hi])
    assert np.array_equal(digitize(x, thresholds[:, None, None]), q)
    levels = np.arange(2, 2 + x.shape[1])
    q = quantize(x, 0, 3, levels[:, None, None])
    for c in range(x.shape[1]):
        assert np.array_equal(q[:, c], quantize(x[:, c], 0, 3, levels[c]))


def test_ranges_may_be_doubles_and_integers():
    x = features()
    expected = quantize(x, 0, 3, 4)
    for hi in (3, 3.0, np.float64(3), np.array(3.0), np.array([3]), np.float16(3)):
        assert np.array_equal(quantize(x, 0, hi, 4), expected)


def test_overlap_of_input_and_output():
    x = features((64,))
    expected = quantize(x, 0, 3, 4)
    bytes_of_x = x.view(np.uint8)[: x.size]
    assert np.array_equal(quantize(x, 0, 3, 4, out=bytes_of_x), expected)


def test_foreign_classes_take_over():
    class Foreign:
        def __array_ufunc__(self, ufunc, method, *inputs, **kwargs):
            return "mine", ufunc.__name__, method

    assert quantize(Foreign(), 0, 1, 4) == ("mine", "quantize", "__call__")
    assert quantize(features(), Foreign(), 1, 4) == ("mine", "quantize", "__call__")
    assert dequantize(Foreign(), 0, 1, 4) == ("mine", "dequantize", "__call__")
    assert digitize(Foreign(), [1.0]) == ("mine", "digitize", "__call__")
    assert lookup(Foreign(), [1.0, 2.0]) == ("mine", "lookup", "__call__")


def test_classes_that_refuse_are_refused():
    class Refusing:
        __array_ufunc__ = None

    with pytest.raises(TypeError):
        quantize(Refusing(), 0, 1, 4)


def test_subclasses():
    class Mine(np.ndarray):
        pass

    x = features().view(Mine)
    assert type(quantize(x, 0, 3, 4)) is Mine
    assert type(quantize(x, 0, 3, 4, subok=False)) is np.ndarray


def test_scalars_and_lists():
    assert type(quantize(2.0, 0, 3, 4)) is np.uint8
    assert type(dequantize(2, 0, 3, 4)) is np.float32
    assert quantize([0.4, 0.6], 0, 3, 4).tolist() == [0, 1]
    assert quantize(np.array(2.0), 0, 3, 4) == 2
    assert digitize(1.5, [1, 2]) == 1
    assert lookup(1, [5, 6]) == 6
    assert quantize(7, 0, 3, 4) == 3


@pytest.mark.parametrize("dtype", [">f4", ">f8", ">f2", np.int16, np.uint8, np.int64, bool])
def test_other_types(dtype):
    x = (features() * 2).astype(dtype)
    assert np.array_equal(quantize(x, 0, 3, 4), reference(x, 0, 3, 4)[0])


def test_what_no_loop_takes_is_refused():
    for x in (np.array([1j]), np.array(["a"]), np.array([None])):
        with pytest.raises(TypeError):
            quantize(x, 0, 3, 4)


def test_no_methods_of_binary_ufuncs():
    assert not hasattr(quantize, "reduce")


def test_unknown_keyword():
    with pytest.raises(TypeError):
        quantize(features(), 0, 3, 4, axis=1)


def test_narrow_results_never_overflow():
    q, most = np.array([0, 1, 2], np.uint8), [-65504.0, 0.0, 65504.0]
    half = np.dtype(np.float16)
    assert dequantize(q, -1e5, 1e5, 3, dtype=half).tolist() == most
    assert lookup(q, [-1e5, 0, 1e5], dtype=half).tolist() == most
    out = np.ones(3, half)
    assert dequantize(q, -1e5, 1e5, 3, out=out) is out and out.tolist() == most
    out = np.ones(3, half)
    dequantize(q, -1e5, 1e5, 3, out=out, where=[True, False, True])
    assert out.tolist() == [-65504.0, 1.0, 65504.0]
    assert lookup(q, [-1e5, 0, 1e5], out=out).tolist() == most


def test_not_finite():
    x = np.array([np.nan, -np.inf, np.inf, -np.nan], np.float32)
    with np.errstate(all="raise"):
        assert quantize(x, 0, 3, 4).tolist() == [0, 0, 3, 0]
        assert quantize(x.astype(np.float64), 0, 3, 4).tolist() == [0, 0, 3, 0]
        assert quantize(x, [[-2], [-1]], 2, 5).tolist() == [[2, 0, 4, 2], [1, 0, 4, 1]]
    with pytest.raises(lwfc.ParameterError, match="NaN"):
        quantize(x, 0, 3, 4, nan="raise")
    with pytest.raises(lwfc.ParameterError, match="nan="):
        quantize(x, 0, 3, 4, nan="lo")


@pytest.mark.parametrize(
    "lo, hi", [(1, 1), (2, 1), (0, np.nan), (0, np.inf), (1.0, 1.0 + 1e-12), (0, 1e39)]
)
def test_bad_ranges(lo, hi):
    for stage in (quantize, dequantize):
        with pytest.raises(lwfc.ParameterError, match="lo < hi"):
            stage(np.uint8(1), lo, hi, 4)


def test_bad_tables():
    with pytest.raises(lwfc.ParameterError, match="ascend"):
        digitize(1.0, [2, 1])
    with pytest.raises(lwfc.ParameterError, match="ascend"):
        digitize(1.0, [np.nan, 1])
    with pytest.raises(lwfc.ParameterError, match="1 to 255"):
        digitize(1.0, np.zeros(256))
    with pytest.raises(lwfc.ParameterError, match="1 to 255"):
        digitize(1.0, 3.0)
    with pytest.raises(lwfc.ParameterError, match="1 to 256"):
        lookup(1, np.zeros(257))
    with pytest.raises(lwfc.ParameterError, match="0 to 255"):
        lookup(-1, [1.0, 2.0])


def test_symbols_beyond_the_table_take_its_end():
    q = np.arange(256, dtype=np.uint8)
    assert np.array_equal(lookup(q, [1, 2, 3]), np.minimum(q, 2) + np.float32(1))
    assert np.array_equal(dequantize(q, 0, 3, 4), np.minimum(q, 3).astype(np.float32))


def test_inputs_stay_as_they_were():
    x = features()
    kept = x.copy()
    thresholds = [1.0, 2.0]
    digitize(x, thresholds)
    quantize(x, 0, 3, 4)
    assert np.array_equal(x, kept) and thresholds == [1.0, 2.0]


def test_torch_tensors_give_torch_tensors():
    torch = pytest.importorskip("torch")
    x = features()
    tensor = torch.from_numpy(x).requires_grad_()
    q = quantize(tensor, 0, torch.tensor(3.0), 4)
    assert q.dtype == torch.uint8 and np.array_equal(q.numpy(), quantize(x, 0, 3, 4))
    y = dequantize(q, 0, 3, 4)
    assert y.dtype == torch.float32 and np.array_equal(y.numpy(), dequantize(q.numpy(), 0, 3, 4))
    out = torch.empty_like(y)
    assert dequantize(q, 0, 3, 4, out=out) is out and torch.equal(out, y)
    half = tensor.detach().bfloat16()
    expected = quantize(half.float().numpy(), 0, 3, 4)
    assert np.array_equal(quantize(half, 0, 3, 4).numpy(), expected)
    assert torch.equal(
        lookup(digitize(tensor, torch.tensor([1.0, 2.0])), [0, 1, 2]).byte(),
        digitize(tensor, [1, 2]),
    )


def test_moments():
    x = features()
    m = lwfc.moments(x)
    assert m.count == x.size and m.zeros == (x == 0).sum() and m.nonfinite == 0
    assert (m.min, m.max) == (x.min(), x.max())
    assert m.mean == pytest.approx(x.mean(dtype=np.float64), rel=1e-12)
    assert m.variance == pytest.approx(x.var(dtype=np.float64), rel=1e-9)
    assert m.mean_magnitude == pytest.approx(np.abs(x).mean(dtype=np.float64), rel=1e-12)
    parts = lwfc.moments(x[:2]) + lwfc.moments(x[2:])
    assert parts.count == m.count and parts.mean == pytest.approx(m.mean, rel=1e-12)
    assert lwfc.moments(x, num_threads=3) == m
    bad = lwfc.moments(np.array([1, np.nan, np.inf, 3]))
    assert (bad.count, bad.nonfinite, bad.mean) == (2, 2, 2)
    assert np.isnan(lwfc.moments(np.empty(0)).mean)
