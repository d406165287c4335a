"""Evaluation: measured points as rows, choices, gains, tables, a plot and a page."""

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ..base.errors import FormatError, ParameterError
from ..base.files import replace_file
from ..base.show import html_table, text_table
from .bdrate import bd_rate, decibels
from .choice import Record, chosen, frontier, gain
from .tables import chosen_table

__all__ = ["Evaluation", "merge"]

HIDDEN = ("draws", "streams")


class Evaluation:
    """The records of one or several studies.

    ``records`` are plain dicts, one a point, of the splits "tune" and "test" (see
    :func:`lwfc.evaluation.measure.measure`); ``rows`` what was chosen: for each study, codec and
    bound on the loss, the setting of fewest bits whose loss on the tune split is within it by its
    upper end, as it did on the test split. ``about["failed"]`` names codecs that could not run, and
    why.
    """

    def __init__(self, records: Sequence[Mapping[str, Any]], about: Mapping[str, Any]) -> None:
        self.records = [dict(record) for record in records]
        self.about = dict(about)
        self._pairs = self._paired()
        self.rows = [row for key in self._pairs for row in self._rows(*key)]

    def _paired(self) -> dict[tuple[str, str], list[tuple[Record, Record]]]:
        """(tune record, test record) of each setting of a curve, by (study, codec)."""
        tune = {_key(r): r for r in self.records if r["split"] == "tune"}
        found: dict[tuple[str, str], list[tuple[Record, Record]]] = {}
        for test in self.records:
            if test["split"] == "test":
                pair = (tune[_key(test)], test)
                found.setdefault((test["study"], test["codec"]), []).append(pair)
        return found

    @property
    def studies(self) -> list[str]:
        """Their names."""
        return list(dict.fromkeys(study for study, _ in self._pairs))

    def codecs(self, study: str, group: str | None = None) -> list[str]:
        """The codecs measured on a study, of a group of :data:`lwfc.evaluation.families.GROUPS`."""
        return [codec for (name, codec), pairs in self._pairs.items()
                if name == study and group in (None, pairs[0][1]["group"])]  # fmt: skip

    def curve(self, study: str, codec: str) -> list[Record]:
        """A codec's test records, by rising bits."""
        return sorted((test for _, test in self._measured(study, codec)), key=lambda r: r["bits"])

    def _measured(self, study: str, codec: str) -> list[tuple[Record, Record]]:
        """The pairs of a codec. Errors: ParameterError for one that was not measured."""
        if (study, codec) not in self._pairs:
            known = self.codecs(study) if study in self.studies else self.studies
            raise ParameterError(f"codec {codec!r} was not measured on study {study!r}; there are "
                                 f"{', '.join(map(repr, known)) or 'none'}")  # fmt: skip
        return self._pairs[study, codec]

    def _rows(self, study: str, codec: str) -> list[dict[str, Any]]:
        pairs = self._pairs[study, codec]
        rows = []
        for bound in self.about["bounds"]:
            place = chosen([tune for tune, _ in pairs], bound)
            row: dict[str, Any] = {"study": study, "codec": codec, "group": pairs[0][1]["group"],
                                   "bound": bound, "reached": place is not None}  # fmt: skip
            if place is not None:
                tune, test = pairs[place]
                shown = {k: v for k, v in test.items() if k not in (*HIDDEN, "study", "codec")}
                row |= {k: v for k, v in shown.items() if k not in ("group", "split")}
                row |= {"tune_loss": tune["loss"]}
                row["over_paper"] = self.gain(study, codec, self._paper(study), bound)
            rows.append(row)
        return rows

    def _paper(self, study: str) -> str | None:
        return next(iter(self.codecs(study, "paper")), None)

    def gain(self, study: str, codec: str, other: str | None, bound: float) -> Any:
        """{"saved", "low", "high"}: percent of bits saved against another codec and its 95 %
        interval, which covers the choice on tune samples and the streams; None where either has no
        setting within the bound.
        """
        if other is None or other == codec:
            return None
        return gain(self._measured(study, codec), self._measured(study, other), bound)

    def best(self, study: str, group: str, bound: float) -> str | None:
        """The codec of a group with the fewest bits within a bound on the tune split."""
        return next(iter(self.cheapest(study, group, bound)), None)

    def cheapest(self, study: str, group: str, bound: float) -> list[str]:
        """The codecs of a group within a bound, by the rising bits of their choices on tune."""
        found = []
        for codec in self.codecs(study, group):
            tune = [pair[0] for pair in self._pairs[study, codec]]
            place = chosen(tune, bound)
            if place is not None:
                found.append((tune[place]["bits"], codec))
        return [codec for _, codec in sorted(found)]

    @property
    def gains(self) -> list[dict[str, Any]]:
        """For each study and bound, the best of ours (chosen on the tune split) against the paper's
        codec, the best rival, and the best way to send the input.
        """
        rows = []
        for study in self.studies:
            for bound in self.about["bounds"]:
                ours = self.best(study, "ours", bound)
                for group in ("paper", "rival", "input"):
                    other = self.best(study, group, bound)
                    row = {"study": study, "bound": bound, "ours": ours, "against": other,
                           "group": group}  # fmt: skip
                    if ours and other and (found := self.gain(study, ours, other, bound)):
                        rows.append(row | found)
        return rows

    def bd_rates(self, method: str = "akima") -> list[dict[str, Any]]:
        """BD-rate over the paper's codec at equal squared error of the features, on test samples;
        where there is none, ``why``. At equal accuracy there is none by design: see
        :func:`lwfc.evaluation.bdrate.bd_rate`.
        """
        rows = []
        for study in self.studies:
            paper = self._paper(study)
            for codec in self.codecs(study):
                if paper is None or codec == paper or self.curve(study, codec)[0]["error"] is None:
                    continue
                curves = [_decibels(self.curve(study, name)) for name in (paper, codec)]
                row: dict[str, Any] = {"study": study, "codec": codec, "bd_rate": None, "why": ""}
                try:
                    row["bd_rate"] = bd_rate(*curves[0], *curves[1], method=method)
                except ParameterError as error:
                    row["why"] = str(error)
                rows.append(row)
        return rows

    @property
    def seconds(self) -> dict[str, float]:
        """Processor time of each codec's points, whenever they were measured."""
        found: dict[str, float] = {}
        for record in self.records:
            found[record["codec"]] = found.get(record["codec"], 0.0) + record["cpu_s"]
        return found

    # --- ways out -------------------------------------------------------------------------------

    def to_dict(self) -> dict[str, Any]:
        """Everything, JSON-able."""
        return {"about": self.about, "records": self.records}

    def to_json(self) -> str:
        """Everything as JSON; :meth:`from_json` reads it."""
        return json.dumps(self.to_dict(), allow_nan=False)

    @classmethod
    def from_json(cls, text: str) -> "Evaluation":
        """The evaluation of a :meth:`to_json`. Errors: FormatError for other text."""
        try:
            config = json.loads(text)
            return cls(config["records"], config["about"])
        except (ValueError, LookupError, TypeError) as error:
            raise FormatError(f"no evaluation as to_json writes it: {type(error).__name__}: {error}"
                              ) from error  # fmt: skip

    def to_pandas(self) -> Any:
        """Every point as a row of a pandas DataFrame; needs pandas."""
        try:
            import pandas
        except ImportError as error:
            raise ImportError("to_pandas needs pandas: pip install 'lwfc[viz]'") from error
        return pandas.DataFrame([{k: v for k, v in record.items() if k not in HIDDEN}
                                 for record in self.records])  # fmt: skip

    def plot(
        self,
        path: str | os.PathLike | None = None,
        studies: Sequence[str] | None = None,
        codecs: Sequence[str] | None = None,
    ) -> Any:
        """Rate-accuracy curves with 95 % bands, one panel a study; needs matplotlib.

        ``path``: also write the picture there. ``codecs``: the curves; by default lwfc's, the
        paper's, and in each panel the two rivals and the two ways to send the input that need the
        fewest bits. Returns the figure.
        """
        from .figure import draw

        if not self.studies:
            raise ParameterError(f"nothing was measured: {self.about['failed']}")
        studies, codecs = ([v] if isinstance(v, str) else v for v in (studies, codecs))
        studies = studies or self.studies
        every = dict.fromkeys(codec for study in studies for codec in self.codecs(study))
        for names, known in ((studies, self.studies), (codecs or (), every)):
            for name in names:
                if name not in known:
                    raise ParameterError(f"{name!r} was not measured; there are "
                                         f"{', '.join(map(repr, known))}")  # fmt: skip
        figure = draw(self, studies, codecs)
        if path is not None:
            try:
                figure.savefig(path, dpi=144)
            except ValueError as error:  # a format that it does not know
                raise ParameterError(f"path={os.fspath(path)!r}: {error}") from None
        return figure

    def to_html(self, path: str | os.PathLike | None = None) -> str:
        """The page of one file: curves, tables, settings on a click; nothing loaded elsewhere."""
        from .page import page

        text = page(self)
        if path is not None:
            replace_file(path, text.encode())
        return text

    def cells(self) -> list[list[str]]:
        """The chosen rows as text under their header."""
        return chosen_table(self)

    def __str__(self) -> str:
        lines = [text_table(self.cells(), left=(0, 1, 3))]
        lines += [f"{what} is left out: {why}" for what, why in self.about["failed"].items()]
        return "\n".join(lines + ["not complete"] * (not self.about.get("complete", True)))

    __repr__ = __str__

    def _repr_html_(self) -> str:
        head, *body = self.cells()
        return html_table(head, body)


