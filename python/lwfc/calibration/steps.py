"""tune with a transform: the largest step whose loss surely stays within a bound."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from ..base.errors import ParameterError
from ..codec.codec import Codec
from .calibrate import calibrate
from .rivals import PLAIN, rival_codec
from .scores import as_loss, loss_error, scores_of, upper_bound
from .transforming import Prepared
from .tuned import TuneResult, checked_rate, measure_bytes

__all__ = ["EVALUATIONS", "Judge", "Stepping", "stepped"]

EVALUATIONS = 10
RIVALS = 3  # of these, for the profile with levels
FACTOR = 1.5  # between steps until one is within the bound and one beyond
CLOSE = 0.08  # log of the ratio of steps at which the search ends

Row = dict[str, Any]


class Judge:
    """Metric, loss and the loss's upper confidence bound of codecs.

    ``evaluate`` returns a number or, a score for each sample, an array whose mean is the metric;
    or (that, nbytes, elements). From scores the bound is mean + 1.645 standard errors of the
    paired differences; a number alone has no interval, its loss is taken for the bound.
    """

    def __init__(
        self,
        evaluate: Callable[[Codec | None], Any],
        mode: str,
        measure: Callable[[Codec], tuple[int, int]],
    ) -> None:
        self._evaluate, self._measure = evaluate, measure
        self._sign = 1 if mode == "max" else -1
        self._before, _ = scores_of(evaluate(None))
        self.reference = float(self._before.mean())
        if not math.isfinite(self.reference):
            raise ParameterError("evaluate(None), the metric without a codec, is not finite")

    def row(self, codec: Codec, settings: dict[str, Any]) -> Row:
        """Everything about one codec."""
        scores, rate = scores_of(self._evaluate(codec))
        nbytes, elements = checked_rate(*(self._measure(codec) if rate is None else rate))
        error = loss_error(self._before, scores)
        loss = as_loss(self._sign * float((self._before - scores).mean()))
        return settings | {
            "nbytes": nbytes,
            "elements": elements,
            "bits_per_element": 8 * nbytes / elements,
            "metric": float(scores.mean()),
            "loss": loss,
            "upper": upper_bound(loss, error),
        }


@dataclass
class Stepping:
    """One search: codecs by step, from ``start``, the step of a given distortion, on."""

    codec_at: Callable[[float], Codec]
    judge: Judge
    max_loss: float
    say: Callable[[int, int | None, str], None]

    def __post_init__(self) -> None:
        self.rows: list[Row] = []
        self._codecs: list[Codec] = []

    def _try(self, codec: Codec, settings: dict[str, Any]) -> bool:
        self.say(len(self.rows), EVALUATIONS, "tune")
        self._codecs.append(codec)
        self.rows.append(self.judge.row(codec, settings))
        return self._allowed(self.rows[-1])

    def _allowed(self, row: Row) -> bool:
        return row["upper"] <= self.max_loss + 1e-9 * max(1.0, abs(self.judge.reference))

    def search(self, start: float, budget: int = EVALUATIONS) -> None:
        """Bracket the bound by steps, then halve the bracket's logarithm."""
        inside = outside = None
        where = math.log(start)
        for _ in range(budget):
            step = math.exp(where)
            if self._try(self.codec_at(step), {"transform": "dct", "step": step}):
                inside = where
            else:
                outside = where
            if inside is None:
                where -= math.log(FACTOR)
            elif outside is None:
                where += math.log(FACTOR)
            else:
                where = (inside + outside) / 2
                if outside - inside < CLOSE:
                    break

    def compare(self, rivals: Sequence[tuple[dict[str, Any], Codec, float]]) -> None:
        """Other codecs, (settings, codec, bits), where they are smaller; the finest first."""
        best = self.best()
        ours = math.inf if best is None else best[0]["bits_per_element"]
        smaller = sorted((r for r in rivals if r[2] < ours), key=lambda r: -r[2])
        for settings, codec, _ in smaller[:RIVALS]:
            if not self._try(codec, {"transform": "none"} | settings):
                break  # coarser ones lose more

    def best(self) -> tuple[Row, Codec] | None:
        """The allowed row of fewest bits."""
        allowed = [i for i, row in enumerate(self.rows) if self._allowed(row)]
        if not allowed:
            return None
        index = min(allowed, key=lambda i: (self.rows[i]["bits_per_element"], self.rows[i]["loss"]))
        return self.rows[index], self._codecs[index]


def stepped(
    prepared: Prepared,
    codec_at: Callable[[float], Codec],
    start: float,
    judge: Judge,
    max_loss: float,
    mode: str,
) -> TuneResult:
    """The transform's best step from ``start`` on and, with "auto", the other profile's best."""
    auto = prepared.wishes.transform == "auto"
    found = Stepping(codec_at, judge, max_loss, prepared.wishes.progress or (lambda *_: None))
    found.search(start, EVALUATIONS - RIVALS if auto else EVALUATIONS)
    if auto:
        samples = prepared.pairs.samples()
        rivals = []
        for options in PLAIN:
            codec = rival_codec(calibrate, samples, options | prepared.wishes.common)
            nbytes, elements = measure_bytes(codec, samples)
            rivals.append((options, codec, 8 * nbytes / elements))
        found.compare(rivals)
    best = found.best()
    row, codec = (None, None) if best is None else best
    return TuneResult(codec, row, found.rows, judge.reference, max_loss, mode)
