"""Thresholds and values for what one walk over the samples told, and what there is to warn of."""

from collections import Counter
from collections.abc import Sequence

import numpy as np

from ..base.errors import CalibrationWarning
from ..base.warn import warn_caller
from ..model.design import design_ecsq, uniform_quantizer
from ..model.empirical import MASS, Ends
from ..model.ranges import Range, RangeChoice, choose_range
from .statistics import Group, Statistics

__all__ = ["QUANTIZERS", "Quantizers", "make_quantizers"]

QUANTIZERS = ("uniform", "ecsq", "deadzone")
DEAD_ZONE = 1 / 6  # of a step: rounding by thirds instead of halves, as video coders do
DESIGN_SAMPLES = 1 << 18  # values an entropy-constrained design is made from
NAMED = 8  # channels that a warning names


class Quantizers:
    """A row for each group: float32 ``thresholds`` and ``values``, and which rows have 0 as a mass
    point, ``zeros``. ``law``: whose ranges they are, for people."""

    def __init__(self, rows: Sequence[tuple[np.ndarray, np.ndarray]], zeros: Sequence[bool],
                 law: str) -> None:  # fmt: skip
        thresholds, values = zip(*rows, strict=True)
        self.thresholds, self.values = np.stack(thresholds), np.stack(values)
        self.zeros = np.array(zeros)
        self.law = law


def make_quantizers(
    statistics: Statistics,
    choice: RangeChoice,
    quantizer: str,
    weight: float,
    *,
    restored: bool,
    channel_axis: int | None,
) -> Quantizers:
    """A quantizer for the tensor or for each channel. Warns (CalibrationWarning) of statistics
    without a range, of models that do not fit, and of a ``clip_scale`` without effect, which is
    where thresholds stay and ``restored`` says that values will be replaced; and of massive
    channels where all share a quantizer.

    ``weight``: squared error per bit; ``channel_axis``: 0..rank - 1. Errors: ParameterError for a
    given range that is none.
    """
    whole = statistics.tensor
    groups = [group if group.moments.count else whole for group in statistics.channels or (whole,)]
    ranges = [choose_range(choice, group.moments, group.sample) for group in groups]
    _warn(ranges, bool(statistics.channels))
    ends = [found.scaled(choice) for found in ranges]
    rows = [_make(quantizer, choice, *pair, weight) for pair in zip(groups, ends, strict=True)]
    if choice.clip_scale != 1:
        plain = [_make(quantizer, choice, group, found.ends, weight)
                 for group, found in zip(groups, ranges, strict=True)]  # fmt: skip
        if all(_alike(*pair, restored) for pair in zip(rows, plain, strict=True)):
            _say(
                f"clip_scale={choice.clip_scale:g} has no effect: two levels keep their threshold "
                "where a range is stretched at both ends, and the restoration gives the values"
            )
    outlier = None if statistics.channels else statistics.slices.trouble(rows[0][0], channel_axis)
    if outlier is not None:
        _say(outlier)
    laws = Counter(found.law for found in ranges)
    law = ", ".join(f"{name} ({n} channels)" for name, n in laws.most_common())
    zeros = [group.moments.zeros >= MASS * group.moments.count for group in groups]
    return Quantizers(rows, zeros, law if len(laws) > 1 else next(iter(laws)))


def _say(text: str) -> None:
    warn_caller(text, CalibrationWarning)


def _warn(ranges: Sequence[Range], by_channel: bool) -> None:
    """Each kind of trouble once, with the first channel's figures."""
    kinds: dict[str, list[int]] = {}
    for number, found in enumerate(ranges):
        if found.trouble is not None:
            kinds.setdefault(found.trouble[0], []).append(number)
    for channels in kinds.values():
        trouble = ranges[channels[0]].trouble
        text = trouble[1] if trouble else ""
        if by_channel:
            text = f"channel {channels[0]}: {text}"
        if len(channels) > 1:
            more = ", ".join(map(str, channels[1:NAMED])) + ", ..." * (len(channels) > NAMED)
            text += f"; likewise {len(channels) - 1} more channels: {more}"
        _say(text)


def _alike(
    one: tuple[np.ndarray, np.ndarray], other: tuple[np.ndarray, np.ndarray], restored: bool
) -> bool:
    """Whether two quantizers give the same, to a millionth of their range."""
    tables = zip(one, other, strict=True) if not restored else [(one[0], other[0])]
    near = 1e-6 * float(np.ptp(one[1]))
    return all(a.shape == b.shape and np.abs(a - b).max() <= near for a, b in tables)


def _make(
    quantizer: str, choice: RangeChoice, group: Group, ends: Ends, weight: float
) -> tuple[np.ndarray, np.ndarray]:
    if quantizer == "ecsq" and group.moments.min < group.moments.max:
        sample = group.sample[:: -(-len(group.sample) // DESIGN_SAMPLES)]
        lo, hi = ends.lo, ends.hi
        design = design_ecsq(sample, choice.levels, lo, hi, rate_weight=weight, pinned=True)
        values = design.values.copy()
        if ends.keep is not None:
            values[np.count_nonzero(design.thresholds <= ends.keep)] = ends.keep
        return design.thresholds, values
    table = ends.values
    if table is None:
        thresholds, values = uniform_quantizer(ends.lo, ends.hi, choice.levels)
        table = np.linspace(ends.lo, ends.hi, choice.levels)
    else:
        values = table.astype(np.float32)
        thresholds = ((table[1:] + table[:-1]) / 2).astype(np.float32)
    if quantizer == "deadzone":
        steps = np.diff(table)
        zero = int(np.argmin(np.abs(values)))
        away = np.where(np.arange(choice.levels - 1) >= zero, DEAD_ZONE, -DEAD_ZONE)
        thresholds = (thresholds + steps * away).astype(np.float32)
    return thresholds, values
