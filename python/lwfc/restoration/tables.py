"""The few numbers of each channel: weights of its own neighbours, and a line for each symbol."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .. import _core
from .rows import Rows

__all__ = ["PRIOR", "Tables", "all_moments", "fit_own", "fit_tables", "own_moments",
           "scored_moments", "squared_errors"]  # fmt: skip

PRIOR = 20.0  # a channel's own level mean counts fully from a few times this many values on


@dataclass
class Tables:
    """Per channel and symbol: offset, slope and centroid, each (C, N) float64."""

    offset: np.ndarray
    slope: np.ndarray
    centroid: np.ndarray


def _arrays(rows: Rows, score: np.ndarray | None, levels: int) -> tuple:
    return rows.s, rows.h, rows.v, rows.d, score, rows.x, levels


def all_moments(
    rows: Rows, score: np.ndarray | None, levels: int, num_threads: int = 1
) -> np.ndarray:
    """Sums of products of (1, score, h, v, d, x) by channel and symbol: (C, N, 6, 6)."""
    packed = _core.restoration_moments(_arrays(rows, score, levels), None, num_threads)
    low, high = np.tril_indices(6)
    out = np.empty((*packed.shape[:-1], 6, 6))
    out[..., low, high] = out[..., high, low] = packed
    return out


def scored_moments(
    rows: Rows, score: np.ndarray | None, own: np.ndarray, levels: int, num_threads: int = 1
) -> np.ndarray:
    """(C, N, 5): how many, sums of z, x, z * z, z * x, where z = score + own . (h, v, d)."""
    own = own.astype(np.float32)
    return _core.restoration_moments(_arrays(rows, score, levels), own, num_threads)


def own_moments(moments: np.ndarray, own: np.ndarray) -> np.ndarray:
    """As :func:`scored_moments` without a score, from :func:`all_moments`."""
    around = moments[:, :, 2:5]
    sums = np.einsum("cnij,ci->cnj", around, own)  # of z times each of the six
    zz = np.einsum("cnj,cj->cn", sums[:, :, 2:5], own)
    n, x = moments[:, :, 0, 0], moments[:, :, 0, 5]
    return np.stack([n, sums[:, :, 0], x, zz, sums[:, :, 5]], axis=-1)


def fit_own(moments: np.ndarray, scored: bool) -> np.ndarray:
    """Weights (C, 4) of [score, h, v, d] by least squares with an offset per symbol.

    ``moments`` as of :func:`all_moments`; without a score its weight is 0.
    """
    n = np.maximum(moments[..., 0, 0], 1.0)[..., None, None]
    sums = moments[..., 1:, :1]
    within = (moments[..., 1:, 1:] - sums * np.swapaxes(sums, -1, -2) / n).sum(1)
    gram, cross = within[:, :4, :4], within[:, :4, 4]
    diagonal = np.einsum("cii->ci", gram)
    gram = gram + np.einsum("ci,ij->cij", 1e-3 * diagonal + 1.0, np.eye(4))
    weights, first = np.zeros((len(gram), 4)), 0 if scored else 1
    weights[:, first:] = np.linalg.solve(gram[:, first:, first:], cross[:, first:, None])[:, :, 0]
    return weights


def fit_tables(moments: np.ndarray, shrink: np.ndarray) -> Tables:
    """Least squares of the values on the score within each channel and symbol.

    ``moments`` as of :func:`scored_moments`; ``shrink`` (C, N) is what rare symbols, whose slope
    is 0, are drawn towards.
    """
    n, sz, sx, szz, szx = np.moveaxis(moments, -1, 0)
    safe = np.maximum(n, 1.0)
    centroid = (sx + PRIOR * shrink) / (n + PRIOR)
    variance = szz / safe - (sz / safe) ** 2
    covariance = szx / safe - sz * sx / safe**2
    usable = (n >= PRIOR) & (variance > 1e-9)
    slope = np.where(usable, covariance / np.where(usable, variance, 1.0), 0.0) * n / (n + PRIOR)
    return Tables(centroid - slope * (sz / safe), slope, centroid)


def squared_errors(
    rows: Rows,
    score: np.ndarray | None,
    own: np.ndarray,
    tables: Tables,
    limits: np.ndarray,
    num_threads: int = 1,
) -> np.ndarray:
    """Mean squared error per channel of the tables' estimates from score + own . (h, v, d).

    ``limits`` (2, N): what the estimates of each symbol are kept within.
    """
    arrays = (a.astype(np.float32) for a in (own, tables.offset, tables.slope, *limits))
    levels = limits.shape[1]
    return _core.restoration_errors(_arrays(rows, score, levels), *arrays, num_threads) / len(rows)
