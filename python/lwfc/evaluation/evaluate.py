"""evaluate: codecs on a study, chosen on its tune split, measured once on its test split."""

import hashlib
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..base.checks import check_number
from ..base.errors import LwfcError, ParameterError
from ..base.journal import Journal, LogError, fingerprint
from ..base.progress import Progress, shows_progress
from ..base.warn import warn_caller
from .choice import between, chosen, curve
from .families import Coder, Family, choose_families
from .measure import BATCH, measure, single_bits
from .result import Evaluation
from .study import Study
from .text import setting_text

__all__ = ["BOUNDS", "evaluate"]

VERSION = 4  # of the records in a journal
SCREENED, LEAST = 8, 30  # one of so many tune samples meets all settings, so many at least
BOUNDS = (0.5, 1.0, 2.0)
PACKAGE = Path(__file__).parents[1]
CODING = ("base", "codec", "model", "context", "restoration", "transform", "calibration")


@shows_progress
def evaluate(
    study: Study,
    codecs: Any = "auto",
    *,
    max_loss: Sequence[float] | float = BOUNDS,
    most: float = 4.0,
    points: int = 8,
    batch: int = BATCH,
    log: str | os.PathLike | None = None,
    progress: Progress | bool | None = None,
) -> Evaluation:
    """Bits against what a task loses, for codecs and rivals alike, each at its own best settings.

    ``study``
        A :class:`lwfc.evaluation.study.Study`: features of three splits, the second half, labels.
    ``codecs``
        "auto": all of lwfc's profiles, "paper", "rans", "context", "context+linear", "transform";
        a name of these; a family (:class:`lwfc.evaluation.families.Family`) with settings of its
        own; a mapping of names to codecs or to pairs (encode, decode); or a list of such, as
        ``["rans", "transform", {"mine": (encode, decode)}]``.
    ``max_loss``
        Bounds on the loss, in the metric's points. For each, a family's setting is the one of
        fewest bits whose loss on the tune split is within it *by the upper end of its one-sided
        95 % interval*. A bound of half a point takes thousands of tune samples to be reached.
    ``most``, ``points``
        A family's curve: at most so many settings, losing at most so much on the tune split. Only
        these meet the test split. Of a tune split of 60 samples and more, one in two to eight
        (30 at least) meets all settings; those that no other beats there and that the bounds need
        are measured on all.
    ``batch``
        Samples a stream. The chosen settings are also measured with a stream for each sample.
    ``log``
        A JSON-lines file, one line a point; an evaluation that was cut off goes on from it, and
        the test split is read once for each state of the code that codes. Points of pairs and of
        others' codecs, of which nothing tells one from the next, are measured anew: a family with a
        ``tool`` keeps them.
    ``progress``
        As for :func:`lwfc.tune`: a bar or, in logs, lines unless False.

    Ctrl-C gives what is known, with a warning. A family that fails is left out, its error in
    ``result.about``. Errors: ParameterError for wrong arguments, OSError for a log that cannot be
    written to.
    """
    if not isinstance(study, Study):
        raise ParameterError(f"study is a {type(study).__name__}: must be a Study")
    listed = np.ravel(np.asarray(max_loss, object))
    bounds = tuple(sorted({check_number("max_loss", bound, 0, 1e9) for bound in listed}))
    if not bounds:
        raise ParameterError("max_loss=(): name one bound at least")
    check_number("most", most, 0, 1e9)
    check_number("points", points, 1, 1e6)
    check_number("batch", batch, 1, 1e9)
    families = choose_families(codecs)
    total = sum(len(family.settings) + 2 * int(points) for family in families)
    if progress is not None:
        progress(0, total, f"evaluate {study.name}")
    study.check()
    mark = fingerprint(VERSION, study.fingerprint(), int(batch), _code())
    run = _Run(study, int(batch), Journal(log, mark), progress, total)
    about = {
        "bounds": list(bounds), "measure": {study.name: study.measure}, "failed": {},
        "whole": {study.name: study.reference("test").metric()}, "complete": False,
        "samples": {study.name: {s: len(study.x(s)) for s in study.features}},
        "shape": {study.name: list(study.x("tune").shape[1:])}, "batch": {study.name: int(batch)},
        "tools": {family.name: family.tool for family in families},
        "compute": {study.name: study.compute},
    }  # fmt: skip
    records: list[dict[str, Any]] = []
    try:
        for family in families:
            try:
                records += run.family(family, bounds, max(float(most), bounds[-1]), int(points))
            except LogError:
                raise
            except Exception as error:
                if run.stopped:
                    raise
                why = run.why(error)
                about["failed"][f"{study.name}: {family.name}"] = why
                warn_caller(f"{family.name} is left out: {why}", UserWarning)
    except KeyboardInterrupt:
        on = "run again with the same log= to go on" if log else "log= would keep what is measured"
        warn_caller(f"interrupted: {on}", UserWarning)
        return Evaluation(records, about)
    return Evaluation(records, about | {"complete": True})


