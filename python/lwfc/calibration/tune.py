"""tune: the codec with the fewest measured bytes whose loss stays within a bound."""

import contextlib
import json
import math
import os
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from ..base.checks import check_function, check_number, choose
from ..base.errors import CalibrationWarning, OptionWarning, ParameterError
from ..base.journal import Journal
from ..base.progress import Progress, shows_progress
from ..base.warn import warn_caller
from ..codec.codec import Codec
from .calibrate import calibrate
from .grid import GRID, Grid
from .identity import identity, same_mark
from .pairs import Pairs
from .samples import Batches, opened
from .scores import as_loss, loss_error, scores_of, upper_bound
from .search import SEARCHES, Goal
from .steps import Judge, stepped
from .transforming import TransformOptions, prepare
from .tuned import TuneResult, checked_rate, measure_bytes

__all__ = ["GRID", "TuneResult", "tune"]

TRIALS = 60
MEASURED = ("nbytes", "elements", "bits_per_element", "metric", "seconds")  # in a row


@shows_progress
def tune(
    samples: Any,
    evaluate: Callable[[Codec | None], Any],
    *,
    max_loss: float = 0.01,
    mode: str = "max",
    transform: str = "none",
    grid: Mapping[str, Sequence[Any]] | None = None,
    search: str = "staged",
    trials: int | None = None,
    log: str | os.PathLike | None = None,
    measured: Any = None,
    progress: Progress | bool | None = None,
    batched: bool | None = None,
    sample_axis: int = 0,
    num_threads: int | None = 1,
    **options: Any,
) -> TuneResult:
    """Search levels, range, rate weight, restoration and coder for the fewest bytes.

    ``samples``, ``batched``, ``sample_axis``
        Calibration features, as for :func:`lwfc.calibrate`; a generator is spooled once.
    ``evaluate``
        ``evaluate(codec)`` is the task's metric with this codec in place; ``evaluate(None)`` is
        the metric without one. A score for each sample, an array in one order, in place of their
        mean gives each loss an *upper confidence bound*, which then decides instead of the loss:
        mean and 1.645 standard errors of paired differences. It may return
        (metric, nbytes, elements) to measure the rate itself; otherwise the samples in ``measured``
        (default: ``samples``) are coded one by one, and every byte counts. ``measured`` takes the
        same sources and is the same for all settings.
    ``mode``
        "max" if a larger metric is better (accuracy), "min" if a smaller one is (loss, error,
        perplexity). An OptionWarning says where the rows look like the other.
    ``max_loss``
        Largest loss allowed, in the metric's units: how much worse than without a codec. A metric
        of NaN with a codec loses without bound.
    ``transform``
        "dct": the transform profile at ten steps at most, bracketed from the one of its
        ``distortion``; "auto": the profile with levels as well, where it codes smaller. ``metric``,
        ``block`` and the like are options of ``calibrate``; there is no grid then.
    ``grid``
        Values to try, by option of ``calibrate``, or one value; the rest comes from ``GRID`` of
        ``lwfc.calibration.grid``. All are checked before the first evaluation, and settings that
        do the same are evaluated once.
    ``search``
        "staged": levels and range first, then restoration, rate weight and coder around the
        best; "grid": everything; "optuna": ``trials`` (60) by optuna, which must be installed.
    ``log``
        A JSON-lines file; a search that was cut off goes on from it. Rows belong to their options
        and samples, so that layers may share a file. A file of something else is refused.
    ``progress``
        None: a bar on terminals and in notebooks; elsewhere, as in log files, a line on standard
        error after ten seconds and then now and then. True: from the start. False: silence. Else
        called as ``progress(done, total, what)``; total is None while unknown.
    ``options``
        Fixed options of ``calibrate``, e.g. ``activation="relu"``.

    Deterministic for a deterministic ``evaluate``. Judge the result on samples that neither
    calibration nor tuning has seen. Errors: ParameterError.
    """
    check_function("evaluate", evaluate, "a codec, or None, to the metric")
    choose("search", search, tuple(SEARCHES))
    choose("mode", mode, ("max", "min"))
    max_loss = check_number("max_loss", max_loss, -math.inf, math.inf)
    if trials is not None:
        check_number("trials", trials, 1, math.inf)
    if transform != "none":
        for name, value in {"grid": grid, "trials": trials, "log": log}.items():
            if value is not None:
                raise ParameterError(f'{name} needs transform="none": a transform has one step')
        options |= {"batched": batched, "sample_axis": sample_axis, "num_threads": num_threads}
        wishes = TransformOptions.of(transform, options | {"progress": progress})
        reading = {"batched": batched, "sample_axis": sample_axis}
        with contextlib.ExitStack() as stack:
            batches = stack.enter_context(opened(samples, **reading))
            prepared = prepare(Pairs(batches, wishes.metric, wishes.channel_axis), wishes)
            others = batches
            if measured is not None:
                others = stack.enter_context(Batches(measured, **reading))
            judge = Judge(evaluate, mode, lambda codec: measure_bytes(codec, others))
            start = prepared.find_step().step
            return stepped(prepared, prepared.codec, start, judge, max_loss, mode)
    if trials is not None and search != "optuna":
        _warn(f'trials={trials} has no effect with search={search!r}: it needs search="optuna"')
    wanted = Grid(grid, options)
    rows: list[dict[str, Any]] = []
    reading = {"batched": batched, "sample_axis": sample_axis}
    with contextlib.ExitStack() as stack:
        batches = stack.enter_context(Batches(samples, **reading))
        others = batches
        if measured is not None:
            others = stack.enter_context(Batches(measured, **reading))
        if progress is not None:
            progress(0, None, "tune: samples")
        sources = (batches,) if others is batches else (batches, others)
        mark = {"options": json.dumps(options, sort_keys=True, default=str),
                "samples": [identity(source) for source in sources]}  # fmt: skip
        records = Journal(log, mark, same_mark)
        trial = _Trial(batches, evaluate, others, options, records, num_threads, mode)
        reference = trial.reference()
        goal = Goal(wanted.values, reference, max_loss, trials or TRIALS, wanted.effective)
        steps = SEARCHES[search](goal)
        for done, (settings, total) in enumerate(_drive(steps, rows)):
            if progress is not None:
                progress(done, total, "tune")
            rows.append(trial.run(settings, wanted.effective(settings)))
        best = goal.best(rows)
        codec = None
        if best is not None:
            codec = trial.codec(wanted.effective({k: best[k] for k in wanted.values if k in best}))
    if measured is not None and trial.measures_itself:
        _warn("measured has no effect: evaluate returned (metric, nbytes, elements)")
    _warn_of_direction(rows, mode)
    return TuneResult(codec, best, rows, reference, max_loss, mode)


