"""What users have as samples, opened as one kind of thing: items that become arrays.

Arrays of any library (files of arrays too: HDF5, zarr, memory maps) are read in slices. Lists,
data sets, data loaders and generators give items; an item is an array, or a tuple or dictionary
that holds one array of features beside labels.
"""

import dataclasses
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from numbers import Number
from typing import Any

import numpy as np

from ..base.arrays import Tensor, as_tensor, is_array, is_torch
from ..base.errors import ParameterError

__all__ = ["Source"]

CHUNK = 1 << 22  # elements of a large array that are looked at together
# An array, and whether its axis 0 counts samples; None where that is not known.
Item = tuple[Tensor, bool | None]


class Source:
    """Items of a source, which may be walked again unless ``once``.

    ``total`` is the number of steps of a walk, or None; ``batched`` what is known of all items:
    True: axis 0 counts samples, False: each item is one sample, None: look at them;
    ``stacks``: items come from a list, which stands for one array more often than not.
    """

    def __init__(self, source: Any, sample_axis: int = 0) -> None:
        self.once = False
        self.total: int | None = None
        self.batched: bool | None = None
        self.stacks = isinstance(source, (list, tuple))
        self.scales: set[tuple[float, int]] = set()  # of PyTorch's quantized tensors
        self._sample_axis = sample_axis
        self._open: Callable[[], Iterator[Any]]
        source = _unwrapped(source)
        if is_array(source):
            self._open_array(source)
            return
        if is_one(source, "torch.utils.data", "Dataset"):
            self.batched = False
        elif is_one(source, "torch.utils.data", "DataLoader"):
            self.batched = None if source.batch_sampler is None else True
        self.total = _length(source)
        if hasattr(source, "__iter__"):
            self.once = iter(source) is source
            self._open = lambda: iter(source)
        elif self.total is not None and hasattr(source, "__getitem__"):
            # Counted: data sets need not raise IndexError behind their end.
            self._open = lambda: (source[i] for i in range(len(source)))
        else:
            as_tensor(source)  # says what it is, unless it is a number
            raise ParameterError(
                f"samples are a {type(source).__name__}: pass an array whose axis 0 counts "
                "samples, or an iterable of arrays"
            )

    def _open_array(self, source: Any) -> None:
        """An array is a sequence of slices of it along the samples' axis."""
        whole = source
        self._note(source)
        if is_torch(source) or isinstance(source, np.ndarray) or not hasattr(source, "shape"):
            whole = as_tensor(source)
            shape = whole.array.shape
        else:
            shape = tuple(int(n) for n in source.shape)
        if not shape:
            raise ParameterError("samples are a single number: axis 0 must count samples")
        axis = self._checked_axis(len(shape))
        count = shape[axis]
        step = max(1, CHUNK * count // max(1, int(np.prod(shape, dtype=np.int64))))
        chunks = getattr(source, "chunks", None)
        if isinstance(chunks, tuple) and isinstance(chunks[axis], int) and step > chunks[axis] > 0:
            step -= step % chunks[axis]  # each chunk of the file is read once
        self.batched = True
        self.total = -(-count // step)

        def slices() -> Iterator[Any]:
            for start in range(0, count, step):
                key = (slice(None),) * axis + (slice(start, min(start + step, count)),)
                if isinstance(whole, Tensor):
                    yield Tensor(whole.array[key], whole.bfloat16)
                else:
                    yield source[key if axis else key[0]]

        self._open = slices

    def _checked_axis(self, rank: int) -> int:
        if not -rank <= self._sample_axis < rank:
            raise ParameterError(f"sample_axis={self._sample_axis}: the samples have {rank} axes")
        return self._sample_axis % rank

    def items(self) -> Iterator[list[Item]]:
        """One walk: the arrays of each step, axis 0 counting samples where anything does."""
        for item in self._open():
            self._note(item)
            found = [(item, None)] if isinstance(item, Tensor) else _tensors(item)
            yield [self._turned(*one) for one in found]

    def _note(self, item: Any) -> None:
        if is_torch(item) and item.is_quantized:  # others than of one scale are refused
            self.scales.add((item.q_scale(), item.q_zero_point()))

    def _turned(self, tensor: Tensor, batched: bool | None) -> Item:
        array, bfloat16 = tensor
        if not array.ndim:
            raise ParameterError(
                "samples hold single numbers: axis 0 must count samples; pass one array of them"
            )
        batched = self.batched if batched is None else batched
        if self._sample_axis and batched is not False:
            array = np.moveaxis(array, self._checked_axis(array.ndim), 0)
            batched = True
        return Tensor(array, bfloat16), batched


def is_one(x: Any, module: str, name: str) -> bool:
    """Whether x is of a class of a module that may not be imported."""
    kind = getattr(sys.modules.get(module), name, None)
    return kind is not None and isinstance(x, kind)


def _unwrapped(source: Any) -> Any:
    """The array inside a mapping, a record array, a nested list; else the source."""
    if _is_text(source):
        raise ParameterError(
            f"samples are a {type(source).__name__}: pass an array, or an iterable of arrays, "
            "e.g. numpy.load(path)"
        )
    if isinstance(source, Mapping):
        return _features(_leaves(source, "samples"), "samples")
    if hasattr(source, "iloc"):  # pandas: its iterator gives names, its slices follow labels
        source = _of_pandas(source)
    if isinstance(source, memoryview):
        return np.asarray(source)
    if is_torch(source) and source.is_nested:
        return list(source.unbind())
    if isinstance(source, np.ndarray) and source.dtype == object and source.ndim:
        return list(source)
    if isinstance(source, np.ndarray) and source.dtype.names:
        return _features(
            [(f"samples[{name!r}]", source[name]) for name in source.dtype.names], "samples"
        )
    if isinstance(source, (list, tuple)) and source:
        if isinstance(source[0], (list, tuple)) and _is_numbers(source[0]):
            return as_tensor(source).array
        if len(source) <= 3 and _differ(source):
            return _features(_leaves(source, "samples"), "samples")
    return source


def _is_text(x: Any) -> bool:
    return isinstance(x, (str, bytes, bytearray, os.PathLike))


def _of_pandas(table: Any) -> np.ndarray:
    """A table of numbers, or a column of arrays."""
    array = np.asarray(table)
    if array.dtype == object and not (array.ndim == 1 and len(array) and is_array(array[0])):
        raise ParameterError(
            f"samples are a {type(table).__name__} whose columns are not all numbers: pass those "
            'of the features, e.g. frame.select_dtypes("number") or frame[names]'
        )
    return array


def _is_numbers(x: Any) -> bool:
    """Whether x is a list of numbers, or of such lists."""
    while isinstance(x, (list, tuple)) and len(x):
        x = x[0]
    return isinstance(x, (Number, np.generic)) and not isinstance(x, np.ndarray)


def _differ(items: Any) -> bool:
    """Whether arrays stand beside each other that cannot be batches of one thing."""
    arrays = [item for item in items if is_array(item)]
    if any(is_torch(array) and array.is_nested for array in arrays):
        return False
    ranks = {len(array.shape) for array in arrays if hasattr(array, "shape")}
    return len(arrays) == len(items) and len(ranks) > 1


def _length(source: Any) -> int | None:
    """len(source), or None where that fails: loaders of endless data sets raise all kinds."""
    try:
        return len(source)
    except Exception:
        return None


def _leaves(item: Any, name: str) -> list[tuple[str, Any]]:
    """The arrays in nested tuples, mappings and data classes, with the expressions that name them.
    """
    if is_array(item):
        return [(name, item)]
    if isinstance(item, (list, tuple)) and _is_numbers(item):
        return [(name, np.asarray(item))]
    pairs: Iterable[tuple[Any, Any]] = ()
    if isinstance(item, Mapping):
        pairs = item.items()
    elif isinstance(item, (list, tuple)):
        pairs = enumerate(item)
    elif _is_record(item):
        fields = [field.name for field in dataclasses.fields(item)]
        return [leaf for key in fields for leaf in _leaves(getattr(item, key), f"{name}.{key}")]
    return [leaf for key, value in pairs for leaf in _leaves(value, f"{name}[{key!r}]")]


def _is_record(x: Any) -> bool:
    return dataclasses.is_dataclass(x) and not isinstance(x, type)


def _features(leaves: list[tuple[str, Any]], name: str) -> Any:
    """The one array that can be features: the others are integers, or have one axis at most."""
    if len(leaves) == 1:
        return leaves[0][1]
    floats = [leaf for leaf in leaves if _is_float(leaf[1])]
    wide = [leaf for leaf in floats if len(leaf[1].shape) > 1]
    if len(wide) == 1 or len(floats) == 1:
        return (wide if len(wide) == 1 else floats)[0][1]
    if not leaves:
        raise ParameterError(f"{name}: no array in it; pass an array, or an iterable of arrays")
    listed = ", ".join(f"{key} {tuple(value.shape)}" for key, value in leaves[:6])
    call = leaves[0][0] if name == "samples" else f"({leaves[0][0]} for item in samples)"
    raise ParameterError(f"{len(leaves)} arrays: {listed}: pass one of them, as {call}")


def _is_float(x: Any) -> bool:
    if is_torch(x):
        return x.is_floating_point()
    dtype = getattr(x, "dtype", None)
    return "float" in str(dtype) and len(getattr(x, "shape", ())) > 0


def _tensors(item: Any) -> list[Item]:
    """An item's arrays: one, or the parts of a nested tensor, each a sample."""
    if _is_text(item):
        raise ParameterError(
            f"samples hold {item!r}: pass arrays, e.g. (numpy.load(path) for path in samples)"
        )
    nested = isinstance(item, (list, tuple, Mapping)) or (_is_record(item) and not is_array(item))
    if nested and not _is_numbers(item):
        item = _features(_leaves(item, "item"), "item")
    if is_torch(item) and item.is_nested:
        return [(as_tensor(part), False) for part in item.unbind()]
    return [(as_tensor(item), None)]
