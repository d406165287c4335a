"""Lossless coders on the symbols of the paper's quantizers: the loss is theirs.

Image coders see one picture a stream, as video does; table coders (CompressAI's rANS, constriction,
torchac) have a table a channel from calibration, EntroPack one of its own in each stream.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

import lwfc
from lwfc.evaluation.families import Family, settings

from .video import Source, ffmpeg, mosaic, need_ffmpeg, pictures_of, unmosaic

__all__ = ["Symbols", "families"]

# Where the paper's codec has its best points.
SETTINGS = (
    *settings(levels=(2, 3, 4, 6), clip_scale=(1.4, 2.2)),
    *settings(levels=(10,), clip_scale=(1.4, 2.2)),
    *settings(levels=(4, 6), clip_scale=(1.6,), quantizer=("ecsq",), rate_weight=(0.05, 0.15)),
)
Pack = tuple[Callable[[np.ndarray], bytes], Callable[[bytes, int], Any]]
PackAll = tuple[Callable[[list[np.ndarray]], list[bytes]],
                Callable[[list[bytes], list[int]], list[Any]]]  # fmt: skip


class Symbols:
    """``packer(calibration symbols)`` gives pack of lists of uint8 arrays (n, C, H, W) and
    unpack, which is told each n.
    """

    def __init__(self, study: Any, packer: Callable[[np.ndarray], PackAll], **setting: Any) -> None:
        calibration = study.x("calibration")
        self._codec = lwfc.calibrate(calibration, bound=True, restore="none", batched=True,
                                     **dict(study.options) | setting)  # fmt: skip
        self._inner = calibration.shape[1:]
        self._planes = pictures_of(calibration[:1]).shape[1:]
        self._pack, self._unpack = packer(pictures_of(self._codec.symbols(calibration)))

    def expected(self, x: np.ndarray) -> np.ndarray:
        """What decoding gives: the coders lose nothing."""
        return self._valued(self._codec.symbols(x))

    def _valued(self, symbols: np.ndarray) -> np.ndarray:
        return self._codec.values.reshape(-1)[symbols].astype(np.float32)

    def encode(self, x: np.ndarray) -> bytes:
        return self.encode_all([x])[0]

    def encode_all(self, parts: Sequence[np.ndarray]) -> list[bytes]:
        found = self._pack([np.ascontiguousarray(pictures_of(self._codec.symbols(x)))
                            for x in parts])  # fmt: skip
        return [len(x).to_bytes(4, "little") + bytes(data)
                for x, data in zip(parts, found, strict=True)]  # fmt: skip

    def decode(self, data: bytes) -> np.ndarray:
        return self.decode_all([data])[0]

    def decode_all(self, streams: Sequence[bytes]) -> list[np.ndarray]:
        counts = [int.from_bytes(data[:4], "little") for data in streams]
        found = self._unpack([data[4:] for data in streams], counts)
        return [self._shaped(*one) for one in zip(found, counts, strict=True)]

    def _shaped(self, symbols: Any, count: int) -> np.ndarray:
        flat = np.asarray(symbols, np.uint8).reshape(-1)
        return self._valued(flat[: count * int(np.prod(self._inner))].reshape(count, *self._inner))


def singly(packer: Callable[[np.ndarray], Pack]) -> Callable[[np.ndarray], PackAll]:
    """The packer of lists of one that packs array by array."""

    def made(calibration: np.ndarray) -> PackAll:
        pack, unpack = packer(calibration)
        return (lambda some: [pack(symbols) for symbols in some],
                lambda streams, counts: list(map(unpack, streams, counts)))  # fmt: skip

    return made


@singly
def jpeg_xl(calibration: np.ndarray) -> Pack:
    import imagecodecs

    planes = calibration.shape[1:]
    return (
        lambda s: imagecodecs.jpegxl_encode(mosaic(s), lossless=True, effort=7, numthreads=1),
        lambda data, n: unmosaic(imagecodecs.jpegxl_decode(data, numthreads=1), n, planes),
    )


@singly
def pcodec(calibration: np.ndarray) -> Pack:
    import imagecodecs

    size = int(np.prod(calibration.shape[1:]))
    return (
        lambda s: imagecodecs.pcodec_encode(s.reshape(-1)),
        lambda data, n: imagecodecs.pcodec_decode(data, dtype="u1", shape=(n * size,)),
    )


@singly
def blosc2(_: np.ndarray) -> Pack:
    import blosc2 as package

    return (
        lambda s: package.compress2(s, codec=package.Codec.ZSTD, clevel=9, typesize=1,
                                    filters=[package.Filter.BITSHUFFLE]),
        lambda data, n: np.frombuffer(package.decompress2(data), np.uint8),
    )  # fmt: skip


@singly
def openzl(_: np.ndarray) -> Pack:
    from bench.peers import openzl_coder

    pack, unpack = openzl_coder("Compress", "Numeric")
    return pack, lambda data, n: unpack(data)


def ffv1(calibration: np.ndarray) -> PackAll:
    need_ffmpeg()
    planes = calibration.shape[1:]

    def source(symbols: np.ndarray) -> Source:
        picture = mosaic(symbols)
        size = ["-s", f"{picture.shape[1]}x{picture.shape[0]}", "-r", "25"]
        return ["-f", "rawvideo", "-pix_fmt", "gray", *size], picture.tobytes()

    def pack(some: list[np.ndarray]) -> list[bytes]:
        return ffmpeg([source(symbols) for symbols in some],
                      ["-c:v", "ffv1", "-level", "1", "-coder", "1", "-context", "1",
                       "-f", "nut"])  # fmt: skip

    def unmade(raw: bytes, count: int) -> np.ndarray:
        sides = mosaic(np.zeros((count, *planes), np.uint8)).shape
        return unmosaic(np.frombuffer(raw, np.uint8).reshape(sides), count, planes)

    def unpack(streams: list[bytes], counts: list[int]) -> list[np.ndarray]:
        raws = ffmpeg([(["-f", "nut"], data) for data in streams],
                      ["-f", "rawvideo", "-pix_fmt", "gray"])  # fmt: skip
        return list(map(unmade, raws, counts))

    return pack, unpack


def counts(calibration: np.ndarray) -> np.ndarray:
    """How often each channel's samples have each symbol, plus 1: (channels, levels)."""
    levels = int(calibration.max()) + 1
    return 1.0 + np.stack([np.bincount(symbols.reshape(-1), minlength=levels)
                           for symbols in np.moveaxis(calibration, 1, 0)])  # fmt: skip


