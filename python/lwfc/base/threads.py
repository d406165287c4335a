"""How many threads a call may use."""

import operator
import os

from .errors import ParameterError

__all__ = ["thread_count"]


def thread_count(num_threads: int | None) -> int:
    """num_threads, where None or 0 means OMP_NUM_THREADS, or every core this process may use."""
    if num_threads is None:
        num_threads = 0
    try:
        count = operator.index(num_threads)
    except TypeError:
        count = -1
    if count < 0:
        raise ParameterError(f"num_threads={num_threads!r}: must be 0 (all cores) or more")
    if count == 0:
        wish = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0].strip()
        if wish.isdecimal() and int(wish) > 0:
            return int(wish)
        affinity = getattr(os, "sched_getaffinity", None)
        count = len(affinity(0)) if affinity else os.cpu_count() or 1
    return count
