"""Walking calibration samples: any source, in batches, as often as needed, in bounded memory."""

import contextlib
import errno
import itertools
import os
import tempfile
from collections.abc import Hashable, Iterator
from typing import Any

import numpy as np

from ..base.arrays import Tensor, is_array, widen
from ..base.errors import LwfcError, ParameterError
from ..base.progress import Progress
from .layout import Layout, find_layout, one_sample_each
from .sources import Item, Source

__all__ = ["Batches", "Thinned", "opened"]

HEAD_ITEMS, HEAD = 8, 1 << 18  # items, and elements, that are looked at before all others
STACK = 1 << 18  # elements of single samples that are handed on together


class SpoolError(LwfcError, OSError):
    """Samples did not fit into their temporary file."""


class Batches:
    """Batches of samples, axis 0 counting samples, each a float32 array; may be walked again.

    ``source``: see :mod:`lwfc.calibration.sources`. What gives a new iterator each time is walked
    again; a one-shot iterator (a generator) is written to a temporary file during its first walk,
    so memory does not grow with the sample count. ``batched`` says whether axis 0 of an item
    counts samples; None: known by the kind of source, or seen from the first items.
    """

    def __init__(
        self,
        source: Any,
        progress: Progress | None = None,
        *,
        batched: bool | None = None,
        sample_axis: int = 0,
    ) -> None:
        self._progress = progress
        self._array = source if is_array(source) else None
        # One array of which nobody has said that axis 0 counts samples.
        self._undeclared = self._array is not None and batched is None and sample_axis == 0
        self._layouts: dict[int | None, Layout] = {}
        self._spool: Any = None
        self._spooled: list[list[tuple[bool, bool | None]]] = []
        self._single: bool | None = None  # what was seen of items of which nothing is known
        self._begun: tuple[list[Any], Iterator[Any]] | None = None
        self._count: int | None = None  # samples of the first walk
        self.dtypes: set[str] = set()  # of what has been walked over
        if batched is False and self._array is not None:
            self._take(Source([source]), False)
        else:
            self._take(Source(source, sample_axis), batched)

    def _take(self, source: Source, batched: bool | None) -> None:
        self._source, self._begun = source, None
        self.known: dict[Hashable, Any] = {}  # what was measured on all samples, for later calls
        self._total = source.total
        if batched is not None:
            source.batched = bool(batched)

    @property
    def scales(self) -> set[tuple[float, int]]:
        """Scales and zero points that the samples themselves told so far."""
        return self._source.scales

    def layout(self, channel_axis: int | None) -> Layout:
        """Where the channels are, measured once; from now on all may count as one sample."""
        if channel_axis not in self._layouts:
            layout = find_layout(self.head(), channel_axis, self._undeclared)
            self.set_layout(channel_axis, layout)
            if layout.one:
                self._undeclared = False
                self._take(Source([self._array]), False)
        return self._layouts[channel_axis]

    def set_layout(self, channel_axis: int | None, layout: Layout) -> None:
        """What ``layout`` is to answer."""
        self._layouts[channel_axis] = layout

    def close(self) -> None:
        """Drop the temporary file, if there is one."""
        spool, self._spool = self._spool, None
        if spool is not None:
            with contextlib.suppress(OSError):  # a full disk, again
                spool.close()

    def __enter__(self) -> "Batches":
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def __iter__(self) -> Iterator[np.ndarray]:
        """The batches, for those who take any iterable."""
        return self.walk("samples")

    def head(self) -> list[np.ndarray]:
        """The first batches, a few thousand values at least; the next walk goes on from there."""
        if self._begun is None:
            walk, kept, size = self._batches(), [], 0
            for step in walk:
                kept.append(step)
                size += step[0].size
                if size >= HEAD or len(kept) >= HEAD_ITEMS:
                    break
            self._begun = kept, walk
        return [batch for batch, _ in self._begun[0]]

    def walk(self, what: str) -> Iterator[np.ndarray]:
        """The batches once more, reporting progress under the name ``what``."""
        begun, self._begun = self._begun, None
        walk = self._batches() if begun is None else itertools.chain(*begun)
        del begun
        count = done = 0
        rank: int | None = None
        for batch, done in walk:
            if rank not in (None, batch.ndim):
                raise ParameterError(
                    f"the samples hold arrays of {rank} and of {batch.ndim} axes: pass those of "
                    "the features alone"
                )
            rank = batch.ndim
            count += len(batch)
            yield batch
            if self._progress is not None:
                self._progress(done, self._total, what)
        self._total = done
        if not count and not self._count:
            raise ParameterError(
                "there are no samples: the source is empty, or an iterator that is used up; pass "
                "an array or a list, or make the generator anew"
            )
        if self._count is None:
            self._count = count
        elif count < 0.9 * self._count:
            raise ParameterError(
                f"the samples could be walked once only: {self._count} of them, then {count}; pass "
                "a list, or iter(samples), which keeps them in a temporary file"
            )

    def _batches(self) -> Iterator[tuple[np.ndarray, int]]:
        """Batches, and how many items of the source have been used up."""
        items = enumerate(self._items(), 1)
        if self._single is None:
            kept, unknown = [], []
            for number, item in items:
                kept.append((number, item))
                unknown += [tensor for tensor, batched in item if batched is None]
                if number >= HEAD_ITEMS or sum(t.array.size for t in unknown) > HEAD:
                    break
            arrays = [_floats(tensor) for tensor in unknown]
            self._single = one_sample_each(arrays, self._source.stacks)
            items = itertools.chain(kept, items)
        waiting: list[np.ndarray] = []
        for number, item in items:
            for tensor, batched in item:
                array = _floats(tensor)
                self.dtypes.add(tensor.dtype_name)
                if not (batched is False or (batched is None and self._single)):
                    yield array, number
                    continue
                if waiting and waiting[0].shape != array.shape:
                    yield np.stack(waiting), number - 1
                    waiting = []
                waiting.append(array)
                if len(waiting) * array.size >= STACK:
                    yield np.stack(waiting), number
                    waiting = []
        if waiting:
            yield np.stack(waiting), number

    def _items(self) -> Iterator[list[Item]]:
        if not self._source.once:
            yield from self._source.items()
        elif self._spool is None:
            try:
                self._spool = tempfile.TemporaryFile(prefix="lwfc-")  # noqa: SIM115
            except OSError as error:
                raise _spool_error(error, 0) from error
            for item in self._source.items():
                self._write(item)
                yield item
        else:
            place = 0  # a walk's own: others may go on in between
            for kinds in self._spooled:
                self._spool.seek(place)
                item = [
                    (Tensor(np.lib.format.read_array(self._spool), bfloat16), batched)
                    for bfloat16, batched in kinds
                ]
                place = self._spool.tell()
                yield item

    def _write(self, item: list[Item]) -> None:
        try:
            for tensor, _ in item:
                np.lib.format.write_array(self._spool, tensor.array, allow_pickle=False)
            self._spool.flush()
        except OSError as error:
            raise _spool_error(error, os.fstat(self._spool.fileno()).st_size) from error
        self._spooled.append([(tensor.bfloat16, batched) for tensor, batched in item])


def _spool_error(error: OSError, nbytes: int) -> SpoolError:
    folder = tempfile.tempdir or os.environ.get("TMPDIR", "the folder for temporary files")
    return SpoolError(
        error.errno or errno.EIO,
        f"{error.strerror or error}, after {nbytes / 1e6:.1f} MB: samples that can be iterated "
        f"once go to a temporary file in {folder!r}; set TMPDIR to a folder with room, or pass "
        "samples that can be iterated again (an array, a list, a DataLoader)",
    )


def _floats(tensor: Tensor) -> np.ndarray:
    return widen(tensor.array) if tensor.bfloat16 else tensor.array.astype(np.float32, copy=False)


def opened(samples: Any, progress: Progress | None = None, **options: Any) -> Any:
    """A context with the samples as Batches, which are left open if they were that before."""
    if isinstance(samples, Batches):
        return contextlib.nullcontext(samples)
    return Batches(samples, progress, **options)


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