@singly
def constriction(calibration: np.ndarray) -> Pack:
    from constriction import stream

    channels, plane = calibration.shape[1], int(np.prod(calibration.shape[2:]))
    models = [stream.model.Categorical(row / row.sum(), perfect=False)
              for row in counts(calibration)]  # fmt: skip

    def pack(symbols: np.ndarray) -> bytes:
        coder = stream.queue.RangeEncoder()
        for model, channel in zip(models, np.moveaxis(symbols, 1, 0), strict=True):
            coder.encode(channel.reshape(-1).astype(np.int32), model)
        return coder.get_compressed().tobytes()

    def unpack(data: bytes, count: int) -> np.ndarray:
        coder = stream.queue.RangeDecoder(np.frombuffer(data, np.uint32))
        rows = np.stack([coder.decode(model, count * plane) for model in models])
        return rows.reshape(channels, count, plane).swapaxes(0, 1)

    return pack, unpack


@singly
def torchac(calibration: np.ndarray) -> Pack:
    import torch
    import torchac as package

    share = counts(calibration)
    cdf = np.cumsum(share / share.sum(1, keepdims=True), 1)
    tables = torch.from_numpy(np.pad(cdf, ((0, 0), (1, 0)))).float()
    plane = int(np.prod(calibration.shape[2:]))

    def spread(count: int) -> Any:
        each = tables[:, None].expand(-1, plane, -1)
        return each.expand(count, *each.shape).contiguous()

    def pack(symbols: np.ndarray) -> bytes:
        flat = torch.from_numpy(symbols.astype(np.int16)).flatten(2)
        return package.encode_float_cdf(spread(len(flat)), flat)

    def unpack(data: bytes, count: int) -> Any:
        return package.decode_float_cdf(spread(count), data)

    return pack, unpack


@singly
def entropack(_: np.ndarray) -> Pack:
    import entropack as package
    import torch

    def pack(symbols: np.ndarray) -> bytes:
        found = package.compress(torch.from_numpy(symbols), package.TileANSConfig())
        return found.entropack_quant_state.numpy().tobytes()

    def unpack(data: bytes, count: int) -> np.ndarray:
        state = torch.frombuffer(bytearray(data), dtype=torch.uint8)
        found = package.CompressedTensor.unpack(state)
        return package.decompress(found, package.TileANSConfig()).numpy()

    return pack, unpack


@singly
def compressai(calibration: np.ndarray) -> Pack:
    """Its factorized prior's coder."""
    from bench.peers import MISSING, compressai_coder

    ans = compressai_coder()
    if ans is None:
        raise ImportError(f"compressai: {MISSING['compressai']}")
    channels, plane = calibration.shape[1], int(np.prod(calibration.shape[2:]))
    tables = []
    for share in counts(calibration):
        cdf = np.rint(np.cumsum(share) / share.sum() * ((1 << 16) - 64 * len(share)))
        cdf += 63 * np.arange(1, len(share) + 1)
        tables.append([0, *cdf.astype(int).tolist(), 1 << 16])
    sizes, offsets = [len(t) for t in tables], [0] * channels
    own = np.repeat(np.arange(channels), plane).tolist()

    def pack(symbols: np.ndarray) -> bytes:
        return ans.RansEncoder().encode_with_indexes(
            symbols.reshape(-1).tolist(), own * len(symbols), tables, sizes, offsets)  # fmt: skip

    def unpack(data: bytes, count: int) -> list[int]:
        return ans.RansDecoder().decode_with_indexes(data, own * count, tables, sizes, offsets)

    return pack, unpack


PACKERS = {
    "JPEG XL": (jpeg_xl, "imagecodecs, lossless, effort 7; channels and samples tiled"),
    "FFV1": (ffv1, "ffmpeg, version 1, range coder, large context; channels and samples tiled"),
    "pcodec": (pcodec, "imagecodecs"),
    "Blosc2 zstd": (blosc2, "blosc2, bit shuffle, zstd level 9"),
    "OpenZL": (openzl, "openzl, its generic graph for numbers"),
    "CompressAI rANS": (compressai, "compressai.ans, a static table a channel"),
    "constriction": (constriction, "constriction, range coder, a static table a channel"),
    "torchac": (torchac, "torchac, arithmetic coder, a static table a channel"),
    "EntroPack": (entropack, "entropack, on the processor"),
}


def families() -> list[Family]:
    """One for each coder; those that cannot run here are named by the evaluation."""

    def make(packer: Callable[[np.ndarray], PackAll]) -> Callable[..., Symbols]:
        return lambda study, **setting: Symbols(study, packer, **setting)

    few = {"EntroPack": settings(levels=(2, 4), clip_scale=(1.4,))}  # slow without a GPU
    return [Family(f"symbols, {name}", make(packer), few.get(name, SETTINGS), tool=tool)
            for name, (packer, tool) in PACKERS.items()]  # fmt: skip