def _warn(text: str) -> None:
    warn_caller(text, OptionWarning)


def _warn_of_direction(rows: Sequence[dict[str, Any]], mode: str) -> None:
    """If coding improves the metric, and the more the coarser, its direction is the other one."""
    losses = np.array([row["loss"] for row in rows])
    bits = np.array([row["bits_per_element"] for row in rows])
    if len(set(bits)) < 3 or np.mean(losses < 0) < 0.9 or not np.isfinite(losses).all():
        return
    order = np.corrcoef(np.argsort(np.argsort(bits)), np.argsort(np.argsort(losses)))[0, 1]
    if order > 0.5:
        other = "min" if mode == "max" else "max"
        _warn(
            "the metric is better with nearly every codec than without one, and the better the "
            f"fewer the bits: if {'smaller' if mode == 'max' else 'larger'} is better, say "
            f'mode="{other}"'
        )


def _drive(steps: Any, rows: list[dict[str, Any]]) -> Iterator[tuple[dict[str, Any], int]]:
    """What a search wants to try; it is sent each result."""
    wanted = next(steps, None)
    while wanted is not None:
        yield wanted
        try:
            wanted = steps.send(rows[-1])
        except StopIteration:
            return


class _Trial:
    """Calibrates, measures and evaluates one setting, or finds it in the log."""

    def __init__(
        self,
        batches: Batches,
        evaluate: Callable[[Codec | None], Any],
        measured: Batches,
        options: dict[str, Any],
        records: Journal,
        num_threads: int | None,
        mode: str,
    ) -> None:
        self._batches = batches
        self._evaluate = evaluate
        self._measured = measured
        self._options = options
        self._records = records
        self._num_threads = num_threads
        self._sign = 1 if mode == "max" else -1
        self._of_codec: dict[Codec, dict[str, Any]] = {}
        self._reference = math.nan
        self._before = np.empty(0)
        self.measures_itself = False

    def reference(self) -> float:
        """The metric without a codec."""
        known = self._known("reference", "metric")
        if known is None:
            scores, _ = scores_of(self._evaluate(None))
            known = {"metric": float(scores.mean())}
            if len(scores) > 1:
                known["scores"] = scores.tolist()
            if not math.isfinite(known["metric"]):
                raise ParameterError(
                    f"evaluate(None), the metric without a codec, is {known['metric']}"
                )
            self._records.put("reference", known)
        self._reference = known["metric"]
        self._before = np.array(known.get("scores", [known["metric"]]))
        return self._reference

    def _known(self, key: str, *names: str) -> dict[str, Any] | None:
        """The log's row; None also where somebody edited it so that these names hold no numbers."""
        row = self._records.get(key)
        if not isinstance(row, dict):
            return None
        return row if all(isinstance(row.get(name), (int, float)) for name in names) else None

    def codec(self, settings: dict[str, Any]) -> Codec:
        """The codec of settings."""
        options = {"bound": True} | self._options | settings
        with warnings.catch_warnings():
            if "clip_scale" in settings:  # the search's own choice, and harmless
                warnings.filterwarnings("ignore", "clip_scale=", CalibrationWarning)
            return calibrate(self._batches, num_threads=self._num_threads, **options)

    def run(self, settings: dict[str, Any], effective: dict[str, Any]) -> dict[str, Any]:
        """The row of settings, of which ``effective`` is the form that equal ones share."""
        key = json.dumps(effective, sort_keys=True)
        found = self._known(key, *MEASURED)
        if found is None:
            found = self._measure(effective)
            self._records.put(key, found)
        loss = as_loss(self._sign * (self._reference - found["metric"]))
        row = settings | found | {"loss": loss}
        if "error" in row:
            row["upper"] = upper_bound(row["loss"], row.pop("error"))
        return row

    def _measure(self, settings: dict[str, Any]) -> dict[str, Any]:
        started = time.perf_counter()
        codec = self.codec(settings)
        if codec not in self._of_codec:
            scores, rate = scores_of(self._evaluate(codec))
            error = loss_error(self._before, scores)
            self.measures_itself |= rate is not None
            if rate is None:
                rate = measure_bytes(codec, self._measured, self._num_threads)
            nbytes, elements = checked_rate(*rate)
            self._of_codec[codec] = {
                "nbytes": nbytes,
                "elements": elements,
                "bits_per_element": 8 * nbytes / elements,
                "metric": float(scores.mean()),
            } | ({"error": error} if len(scores) > 1 else {})
        return self._of_codec[codec] | {"seconds": time.perf_counter() - started}
