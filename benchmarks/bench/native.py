"""symbols.c and the core, compiled at benchmark time and called through ctypes."""

import ctypes
import os
import subprocess
from ctypes import c_char_p, c_int, c_int32, c_size_t, c_void_p
from functools import cache
from pathlib import Path

import numpy as np

__all__ = ["CABAC", "CONTEXT", "RANS", "Blocks", "address", "aligned", "library"]

ROOT = Path(__file__).parents[2]
RANS, CABAC, CONTEXT = 0, 1, 2
FLAGS = ["-std=c11", "-O3", "-ffp-contract=off", "-fPIC", "-fno-strict-aliasing",
         "-Icsrc", "-Icsrc/include"]  # fmt: skip


@cache
def library() -> ctypes.CDLL:
    """The compiled helper; rebuilt when a source is newer.

    The core is compiled as in the extension. symbols.c, whose loops join for the peers, gets
    -march=native, so that no peer waits for its packing.
    """
    folder = ROOT / "build" / "bench"
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / "symbols.so"
    core = [p for p in sorted((ROOT / "csrc").glob("**/*.c")) if p.parent.name != "pyext"]
    helper = Path(__file__).with_name("symbols.c")
    headers = list((ROOT / "csrc").glob("**/*.h"))
    newest = max(p.stat().st_mtime for p in [*core, *headers, helper])
    if not target.exists() or target.stat().st_mtime < newest:
        cc = os.environ.get("CC", "cc")
        made = folder / "symbols.o"
        for command in (
            [cc, *FLAGS, "-march=native", "-c", str(helper), "-o", str(made)],
            [cc, *FLAGS, "-shared", str(made), *map(str, core), "-lm", "-lpthread", "-o",
             str(target)],
        ):  # fmt: skip
            subprocess.run(command, check=True, cwd=ROOT)
    lib = ctypes.CDLL(str(target))
    lib.bench_open.restype = c_void_p
    lib.bench_open.argtypes = [c_int, c_int32, c_int32, c_int32, c_int32, c_int, c_char_p, c_size_t]
    lib.bench_close.argtypes = [c_void_p]
    lib.bench_close.restype = None
    lib.bench_encode.restype = c_size_t
    lib.bench_encode.argtypes = [c_void_p, c_void_p]
    lib.bench_decode.argtypes = [c_void_p, c_void_p]
    lib.bench_encode_floats.restype = c_size_t
    lib.bench_encode_floats.argtypes = [c_void_p, c_void_p, c_void_p]
    lib.bench_decode_floats.argtypes = [c_void_p, c_void_p, c_void_p]
    lib.bench_quantize.argtypes = [c_void_p, c_size_t, c_void_p, c_int, c_void_p]
    lib.bench_quantize.restype = None
    lib.bench_dequantize.argtypes = [c_void_p, c_size_t, c_void_p, c_int, c_void_p]
    lib.bench_dequantize.restype = None
    lib.bench_ticks.argtypes = [ctypes.c_uint64]
    lib.bench_ticks.restype = ctypes.c_uint64
    for name in ("bench_join", "bench_split"):
        getattr(lib, name).argtypes = [c_void_p, c_size_t, c_int, c_void_p]
        getattr(lib, name).restype = None
    return lib


def aligned(shape: tuple[int, ...], dtype: type = np.uint8) -> np.ndarray:
    """An empty array on a 64-byte line, with 64 bytes behind it."""
    nbytes = int(np.prod(shape)) * np.dtype(dtype).itemsize
    raw = np.zeros(nbytes + 192, np.uint8)
    start = -raw.ctypes.data % 64
    return raw[start : start + nbytes].view(dtype).reshape(shape)


def address(array: np.ndarray) -> int:
    return array.ctypes.data


class Blocks:
    """A coder of csrc over symbols (samples, channels, height, width), memory made beforehand.

    ``model``: the context coder's, as in ``Codec.context``.
    """

    def __init__(
        self, coder: int, shape: tuple[int, int, int, int], levels: int, model: bytes = b""
    ) -> None:
        self.lib = library()
        self.handle = self.lib.bench_open(coder, *shape, levels, model, len(model))
        if not self.handle:
            raise MemoryError

    def __del__(self) -> None:
        self.lib.bench_close(self.handle)

    def encode(self, symbols: int) -> int:
        """Bytes of the coded symbols at address ``symbols``; they stay inside."""
        return self.lib.bench_encode(self.handle, symbols)

    def decode(self, symbols: int) -> None:
        if self.lib.bench_decode(self.handle, symbols):
            raise ValueError("the coder refused its own bytes")

    def encode_floats(self, x: int, thresholds: int) -> int:
        return self.lib.bench_encode_floats(self.handle, x, thresholds)

    def decode_floats(self, values: int, y: int) -> None:
        if self.lib.bench_decode_floats(self.handle, values, y):
            raise ValueError("the coder refused its own bytes")
