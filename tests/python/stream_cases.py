"""Small codecs and tensors that together use every feature of the stream format."""

import struct

import numpy as np
import transform_cases

from lwfc import _core
from lwfc.context.fitter import ContextFitter

RAW, CABAC, RANS, CONTEXT = range(4)


def make_codec(levels, coder, groups=1, **changes):
    """A codec over [0, 2] with uniform tables; `changes` replace arguments of codec_make."""
    i = np.arange(levels)
    top = 2.0 + np.arange(groups)[:, None] / 4
    arguments = dict(
        levels=levels,
        thresholds=((i[1:] - 0.5) * top / (levels - 1)).astype(np.float32),
        values=(i * top / (levels - 1)).astype(np.float32),
        coder=coder,
        channel_axis=None,
        bound=coder == CONTEXT,
        inner_shape=(),
        rate_weight=0.0,
        nan=0,
        context=None,
        restore=None,
        metadata=b"{}",
    )
    return _core.codec_make(**(arguments | changes))


def context_blob(
    levels, channels, seed=0, references=3, shift=2, coarse=1, scores=None, lanes=None
):
    """A valid context model whose weights favour equal neighbours, plus noise. FORMAT.md 9.1."""
    rng = np.random.default_rng(seed)
    if scores is None:
        scores = 1 + (levels > 2 and seed % 2)
    if lanes is None:
        lanes = (32, 16, 8)[seed % 3]
    width = 1 << coarse
    v = np.arange(32) * width + (width - 1) / 2
    link = np.clip(np.rint(256 / (1 + np.exp(v / 10))), levels - 1, 128).astype(np.uint8)
    order = rng.permutation(channels).astype("<u2")
    blob = bytes([1, levels, scores, lanes, shift, coarse]) + struct.pack("<H", channels)
    blob += link.tobytes() + order.tobytes()
    first = (channels - 1) % lanes + 1
    scale = 24 // levels
    for slot in range(channels):
        group_start = 0 if slot < first else first + (slot - first) // lanes * lanes
        blob += np.sort(rng.integers(-90, -5, levels - 1)).astype(np.int8)[::-1].tobytes()
        blob += bytes([int(rng.integers(256))])
        for _ in range(scores):
            blob += struct.pack("<hb", int(rng.integers(-40, 0)), int(rng.integers(-3, 4)))
            blob += rng.integers(0, scale, 5 if levels > 2 else 4).astype(np.int8).tobytes()
            blob += rng.integers(0, 2 * scale + 1, levels - 1).astype(np.int8).tobytes()
            blob += rng.integers(-2, scale, levels - 1).astype(np.int8).tobytes()
        count = references if group_start else 0
        blob += bytes([count])
        for _ in range(count):
            blob += struct.pack("<HB", int(rng.integers(group_start)), int(rng.integers(5)))
            for _ in range(scores):
                blob += struct.pack("<bb", -3, scale)
                blob += struct.pack("<b", 1) if levels > 2 else b""
    return blob


def fitted_context(levels, shape, seed=50, **feature_changes):
    """A context model calibrated on tensors like feature(shape), for codecs over [0, 2]."""
    codec = make_codec(levels, RAW)
    fitter = ContextFitter(levels, shape[1])
    for i in range(8):
        fitter.update(_core.symbols(codec, feature(shape, seed + i, **feature_changes)))
    return fitter.finish()


