"""What a caller gives as ``out`` is filled, whatever its memory looks like, or refused."""

import numpy as np
import pytest
from common import features

import lwfc

X = features((4, 6, 5))
DATA = lwfc.encode(X)
Y = lwfc.decode(DATA)


def strided(step, order):
    """An array of X's shape, a view with that step along each axis and that order of axes."""
    shape = [abs(step) * X.shape[axis] for axis in order]
    view = np.full(shape, 7, np.float32)[tuple(slice(None, None, step) for _ in order)]
    return view.transpose(np.argsort(order))


VIEWS = {
    "plain": np.full(X.shape, 7, np.float32),
    "transposed": strided(1, (2, 0, 1)),
    "spaced": strided(2, (0, 1, 2)),
    "backwards": strided(-1, (0, 1, 2)),
    "backwards, spaced, transposed": strided(-3, (1, 2, 0)),
    "big-endian": np.full(X.shape, 7, ">f4"),
    "unaligned": np.full(4 * X.size + 1, 7, np.uint8)[1:].view(np.float32).reshape(X.shape),
    "part of a record": np.full(X.shape, 7, [("a", "u1"), ("b", "f4")])["b"],
    "subclass": np.full((24, 5), 7, np.float32).view(np.recarray).reshape(X.shape),
}


@pytest.mark.parametrize("name", VIEWS)
def test_decode_fills_any_view(name):
    out = VIEWS[name]
    assert out.shape == X.shape
    assert lwfc.decode(DATA, out=out) is out
    assert np.array_equal(out, Y)


def test_memory_around_a_view_is_left_alone():
    whole = np.full((9, 12, 10), 7, np.float32)
    lwfc.decode(DATA, out=whole[1::2, ::-2, ::2])
    assert np.array_equal(whole[1::2, ::-2, ::2], Y)
    whole[1::2, ::-2, ::2] = 7
    assert (whole == 7).all()


def read_only():
    out = np.zeros(X.shape, np.float32)
    out.flags.writeable = False
    return out


def windows():
    return np.lib.stride_tricks.as_strided(
        np.zeros(200, np.float32), X.shape, (16, 8, 4), writeable=True
    )


