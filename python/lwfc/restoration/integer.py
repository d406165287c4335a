"""The last step of fitting a restoration: the chosen form on all rows, in integers."""

from __future__ import annotations

import numpy as np

from .blob import LATENT_MAX, LINEAR, LOCAL, STRENGTH_ONE, Restoration, interleave
from .equations import joined, ridge_solve
from .fit import Choice, Task, reference_errors, thin, value_limits
from .rows import Rows, feature_rows
from .tables import all_moments, fit_own, fit_tables, scored_moments, squared_errors

__all__ = ["assemble"]


def _integer_rows(weights: np.ndarray, own: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """int8 rows and int16 own weights in one unit per channel."""
    unit = np.maximum(np.abs(weights).max(1, initial=0.0) / 127, np.abs(own).max(1) / 32767)
    # without cross-channel weights, ten bits are plenty and keep sums small
    alone = ~weights.any(1) if weights.shape[1] else np.ones(len(own), bool)
    unit = np.where(alone, np.abs(own).max(1) / 1023, unit)
    unit = np.where(unit > 0, unit, 1.0)[:, None]
    return np.round(weights / unit).astype(np.int8), np.round(own / unit).astype(np.int16)


def _latent_rows(weights: np.ndarray, spread: np.ndarray, center: np.ndarray):
    """int8 rows, bias, shift that bring each sum of features by ``weights`` to 0..127.

    ``spread``: the sums' standard deviations, ``center``: the features' means. The scale of a row
    is chosen so that +-4.5 standard deviations just fill the 7 bits.
    """
    first = np.zeros((weights.shape[1], weights.shape[0]), np.int8)
    bias, shift = np.zeros(weights.shape[1], np.int32), np.zeros(weights.shape[1], np.uint8)
    for k in range(weights.shape[1]):
        unit = np.abs(weights[:, k]).max() / 127
        if unit == 0:
            continue
        width = 9.0 * spread[k] / unit
        bits = max(0, int(np.floor(np.log2(max(width / LATENT_MAX, 1.0)))))
        unit *= max(1.0, width / (LATENT_MAX * 2.0**bits))
        first[k] = np.round(weights[:, k] / unit)
        shift[k] = bits
        middle = float(center @ first[k])
        bias[k] = int(np.clip(np.round((LATENT_MAX + 1) / 2 * 2.0**bits - middle), -(2**30), 2**30))
    return first, bias, shift


def assemble(task: Task, rows: Rows, held: Rows, choice: Choice, strength: float) -> bytes:
    """Fits the chosen form on all rows, rounds it, then fits the tables to the integers.

    ``held``: those rows that ``choice.equations`` lack.
    """
    channels, levels, values = task.channels, task.levels, task.values
    threads = task.num_threads
    own_alone = choice.own
    first = np.zeros((0, 0), np.int8)
    bias, shift = np.zeros(0, np.int32), np.zeros(0, np.uint8)
    second = np.zeros((channels, 0), np.int8)
    linear = (choice.mode == 2)[:, None]
    wide = bool(linear.any())  # else nothing of other channels is kept
    if not wide:
        own = np.where((choice.mode > 0)[:, None], own_alone, 0.0)
        _, own_int = _integer_rows(np.zeros((channels, 0)), own)
        score = None
    else:
        equations = joined(choice.equations, rows, held, values)
        inputs = feature_rows(rows, values)
        if choice.rank:
            vectors = equations.refined(choice.ridge, choice.directions)
            weights = equations.solve(choice.ridge, vectors)
            latent = inputs @ weights
            latent -= latent.mean(0)
            first, bias, shift = _latent_rows(weights, latent.std(0), inputs.mean(0))
            inputs = np.floor((inputs @ first.T.astype(np.float32) + bias) / 2.0**shift)
            inputs = np.clip(inputs, 0, LATENT_MAX).astype(np.float32)
            centred = inputs - inputs.mean(0)
            gram = (centred.T @ centred).astype(np.float64)
            weights = ridge_solve(gram, centred.T @ latent, 1e-5) @ vectors.T
        else:
            weights = equations.solve(choice.ridge)
        few, some = thin(rows, inputs)
        moments = all_moments(few, some @ weights.astype(np.float32), levels, threads)
        w = fit_own(moments, scored=True)
        rows_float = np.where(linear, weights.T * w[:, :1], 0.0)
        own = np.where(linear, w[:, 1:], np.where(choice.mode[:, None] == 1, own_alone, 0.0))
        rows_int, own_int = _integer_rows(rows_float, own)
        score = inputs @ rows_int.T.astype(np.float32)
        if choice.rank:
            second = rows_int
        else:
            first = rows_int
        first = interleave(first[:, :channels], first[:, channels:])
    tables = fit_tables(scored_moments(rows, score, own_int, levels, threads), task.towards)
    tables.centroid = task.centroids.astype(np.float64)
    low, high = limits = value_limits(task)
    off = choice.mode == 0
    if task.reference is not None:
        found = squared_errors(rows, score, own_int, tables, limits, threads)
        off |= found > reference_errors(task, rows)
    tables.slope[off] = 0.0
    tables.offset[off] = tables.centroid[off]
    return Restoration(
        kind=LINEAR if wide else LOCAL,
        strength=int(round(strength * STRENGTH_ONE)),
        values=values,
        low=low,
        high=high,
        own=own_int,
        tables=np.stack([tables.offset, tables.slope, tables.centroid], axis=-1),
        first=first,
        bias=bias,
        shift=shift,
        second=second,
    ).to_bytes()
