"""Types of the C extension. Nothing here is public; `lwfc.ops` and `lwfc.Codec` are."""

from collections.abc import Buffer
from typing import Any

import numpy as np

openmp: bool

class FormatErrorBase(Exception): ...

# --- stages (csrc/pyext/py_stages.c) ---------------------------------------------------------
quantize: np.ufunc  # (x: e f d, lo: f, hi: f, levels: l) -> B
dequantize: np.ufunc  # (q: B, lo: f, hi: f, levels: l) -> f
digitize: np.ufunc  # gufunc (),(t)->()   f,f->B
lookup: np.ufunc  # gufunc (),(n)->()   B,f->f

def moments(x: np.ndarray, num_threads: int = 1) -> dict[str, float]:
    """Count, nonfinite, zeros, min, max, sum, sum_squares, sum_magnitudes of any strided array."""

def cpu() -> str:
    """The SIMD level in use: "scalar", "avx2", ..."""

def limit_cpu(name: str | None) -> None:
    """For tests: use no level above this one (None: all)."""

# --- codecs (csrc/pyext/py_codec.c); a handle is an opaque capsule, immutable ------------------
def codec_make(
    levels: int,
    thresholds: Buffer,  # float32 (groups, levels - 1), groups = 1 or channels
    values: Buffer,  # float32 (groups, levels)
    coder: int,  # 0 raw, 1 cabac, 2 rans, 3 context
    channel_axis: int | None,  # None: chosen by rank (>= 4: 1; 2, 3: the last axis; else none)
    bound: bool,  # streams name this codec's digest instead of carrying its values
    inner_shape: tuple[int, ...],  # usual shape without axis 0; () if unknown. Saves header bytes
    rate_weight: float,  # squared error per bit in the rate-distortion pass; 0: none
    nan: int,  # 0: NaN becomes symbol 0; 1: NaN and infinities raise
    context: bytes | None,  # model of coder 3
    restore: bytes | None,  # weights of the restoration
    metadata: bytes,  # JSON for people; not part of the digest
    # the transform's section (csrc/FORMAT.md, 14): then levels 0, tables b"", coder 2, bound
    transform: bytes | None = None,
) -> Any: ...
def codec_write(codec: Any) -> bytes:
    """The codec file: canonical, checked by codec_read."""

def codec_read(data: Buffer) -> Any: ...
def codec_fields(codec: Any) -> dict[str, Any]:
    """The arguments of codec_make (arrays as bytes), plus digest: int."""

def encode(
    codec: Any, x: np.ndarray, num_threads: int = 1, out: Buffer | None = None
) -> bytes | int:
    """The stream; with ``out`` its number of bytes, which are put there if they fit."""

def decode(
    data: Buffer,
    codec: Any | None = None,
    out: np.ndarray | None = None,
    max_nbytes: int = 2**30,
    num_threads: int = 1,
) -> np.ndarray:
    """dtype from the stream; bfloat16 comes back as uint16 bit patterns."""

def inspect(data: Buffer, codec: Any | None = None) -> dict[str, Any]: ...
def simulate(codec: Any, x: np.ndarray, out: np.ndarray, num_threads: int = 1) -> None:
    """out = decode(encode(x)) without making bytes; same shape and dtype as x."""

def symbols(codec: Any, x: np.ndarray, num_threads: int = 1) -> np.ndarray:
    """The symbols encode would code, after the rate-distortion pass: uint8 of x's shape.

    With a transform: int16 (samples, blocks of a sample, coefficients of a block).
    """

# --- transforms (csrc/pyext/py_transform.c) ------------------------------------------------------
def transform_layout(codec: Any) -> dict[str, Any]:
    """coefficients and groups of a block, blocks of a sample, channels, height, width,
    block_height, block_width, limits: the largest magnitude of a coefficient of each matrix."""

def transform_reconstruct(codec: Any, coefficients: np.ndarray) -> np.ndarray:
    """float32 (samples, channels, height, width) from int16 coefficients as of symbols."""

def transform_dct(n: int) -> tuple[np.ndarray, int]:
    """The integer DCT of n = 1 .. 64: int16 (n, n), rows are frequencies, and its fraction bits."""

# --- fitting (csrc/pyext/py_fit.c, csrc/fit); rows: planes uint8 (10, C, rows), above uint16
# (C, rows), decay float32 (rows,), mean float64 (C,), levels -------------------------------------
def context_choose(
    rows: tuple[Any, ...],
    covariance: np.ndarray,  # float32 (C, C)
    channels: np.ndarray,  # int32: whose references to choose,
    earlier: np.ndarray,  # int32: among these channels
    most: int,
    num_threads: int,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """slots int32 and places uint8 (channels, most), of which counts int32 (channels,) are used."""

def context_fit(
    rows: tuple[Any, ...],
    channels: np.ndarray,
    order: np.ndarray,  # int32: the channel in each slot
    references: tuple[np.ndarray, np.ndarray, np.ndarray],
    spread: bool,
    num_threads: int,
    seen: np.ndarray | None = None,  # int32: rows to fit on,
    held: np.ndarray | None = None,  # and to measure
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """float64 weights (channels, scores, 12 + 2 * most), biases (channels, levels - 1), mean
    (channels, 12 + 2 * most), bits (channels,) of the rows `held`."""

# Restoration's rows: symbols uint8, the sums around them uint8 (three), score float32 or None,
# values float32, each (rows, C), and levels.
def restoration_moments(
    rows: tuple[Any, ...], own: np.ndarray | None, num_threads: int
) -> np.ndarray:
    """Sums of products, lower triangles by rows, float64 (C, levels, 21) of (1, score, the
    sums around, value). With `own`, float32 (C, 3): (C, levels, 5), how many, score, value,
    score * score and score * value, own . around in the score."""

def restoration_errors(
    rows: tuple[Any, ...],
    own: np.ndarray,
    offset: np.ndarray,  # float32 (C, levels)
    slope: np.ndarray,  # float32 (C, levels)
    low: np.ndarray,  # float32 (levels,): what estimates are kept within
    high: np.ndarray,
    num_threads: int,
) -> np.ndarray:
    """float64 (C,): squared errors of offset + slope * (score + own . around), summed."""

# --- symbols quantized elsewhere (csrc/pyext/py_symbols.c); dtype: 0 float32, 1 float16,
# 2 bfloat16, 3 float64, the tensor's that is meant ------------------------------------------------
def encode_symbols(codec: Any, symbols: np.ndarray, dtype: int, num_threads: int = 1) -> bytes:
    """Codes uint8 symbols in C order; ParameterError if one is not below the codec's levels."""

def decode_symbols(
    data: Buffer, codec: Any | None, out: np.ndarray, dtype: int, num_threads: int = 1
) -> None:
    """Fills uint8 `out` of the stream's shape with its symbols."""

# --- the model (csrc/pyext/py_model.c): see python/lwfc/activation.py and design.py ------------
def __getattr__(name: str) -> Any: ...
