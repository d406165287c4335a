"""Lossless coders on the symbols of the paper's uniform quantizer: the loss is its own.

Image coders see the channels of all samples of a stream below each other, FFV1 one picture a
sample; table coders (CompressAI's rANS, constriction, torchac) have a table a channel from
calibration, EntroPack one of its own in each stream.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from hevc import tile, untile

import lwfc
from lwfc.evaluation.families import Family, settings

from .video import ffmpeg, need_ffmpeg, pictures_of

__all__ = ["Symbols", "families"]

# Where the paper's codec has its best points.
SETTINGS = settings(levels=(2, 3, 4, 6, 10), clip_scale=(1.4,))
Pack = tuple[Callable[[np.ndarray], bytes], Callable[[bytes], Any]]


class Symbols:
    """``packer(calibration symbols)`` gives (pack, unpack) of uint8 arrays (n, C, H, W)."""

    def __init__(self, study: Any, packer: Callable[[np.ndarray], Pack], **setting: Any) -> None:
        calibration = study.x("calibration")
        self._codec = lwfc.calibrate(calibration, bound=True, restore="none", batched=True,
                                     **dict(study.options) | setting)  # fmt: skip
        self._inner = calibration.shape[1:]
        self._planes = pictures_of(calibration[:1]).shape[1:]
        self._pack, self._unpack = packer(pictures_of(self._codec.symbols(calibration)))

    def encode(self, x: np.ndarray) -> bytes:
        symbols = np.ascontiguousarray(pictures_of(self._codec.symbols(x)))
        return len(x).to_bytes(4, "little") + bytes(self._pack(symbols))

    def decode(self, data: bytes) -> np.ndarray:
        count = int.from_bytes(data[:4], "little")
        flat = np.asarray(self._unpack(data[4:]), np.uint8).reshape(-1)
        symbols = flat[: count * int(np.prod(self._inner))].reshape(count, *self._inner)
        return self._codec.values.reshape(-1)[symbols].astype(np.float32)


def jpeg_xl(_: np.ndarray) -> Pack:
    import imagecodecs

    return (
        lambda s: imagecodecs.jpegxl_encode(s.reshape(-1, s.shape[-1]), lossless=True, effort=7,
                                            numthreads=1),
        lambda data: imagecodecs.jpegxl_decode(data, numthreads=1),
    )  # fmt: skip


def pcodec(calibration: np.ndarray) -> Pack:
    import imagecodecs

    return (
        lambda s: len(s.reshape(-1)).to_bytes(8, "little") + imagecodecs.pcodec_encode(
            s.reshape(-1)),
        lambda data: imagecodecs.pcodec_decode(data[8:], dtype="u1",
                                               shape=(int.from_bytes(data[:8], "little"),)),
    )  # fmt: skip


def blosc2(_: np.ndarray) -> Pack:
    import blosc2 as package

    return (
        lambda s: package.compress2(s, codec=package.Codec.ZSTD, clevel=9, typesize=1,
                                    filters=[package.Filter.BITSHUFFLE]),
        lambda data: np.frombuffer(package.decompress2(data), np.uint8),
    )  # fmt: skip


def openzl(_: np.ndarray) -> Pack:
    from bench.peers import openzl_coder

    return openzl_coder("Compress", "Numeric")


def ffv1(calibration: np.ndarray) -> Pack:
    need_ffmpeg()
    planes = calibration.shape[1:]
    height, width = tile(calibration[:1]).shape[1:]

    def pack(symbols: np.ndarray) -> bytes:
        size = ["-s", f"{width}x{height}", "-r", "25"]
        return ffmpeg(["-f", "rawvideo", "-pix_fmt", "gray", *size, "-i", "-", "-c:v", "ffv1",
                       "-level", "3", "-coder", "1", "-context", "1", "-slices", "4", "-slicecrc",
                       "0", "-g", "1000", "-f", "nut"], tile(symbols).tobytes())  # fmt: skip

    def unpack(data: bytes) -> np.ndarray:
        raw = ffmpeg(["-f", "nut", "-i", "-", "-f", "rawvideo", "-pix_fmt", "gray"], data)
        return untile(np.frombuffer(raw, np.uint8).reshape(-1, height, width), planes)

    return pack, unpack


def counts(calibration: np.ndarray) -> np.ndarray:
    """How often each channel's samples have each symbol, plus 1: (channels, levels)."""
    levels = int(calibration.max()) + 1
    return 1.0 + np.stack([np.bincount(symbols.reshape(-1), minlength=levels)
                           for symbols in np.moveaxis(calibration, 1, 0)])  # fmt: skip


def constriction(calibration: np.ndarray) -> Pack:
    from constriction import stream

    channels, plane = calibration.shape[1], int(np.prod(calibration.shape[2:]))
    models = [stream.model.Categorical(row / row.sum(), perfect=False)
              for row in counts(calibration)]  # fmt: skip

    def pack(symbols: np.ndarray) -> bytes:
        coder = stream.queue.RangeEncoder()
        for model, channel in zip(models, np.moveaxis(symbols, 1, 0), strict=True):
            coder.encode(channel.reshape(-1).astype(np.int32), model)
        return len(symbols).to_bytes(4, "little") + coder.get_compressed().tobytes()

    def unpack(data: bytes) -> np.ndarray:
        count = int.from_bytes(data[:4], "little")
        coder = stream.queue.RangeDecoder(np.frombuffer(data[4:], np.uint32))
        rows = np.stack([coder.decode(model, count * plane) for model in models])
        return rows.reshape(channels, count, plane).swapaxes(0, 1)

    return pack, unpack


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
        data = package.encode_float_cdf(spread(len(flat)), flat)
        return len(symbols).to_bytes(4, "little") + data

    def unpack(data: bytes) -> Any:
        return package.decode_float_cdf(spread(int.from_bytes(data[:4], "little")), data[4:])

    return pack, unpack


def entropack(_: np.ndarray) -> Pack:
    import entropack as package
    import torch

    def pack(symbols: np.ndarray) -> bytes:
        found = package.compress(torch.from_numpy(symbols), package.TileANSConfig())
        return found.entropack_quant_state.numpy().tobytes()

    def unpack(data: bytes) -> np.ndarray:
        state = torch.frombuffer(bytearray(data), dtype=torch.uint8)
        found = package.CompressedTensor.unpack(state)
        return package.decompress(found, package.TileANSConfig()).numpy()

    return pack, unpack


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
        return len(symbols).to_bytes(4, "little") + ans.RansEncoder().encode_with_indexes(
            symbols.reshape(-1).tolist(), own * len(symbols), tables, sizes, offsets)  # fmt: skip

    def unpack(data: bytes) -> list[int]:
        count = int.from_bytes(data[:4], "little")
        return ans.RansDecoder().decode_with_indexes(data[4:], own * count, tables, sizes, offsets)

    return pack, unpack


PACKERS = {
    "JPEG XL": (jpeg_xl, "imagecodecs, lossless, effort 7"),
    "FFV1": (ffv1, "ffmpeg, level 3, range coder, large context"),
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

    def make(packer: Callable[[np.ndarray], Pack]) -> Callable[..., Symbols]:
        return lambda study, **setting: Symbols(study, packer, **setting)

    few = {"EntroPack": settings(levels=(3, 6), clip_scale=(1.4,))}  # slow without a GPU
    return [Family(f"symbols, {name}", make(packer), few.get(name, SETTINGS), tool=tool)
            for name, (packer, tool) in PACKERS.items()]  # fmt: skip
