"""Walking calibration samples: any source, in batches, as often as needed, in bounded memory."""

import tempfile
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np

from ..base.arrays import Tensor, as_tensor, is_torch, widen
from ..base.checks import channel_axis_of
from ..base.errors import ParameterError

__all__ = ["Batches", "Progress", "Thinned", "planes"]

# Called as progress(done, total, what): batches done, their number or None, and the stage's name.
Progress = Callable[[int, int | None, str], None]

CHUNK = 1 << 22  # elements of a large array that are looked at together


class Batches:
    """Batches of samples, axis 0 counting samples, each a float32 array; may be walked again.

    ``source``: one array or tensor, or an iterable of them. Arrays, lists and anything else that
    gives a new iterator each time are walked again; a one-shot iterator (a generator) is written
    to a temporary file during its first walk, so memory does not grow with the sample count.
    """

    def __init__(self, source: Any, progress: Progress | None = None) -> None:
        if isinstance(source, (str, bytes, dict)):
            raise ParameterError(
                f"samples are a {type(source).__name__}: pass an array, or an iterable of arrays"
            )
        self._progress = progress
        self._spool: Any = None
        self._kinds: list[bool] = []  # of each spooled batch: is it bfloat16
        self._source: Any = source
        self._total: int | None = None
        if isinstance(source, np.ndarray) or is_torch(source) or not isinstance(source, Iterable):
            tensor = as_tensor(source)
            if not tensor.array.ndim:
                raise ParameterError("samples are a single number: axis 0 must count samples")
            self._source = tensor
            self._step = max(1, CHUNK // max(1, tensor.array[:1].size))
            self._total = -(-len(tensor.array) // self._step)
        elif iter(source) is source:
            self._spool = tempfile.TemporaryFile(prefix="lwfc-")  # noqa: SIM115
        else:
            self._total = len(source) if hasattr(source, "__len__") else None

    def close(self) -> None:
        """Drop the temporary file, if there is one."""
        if self._spool is not None:
            self._spool.close()

    def __enter__(self) -> "Batches":
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def __iter__(self) -> Iterator[np.ndarray]:
        """The batches, for those who take any iterable."""
        return self.walk("samples")

    def walk(self, what: str) -> Iterator[np.ndarray]:
        """The batches once more, reporting progress under the name ``what``."""
        done = 0
        for tensor in self._tensors():
            if not tensor.array.ndim:
                raise ParameterError("a batch is a single number: axis 0 must count samples")
            yield (
                widen(tensor.array)
                if tensor.bfloat16
                else tensor.array.astype(np.float32, copy=False)
            )
            done += 1
            if self._progress is not None:
                self._progress(done, self._total, what)
        self._total = done

    def _tensors(self) -> Iterator[Tensor]:
        if isinstance(self._source, Tensor):
            array, bfloat16 = self._source
            for start in range(0, len(array), self._step):
                yield Tensor(array[start : start + self._step], bfloat16)
        elif self._spool is None:
            yield from map(as_tensor, self._source)
        elif self._source is not None:
            source, self._source = self._source, None
            for item in source:
                tensor = as_tensor(item)
                np.lib.format.write_array(self._spool, tensor.array, allow_pickle=False)
                self._kinds.append(tensor.bfloat16)
                yield tensor
        else:
            self._spool.seek(0)
            for bfloat16 in self._kinds:
                array = np.lib.format.read_array(self._spool, allow_pickle=False)
                yield Tensor(array, bfloat16)


class Thinned:
    """An evenly spread, repeatable choice of at most ``capacity`` of all values ever added.

    One value of every ``stride`` consecutive ones is kept, at a random place (a regular one would
    meet the same positions of every plane); when full, half of them go and the stride doubles.
    """

    def __init__(self, capacity: int) -> None:
        self._random = np.random.default_rng(2105)
        self._kept: list[np.ndarray] = []
        self._capacity = capacity
        self._count = 0
        self._stride = 1

    def add(self, values: np.ndarray) -> None:
        """Add an array of any shape; NaN and infinities are left out."""
        flat = values.reshape(-1)
        if self._stride > 1:
            groups = len(flat) // self._stride
            places = np.arange(groups) * self._stride
            flat = flat[places + self._random.integers(self._stride, size=groups)]
        flat = flat[np.isfinite(flat)]
        self._kept.append(flat.copy())
        self._count += len(flat)
        while self._count > self._capacity:
            merged = np.concatenate(self._kept)[::2]
            self._kept = [merged]
            self._count = len(merged)
            self._stride *= 2

    def values(self) -> np.ndarray:
        """The kept values, float32."""
        return np.concatenate(self._kept) if self._kept else np.empty(0, np.float32)


def planes(array: np.ndarray, channel_axis: int | None) -> np.ndarray:
    """array as [samples][channels][height][width], the coder's view of it; a view if possible."""
    axis = channel_axis_of(array.ndim, channel_axis)
    if axis is None:
        return array.reshape(1, 1, 1, -1)
    if axis == array.ndim - 1:
        first = 1 if array.ndim > 2 else 0
        array = np.moveaxis(array, axis, first)
        axis = first
    samples, spatial = array.shape[:axis], array.shape[axis + 1 :]
    width = spatial[-1] if spatial else 1
    height = int(np.prod(spatial[:-1], dtype=np.int64))
    return array.reshape(int(np.prod(samples, dtype=np.int64)), array.shape[axis], height, width)
