"""Ways through a grid of settings: generators that yield what to try and are sent the result."""

import itertools
import math
from collections.abc import Callable, Generator, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from ..base.errors import LwfcError
from ..base.unbeaten import unbeaten

__all__ = ["SEARCHES", "Goal", "pareto"]

Row = dict[str, Any]
Settings = dict[str, Any]
# Yields (settings, expected number of trials), is sent the row of each.
Search = Generator[tuple[Settings, int], Row, None]

STAGES = (("levels", "clip_scale"), ("restore", "restore_strength"), ("rate_weight",), ("coder",))


def pareto(rows: Iterable[Row], mode: str = "max") -> list[Row]:
    """The rows no other beats in both bytes per element and what decides, by falling bytes: the
    metric, or the loss's upper bound where scores gave one.
    """
    sign = 1 if mode == "max" else -1
    known = [row for row in rows if not math.isnan(row["metric"])]
    front = unbeaten(known, lambda row: row["bits_per_element"],
                     lambda row: row.get("upper", -sign * row["metric"]))  # fmt: skip
    return front[::-1]


@dataclass(frozen=True)
class Goal:
    """The values to try for each setting, and what counts as good.

    ``effective`` gives settings that do the same one form.
    """

    values: dict[str, Sequence[Any]]
    reference: float
    max_loss: float
    trials: int
    effective: Callable[[Settings], Settings]

    def allowed(self, row: Row) -> bool:
        """Whether the loss, or its upper bound where scores gave one, is within the bound; to a
        billionth, for sums of floats.
        """
        return row.get("upper", row["loss"]) <= self.max_loss + 1e-9 * max(1.0, abs(self.reference))

    def best(self, rows: Iterable[Row]) -> Row | None:
        """The allowed row of fewest bits, of the larger metric among equals."""
        allowed = [row for row in rows if self.allowed(row)]
        order = ("bits_per_element", "loss")
        return min(allowed, key=lambda row: tuple(row[n] for n in order), default=None)

    def nearest(self, rows: Sequence[Row]) -> Row:
        """The best row, or the one of least loss where none is allowed."""
        return self.best(rows) or min(rows, key=lambda row: (row["loss"], row["bits_per_element"]))

    def settings(self, row: Row) -> Settings:
        """The settings of a row."""
        return {name: row[name] for name in self.values}


def _products(goal: Goal, names: Sequence[str], around: Settings) -> list[Settings]:
    lists = [goal.values[name] for name in names if name in goal.values]
    names = [name for name in names if name in goal.values]
    found: dict[str, Settings] = {}
    for chosen in itertools.product(*lists):
        settings = around | dict(zip(names, chosen, strict=True))
        effective = goal.effective(settings)
        if repr(effective) not in found or settings == effective:
            found[repr(effective)] = settings
    return list(found.values())


def staged(goal: Goal) -> Search:
    """Levels and range with the strongest of everything else, then each of the rest in turn."""
    strongest = {name: values[-1] for name, values in goal.values.items()}
    if "rate_weight" in goal.values:
        strongest["rate_weight"] = goal.values["rate_weight"][0]
    stages = [stage for stage in STAGES if any(name in goal.values for name in stage)]
    named = {name for stage in STAGES for name in stage}
    stages += [(name,) for name in goal.values if name not in named]
    total = sum(len(_products(goal, stage, strongest)) for stage in stages) - len(stages) + 1
    rows: list[Row] = []
    centre = strongest
    for stage in stages:
        for settings in _products(goal, stage, centre):
            wanted = goal.effective(settings)
            if not any(goal.effective(goal.settings(row)) == wanted for row in rows):
                rows.append((yield settings, total))
        centre = goal.settings(goal.nearest(rows))


def exhaustive(goal: Goal) -> Search:
    """Every combination."""
    wanted = _products(goal, tuple(goal.values), {})
    for settings in wanted:
        yield settings, len(wanted)


def by_optuna(goal: Goal) -> Search:
    """Optuna's multi-objective search over the same values; seeded, so repeatable."""
    try:
        import optuna
    except ImportError as error:
        raise LwfcError('search="optuna" needs optuna: pip install optuna') from error
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(
        directions=["minimize", "minimize"], sampler=optuna.samplers.NSGAIISampler(seed=0)
    )
    for _ in range(goal.trials):
        trial = study.ask()
        settings = {
            name: values[trial.suggest_int(name, 0, len(values) - 1)]
            for name, values in goal.values.items()
        }
        row = yield settings, goal.trials
        loss = row.get("upper", row["loss"])
        loss = loss if math.isfinite(loss) else 1e9
        study.tell(trial, [row["bits_per_element"], max(loss, goal.max_loss)])


SEARCHES: dict[str, Callable[[Goal], Search]] = {
    "staged": staged,
    "grid": exhaustive,
    "optuna": by_optuna,
}