def _key(record: Mapping[str, Any]) -> tuple[str, str, str]:
    return record["study"], record["codec"], json.dumps(record["setting"], sort_keys=True)


def _decibels(records: Iterable[Record]) -> tuple[list[float], list[float]]:
    """(bits, decibels) of the points no other beats in bits and squared error."""
    front = frontier(records, "error")
    return [r["bits"] for r in front], [float(decibels(r["error"])) for r in front]


def merge(parts: Iterable[Evaluation]) -> Evaluation:
    """One evaluation of several, of other studies or other codecs.

    Errors: ParameterError for parts whose bounds on the loss differ, or with the same in two.
    """
    parts = list(parts)
    if not parts:
        raise ParameterError("merge: no evaluations given")
    seen: set[tuple[str, str]] = set()
    about: dict[str, Any] = {"bounds": parts[0].about["bounds"], "complete": True}
    for part in parts:
        if part.about["bounds"] != about["bounds"]:
            raise ParameterError(f"merge: bounds {part.about['bounds']} in one part and "
                                 f"{about['bounds']} in another")  # fmt: skip
        twice = seen.intersection(part._pairs)
        if twice:
            raise ParameterError(f"merge: (study, codec) {', '.join(map(str, sorted(twice)))} in "
                                 "two parts")  # fmt: skip
        seen.update(part._pairs)
        about["complete"] = about["complete"] and part.about["complete"]
        for name in ("batch", "measure", "whole", "samples", "shape", "failed", "tools", "compute"):
            about[name] = about.get(name, {}) | part.about[name]
    return Evaluation([record for part in parts for record in part.records], about)
