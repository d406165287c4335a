"""Float32 to bytes and back: lwfc's ways, the C loop and the peers."""

from collections.abc import Callable
from typing import Any

import numpy as np

import lwfc

from .data import DataSet
from .native import RANS, Blocks, address, aligned, library
from .peers import load
from .timing import Task, interleave

__all__ = ["Chain", "codec_chain", "coder_chain", "kernel_chain", "memcpy_chain", "timed",
           "zstd_chain"]  # fmt: skip


class Chain:
    """Float32 to bytes and back: a call each way, results kept inside."""

    def __init__(self, name: str, bits: float, encode: Callable, decode: Callable) -> None:
        self.name, self.bits, self.encode, self.decode = name, bits, encode, decode


def memcpy_chain(x: np.ndarray) -> Chain:
    out = aligned(x.shape, np.float32)

    def copy() -> None:
        np.copyto(out, x)

    return Chain("memcpy", 8.0 * x.itemsize, copy, copy)


def codec_chain(name: str, codec: lwfc.Codec, x: np.ndarray, num_threads: int = 1) -> Chain:
    kept = [codec.encode(x)]
    out = np.zeros_like(x)

    def encode() -> None:
        kept[0] = codec.encode(x, num_threads=num_threads)

    def decode() -> None:
        codec.decode(kept[0], out=out, num_threads=num_threads)

    decode()
    if not np.array_equal(out, codec.simulate(x)):
        raise ValueError(f"{name} does not round-trip")
    return Chain(name, 8 * len(kept[0]) / x.size, encode, decode)


def kernel_chain(name: str, data: DataSet, coder: int = RANS) -> Chain:
    """The C loop over the same kernels, memory made beforehand: no Python, no container."""
    codec = data.codec()
    thresholds, values = codec.thresholds[0].copy(), codec.values[0].copy()
    blocks = Blocks(coder, data.x.shape, data.levels)
    x = aligned(data.x.shape, np.float32)
    x[...] = data.x
    out = aligned(data.x.shape, np.float32)

    def encode() -> int:
        return blocks.encode_floats(address(x), address(thresholds))

    def decode() -> None:
        blocks.decode_floats(address(values), address(out))

    nbytes = encode()
    decode()
    if not np.array_equal(out, codec.simulate(x)):
        raise ValueError(f"{name} does not round-trip")
    return Chain(name, 8 * nbytes / x.size, encode, decode)


def coder_chain(name: str, coder: int, symbols: np.ndarray, levels: int, model: bytes) -> Chain:
    """A coder alone: symbols to bytes and back."""
    blocks = Blocks(coder, symbols.shape, levels, model)
    given, back = aligned(symbols.shape), aligned(symbols.shape)
    given[...] = symbols
    nbytes = blocks.encode(address(given))
    blocks.decode(address(back))
    if not np.array_equal(given, back):
        raise ValueError(f"{name} does not round-trip")
    return Chain(name, 8 * nbytes / symbols.size, lambda: blocks.encode(address(given)),
                 lambda: blocks.decode(address(back)))  # fmt: skip


def zstd_chain(name: str, data: DataSet, levels: int, level: int) -> Chain | None:
    """Quantized by lwfc's kernel, then zstd on bytes: N = 256 as int8, less joined."""
    zstandard = load("zstandard")
    if zstandard is None:
        return None
    scaled = DataSet(data.name, data.x, levels, data.hi)
    codec = scaled.codec()
    thresholds, values = codec.thresholds[0].copy(), codec.values[0].copy()
    lib, n = library(), data.x.size
    bits = {2: 1, 4: 2, 8: 4, 16: 4}.get(levels)
    symbols = aligned(data.x.shape)
    joined = aligned((n * (bits or 8) // 8,))
    out = aligned(data.x.shape, np.float32)
    compress = zstandard.ZstdCompressor(level=level).compress
    decompress = zstandard.ZstdDecompressor().decompress
    kept = [b""]

    def encode() -> None:
        lib.bench_quantize(address(data.x), n, address(thresholds), levels - 1, address(symbols))
        if bits:
            lib.bench_join(address(symbols), n, bits, address(joined))
        kept[0] = compress(joined if bits else symbols)

    def decode() -> None:
        raw = np.frombuffer(decompress(kept[0]), np.uint8)
        if bits:
            lib.bench_split(address(raw), n, bits, address(symbols))
            raw = symbols
        lib.bench_dequantize(address(raw), n, address(values), levels, address(out))

    encode()
    decode()
    if not np.array_equal(out, codec.simulate(data.x)):
        raise ValueError(f"{name} does not round-trip")
    return Chain(name, 8 * len(kept[0]) / n, encode, decode)


def timed(chains: list[Chain], elements: int, seconds: float, **fields: Any) -> list[dict]:
    tasks = [Task(c.name, call) for c in chains for call in (c.encode, c.decode)]
    interleave(tasks, seconds)
    return [
        {
            "chain": c.name,
            "elements": elements,
            "bits": c.bits,
            "encode_s": tasks[2 * i].cpu,
            "decode_s": tasks[2 * i + 1].cpu,
            "encode_wall_s": tasks[2 * i].wall,
            "decode_wall_s": tasks[2 * i + 1].wall,
            **fields,
        }
        for i, c in enumerate(chains)
    ]
