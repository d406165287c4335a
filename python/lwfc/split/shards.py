"""Parts of an exploration on several workers, through joblib's back-ends."""

from collections.abc import Callable, Sequence
from typing import Any

from ..base.errors import ParameterError
from ..base.warn import warn_caller
from .result import Exploration, merge

__all__ = ["BACKENDS", "in_shards"]

BACKENDS = ("loky", "dask", "ray")


class Attempt:
    """A run that may fail: what it found, as far as it came, and what went wrong. Pickles."""

    def __init__(self, run: Callable[[Any, int], Exploration]) -> None:
        self.run = run

    def __call__(self, part: Any, number: int) -> tuple[Exploration | None, str]:
        try:
            return self.run(part, number), ""
        except Exception as error:
            return getattr(error, "explored", None), f"{type(error).__name__}: {error}"


def in_shards(
    whole: Exploration, run: Callable[[Any, int], Exploration], parts: Sequence[Any], backend: str
) -> Exploration:
    """``whole`` merged with the results of ``run(part, number)`` for every part, each on a worker.

    ``backend``: "loky" uses processes of this machine; "dask" the current
    ``dask.distributed.Client``; "ray" the cluster of ``ray.init``. ``run`` and parts must pickle.
    A part that fails gives what it had found until then, and a RuntimeWarning says why; the result
    is not complete then. Errors: ImportError naming the extra, ParameterError for other back-ends
    or no dask client.
    """
    if backend not in BACKENDS:
        raise ParameterError(
            f"backend={backend!r}: must be one of {', '.join(map(repr, BACKENDS))}"
        )
    try:
        import joblib

        if backend == "ray":
            from ray.util.joblib import register_ray

            register_ray()
        elif backend == "dask":
            import distributed
    except ImportError as error:
        raise ImportError(
            f"backend={backend!r} needs {error.name}: pip install 'lwfc[search]' {error.name}"
        ) from error
    if backend == "dask":
        try:
            distributed.get_client()
        except ValueError as error:
            raise ParameterError('backend="dask": make a dask.distributed.Client first') from error
    attempt = joblib.delayed(Attempt(run))
    try:
        with joblib.parallel_config(backend=backend, n_jobs=len(parts)):
            found = joblib.Parallel()(attempt(part, i) for i, part in enumerate(parts))
    except Exception as error:  # a worker died, and the back-end gave up on all
        found = [(None, f"{type(error).__name__}: {error}")] * len(parts)
    failures = {why: part for part, (_, why) in zip(parts, found, strict=True) if why}
    for why, part in failures.items():
        warn_caller(
            f"a shard with {part} failed, and what it has not finished is missing ({why}); run "
            "again with the same log= to go on",
            RuntimeWarning,
        )
    result = merge([whole, *(one for one, _ in found if one is not None)])
    return result.replace(complete=False) if failures else result
