"""How many threads a call may use, and holding NumPy's BLAS to it."""

import contextlib
import ctypes
import functools
import itertools
import operator
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from .checks import shown
from .errors import ParameterError

__all__ = ["blas_limit", "thread_count"]


def thread_count(num_threads: int | None) -> int:
    """num_threads, where None or 0 means OMP_NUM_THREADS, or every core this process may use."""
    if num_threads is None:
        num_threads = 0
    try:
        count = operator.index(num_threads)
    except TypeError:
        count = -1
    if count < 0:
        raise ParameterError(f"num_threads={shown(num_threads)}: must be 0 (all cores) or more")
    if count == 0:
        wish = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0].strip()
        if wish.isdecimal() and int(wish) > 0:
            return int(wish)
        affinity = getattr(os, "sched_getaffinity", None)
        count = len(affinity(0)) if affinity else os.cpu_count() or 1
    return count


@contextlib.contextmanager
def blas_limit(count: int) -> Iterator[None]:
    """Within the block NumPy's BLAS works on at most ``count`` threads.

    The OpenBLAS of NumPy's wheels has one thread count for the whole process, so blocks that
    overlap on several threads share the smallest, and the last to end puts back what was there.
    Any other BLAS is left to threadpoolctl, if that is installed.
    """
    pools = openblas()
    if not pools:
        with _limit_others(count):
            yield
        return
    with _lock:
        if not _active:
            _before[:] = [pool.get() for pool in pools]
        _active.append(count)
        _apply(pools)
    try:
        yield
    finally:
        with _lock:
            _active.remove(count)
            _apply(pools)


_lock = threading.Lock()
_active: list[int] = []  # the limits of the blocks that run
_before: list[int] = []  # what to put back


class Pool(NamedTuple):
    """A library's thread count."""

    get: Callable[[], int]
    set: Callable[[int], object]


def _apply(pools: list[Pool]) -> None:
    for pool, own in zip(pools, _before, strict=True):
        pool.set(min(own, *_active) if _active else own)


@functools.cache
def openblas() -> list[Pool]:
    """The OpenBLAS that NumPy's wheels carry; their builds give its functions affixes."""
    package, pools = Path(np.__file__).parent, []
    for folder in (package.parent / "numpy.libs", package / ".dylibs"):
        for path in folder.glob("*openblas*"):
            library = ctypes.CDLL(str(path))
            for before, after in itertools.product(("scipy_", ""), ("64_", "")):
                names = (f"{before}openblas_{verb}_num_threads{after}" for verb in ("get", "set"))
                found = [getattr(library, name, None) for name in names]
                if all(found):
                    pools.append(Pool(*found))
                    break
    return pools


@contextlib.contextmanager
def _limit_others(count: int) -> Iterator[None]:
    try:
        from threadpoolctl import ThreadpoolController
    except ImportError:
        yield
        return
    blas = ThreadpoolController().select(user_api="blas")
    most = max((library.num_threads for library in blas.lib_controllers), default=1)
    with blas.limit(limits=min(count, most)):
        yield
