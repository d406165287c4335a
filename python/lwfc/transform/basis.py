"""The channel matrices of the transform: uncorrelated coefficients whose errors cost alike."""

from dataclasses import dataclass

import numpy as np

from .geometry import Geometry, radial_bands
from .metric import fall_off, regularized, smoothed

__all__ = ["BANDS", "Basis", "Shape", "Second", "make_basis"]

BANDS = 13


@dataclass(frozen=True, slots=True)
class Shape:
    """What is chosen on held-out samples: blocks, shared matrices, smoothed statistics.

    ``mean_map``: a mean at every place is taken off, not only one a channel.
    """

    geometry: Geometry
    bands: bool
    smooth: bool
    mean_map: bool = True

    @property
    def groups(self) -> np.ndarray:
        """Number of each frequency's matrix."""
        geometry = self.geometry
        return radial_bands(geometry, BANDS) if self.bands else np.arange(geometry.frequencies)

    def __str__(self) -> str:
        g = self.geometry
        return (
            f"{g.block_height}x{g.block_width}"
            + (", bands" if self.bands else "")
            + (", smoothed" if self.smooth else "")
            + ("" if self.mean_map else ", mean of channels")
        )

    def mean(self, mean: np.ndarray) -> np.ndarray:
        """What is taken off, (C, H, W), of the mean at every place."""
        if self.mean_map:
            return mean
        return np.broadcast_to(mean.mean((1, 2), keepdims=True), mean.shape)


class Second:
    """Second moments E[v v^T] of coefficient vectors, summed in float64 chunk by chunk.

    One matrix a frequency, or a ``group`` of frequencies where those would be too large to keep.
    """

    def __init__(self, geometry: Geometry, groups: np.ndarray) -> None:
        channels = geometry.channels
        self.groups = groups
        self._sums = np.zeros((groups.max() + 1, channels, channels))
        self._counts = np.zeros(groups.max() + 1)

    def add(self, coefficients: np.ndarray) -> None:
        """Add coefficients (frequencies, vectors, C)."""
        single = len(self._sums) == len(coefficients)
        if single and coefficients.shape[1] * 4 >= coefficients.shape[2]:
            self._sums += coefficients.transpose(0, 2, 1) @ coefficients
        else:
            for f, vectors in enumerate(coefficients):
                self._sums[self.groups[f]] += vectors.T @ vectors
        np.add.at(self._counts, self.groups, coefficients.shape[1])

    def mean(self) -> np.ndarray:
        """The matrices, float64 (groups, C, C); zeros of nothing."""
        return self._sums / np.maximum(self._counts, 1)[:, None, None]


@dataclass(frozen=True, slots=True)
class Basis:
    """Analysis y = B_f x_f and synthesis x_f = A_f y, column k by falling variance.

    ``metric`` holds G, ``analysis`` B and ``synthesis`` A, float64 (matrices, C, C); the matrix
    of frequency f is number ``shape.groups[f]``. One unit of error costs the same in every y.
    """

    shape: Shape
    groups: np.ndarray
    metric: np.ndarray
    analysis: np.ndarray
    synthesis: np.ndarray

    def analyze(self, coefficients: np.ndarray) -> np.ndarray:
        """y float32 (frequencies, vectors, C) of coefficients of the same shape."""
        matrices = self.analysis.transpose(0, 2, 1).astype(np.float32)
        return _multiply(coefficients, matrices, self.groups)

    def synthesize(self, y: np.ndarray) -> np.ndarray:
        """Coefficients float32 of y."""
        matrices = self.synthesis.transpose(0, 2, 1).astype(np.float32)
        return _multiply(y, matrices, self.groups)

    def adjoint(self, gradients: np.ndarray) -> np.ndarray:
        """A_f^T g of gradients' coefficients: what an error of one in y does to the projection."""
        return _multiply(gradients, self.synthesis.astype(np.float32), self.groups)


def _multiply(vectors: np.ndarray, matrices: np.ndarray, groups: np.ndarray) -> np.ndarray:
    if len(matrices) == len(vectors):
        return vectors @ matrices
    out = np.empty((*vectors.shape[:2], matrices.shape[2]), np.float32)
    for f, group in enumerate(groups):
        np.matmul(vectors[f], matrices[group], out=out[f])
    return out


def make_basis(shape: Shape, signal: Second, gradients: Second | None) -> Basis:
    """The basis of a shape from the statistics of features and, if known, of gradients.

    A = R^-1 V, B = V^T R for any R with R^T R = G, V the eigenvectors of R S R^T: all such R give
    the same A and B, so R is the transposed Cholesky factor. Without gradients G is the fall-off
    of :func:`lwfc.transform.metric.fall_off` times the identity.
    """
    geometry, groups = shape.geometry, shape.groups
    sizes = np.bincount(groups)
    covariance = _grouped(shape, signal)
    if gradients is None:
        weight = np.bincount(groups, fall_off(geometry.radius)) / sizes
        weight = weight / np.average(weight, weights=sizes)
        metric = weight[:, None, None] * np.eye(geometry.channels)
    else:
        metric = regularized(_grouped(shape, gradients), sizes)
    lower = np.linalg.cholesky(metric)
    root = lower.transpose(0, 2, 1)
    vectors = np.linalg.eigh(root @ covariance @ lower)[1][..., ::-1]
    analysis = vectors.transpose(0, 2, 1) @ root
    synthesis = np.linalg.solve(root, vectors)
    return Basis(shape, groups, metric, analysis, synthesis)


def _grouped(shape: Shape, moments: Second) -> np.ndarray:
    matrices = moments.mean()
    groups = shape.groups
    if len(matrices) != shape.geometry.frequencies:
        return matrices  # gathered by bands already
    if shape.smooth:
        matrices = smoothed(shape.geometry, matrices)
    if not shape.bands:
        return matrices
    sums = np.zeros((groups.max() + 1, *matrices.shape[1:]))
    np.add.at(sums, groups, matrices)
    return sums / np.bincount(groups)[:, None, None]
