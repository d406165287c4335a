"""Live coefficients, their groups and classes, and how many bits their symbols take."""

from dataclasses import dataclass

import numpy as np

__all__ = ["GROUP", "LIVE", "Symbols", "Tables", "live_columns", "make_tables", "quantized"]

GROUP = 16  # coefficients that share a flag "anything nonzero"
LIVE = 1e-3  # a coefficient is coded if it is nonzero in more than this share of blocks
LARGEST = 63  # symbols beyond go through the escape
CLASS_LEAST, CLASS_MOST = -12, 12  # classes are 2 log2 of the standard deviation
ONE = 4096.0  # 12-bit probabilities


@dataclass(frozen=True, slots=True)
class Symbols:
    """Symbols of live coefficients, int16 (coefficients, blocks), in coding order.

    Frequency by frequency, of each the first ``columns[f]``; ``starts`` are the rows where the
    groups begin, which never cross a frequency.
    """

    values: np.ndarray
    columns: np.ndarray
    starts: np.ndarray

    @property
    def flagged(self) -> np.ndarray:
        """Which groups hold anything, bool (groups, blocks)."""
        return np.logical_or.reduceat(self.values != 0, self.starts, axis=0)

    @property
    def sizes(self) -> np.ndarray:
        """Coefficients of each group."""
        return np.diff(np.append(self.starts, len(self.values)))


def live_columns(share: np.ndarray) -> np.ndarray:
    """K_f from the share of blocks in which each coefficient (frequencies, C) is nonzero.

    Up to the last live one, in whole groups; one group of DC where nothing lives.
    """
    channels = share.shape[1]
    live = share > LIVE
    columns = np.where(live.any(1), channels - np.argmax(live[:, ::-1], axis=1), 0)
    if not columns.any():
        columns[0] = 1
    return np.minimum(-(-columns // GROUP) * GROUP, channels)


def quantized(y: np.ndarray, step: float, columns: np.ndarray, limit: int = 32767) -> Symbols:
    """rint(y / step) of the live coefficients; y is (frequencies, blocks, C)."""
    rows, starts, begin = [], [], 0
    for f, count in enumerate(columns):
        if count:
            rows.append(y[f, :, :count].T)
            starts.append(begin + np.arange(0, count, GROUP))
            begin += count
    values = np.concatenate(rows) * np.float32(1 / step)
    values = np.clip(np.rint(values, out=values), -limit, limit).astype(np.int16)
    return Symbols(values, columns, np.concatenate(starts))


@dataclass(frozen=True, slots=True)
class Tables:
    """Static probabilities: of each group's flag, and of each class's symbols.

    ``flags``: P(anything nonzero) * 4096 a group. ``classes``: number of each coefficient's
    class. ``counts``: a row a class, 12-bit frequencies of the values -LARGEST..LARGEST and, last,
    of the escape.
    """

    flags: np.ndarray
    classes: np.ndarray
    counts: np.ndarray

    def bits(self, symbols: Symbols) -> float:
        """Ideal code length of all symbols."""
        flagged, coded, rows, values = _coded(symbols)
        p, blocks = self.flags / ONE, symbols.values.shape[1]
        total = -(flagged * np.log2(p) + (blocks - flagged) * np.log2(1 - p)).sum()
        cost = 12 - np.log2(np.maximum(self.counts[:, LARGEST:], 1e-300))  # of 0.. and escapes
        silent = coded - np.bincount(rows, minlength=len(coded))
        total += (silent * cost[self.classes, 0]).sum()
        top = (self.counts[:, LARGEST + 1 : -1] > 0).sum(1)
        classes, magnitude = self.classes[rows], np.abs(values)
        beyond = magnitude - top[classes]
        escaped = beyond > 0
        total += cost[classes, np.where(escaped, LARGEST + 1, magnitude)].sum()
        return float(total + (5 + np.floor(np.log2(beyond[escaped]))).sum())


def _coded(symbols: Symbols) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Blocks whose flag is set for each group; of each coefficient how many symbols are coded,
    those inside flagged groups; rows and values of the symbols that are not 0."""
    flagged = symbols.flagged.sum(1)
    where = np.flatnonzero(symbols.values)
    values = symbols.values.reshape(-1)[where].astype(np.int64)
    return flagged, np.repeat(flagged, symbols.sizes), where // symbols.values.shape[1], values


def make_tables(symbols: Symbols) -> Tables:
    """The tables of calibration symbols."""
    count, blocks = symbols.values.shape
    flagged, coded, rows, values = _coded(symbols)
    share = (flagged + 0.25) / (blocks + 0.5)
    flags = np.clip(np.rint(share * ONE), 1, ONE - 1)
    power = np.bincount(rows, values.astype(float) ** 2, count) / np.maximum(coded, 1)
    wanted = np.rint(np.log2(np.maximum(power, 1e-6)))  # 2 log2 of the deviation
    wanted = np.clip(wanted, CLASS_LEAST, CLASS_MOST)
    classes = np.unique(wanted, return_inverse=True)[1]
    number = int(classes.max()) + 1
    magnitude = np.minimum(np.abs(values), LARGEST + 1)
    histogram = np.bincount(classes[rows] * (LARGEST + 2) + magnitude,
                            minlength=number * (LARGEST + 2))  # fmt: skip
    silent = coded - np.bincount(rows, minlength=count)
    histogram[:: LARGEST + 2] += np.bincount(classes, silent, number).astype(int)
    counts = [_table(h.astype(float)) for h in histogram.reshape(number, -1)]
    return Tables(flags, classes, np.stack(counts))


def _table(histogram: np.ndarray) -> np.ndarray:
    """Symmetric 12-bit frequencies of a histogram of magnitudes, its last entry the escapes."""
    sides = histogram[:-1].copy()
    sides[1:] /= 2
    seen = np.flatnonzero(histogram[:-1] >= 2)
    top = max(1, int(seen[-1]) if len(seen) else 0)
    escapes = histogram[-1] + histogram[top + 1 : -1].sum() + 0.1
    weights = np.append(sides[: top + 1] + 0.1, escapes)
    weights[1:-1] *= 2  # both signs
    slots = np.maximum(np.rint(ONE * weights / weights.sum() / _signs(top)), 1)
    rest = ONE - (slots * _signs(top))[1:].sum()
    if rest < 1:  # a flat class: what one slot each leaves is shared out, rounded down
        left = ONE - _signs(top).sum()
        slots = 1 + np.floor(left * weights / weights.sum() / _signs(top))
        rest = ONE - (slots * _signs(top))[1:].sum()
    table = np.zeros(2 * LARGEST + 2)
    table[LARGEST + 1 : LARGEST + 1 + top] = slots[1:-1]
    table[LARGEST - top : LARGEST] = slots[-2:0:-1]
    table[LARGEST], table[-1] = rest, slots[-1]
    return table


def _signs(top: int) -> np.ndarray:
    """How many symbols share each of the slots 0..top and escape."""
    signs = np.full(top + 2, 2.0)
    signs[[0, -1]] = 1
    return signs
