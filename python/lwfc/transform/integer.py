"""What the decoder does, in integers: synthesis matrices, and the analysis that suits them."""

from dataclasses import dataclass

import numpy as np

__all__ = ["INT16", "Matrix", "fraction_bits", "integer_matrix"]

INT16 = 32767
INT8 = 127
EXPONENT_MAX = SHIFT_MAX = FRACTION_MAX = 8
ROW_SUM = 65000  # of the analysis mantissas' magnitudes: the accumulator is 32 bits wide


@dataclass(frozen=True, slots=True)
class Matrix:
    """One synthesis matrix and its analysis, as the section holds them.

    Coefficient c is (sum over k of mantissas[k, c] * 2^exponents[k] * q[k]) >> shift, in units of
    ``unit``; ``analysis`` is float64 (columns, C) and gives q before rounding.
    """

    shift: int
    exponents: np.ndarray
    mantissas: np.ndarray
    analysis: np.ndarray

    @property
    def limit(self) -> int:
        """The largest abs q, by which no sum reaches 2^30."""
        whole = np.abs(self.mantissas.astype(np.int64)) << self.exponents[:, None]
        most = int(whole.sum(0).max(initial=0))
        return min(INT16, ((1 << 30) - 1) // most) if most else INT16

    def rows(self, scale: float) -> tuple[np.ndarray, np.ndarray]:
        """(row scales float32, mantissas int8) of the analysis of coefficients in ``scale``."""
        real = self.analysis * scale
        size = np.abs(real)
        scales = np.maximum(size.max(1, initial=0) / INT8, size.sum(1) / ROW_SUM)
        scales = scales.astype(np.float32)
        used = np.where(scales > 0, scales, 1)[:, None]
        return scales, np.clip(np.rint(real / used), -INT8, INT8).astype(np.int8)


def integer_matrix(
    synthesis: np.ndarray, metric: np.ndarray, step: float, unit: float, project: np.ndarray | None
) -> Matrix:
    """int8 columns of step * A / unit (C, columns) and B = (A^T G A)^-1 A^T G of what they are.

    ``project``: if given, (subspace, C), the metric is one of the subspace's coordinates.
    """
    channels, columns = synthesis.shape
    real = synthesis * (step / unit)
    most = float(np.abs(real).max(initial=0))
    shift = int(np.clip(np.floor(np.log2(INT16 / max(most, 1e-30))), 0, SHIFT_MAX))
    real = np.clip(real * 2.0**shift, -INT16, INT16)
    size = np.abs(real).max(0, initial=0)
    exponents = np.ceil(np.log2(np.maximum(size, 1e-30) / (INT8 + 0.49)))
    exponents = np.clip(exponents, 0, EXPONENT_MAX)
    mantissas = np.clip(np.rint(real / 2**exponents), -INT8, INT8)
    done = mantissas * 2**exponents * (unit / 2.0**shift)
    inside = done if project is None else project @ done
    product = inside.T @ metric
    gram = product @ inside
    # Columns that became zero have no analysis; a little keeps the rest solvable.
    gram[np.diag_indices(columns)] = np.maximum(np.diag(gram) * (1 + 1e-10), 1e-300)
    analysis = np.linalg.solve(gram, product)
    if project is not None:
        analysis = analysis @ project
    return Matrix(
        shift,
        exponents.astype(np.uint8),
        np.ascontiguousarray(mantissas.T, np.int8),
        analysis.reshape(columns, channels),
    )


def fraction_bits(unit: float, sizes: tuple[float, float, float]) -> tuple[int, int, int]:
    """The encoder's fraction bits of input, rows and coefficients, each at most the one before.

    ``sizes``: their largest magnitudes in calibration; twice as much still fits 16 bits.
    """
    bits, before = [], FRACTION_MAX
    for size in sizes:
        room = INT16 * unit / max(2 * size, 1e-30)
        before = int(np.clip(np.floor(np.log2(room)), 0, before))
        bits.append(before)
    return bits[0], bits[1], bits[2]
