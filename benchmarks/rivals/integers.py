"""Integers of 2 to 8 bits, for the tensor or each channel, joined and packed by zstd."""

import numpy as np

from lwfc.evaluation.families import Family, settings

__all__ = ["Integers", "families"]

LEVEL = 12  # 19 takes seven times as long for 5 % of the bits


class Integers:
    """Symbols by rounding between the calibration features' ends (or quantiles), of ``bits`` bits.

    ``per`` "channel": an end for each. Symbols of less than a byte are joined with NumPy's
    ``packbits`` before zstd sees them, or left apart where that packs better.
    """

    def __init__(self, calibration: np.ndarray, bits: int, per: str, share: float) -> None:
        import zstandard

        self._pack = zstandard.ZstdCompressor(level=LEVEL).compress
        self._unpack = zstandard.ZstdDecompressor().decompress
        axes = (0, *range(2, calibration.ndim)) if per == "channel" else None
        low, high = np.quantile(calibration, (1 - share, share), axis=axes, keepdims=True)
        self._bits, self._top = bits, 2**bits - 1
        self._low, self._step = (np.asarray(v, np.float32) for v in
                                 (low, np.maximum(high - low, 1e-6) / self._top))  # fmt: skip
        self._inner = calibration.shape[1:]

    def encode(self, x: np.ndarray) -> bytes:
        symbols = np.rint(np.clip((x - self._low) / self._step, 0, self._top)).astype(np.uint8)
        forms = [symbols.tobytes()]
        if self._bits < 8:
            planes = np.unpackbits(symbols.reshape(-1, 1), axis=1)[:, 8 - self._bits :]
            forms.append(np.packbits(planes).tobytes())
        packed = [self._pack(form) for form in forms]
        best = min(range(len(packed)), key=lambda i: len(packed[i]))
        return bytes([best]) + len(x).to_bytes(4, "little") + packed[best]

    def decode(self, data: bytes) -> np.ndarray:
        shape = (int.from_bytes(data[1:5], "little"), *self._inner)
        raw = np.frombuffer(self._unpack(data[5:]), np.uint8)
        if data[0]:
            size = int(np.prod(shape))
            planes = np.unpackbits(raw)[: size * self._bits].reshape(size, self._bits)
            weights = (1 << np.arange(self._bits)[::-1]).astype(np.uint8)
            raw = planes @ weights
        return raw.reshape(shape) * self._step + self._low


def families() -> list[Family]:
    """Two: the usual int8 and int4, and the range clipped at quantiles down to two bits."""
    import zstandard  # noqa: F401

    return [
        Family(
            f"int per {per} + zstd",
            lambda study, bits, share, per=per: Integers(study.x("calibration"), bits, per, share),
            settings(bits=(8, 4, 3, 2), share=(1.0, 0.999, 0.99)),
            tool=f"NumPy, zstandard -{LEVEL}; ends at quantiles of the calibration features",
        )
        for per in ("tensor", "channel")
    ]
