"""Exploration: what an exploration found, as rows, tables, plots, a page, and overlays."""

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ..base.errors import ParameterError
from ..base.files import replace_file
from ..base.show import html_table, text_table
from ..base.unbeaten import unbeaten
from .cuts import Cut
from .link import TIMES, Link, latency

__all__ = ["Exploration", "merge"]

SHOWN = ("cut", "profile", "pass", "live", "raw_bytes", "coded_bytes", "bits_per_element",
         "codec_bytes", "head_macs", "tail_macs", *TIMES, "total_ms", "loss", "agreement", "metric",
         "shape")  # fmt: skip


class Exploration:
    """Entries, one for each cut and profile, seen through a link and the speed of both sides.

    ``rows`` are plain dicts. ``kind`` is "split", "device" (everything on the device) or "cloud"
    (the input image to the cloud); ``pass`` is "exact" where codecs were calibrated and the
    network run behind them, "estimate" otherwise. Bytes are all those of one sample; milliseconds
    are scaled to the two sides; ``loss`` is the relative squared error of the outputs, ``within``
    whether it keeps to the bound that was asked for.
    """

    def __init__(
        self,
        entries: Sequence[Mapping[str, Any]],
        cuts: Iterable[Cut] | Mapping[str, Cut],
        link: Link | None,
        edge_speed: float = 1.0,
        cloud_speed: float = 1.0,
        about: Mapping[str, Any] | None = None,
    ) -> None:
        self.entries = [dict(entry) for entry in entries]
        self.cuts = dict(cuts) if isinstance(cuts, Mapping) else {cut.name: cut for cut in cuts}
        self.link, self.edge_speed, self.cloud_speed = link, edge_speed, cloud_speed
        self.about = dict(about or {})
        self.rows = [self._row(entry) for entry in self.entries]

    def _row(self, entry: Mapping[str, Any]) -> dict[str, Any]:
        cut, total = self.cuts.get(entry["cut"]), self.about.get("macs")
        nbytes = entry["coded_bytes"]
        if cut is None:
            macs = (total, 0) if entry["kind"] == "device" else (0, total)
        else:
            macs = cut.macs or (None, None)
        elements = cut.elements if cut else None
        return {
            "kind": entry["kind"],
            "cut": entry["cut"],
            "at": list(cut.at) if cut else [],
            "profile": entry["profile"],
            "pass": entry["pass"],
            "settings": entry["settings"],
            "live": len(cut.tensors) if cut else None,
            "shape": "; ".join(map(str, cut.tensors)) if cut else "",
            "elements": elements,
            "raw_bytes": cut.nbytes if cut else None,
            "coded_bytes": nbytes,
            "bits_per_element": 8 * nbytes / elements if elements and nbytes is not None else None,
            "codec_bytes": entry.get("codec_bytes"),
            "head_macs": macs[0],
            "tail_macs": macs[1],
            **latency(entry["measured"], nbytes, self.link, self.edge_speed, self.cloud_speed),
            "loss": entry["loss"],
            "within": self._within(entry),
            "agreement": entry.get("agreement"),
            "metric": entry.get("metric"),
        }

    # --- other views of the same measurements ---------------------------------------------------

    def replace(self, **about: Any) -> "Exploration":
        """The same with other notes in ``about``."""
        return Exploration(self.entries, self.cuts, self.link, self.edge_speed, self.cloud_speed,
                           self.about | about)  # fmt: skip

    def adding(self, entries: Iterable[Mapping[str, Any]]) -> "Exploration":
        """With more entries; an exact one takes the place of the estimate."""
        known = {(e["cut"], e["profile"]): dict(e) for e in self.entries}
        for entry in entries:
            key = entry["cut"], entry["profile"]
            if key not in known or (known[key]["pass"], entry["pass"]) != ("exact", "estimate"):
                known[key] = dict(entry)
        return Exploration(list(known.values()), self.cuts, self.link, self.edge_speed,
                           self.cloud_speed, self.about)  # fmt: skip

    def through(
        self, link: Link | None, edge_speed: float | None = None, cloud_speed: float | None = None
    ) -> "Exploration":
        """The same measurements over another link, on other devices; nothing runs again."""
        return Exploration(self.entries, self.cuts, link, edge_speed or self.edge_speed,
                           cloud_speed or self.cloud_speed, self.about)  # fmt: skip

    @property
    def best(self) -> dict[str, Any]:
        """The exact row of the lowest latency, the rows without a cut among them."""
        rows = [row for row in self.rows if row["pass"] == "exact" and self._within(row)]
        if not rows:
            raise ParameterError("no exact row yet: explore with shortlist= at least 1")
        return min(rows, key=lambda row: row["total_ms"])

    def _within(self, row: Mapping[str, Any]) -> bool:
        most = self.about.get("max_loss")
        return most is None or (row["loss"] is not None and row["loss"] <= most)

    @property
    def pareto(self) -> list[dict[str, Any]]:
        """The rows no other beats in both the device's time and the bytes sent, by rising bytes."""
        return unbeaten(
            (row for row in self.rows if self._within(row)),
            lambda row: row["coded_bytes"] or 0,
            lambda row: row["head_ms"] + row["encode_ms"],
        )

    # --- ways out -------------------------------------------------------------------------------

    def to_dict(self) -> dict[str, Any]:
        """Everything, JSON-able."""
        return {
            "about": self.about,
            "link": self.link and self.link.to_dict(),
            "edge_speed": self.edge_speed,
            "cloud_speed": self.cloud_speed,
            "cuts": [cut.to_dict() for cut in self.cuts.values()],
            "entries": self.entries,
        }

    @classmethod
    def from_dict(cls, config: Mapping[str, Any]) -> "Exploration":
        """The exploration of a :meth:`to_dict`."""
        link = config["link"] and Link(**config["link"])
        cuts = map(Cut.from_dict, config["cuts"])
        return cls(config["entries"], cuts, link, config["edge_speed"], config["cloud_speed"],
                   config["about"])  # fmt: skip

    def to_json(self) -> str:
        """Everything as JSON; :meth:`from_json` reads it."""
        return json.dumps(self.to_dict(), allow_nan=False)

    @classmethod
    def from_json(cls, text: str) -> "Exploration":
        """The exploration of a :meth:`to_json`."""
        return cls.from_dict(json.loads(text))

    def to_pandas(self) -> Any:
        """The rows as a pandas DataFrame; needs pandas."""
        try:
            import pandas
        except ImportError as error:
            raise ImportError("to_pandas needs pandas: pip install 'lwfc[viz]'") from error
        return pandas.DataFrame(self.rows)

    def plot(self, ax: Any = None) -> Any:
        """Latency and bytes along the depth of the network, and the Pareto front; needs matplotlib.

        ``ax``: two axes to draw on; None makes a figure. Returns the axes.
        """
        from .figure import draw

        return draw(self, ax)

    def to_html(self, path: str | os.PathLike | None = None) -> str:
        """The page of one file: table and pictures, nothing loaded from elsewhere."""
        from .page import page

        text = page(self)
        if path is not None:
            replace_file(path, text.encode())
        return text

    def to_model_explorer(self, column: str = "total_ms", graph: str = "main") -> dict[str, Any]:
        """Node data for Google's Model Explorer: a value for each layer that a cut names.

        ``column``: of the rows, e.g. "coded_bytes"; a layer gets its best row's. ``graph``: the
        graph's name there. Write it with ``json.dump``.
        """
        values: dict[str, float] = {}
        for row in self.rows:
            if row["kind"] == "split" and row.get(column) is not None:
                for name in row["at"]:
                    node = name.replace(".", "/")
                    value = float(row[column])
                    values[node] = min(value, values.get(node, value))
        if not values:
            raise ParameterError(f"column={column!r}: no row has a number there")
        return {
            graph: {
                "name": f"lwfc {column}",
                "results": {node: {"value": value} for node, value in values.items()},
                "gradient": [
                    {"stop": 0.0, "bgColor": "#1a9850", "textColor": "#ffffff"},
                    {"stop": 0.5, "bgColor": "#fee08b", "textColor": "#000000"},
                    {"stop": 1.0, "bgColor": "#d73027", "textColor": "#ffffff"},
                ],
            }
        }

    def cells(self) -> list[list[str]]:
        """Header and rows as text; columns in which nothing is known are left out."""
        names = [n for n in SHOWN if any(row[n] not in (None, "") for row in self.rows)]
        return [list(names), *([_text(n, row[n]) for n in names] for row in self.rows)]

    def __str__(self) -> str:
        head, *body = self.cells()
        kept = [i for i, name in enumerate(head) if name != "shape"]
        return text_table([[line[i] for i in kept] for line in (head, *body)], left=(0, 1, 2))

    __repr__ = __str__

    def _repr_html_(self) -> str:
        head, *body = self.cells()
        return html_table(head, body)


def _text(name: str, value: Any) -> str:
    if value is None:
        return "-"
    if name.endswith("macs"):
        return f"{value / 1e6:.4g} M"
    if name.endswith("bytes"):
        return f"{value:,.0f}"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def merge(parts: Iterable[Exploration]) -> Exploration:
    """One exploration of several that looked at parts of the same network's cuts.

    Of a cut that several have, an exact row is kept over an estimate, a later one over an earlier.
    Errors: ParameterError for parts of different networks, links or bounds of the loss.
    """
    parts = list(parts)
    if not parts:
        raise ParameterError("merge: no explorations given")
    first = parts[0]
    fixed = ("network", "macs", "max_loss")
    whole = first
    for part in parts[1:]:
        for name in fixed:
            if part.about.get(name) != first.about.get(name):
                raise ParameterError(
                    f"merge: {name} is {part.about.get(name)!r} in one part and "
                    f"{first.about.get(name)!r} in another"
                )
        joined = Exploration([], whole.cuts | part.cuts, first.link, first.edge_speed,
                             first.cloud_speed, whole.about)  # fmt: skip
        complete = bool(whole.about.get("complete") and part.about.get("complete"))
        whole = joined.adding(whole.entries).adding(part.entries).replace(complete=complete)
    return whole
