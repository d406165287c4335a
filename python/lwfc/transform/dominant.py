"""Few samples or channels that hold nearly all power: what is fitted follows them alone."""

from collections.abc import Iterator

import numpy as np

from .survey import Survey

__all__ = ["dominant"]

LEAST = 8  # samples or channels of which some can be said to be few
FEW = 20  # at most one in so many
OVER = 10.0  # times the power of all others together


def dominant(found: Survey) -> Iterator[str]:
    """What to say of samples, of channels where no gradients weigh them, and of gradients."""
    kept = found.kept
    centred = found.mean.astype(np.float32)
    samples, channels = np.zeros(0), np.zeros(kept.features.shape[1])
    steep = np.zeros(0)
    for part in kept.chunks():
        squares = np.square(part.features - centred, dtype=np.float64).sum((2, 3))
        samples = np.append(samples, squares.sum(1))
        channels += squares.sum(0)
        if part.gradients is not None:
            squares = np.square(part.gradients, dtype=np.float64)
            steep = np.append(steep, squares.sum((0, 2, 3, 4)))
    count, share = _few(samples)
    lone, held = _few(channels)
    if count:
        yield (
            f"{share:.3g} % of the features' power lies in {count} of {len(samples)} samples: the "
            "step follows them and leaves next to nothing of the others; leave them out, or scale "
            "them"
        )
    elif lone and kept.gradients is None:
        yield (
            f"{held:.3g} % of the features' power, by which errors are weighted without gradients, "
            f"lies in {lone} of {len(channels)} channels ({np.argmax(channels)}): next to nothing "
            "of the others is left; give gradients (metric=, or a framework's calibrate), or use "
            'transform="none", granularity="channel"'
        )
    count, share = _few(steep)
    if count:
        yield (
            f"{share:.3g} % of the gradients' power lies in {count} of {len(steep)} samples: "
            "errors of the others count for next to nothing; leave them out, or scale their "
            "gradients"
        )


def _few(powers: np.ndarray) -> tuple[int, float]:
    """(how many of the largest powers outweigh all others, their share in percent); 0 if none."""
    total = powers.sum()
    if len(powers) < LEAST or not total > 0:
        return 0, 0.0
    sums = np.cumsum(np.sort(powers)[::-1]) / total
    count = int(np.searchsorted(sums, OVER / (1 + OVER))) + 1
    if count > max(1, len(powers) // FEW):
        return 0, 0.0
    return count, 100 * float(sums[count - 1])