def restore_blob(levels, channels, kind=1, rank=0, strength=256, seed=0):
    """A valid restoration section with random weights. FORMAT.md 11.1."""
    rng = np.random.default_rng(seed)
    features = 4 * ((channels + 1) // 2) if kind == 2 else 0
    low = np.linspace(0, 2, levels)
    tables = np.stack(
        [
            np.tile(np.linspace(0.1, 1.9, levels), (channels, 1)),
            rng.normal(0, 2e-4, (channels, levels)),
            rng.uniform(0, 2, (channels, levels)),
        ],
        -1,
    )
    parts = [
        struct.pack("<BBHIHHI", 1, kind, rank, channels, levels, strength, 0),
        np.minimum(np.arange(levels), 25).astype(np.uint8),
        low.astype("<f4"),
        (low + 0.5).astype("<f4"),
        rng.integers(-300, 300, (channels, 3)).astype("<i2"),
        tables.astype("<f4"),
        rng.integers(-128, 128, (rank or channels, features)).astype(np.int8),
        rng.integers(-5000, 5000, rank).astype("<i4"),
        rng.integers(0, 8, rank).astype(np.uint8),
        rng.integers(-128, 128, (channels, rank)).astype(np.int8),
    ]
    return b"".join(p if isinstance(p, bytes) else p.tobytes() for p in parts)


def feature(shape, seed=0, sparsity=0.3, dtype=np.float32):
    """ReLU-like values with equal neighbours often, channels of different strength."""
    rng = np.random.default_rng(seed)
    x = rng.normal(-sparsity, 0.6, shape)
    for axis in range(max(0, len(shape) - 2), len(shape)):
        x = x + 0.7 * np.roll(x, 1, axis)
    if len(shape) > 2:
        strength = np.linspace(0.3, 1.6, shape[1])
        x = x * strength.reshape((-1,) + (1,) * (len(shape) - 2))
    return np.maximum(x, 0).astype(dtype)


def spikes(shape, count=40, seed=0):
    """Zeros, nearly: large tensors with small streams."""
    x = np.zeros(shape, np.float32)
    where = np.random.default_rng(seed).integers(0, x.size, count)
    x.reshape(-1)[where] = 2
    return x


def bfloat16(x):
    return (np.ascontiguousarray(x, np.float32).view(np.uint32) >> 16).astype(np.uint16)


def _plain_cases():
    for coder, name in ((RAW, "raw"), (CABAC, "cabac"), (RANS, "rans")):
        for levels in (2, 3, 5, 16, 17, 256):
            yield f"{name}-{levels}", make_codec(levels, coder), feature((2, 3, 6, 7), levels)
    x = feature((2, 3, 6, 7))
    yield "float16", make_codec(4, CABAC), x.astype(np.float16)
    yield "float64", make_codec(4, CABAC), x.astype(np.float64)
    yield "bfloat16", make_codec(4, CABAC), bfloat16(x)
    steps = np.float32([-300, -2.5, 2.5, 300])  # ties, and what is beyond the types
    yield "int8", make_codec(4, CABAC), (20 * x - 30).astype(np.int8)
    yield "int8-limits", make_codec(4, RANS, values=steps), np.int8([[-128, 127, 0, 1, 2]])
    yield "uint8-limits", make_codec(4, RAW, values=steps), np.uint8([0, 255, 1, 2, 128])
    yield "float16-infinite", make_codec(2, RAW, values=np.float32([-1e6, 1e6])), np.float16([1, 0])
    for shape in ((), (1,), (37,), (5, 9), (3, 4, 5), (2, 2, 2, 2, 3), (1, 2, 1, 3, 1, 2, 1, 2)):
        yield (
            f"rank-{len(shape)}-{len(shape) and shape[0]}",
            make_codec(3, RANS),
            feature(shape, 7, -1),
        )
    for axis in (0, 1, 2, 3):
        codec = make_codec(3, RANS, channel_axis=axis)
        yield f"axis-{axis}", codec, feature((4, 5, 6, 7), axis, -0.3)
    yield "empty", make_codec(4, RANS), np.zeros((3, 0, 5), np.float32)
    yield "constant", make_codec(4, RANS), np.full((2, 3, 4), 1.4, np.float32)
    yield "table", make_codec(4, CABAC, values=np.float32([0.1, 0.5, 0.5, 1.7])), x
    yield "channels", make_codec(4, CABAC, groups=3), x
    values = np.float32([[0, 1, 2], [-1, 0.25, 3], [0, 0, 1]])
    yield "channels-table", make_codec(3, RAW, groups=3, values=values), x
    for axis in (1, 4):
        codec = make_codec(3, RANS, channel_axis=axis)
        yield f"frames-{axis}", codec, feature((2, 3, 4, 5, 6), axis, -0.3)
    yield "frames-channels", make_codec(4, RANS, groups=3, bound=True), feature((2, 3, 2, 4, 5))
    sample = make_codec(3, RANS, channel_axis=-1, inner_shape=(4, 5, 6))
    yield "frames-sample", sample, feature((4, 5, 6), 7, -0.3)
    yield "channels-last", make_codec(4, RANS, groups=5, channel_axis=-1), feature((2, 8, 5))


def _bound_cases():
    x = feature((2, 3, 6, 7))
    yield "bound", make_codec(4, RANS, bound=True), x
    yield "bound-inner", make_codec(4, RANS, bound=True, inner_shape=(3, 6, 7)), x
    other = make_codec(4, RANS, bound=True, inner_shape=(3, 6, 8), metadata=b'{"a": 1}')
    yield "bound-outer", other, x
    restored = make_codec(4, RANS, bound=True, restore=restore_blob(4, 3))
    yield "int8-restored", restored, (3 * x).astype(np.int8)
    yield "bound-channels", make_codec(4, CABAC, groups=3, bound=True), x
    for levels, channels, kind, rank, strength in (
        (2, 1, 1, 0, 256), (4, 3, 2, 0, 256), (5, 8, 2, 8, 200), (256, 2, 2, 4, 0),
    ):  # fmt: skip
        blob = restore_blob(levels, channels, kind, rank, strength)
        codec = make_codec(levels, RANS, bound=True, restore=blob)
        shape = (2, channels, 5, 6)
        yield f"restore-{levels}-{channels}-{kind}-{rank}", codec, feature(shape, levels, -0.3)
    for levels, channels, shift, coarse in (
        (2, 3, 0, 2),
        (3, 40, 2, 1),
        (4, 70, 4, 0),
        (16, 5, 2, 1),
    ):
        codec = make_codec(
            levels, CONTEXT, context=context_blob(levels, channels, levels, 3, shift, coarse)
        )
        yield f"context-{levels}-{channels}", codec, feature((2, channels, 5, 7), levels, -0.2)
    for levels, shape in ((2, (2, 40, 9, 10)), (5, (1, 12, 14, 14))):
        codec = make_codec(levels, CONTEXT, context=fitted_context(levels, shape))
        yield f"context-fitted-{levels}", codec, feature(shape, 9)
    codec = make_codec(
        4, CONTEXT, channel_axis=-1, context=context_blob(4, 33), restore=restore_blob(4, 33, 2)
    )
    yield "context-restore", codec, feature((2, 9, 33), 1, 0)


def _large_cases():
    """Layouts of the coders that need many symbols, and every kind of cut."""
    yield "planes-folded", make_codec(4, RANS), feature((1, 2, 1, 4500), 1)
    yield "planes-stripes", make_codec(3, RANS), feature((1, 2, 40, 41), 2, 0)
    yield "planes-classes", make_codec(2, RANS), feature((2, 40, 26, 26), 3, 0.1)
    yield "joined-lanes-8", make_codec(20, RANS), feature((5000,), 4, 0.5)
    yield "joined-lanes-32", make_codec(17, RANS), spikes((20000,), 300)
    yield "joined-long", make_codec(2, RANS), spikes((2, 150000), 100)
    yield "cut-samples", make_codec(2, RANS), spikes((5, 2, 300, 200))
    yield "cut-channels-32", make_codec(2, RANS), spikes((2, 40, 90, 90))
    yield "cut-channels", make_codec(2, RANS), spikes((1, 5, 300, 400))
    yield "cut-rows", make_codec(2, RANS), spikes((1, 2, 600, 500))
    yield "cut-columns", make_codec(2, RANS), spikes((300000,))
    shape = (1, 34, 23, 22)
    context = fitted_context(3, shape, sparsity=0)
    yield "context-lanes", make_codec(3, CONTEXT, context=context), feature(shape, 6, 0)
    chains = feature((3, 34, 36, 36), 7, 0)
    chains[:, 4:] = 0
    yield "context-chains", make_codec(3, CONTEXT, context=context), chains
    whole = spikes((2, 3, 300, 300))
    codec = make_codec(2, RANS, bound=True, restore=restore_blob(2, 3))
    yield "cut-whole-samples", codec, whole


def cases():
    """(name, codec handle, tensor), small first."""
    yield from _plain_cases()
    yield from _bound_cases()
    yield from _large_cases()
    for name, codec, x in transform_cases.cases():
        yield name.replace(", ", "-").replace(" ", "-"), codec, x
