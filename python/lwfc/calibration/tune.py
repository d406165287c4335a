"""tune: the codec with the fewest measured bytes whose loss stays within a bound."""

import json
import math
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..base.checks import check_number, choose
from ..base.errors import ParameterError
from ..base.progress import takes_progress
from ..base.show import html_table
from ..codec.codec import Codec
from .calibrate import calibrate
from .samples import Batches, Progress
from .search import SEARCHES, Goal, pareto

__all__ = ["GRID", "TuneResult", "tune"]

# What is searched unless given: few values of each, from the coarse end of the rate.
GRID: dict[str, tuple[Any, ...]] = {
    "levels": (2, 3, 4),
    "clip_scale": (1.0, 1.3, 1.6, 2.0, 2.5),
    "restore": ("none", "centroid", "linear"),
    "restore_strength": (0.5, 1.0),
    "rate_weight": (0.0, 0.03, 0.1),
    "coder": ("rans", "context"),
}
COLUMNS = ("levels", "clip_scale", "quantizer", "rate_weight", "restore", "restore_strength",
           "coder", "bits_per_element", "metric", "loss")  # fmt: skip


@dataclass(frozen=True)
class TuneResult:
    """What a search found.

    ``codec`` is the best within the bound, or None if none is; ``best`` its row; ``rows`` all that
    was tried, plain dicts; ``reference`` the metric without compression.
    """

    codec: Codec | None
    best: dict[str, Any] | None
    rows: list[dict[str, Any]]
    reference: float
    max_loss: float

    @property
    def pareto(self) -> list[dict[str, Any]]:
        """The rows no other beats in both bytes and metric, by falling bytes."""
        return pareto(self.rows)

    def to_json(self) -> str:
        """Everything but the codec, as JSON."""
        return json.dumps(
            {"reference": self.reference, "max_loss": self.max_loss, "best": self.best}
            | {"rows": self.rows}
        )

    def _cells(self) -> list[list[str]]:
        def text(value: Any) -> str:
            return f"{value:.4g}" if isinstance(value, float) else str(value)

        names = [name for name in COLUMNS if any(name in row for row in self.rows)]
        marks = [names + [""]]
        for row in self.pareto:
            marks.append([text(row.get(n, "")) for n in names] + ["*" if row == self.best else ""])
        return marks

    def __str__(self) -> str:
        cells = self._cells()
        widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
        lines = ["  ".join(c.rjust(w) for c, w in zip(line, widths, strict=True)) for line in cells]
        return "\n".join(line.rstrip() for line in lines)

    def _repr_html_(self) -> str:
        head, *body = self._cells()
        return html_table(head, body)


class _Log:
    """Rows on disk, one JSON object a line; a cut-off last line is dropped."""

    def __init__(self, path: str | os.PathLike | None, fixed: Mapping[str, Any]) -> None:
        self._path = None if path is None else Path(path)
        self._fixed = json.dumps(fixed, sort_keys=True, default=str)
        self._known: dict[str, dict[str, Any]] = {}
        if self._path is None or not self._path.exists():
            return
        lines = self._path.read_text().splitlines(keepends=True)
        for line in lines:
            try:
                entry = json.loads(line)
                self._known[entry["fixed"] + entry["key"]] = entry["row"]
            except (ValueError, KeyError, TypeError):
                continue
        if lines and not lines[-1].endswith("\n"):
            self._path.write_text("".join(lines[:-1]))

    def get(self, key: str) -> dict[str, Any] | None:
        return self._known.get(self._fixed + key)

    def put(self, key: str, row: dict[str, Any]) -> None:
        self._known[self._fixed + key] = row
        if self._path is not None:
            with self._path.open("a") as file:
                file.write(json.dumps({"fixed": self._fixed, "key": key, "row": row}) + "\n")


def measure_bytes(codec: Codec, samples: Any, num_threads: int | None = 1) -> tuple[int, int]:
    """(bytes, elements) of the samples coded one by one, every byte counted."""
    nbytes = elements = 0
    for batch in Batches(samples).walk("bytes"):
        for i in range(len(batch)):
            nbytes += len(codec.encode(batch[i : i + 1], num_threads=num_threads))
            elements += batch[i].size
    return nbytes, elements


