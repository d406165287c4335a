"""Arrays, codecs and checks that several test files share."""

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import lwfc

CODERS = ("raw", "cabac", "rans")
FLOATS = (np.float16, np.float32, np.float64)


def features(shape=(6, 8, 10, 9), seed=0, dtype=np.float32):
    """ReLU-like activations with some correlation between neighbours."""
    rng = np.random.default_rng(seed)
    x = rng.laplace(-0.2, 1.0, shape)
    if len(shape) > 1:
        x = x + np.roll(x, 1, -1)
    return np.maximum(x, 0).astype(dtype)


def arrays():
    """Named arrays of many types, shapes and memory layouts."""
    x = features()
    return {
        "plain": x,
        "half": x.astype(np.float16),
        "double": x.astype(np.float64),
        "big-endian": x.astype(">f4"),
        "channels-last": np.ascontiguousarray(x.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2),
        "strided": features((6, 8, 10, 18))[..., ::2],
        "reversed": x[::-1, :, ::-1],
        "broadcast": np.broadcast_to(x[:1, :1], x.shape),
        "unaligned": np.frombuffer(b"x" + x.tobytes(), np.float32, offset=1).reshape(x.shape),
        "read-only": np.frombuffer(x.tobytes(), np.float32).reshape(x.shape),
        "vector": features((1000,)),
        "matrix": features((40, 30)),
        "tokens": features((3, 50, 16)),
        "video": features((2, 3, 4, 5, 6)),
        "rank 8": features((1, 2, 1, 3, 2, 1, 4, 2)),
        "scalar": np.array(1.25, np.float32),
        "one": np.array([2.5], np.float32),
        "empty": np.empty((0, 8, 4, 4), np.float32),
        "empty inside": np.empty((3, 0, 4), np.float32),
        "constant": np.full((5, 4, 3, 2), 3.3, np.float32),
        "zeros": np.zeros((5, 4, 3, 2), np.float32),
        "signed": np.random.default_rng(1).normal(0, 2, (4, 5, 6, 7)).astype(np.float32),
        "negative": -features() - 1,
        "huge": features() * np.float32(1e37),
        "tiny": features() * np.float32(1e-38),
        "not finite": np.where(features() > 3, np.float32(np.nan), features()),
        "integers": np.arange(60).reshape(3, 4, 5),
    }


def codecs():
    """Named codecs that take any array: self-contained, one quantizer."""
    x = features()
    made = {
        f"{coder} {n}": lwfc.calibrate(x, levels=n, coder=coder) for coder in CODERS for n in (2, 5)
    }
    made["256 levels"] = lwfc.calibrate(x, levels=256, coder="rans")
    made["bound"] = lwfc.calibrate(x, levels=3, bound=True)
    made["ecsq"] = lwfc.calibrate(x, levels=6, quantizer="ecsq", rate_weight=0.1, coder="cabac")
    made["deadzone"] = lwfc.calibrate(x, levels=4, quantizer="deadzone")
    made["centroid"] = made["rans 5"].replace(values=np.array([0.1, 0.9, 2, 3, 5], np.float32))
    return made


def expected_symbols(codec, x):
    """The definition: the number of thresholds not above x in float32; NaN gives the level
    nearest 0."""
    with np.errstate(over="ignore"):
        x = np.asarray(x).astype(np.float32)
    thresholds, zeros = codec.thresholds[0], np.abs(codec.values[0]).argmin()
    if len(codec.thresholds) > 1:
        ones = (1,) * (x.ndim - 2)
        thresholds = codec.thresholds.reshape(-1, *ones, thresholds.size)
        zeros = np.abs(codec.values).argmin(1).reshape(-1, *ones)
    symbols = (x[..., None] >= thresholds).sum(-1)
    return np.where(np.isnan(x), zeros, symbols).astype(np.uint8)


def expected_values(codec, x):
    """What decoding must give, without restoration, in x's type."""
    x = np.asarray(x)
    symbols = expected_symbols(codec, x)
    if len(codec.values) == 1:
        values = codec.values[0][symbols]
    else:
        channels = np.arange(len(codec.values)).reshape((-1,) + (1,) * (x.ndim - 2))
        values = codec.values[channels, symbols]
    dtype = x.dtype if x.dtype.kind == "f" else np.float32
    if dtype == np.float16:
        values = np.clip(values, -65504, 65504)
    return values.astype(np.dtype(dtype).newbyteorder("="))


def any_floats(dtypes=FLOATS, max_dims=5, max_side=7):
    """A hypothesis strategy: float arrays of any rank, NaN and infinities included."""
    return st.sampled_from(dtypes).flatmap(
        lambda dtype: hnp.arrays(
            dtype, hnp.array_shapes(min_dims=0, max_dims=max_dims, min_side=0, max_side=max_side)
        )
    )