class _Run:
    """The points of one evaluation; finished ones come from the journal."""

    def __init__(
        self, study: Study, batch: int, journal: Journal, progress: Progress | None, total: int
    ) -> None:
        self.study, self.batch, self.journal, self.progress = study, batch, journal, progress
        self.done, self.total = 0, total
        self.stopped = False  # whether progress raised: that is no family's fault
        count = len(study.x("tune"))
        every = min(SCREENED, count // LEAST)
        self.screen = study.thinned(every) if every > 1 else None
        self.test = study.fingerprint("test")
        self.coders: dict[str, Coder] = {}
        self.at: dict[str, Any] = {}

    def _kept(self, family: Family, setting: dict[str, Any], what: str, make: Any) -> Any:
        self.at = setting
        if not family.logged:
            return make()
        key = self._key(family, setting, what)
        found = self.journal.get(key)
        if found is None:
            found = make()
            self.journal.put(key, found)
        return found

    def why(self, error: Exception) -> str:
        """What failed, at which setting."""
        plain = isinstance(error, (LwfcError, OSError)) and str(error)
        text = str(error) if plain else f"{type(error).__name__}: {error}"
        return f"{setting_text(self.at)}: {text}"[:300] if self.at else text[:300]

    def _step(self, family: Family) -> None:
        self.done += 1
        if self.progress is not None:
            what = f"evaluate {self.study.name}, {family.name}"
            try:
                self.progress(min(self.done, self.total), self.total, what)
            except Exception:
                self.stopped = True
                raise

    def _coder(self, family: Family, setting: dict[str, Any]) -> Coder:
        """Made once a setting."""
        key = json.dumps(setting, sort_keys=True)
        if key not in self.coders:
            self.coders[key] = family.make(self.study, **setting)
        return self.coders[key]

    def _key(self, family: Family, setting: dict[str, Any], what: str) -> str:
        blind = what in ("screen", "tune")
        told = [family.name, family.tool, setting, "" if blind else self.test]
        return f"{what} {json.dumps(told, sort_keys=True)}"

    def point(self, family: Family, setting: dict[str, Any], what: str) -> dict[str, Any]:
        """The record of a setting on a split, or on the tune samples that screen."""
        study, split = (self.screen, "tune") if what == "screen" else (self.study, what)

        def make() -> dict[str, Any]:
            return measure(study, family, setting, split, self.batch,
                           lambda: self._coder(family, setting), what == "screen"
                           ) | {"split": what}  # fmt: skip

        found = self._kept(family, setting, what, make)
        self._step(family)
        return found

    def family(
        self, family: Family, bounds: Sequence[float], most: float, points: int
    ) -> list[dict[str, Any]]:
        """All records of settings that are screened or tuned, and the test records of the curve."""
        self.coders.clear()
        self.at = {}
        first: list[dict[str, Any]] = []
        if self.screen is not None and len(family.settings) > 1:
            first = [self.point(family, setting, "screen") for setting in family.settings]
            front, start = (curve(first, bounds, most, n) for n in (len(first), points))
            tune = [self.point(family, record["setting"], "tune") for record in start]
            for bound in bounds:
                while record := between(front, tune, bound):
                    tune.append(self.point(family, record["setting"], "tune"))
        else:
            tune = [self.point(family, setting, "tune") for setting in family.settings]
        kept = curve(tune, bounds, most, points)
        test = [self.point(family, record["setting"], "test") for record in kept]
        wanted = {chosen(kept, bound) for bound in bounds} - {None}
        for i in sorted(wanted):
            setting = test[i]["setting"]
            bits = self._kept(family, setting, "single", lambda s=setting: single_bits(
                self.study, family, self._coder(family, s), "test"))  # fmt: skip
            test[i] = test[i] | {"bits_single": bits}
        return first + tune + test


def _code() -> str:
    """A digest of the code that decides about bits and values."""
    digest = hashlib.sha256()
    files = [path for room in CODING for path in sorted((PACKAGE / room).glob("*.py"))]
    for path in (*files, *sorted(PACKAGE.glob("_core*.so"))):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]