@takes_progress
def tune(
    samples: Any,
    evaluate: Callable[[Codec | None], Any],
    *,
    max_loss: float = 0.01,
    grid: Mapping[str, Sequence[Any]] | None = None,
    search: str = "staged",
    trials: int = 60,
    log: str | os.PathLike | None = None,
    measured: Any = None,
    progress: Progress | bool | None = None,
    num_threads: int | None = 1,
    **options: Any,
) -> TuneResult:
    """Search levels, range, rate weight, restoration and coder for the fewest bytes.

    ``samples``
        Calibration features, as for :func:`lwfc.calibrate`; a generator is spooled once.
    ``evaluate``
        ``evaluate(codec)`` is the task's metric, larger is better, with this codec in place;
        ``evaluate(None)`` is the metric without one. It may return (metric, nbytes, elements)
        to measure the rate itself; otherwise the samples in ``measured`` (default: ``samples``)
        are coded one by one, and every byte counts.
    ``max_loss``
        Largest loss allowed, in the metric's units.
    ``grid``
        Values to try, by option of ``calibrate``; the rest comes from this module's ``GRID``.
    ``search``
        "staged": levels and range first, then restoration, rate weight and coder around the
        best; "grid": everything; "optuna": ``trials`` by optuna, which must be installed.
    ``log``
        A JSON-lines file; a search that was cut off goes on from it.
    ``options``
        Fixed options of ``calibrate``, e.g. ``activation="relu"``.

    Deterministic for a deterministic ``evaluate``. Judge the result on samples that neither
    calibration nor tuning has seen. Errors: ParameterError.
    """
    choose("search", search, tuple(SEARCHES))
    check_number("max_loss", max_loss, -math.inf, math.inf)
    values = {name: tuple(chosen) for name, chosen in (GRID | dict(grid or {})).items()}
    values = {name: chosen for name, chosen in values.items() if name not in options}
    for name, chosen in values.items():
        if not chosen:
            raise ParameterError(f"grid[{name!r}] is empty: name at least one value")
    rows: list[dict[str, Any]] = []
    records = _Log(log, options)
    with Batches(samples) as batches:
        list(batches.walk("samples"))  # a generator is spooled before anything is measured
        trial = _Trial(batches, evaluate, measured, options, records, num_threads)
        reference = trial.reference()
        goal = Goal(values, reference, max_loss, trials)
        steps = SEARCHES[search](goal)
        for done, (settings, total) in enumerate(_drive(steps, rows)):
            if progress is not None:
                progress(done, total, "tune")
            rows.append(trial.run(settings, reference))
        best = goal.best(rows)
        codec = None if best is None else trial.codec({k: best[k] for k in values if k in best})
    return TuneResult(codec, best, rows, reference, max_loss)


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
        measured: Any,
        options: dict[str, Any],
        records: _Log,
        num_threads: int | None,
    ) -> None:
        self._batches = batches
        self._evaluate = evaluate
        self._measured = batches if measured is None else measured
        self._options = options
        self._records = records
        self._num_threads = num_threads

    def reference(self) -> float:
        known = self._records.get("reference")
        if known is None:
            result = self._evaluate(None)
            known = {"metric": float(result[0] if isinstance(result, tuple) else result)}
            self._records.put("reference", known)
        return known["metric"]

    def codec(self, settings: dict[str, Any]) -> Codec:
        return calibrate(
            self._batches,
            num_threads=self._num_threads,
            **({"bound": True} | self._options | settings),
        )

    def run(self, settings: dict[str, Any], reference: float) -> dict[str, Any]:
        key = json.dumps(settings, sort_keys=True)
        row = self._records.get(key)
        if row is None:
            row = self._measure(settings, reference)
            self._records.put(key, row)
        return row

    def _measure(self, settings: dict[str, Any], reference: float) -> dict[str, Any]:
        started = time.perf_counter()
        codec = self.codec(settings)
        result = self._evaluate(codec)
        if isinstance(result, tuple):
            metric, nbytes, elements = result
        else:
            metric = result
            nbytes, elements = measure_bytes(codec, self._measured, self._num_threads)
        return settings | {
            "nbytes": int(nbytes),
            "elements": int(elements),
            "bits_per_element": 8 * nbytes / max(1, elements),
            "metric": float(metric),
            "loss": reference - float(metric),
            "seconds": time.perf_counter() - started,
        }
