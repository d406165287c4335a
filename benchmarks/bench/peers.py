"""What lwfc is compared with: symbols to bytes and back, by other people's coders.

A peer of a data set is a pair of calls without arguments, which keep their result inside, and the
number of bytes. Everything that can be made beforehand is; joining runs at C speed (symbols.c).
Packages that are missing are left out and named.
"""

import importlib.util
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from .data import DataSet
from .native import CABAC, RANS, Blocks, address, aligned, library

__all__ = ["MISSING", "Peer", "peers"]

LIST_SYMBOLS = 1 << 20  # what peers that take Python lists are given
MISSING: dict[str, str] = {}


@dataclass
class Peer:
    name: str
    encode: Callable[[], object]
    decode: Callable[[], object]
    nbytes: int
    size: int  # symbols coded


def load(name: str) -> object | None:
    """The module, or None, noted in MISSING."""
    try:
        return importlib.import_module(name)
    except ImportError as error:
        MISSING[name] = str(error)
        return None


class Job:
    """A data set's symbols, and the memory that peers share."""

    def __init__(self, data: DataSet) -> None:
        self.shape = data.symbols.shape
        self.levels = data.levels
        self.size = data.symbols.size
        self.symbols = aligned(self.shape)
        self.symbols[...] = data.symbols
        self.out = aligned(self.shape)
        # Power-of-two fields: 8, 4 or 2 symbols per byte.
        self.bits = {1: 1, 2: 2}.get((data.levels - 1).bit_length(), 4)
        self.joined = aligned((-(-self.size // 8) * self.bits,))
        self.split_from = aligned(self.joined.shape)

    def join(self) -> np.ndarray:
        library().bench_join(address(self.symbols), self.size, self.bits, address(self.joined))
        return self.joined

    def split(self, data: bytes) -> None:
        joined = np.frombuffer(data, np.uint8)
        library().bench_split(address(joined), self.size, self.bits, address(self.out))

    def checked(self, name: str, encode: Callable, decode: Callable, **numbers: int) -> Peer:
        """A peer after one round trip, whose result must be right."""
        nbytes = encode()
        self.out[...] = 255
        decode()
        size = numbers.get("size", self.size)
        if not np.array_equal(self.out.reshape(-1)[:size], self.symbols.reshape(-1)[:size]):
            raise ValueError(f"{name} does not round-trip")
        return Peer(name, encode, decode, nbytes, size)


def memcpy(job: Job) -> Peer:
    def copy() -> int:
        np.copyto(job.out, job.symbols)
        return job.size

    return job.checked("memcpy of the symbols", copy, copy)


def own(job: Job, name: str, coder: int) -> Peer:
    blocks = Blocks(coder, job.shape, job.levels)
    source, target = address(job.symbols), address(job.out)
    return job.checked(name, lambda: blocks.encode(source), lambda: blocks.decode(target))


def packed(job: Job) -> Peer:
    def encode() -> int:
        return job.join().nbytes

    return job.checked("joined only", encode, lambda: job.split(job.joined))


def through(job: Job, name: str, compress: Callable, decompress: Callable, joined: bool) -> Peer:
    """A peer that makes bytes of bytes, on the symbols or on joined ones."""
    kept: list[bytes] = [b"", b""]

    def encode() -> int:
        kept[0] = compress(job.join() if joined else job.symbols)
        return len(kept[0])

    def decode() -> None:
        kept[1] = decompress(kept[0])
        if joined:
            job.split(kept[1])

    peer = job.checked(name, encode, decode) if joined else None
    if peer is None:
        peer = Peer(name, encode, decode, encode(), job.size)
        decode()
        if bytes(kept[1]) != job.symbols.tobytes():
            raise ValueError(f"{name} does not round-trip")
    return peer


def zstd_peers(job: Job, slow: bool) -> list[Peer]:
    zstandard = load("zstandard")
    if zstandard is None:
        return []
    found = []
    for level in (1, 3, 19) if slow else (1, 3):
        compress = zstandard.ZstdCompressor(level=level).compress
        decompress = zstandard.ZstdDecompressor().decompress
        found.append(through(job, f"joined + zstd -{level}", compress, decompress, True))
    compress = zstandard.ZstdCompressor(level=1).compress
    decompress = zstandard.ZstdDecompressor().decompress
    found.append(through(job, "zstd -1", compress, decompress, False))
    return found


def zlib_peers(job: Job) -> list[Peer]:
    return [
        through(job, "joined + zlib -6", lambda x: zlib.compress(x, 6), zlib.decompress, True),
        through(job, "zlib -1", lambda x: zlib.compress(x, 1), zlib.decompress, False),
    ]


def blosc_peers(job: Job) -> list[Peer]:
    blosc2 = load("blosc2")
    if blosc2 is None:
        return []
    options = {
        "codec": blosc2.Codec.ZSTD,
        "clevel": 1,
        "typesize": 1,
        "filters": [blosc2.Filter.BITSHUFFLE],
        "nthreads": 1,
    }
    blosc2.set_nthreads(1)
    return [
        through(
            job,
            "blosc2 bitshuffle + zstd",
            lambda x: blosc2.compress2(x, **options),
            lambda data: blosc2.decompress2(data, nthreads=1),
            False,
        )
    ]


def openzl_coder(graph: str, kind: str) -> tuple[Callable, Callable]:
    """(compress, decompress) of arrays, by the names of OpenZL's graph and type of input."""
    import openzl.ext as zl

    compressor, context, reader = zl.Compressor(), zl.CCtx(), zl.DCtx()
    compressor.select_starting_graph(getattr(zl.graphs, graph)()(compressor))
    context.ref_compressor(compressor)
    context.set_parameter(zl.CParam.StickyParameters, 1)
    context.set_parameter(zl.CParam.FormatVersion, zl.MAX_FORMAT_VERSION)
    return (lambda x: context.compress([zl.Input(getattr(zl.Type, kind), x.reshape(-1))]),
            lambda data: reader.decompress(data)[0].content.as_nparray())  # fmt: skip


def openzl_peers(job: Job) -> list[Peer]:
    """OpenZL's entropy stages, FSE and Huffman, and what it chooses for numbers by itself."""
    if load("openzl.ext") is None:
        return []
    return [
        through(job, "OpenZL FSE", *openzl_coder("Fse", "Serial"), False),
        through(job, "joined + OpenZL FSE", *openzl_coder("Fse", "Serial"), True),
        through(job, "joined + OpenZL Huffman", *openzl_coder("Huffman", "Serial"), True),
        through(job, "OpenZL generic", *openzl_coder("Compress", "Numeric"), False),
    ]


def image_peers(job: Job, slow: bool) -> list[Peer]:
    """lz4, pcodec and JPEG XL, by way of imagecodecs; images are the channels below each other."""
    ic = load("imagecodecs")
    if ic is None:
        return []
    image = job.symbols.reshape(-1, job.shape[-1])
    found = [
        through(job, "joined + lz4", lambda x: ic.lz4_encode(x, header=True),
                lambda data: ic.lz4_decode(data, header=True), True)
    ]  # fmt: skip
    if slow:
        found.append(through(job, "pcodec", lambda x: ic.pcodec_encode(x.reshape(-1)),
                             lambda data: ic.pcodec_decode(data, shape=image.shape, dtype="u1"),
                             False))  # fmt: skip
        for effort in (1, 7):
            found.append(through(
                job, f"JPEG XL, effort {effort}",
                lambda x, e=effort: ic.jpegxl_encode(image, lossless=True, effort=e, numthreads=1),
                lambda data: ic.jpegxl_decode(data, numthreads=1), False))  # fmt: skip
    return found


def constriction_peers(job: Job) -> list[Peer]:
    constriction = load("constriction")
    if constriction is None:
        return []
    flat = job.symbols.reshape(-1)
    numbers = flat.astype(np.int32)
    kept: list = [None, None]

    def encode() -> int:
        p = np.bincount(flat, minlength=job.levels) / flat.size
        kept[1] = constriction.stream.model.Categorical(p, perfect=False)
        coder = constriction.stream.stack.AnsCoder()
        coder.encode_reverse(numbers, kept[1])
        kept[0] = coder.get_compressed()
        return kept[0].nbytes

    def decode() -> np.ndarray:
        return constriction.stream.stack.AnsCoder(kept[0]).decode(kept[1], flat.size)

    nbytes = encode()
    if not np.array_equal(decode(), numbers):
        raise ValueError("constriction does not round-trip")
    return [Peer("constriction ANS", encode, decode, nbytes, flat.size)]


def compressai_coder() -> object | None:
    """CompressAI's rANS extension, without the package around it.

    The package requires numpy < 2; its coder takes lists and does not use numpy, so
    ``pip install --no-deps compressai`` is enough.
    """
    try:
        spec = importlib.util.find_spec("compressai")
        folder = Path(spec.submodule_search_locations[0]) if spec else None
        found = sorted(folder.glob("ans.*.so")) if folder else []
        if not found:
            raise ImportError("not installed; it requires numpy < 2")
        spec = importlib.util.spec_from_file_location("compressai.ans", found[0])
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module
    except ImportError as error:
        MISSING["compressai"] = str(error)
        return None


def compressai_peers(job: Job) -> list[Peer]:
    ans = compressai_coder()
    if ans is None:
        return []
    flat = job.symbols.reshape(-1)[:LIST_SYMBOLS]
    numbers, indexes = flat.tolist(), [0] * flat.size
    counts = np.bincount(flat, minlength=job.levels)
    cdf = np.round(np.cumsum(counts) / flat.size * (1 << 16)).astype(int)
    # One more entry: the escape symbol that the coder's tables end with.
    cdf = np.concatenate(([0], np.minimum(cdf, (1 << 16) - 1), [1 << 16]))
    tables = ([cdf.tolist()], [len(cdf)], [0])
    kept: list = [b""]

    def encode() -> int:
        kept[0] = ans.RansEncoder().encode_with_indexes(numbers, indexes, *tables)
        return len(kept[0])

    def decode() -> list[int]:
        return ans.RansDecoder().decode_with_indexes(kept[0], indexes, *tables)

    nbytes = encode()
    if decode() != numbers:
        raise ValueError("CompressAI does not round-trip")
    return [Peer("CompressAI rANS", encode, decode, nbytes, flat.size)]


def peers(data: DataSet, slow: bool = True) -> list[Peer]:
    """All peers on one data set; ``slow``: also those far behind."""
    job = Job(data)
    found = [
        memcpy(job),
        own(job, "lwfc rans", RANS),
        own(job, "lwfc cabac", CABAC),
        packed(job),
        *zstd_peers(job, slow),
        *blosc_peers(job),
        *openzl_peers(job),
        *image_peers(job, slow),
    ]
    if slow:
        found += [*constriction_peers(job), *compressai_peers(job), *zlib_peers(job)]
    return found
