"""The passes of an exploration: estimates of all cuts, rows without a cut, exact numbers."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..base.checks import finite_or_none
from ..base.journal import Journal
from ..base.progress import Progress
from .cuts import Cut
from .estimate import Drafts, estimate
from .exact import Halves, exact, exact_image, timed
from .images import FORMATS, Pixels
from .profiles import Profile

__all__ = ["Passes"]


class Passes:
    """The passes of one exploration; finished parts come from the journal."""

    def __init__(
        self,
        network: Any,
        metric: Callable[..., float] | None,
        profiles: Sequence[Profile],
        max_loss: float,
        journal: Journal,
        progress: Progress | None,
        clock: Callable[[], float],
    ) -> None:
        self.clock = clock
        self.network, self.metric, self.profiles = network, metric, profiles
        self.max_loss, self.journal, self.progress = max_loss, journal, progress
        ends = np.cumsum([network.size(batch) for batch in network.batches])
        self.fitted = 1 + int(np.abs(2 * ends[:-1] - ends[-1]).argmin())
        self._wholes: list[Any] | None = None
        self.rungs: dict[tuple[str, str], int | None] = {}
        self.parts = self.done = 0  # of the exact numbers

    def close(self) -> None:
        self._wholes = None

    def say(self, done: int, total: int, what: str) -> None:
        if self.progress is not None:
            self.progress(done, total, what)

    @property
    def wholes(self) -> list[Any]:
        """The uncut network's outputs on the measured samples."""
        if self._wholes is None:
            self._wholes = [self.network.whole(b) for b in self.network.batches[self.fitted :]]
        return self._wholes

    def estimates(self, few: int) -> list[dict[str, Any]]:
        entries = self.journal.get("estimates")
        if entries is None:
            survey = self.network.survey(self.network.cuts, int(few), self.progress, self.clock)
            drafts = Drafts(survey)
            entries = []
            for done, cut in enumerate(self.network.cuts):
                self.say(done, len(self.network.cuts), "estimates")
                for profile in self.profiles:
                    row = {"kind": "split", "cut": cut.name, "profile": profile.name}
                    row |= {"pass": "estimate"}
                    entries.append(row | estimate(cut, survey, drafts, profile, self.max_loss))
            self.journal.put("estimates", entries)
        self.rungs = {(entry["cut"], entry["profile"]): entry["rung"] for entry in entries}
        return entries

    def _kept(self, key: str, make: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        self.say(self.done, self.parts, "exact numbers")
        self.done += 1
        entry = self.journal.get(key)
        if entry is None:
            entry = {name: finite_or_none(value) for name, value in make().items()}
            self.journal.put(key, entry)
        return entry

    def whole(self, pixels: Pixels | None) -> list[dict[str, Any]]:
        """The rows without a cut: everything on the device, and the input to the cloud, if it is
        an image."""
        entries = [self._kept("device", self._device)]
        if pixels is None:
            return entries
        whole_ms = entries[0]["measured"]["head"]
        for kind in FORMATS:
            row = {"kind": "cloud", "cut": "input", "profile": kind, "pass": "exact"}
            entry = self._kept(f"cloud:{kind}", lambda kind=kind: exact_image(
                self.network, pixels, kind, self.wholes, self.fitted, self.max_loss, self.metric,
                self.clock
            ))  # fmt: skip
            entries.append(row | entry | {"measured": entry["measured"] | {"tail": whole_ms}})
        return entries

    def _device(self) -> dict[str, Any]:
        one = self.network.first(self.network.batches[-1])
        entry = {
            "kind": "device", "cut": "output", "profile": "", "pass": "exact", "loss": 0.0,
            "settings": {}, "coded_bytes": None, "agreement": None,
            "measured": {"head": timed(lambda: self.network.whole(one), self.clock)},
        }  # fmt: skip
        if self.metric is not None:
            entry["metric"] = self.network.evaluate(self.metric, None, None)
        return entry

    def exact(self, cut: Cut) -> list[dict[str, Any]]:
        """One cut with every profile."""
        halves: list[Halves] = []

        def measure(profile: Profile) -> dict[str, Any]:
            if not halves:
                halves.append(Halves(self.network, cut, self.wholes, self.fitted, self.clock))
            start = self.rungs.get((cut.name, profile.name))
            return exact(halves[0], profile, start, self.max_loss, self.metric)

        entries = []
        for profile in self.profiles:
            row = {"kind": "split", "cut": cut.name, "profile": profile.name, "pass": "exact"}
            key = f"exact:{cut.name}:{profile.name}"
            entries.append(row | self._kept(key, lambda profile=profile: measure(profile)))
        return entries
