"""How near the paper's coder comes to the ideal length of its own adaptive model.

The ideal is -sum(log2 p) in doubles, p from the estimator of csrc/entropy/cabac.h: one context for
each bin position, Krichevsky-Trofimov up to a window of 256 bins. Order-0 is the entropy of each
sample's own histogram, which no single static model per sample can beat; adaptation inside the
channels can.

    python benchmarks/cabac_ideal.py
"""

import math

import numpy as np
from photo_features import LAYERS, features

import lwfc

WINDOW = 256
SAMPLES = 3


def ideal_nbits(symbols: np.ndarray, levels: int) -> float:
    """Bits of the truncated-unary bins of `symbols`, in order, under the adaptive estimates."""
    one = [0.5] * (levels - 1)
    seen = [0] * (levels - 1)
    nbits = 0.0
    for symbol in symbols.tolist():
        for k in range(min(symbol + 1, levels - 1)):
            bin_ = symbol > k
            nbits -= math.log2(one[k] if bin_ else 1.0 - one[k])
            one[k] += (bin_ - one[k]) / min(seen[k] + 2, WINDOW)
            seen[k] += 1
    return nbits


def order0_bits(symbols: np.ndarray) -> float:
    share = np.bincount(symbols.ravel()) / symbols.size
    return float(-(share[share > 0] * np.log2(share[share > 0])).sum())


def main() -> None:
    print("| layer | N | order-0 | ideal adaptive | cabac, whole stream | cabac / ideal |")
    print("|---|---|---|---|---|---|")
    for name, samples in features(LAYERS, "test", SAMPLES).items():
        for levels in (2, 4):
            top = 1.7 * samples.std()
            clip = (
                ((0.0, 3.0) if levels == 2 else (0.0, 4.8)) if LAYERS[name].relu6 else (-top, top)
            )
            codec = lwfc.calibrate(samples, levels=levels, clip=clip, coder="cabac", channel_axis=1)
            rows = []
            for x in samples:
                q = codec.symbols(x[None])
                stream = 8 * len(codec.encode(x[None])) / x.size
                rows.append((order0_bits(q), ideal_nbits(q.ravel(), levels) / x.size, stream))
            order0, ideal, stream = np.mean(rows, axis=0)
            ratio = stream / ideal
            print(
                f"| {name} | {levels} | {order0:.4f} | {ideal:.4f} | {stream:.4f} | {ratio:.4f} |"
            )


if __name__ == "__main__":
    main()