REFUSED = {
    "repeated": (np.lib.stride_tricks.as_strided(
        np.zeros((4, 6, 1), np.float32), X.shape, (24, 4, 0), writeable=True), "share memory"),
    "windows": (windows(), "share memory"),
    "read-only": (read_only(), "read-only"),
    "masked": (np.ma.masked_array(np.zeros(X.shape, np.float32), X > 1), r"out\.data"),
    "float64": (np.zeros(X.shape), "float64.*float32"),
    "float16": (np.zeros(X.shape, np.float16), "float16.*float32"),
    "bits": (np.zeros(X.shape, np.uint32), "uint32.*float32"),
    "transposed shape": (np.zeros(X.shape[::-1], np.float32), r"\(5, 6, 4\).*\(4, 6, 5\)"),
    "one axis more": (np.zeros((1, *X.shape), np.float32), "shape"),
    "list": ([0.0], "list"),
    "bytes": (bytearray(4 * X.size), "bytearray"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_decode_refuses_what_cannot_hold_the_result(name):
    out, message = REFUSED[name]
    before = np.array(out)
    with pytest.raises(lwfc.ParameterError, match=message):
        lwfc.decode(DATA, out=out)
    assert np.array_equal(before, np.array(out))


def test_out_may_lie_over_the_stream_itself():
    memory = np.zeros(X.size, np.float32)
    held = memory.view(np.uint8)[: len(DATA)]
    held[:] = np.frombuffer(DATA, np.uint8)
    out = memory.reshape(X.shape)
    assert np.array_equal(lwfc.decode(held, out=out), Y)


def test_empty_and_single_outputs():
    for shape in ((), (0, 3), (1, 1, 1)):
        x = np.ones(shape, np.float32)
        out = np.zeros(shape, np.float32)
        assert np.array_equal(lwfc.decode(lwfc.encode(x), out=out), x)


def tensors(torch):
    shape = X.shape
    yield "plain", torch.zeros(shape)
    yield "negated", torch.zeros(shape, dtype=torch.complex64).conj().imag
    yield "transposed", torch.zeros(shape[::-1]).permute(2, 1, 0)
    yield "channels last", torch.zeros(1, *shape).to(memory_format=torch.channels_last)[0]
    yield "spaced", torch.zeros(8, 12, 10)[::2, ::2, ::2]
    yield "parameter", torch.nn.Parameter(torch.zeros(shape))
    with torch.inference_mode():
        yield "inference", torch.zeros(shape)


@pytest.mark.filterwarnings("ignore:ComplexHalf")
def test_decode_fills_any_tensor():
    torch = pytest.importorskip("torch")
    want = torch.from_numpy(Y)
    for name, out in tensors(torch):
        assert lwfc.decode(DATA, out=out) is out
        assert torch.equal(out.detach().clone(), want), name
    half = torch.zeros(X.shape, dtype=torch.bfloat16)
    data = lwfc.encode(torch.from_numpy(X).bfloat16())
    assert torch.equal(lwfc.decode(data, out=half).float(), torch.from_numpy(lwfc.decode(data)))
    complex32 = torch.zeros(X.shape, dtype=torch.complex32).conj().imag  # negated float16
    data = lwfc.encode(X.astype(np.float16))
    assert np.array_equal(lwfc.decode(data, out=complex32).clone().numpy(), lwfc.decode(data))


def test_decode_refuses_tensors_that_cannot_hold_the_result():
    torch = pytest.importorskip("torch")
    refused = [
        torch.zeros(4, 6, 1).expand(4, 6, 5),
        torch.zeros(4, 1, 1, dtype=torch.complex64).conj().imag.expand(4, 6, 5),
        torch.zeros(X.shape, dtype=torch.float64),
        torch.zeros(X.shape, dtype=torch.float8_e4m3fn),
        torch.zeros(X.shape, dtype=torch.int32),
        torch.zeros(X.shape, dtype=torch.complex64),
        torch.zeros(X.shape, device="meta"),
        torch.zeros(X.shape).to_sparse(),
        torch.zeros(5, 6, 4),
    ]
    for out in refused:
        with pytest.raises(lwfc.ParameterError, match="out"):
            lwfc.decode(DATA, out=out)


# --- the single stages --------------------------------------------------------------------------

Q = lwfc.quantize(X, 0, 3, 4)
STAGES = {
    "quantize": (lambda **options: lwfc.quantize(X, 0, 3, 4, **options), np.uint8),
    "dequantize": (lambda **options: lwfc.dequantize(Q, 0, 3, 4, **options), np.float32),
    "digitize": (lambda **options: lwfc.digitize(X, [0.5, 1.5], **options), np.uint8),
    "lookup": (lambda **options: lwfc.lookup(Q, [0, 1, 2, 4], **options), np.float32),
}


@pytest.mark.parametrize("name", STAGES)
def test_stages_fill_or_refuse_arrays(name):
    stage, dtype = STAGES[name]
    want = stage()
    for out in (
        np.full(X.shape, 7, dtype)[:, ::-1],
        np.full(X.shape[::-1], 7, dtype).transpose(),
        np.full(X.shape, 7, np.dtype(np.float64).newbyteorder(">")),
        np.full(X.shape, 7, np.float16),
        (np.full(X.shape, 7, dtype),),
    ):
        got = stage(out=out)
        assert np.array_equal(got, want)
        assert np.array_equal(out[0] if isinstance(out, tuple) else out, want)
    repeated = np.lib.stride_tricks.as_strided(
        np.zeros(24, dtype), X.shape, (6 * want.itemsize, want.itemsize, 0), writeable=True
    )
    with pytest.raises(lwfc.ParameterError, match="share memory"):
        stage(out=repeated)
    assert not repeated.any()


@pytest.mark.parametrize("name", STAGES)
def test_stages_fill_or_refuse_tensors(name):
    torch = pytest.importorskip("torch")
    stage, dtype = STAGES[name]
    want = torch.from_numpy(stage())
    own = want.dtype
    for out in (
        torch.full(X.shape, 7, dtype=own),
        torch.full(X.shape[::-1], 7, dtype=own).permute(2, 1, 0),
        torch.full(X.shape, 7.0, dtype=torch.bfloat16),
        torch.full(X.shape, 7.0, dtype=torch.float8_e4m3fn),
        torch.zeros(X.shape, dtype=torch.complex64).conj().imag,
    ):
        assert stage(out=out) is out
        assert torch.equal(out.float(), want.float())
    with pytest.raises(lwfc.ParameterError, match="share memory"):
        stage(out=torch.zeros(4, 6, 1, dtype=own).expand(4, 6, 5))
    with pytest.raises(lwfc.ParameterError, match="meta"):
        stage(out=torch.zeros(X.shape, dtype=own, device="meta"))


@pytest.mark.parametrize("name", ["quantize", "dequantize"])
def test_where_without_out_leaves_no_memory_unwritten(name):
    stage, dtype = STAGES[name]
    mask = X > 1
    for where in (mask, mask[:1], False):
        got = stage(where=where)
        assert got.dtype == dtype and np.array_equal(got, np.where(where, stage(), 0))
    wide = stage(where=mask, dtype=np.float64)
    assert wide.dtype == np.float64 and not wide[~mask].any()
    torch = pytest.importorskip("torch")
    kept = torch.full(X.shape, 2.0, dtype=torch.bfloat16)
    stage(where=mask, out=kept)
    assert np.array_equal(kept.float().numpy(), np.where(mask, stage(), 2))


@pytest.mark.parametrize("size", [0, 3, 500])
def test_encode_fills_the_start_of_a_buffer(size):
    codec = lwfc.calibrate(X, levels=3)
    want = codec.encode(X)
    for out in (bytearray(b"\7" * (len(want) + size)), np.full(len(want) + size, 7, np.uint8)):
        part = codec.encode(X, out=out)
        assert part == want and part.obj is out and bytes(out)[len(want) :] == b"\7" * size
        assert np.array_equal(codec.decode(part), codec.simulate(X))


def test_encode_refuses_buffers_that_cannot_hold_the_stream():
    codec = lwfc.calibrate(X, levels=3)
    want = codec.encode(X)
    short = bytearray(b"\7" * (len(want) - 1))
    with pytest.raises(lwfc.ParameterError, match=f"{len(short)} bytes.*takes {len(want)}"):
        codec.encode(X, out=short)
    assert short == b"\7" * len(short)
    for wrong in (bytes(500), np.zeros(1000, np.uint8)[::2], [1, 2], 5):
        with pytest.raises(lwfc.ParameterError, match="writable, contiguous"):
            codec.encode(X, out=wrong)
    over = X.copy()  # the stream may replace what it codes
    assert codec.encode(over, out=over) == want
