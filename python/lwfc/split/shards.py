"""Parts of an exploration on several workers, through joblib's back-ends."""

from collections.abc import Callable, Sequence
from typing import Any

from ..base.errors import ParameterError
from .result import Exploration, merge

__all__ = ["BACKENDS", "in_shards"]

BACKENDS = ("loky", "dask", "ray")


def in_shards(
    run: Callable[[Any, int], Exploration], parts: Sequence[Any], backend: str
) -> Exploration:
    """The merged results of ``run(part, number)`` for every part, each on a worker.

    ``backend``: "loky" uses processes of this machine; "dask" the current
    ``dask.distributed.Client``; "ray" the cluster of ``ray.init``. ``run`` and parts must pickle.
    Errors: ImportError naming the extra, ParameterError for other back-ends or no dask client.
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
    with joblib.parallel_config(backend=backend, n_jobs=len(parts)):
        return merge(joblib.Parallel()(joblib.delayed(run)(p, i) for i, p in enumerate(parts)))
