"""What a search for settings found, and the bytes it goes by."""

import json
from dataclasses import dataclass
from typing import Any

from ..base.checks import finite_or_none
from ..base.errors import ParameterError
from ..base.show import html_table, text_table
from ..codec.codec import Codec
from .samples import opened
from .search import pareto

__all__ = ["TuneResult", "checked_rate", "measure_bytes"]

COLUMNS = ("transform", "step", "levels", "clip_scale", "quantizer", "rate_weight", "restore",
           "restore_strength", "coder", "bits_per_element", "metric", "loss", "upper")  # fmt: skip


@dataclass(frozen=True)
class TuneResult:
    """What a search found.

    ``codec`` is the best within the bound, or None if none is; ``best`` its row; ``rows`` all that
    was tried, plain dicts; ``reference`` the metric without compression; ``mode`` says whether a
    larger metric is better ("max") or a smaller one ("min").
    """

    codec: Codec | None
    best: dict[str, Any] | None
    rows: list[dict[str, Any]]
    reference: float
    max_loss: float
    mode: str = "max"

    @property
    def pareto(self) -> list[dict[str, Any]]:
        """The rows no other beats in both bytes and metric (the loss's upper bound, where scores
        gave one), by falling bytes.
        """
        return pareto(self.rows, self.mode)

    def to_json(self) -> str:
        """Everything but the codec, as JSON; what is no finite number as null."""
        return json.dumps(
            {"reference": self.reference, "max_loss": finite_or_none(self.max_loss)}
            | {"mode": self.mode, "best": _plain(self.best), "rows": list(map(_plain, self.rows))},
            allow_nan=False,
        )

    def _cells(self) -> list[list[str]]:
        def text(value: Any) -> str:
            return f"{value:.4g}" if isinstance(value, float) else str(value)

        names = [name for name in COLUMNS if any(name in row for row in self.rows)]
        marks = [names + [""]]
        for row in self.pareto:
            marks.append([text(row.get(n, "")) for n in names] + ["*" if row == self.best else ""])
        return marks

    def _nothing(self) -> str:
        """What to do where no row is within the bound; else ""."""
        if self.best is not None:
            return ""
        losses = [finite_or_none(row.get("upper", row["loss"])) for row in self.rows]
        known = [loss for loss in losses if loss is not None]
        least = f"; the least is {min(known):.4g}" if known else ""
        scored = any("upper" in row for row in self.rows)
        more = ", or more labelled samples, which bring upper down" if scored else ""
        return (
            f"no setting is within max_loss={self.max_loss:g}, so codec is None{least}: "
            f"allow more, or try finer settings (levels=, transform=){more}"
        )

    def __str__(self) -> str:
        return "\n".join(filter(None, [text_table(self._cells()), self._nothing()]))

    def _repr_html_(self) -> str:
        head, *body = self._cells()
        nothing = self._nothing()
        return html_table(head, body) + (nothing and f"<p>{nothing}</p>")


def _plain(row: dict[str, Any] | None) -> dict[str, Any] | None:
    return row and {name: finite_or_none(value) for name, value in row.items()}


def checked_rate(nbytes: int, elements: int) -> tuple[int, int]:
    """The same; nothing coded is no rate of 0 bits. Errors: ParameterError."""
    if elements <= 0 or nbytes < 0:
        raise ParameterError(
            f"{nbytes} bytes for {elements} elements: evaluate(codec) must return the elements "
            "that were coded, or measured= must hold some"
        )
    return nbytes, elements


def measure_bytes(codec: Codec, samples: Any, num_threads: int | None = 1) -> tuple[int, int]:
    """(bytes, elements) of the samples coded one by one, every byte counted."""
    nbytes = elements = 0
    with opened(samples) as batches:
        for batch in batches.walk("bytes"):
            for i in range(len(batch)):
                nbytes += len(codec.encode(batch[i : i + 1], num_threads=num_threads))
                elements += batch[i].size
    return nbytes, elements
