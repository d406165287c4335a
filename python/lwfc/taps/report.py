"""What attached codecs did: bytes in and out, bits per element, clipping, times."""

import json
import math
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, fields
from typing import Any

from ..base.show import html_table, text_table

__all__ = ["Counts", "Recorder", "Report"]

# What is printed; to_pandas() and the rows have everything.
COLUMNS = ("layer", "calls", "samples", "bytes_in", "bytes_out", "ratio", "bits_per_element",
           "kB_per_sample", "clipped", "raw_blocks", "encode_ms_per_sample",
           "decode_ms_per_sample", "note")  # fmt: skip
CALLS_SHOWN = 8
NO_AXIS = "no figures per sample, as axis 0 may be time: attach(..., sample_axis=) tells"


@dataclass
class Counts:
    """Sums over tensors that were coded. ``samples`` counts inputs of the model."""

    calls: int = 0
    passes: int = 0  # forward passes of the model
    samples: int = 0
    sampled: bool = True  # whether the samples of every pass are known
    elements: int = 0
    bytes_in: int = 0
    bytes_out: int = 0
    measured: bool = True  # whether every call made bytes
    clipped: int = 0  # values outside the codec's range
    blocks: int = 0
    raw_blocks: int = 0
    encode_ns: int = 0
    decode_ns: int = 0

    def add(self, other: "Counts") -> None:
        """Add another's sums to these."""
        for field in fields(self):
            mine, theirs = getattr(self, field.name), getattr(other, field.name)
            both = mine and theirs if isinstance(mine, bool) else mine + theirs
            setattr(self, field.name, both)

    def row(self, layer: str, note: str) -> dict[str, Any]:
        """As a report shows them; None for what is not known."""
        known = self.measured and self.elements > 0
        samples = self.samples if self.sampled and self.samples else None
        each = samples if known else None

        def per(total: float, count: float | None) -> float | None:
            return total / count if count else None

        return {
            "layer": layer,
            "calls": self.calls,
            "passes": self.passes,
            "calls_per_pass": per(self.calls, self.passes),
            "samples": samples if self.calls else 0,
            "elements": self.elements,
            "bytes_in": self.bytes_in,
            "bytes_out": self.bytes_out if known else None,
            "ratio": per(self.bytes_in, self.bytes_out) if known else None,
            "ratio_to_float32": per(4 * self.elements, self.bytes_out) if known else None,
            "bits_per_element": 8 * self.bytes_out / self.elements if known else None,
            "kB_per_sample": per(self.bytes_out / 1000, each),
            "clipped": per(self.clipped, self.elements),
            "blocks": self.blocks if known else None,
            "raw_blocks": self.raw_blocks if known else None,
            "encode_ms_per_sample": per(self.encode_ns / 1e6, each),
            "decode_ms_per_sample": per(self.decode_ns / 1e6, each),
            "note": note if self.sampled else NO_AXIS,
        }


class Recorder:
    """Sums over the calls of one attached layer; DataParallel replicas add from their threads."""

    def __init__(self, measure: Callable[[Any], tuple[int | None, int]]) -> None:
        self.measure = measure  # of a tensor: samples of the pass, or None, and clipped values
        self._lock = threading.Lock()
        self.reset()

    def reset(self) -> None:
        """Forget all calls."""
        self.by_call: dict[int, Counts] = {}

    def add(self, call: int, counts: Counts) -> None:
        """Count a tensor of the layer's ``call``-th call (from 0) in a forward pass."""
        with self._lock:
            self.by_call.setdefault(call, Counts()).add(counts)


class Report:
    """Rows of plain dicts, one for each layer; prints as a table, in notebooks too.

    ``report[0]`` and ``report["layer2"]`` are rows; ``report.calls`` is a report with a row for
    each call of layers that run several times in a forward pass. ``a + b`` adds up two reports,
    e.g. of two processes.

    A kilobyte is 1000 bytes; all bytes of every stream count, headers included. Samples are inputs
    of the model, however often it calls the layer. ``clipped`` is the share of values outside the
    codec's range; ``raw_blocks`` are those whose symbols were only packed, as no coder was smaller.
    Simulated runs make no bytes, so their rates and times are None.
    """

    def __init__(self, layers: Iterable[tuple[str, dict[int, Counts], str]]) -> None:
        self._layers = list(layers)
        self.rows = [_total(by_call).row(name, note) for name, by_call, note in self._layers]

    def __getitem__(self, layer: Any) -> Any:
        if not isinstance(layer, str):
            return self.rows[layer]
        for row in self.rows:
            if row["layer"] == layer:
                return row
        raise KeyError(f"no layer {layer!r}; the report has {[row['layer'] for row in self.rows]}")

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return iter(self.rows)

    @property
    def calls(self) -> "Report":
        """A row for each call in a forward pass, named "layer #0", "layer #1" and so on."""
        return Report(
            (f"{name} #{call}", {0: counts}, "")
            for name, by_call, _ in self._layers
            for call, counts in sorted(by_call.items())
        )

    def __add__(self, other: "Report") -> "Report":
        if not isinstance(other, Report):
            return NotImplemented
        merged: dict[str, tuple[dict[int, Counts], str]] = {}
        for name, by_call, note in [*self._layers, *other._layers]:
            sums, notes = merged.get(name, ({}, note))
            for call, counts in by_call.items():
                sums.setdefault(call, Counts()).add(counts)
            # A layer that ran in one of them did run.
            merged[name] = sums, note if notes and not note else notes
        return Report((name, sums, note) for name, (sums, note) in merged.items())

    def to_json(self) -> str:
        """The rows as a JSON array."""
        return json.dumps(self.rows)

    def to_pandas(self) -> Any:
        """The rows as a pandas DataFrame; needs pandas."""
        try:
            import pandas
        except ImportError as error:
            raise ImportError(
                "Report.to_pandas needs pandas: pip install 'lwfc[viz]', or pandas alone"
            ) from error
        return pandas.DataFrame(self.rows)

    def _shown(self) -> list[dict[str, Any]]:
        rows = []
        for row, (_, by_call, _) in zip(self.rows, self._layers, strict=True):
            rows.append(row)
            calls = sorted(by_call)
            if len(calls) > 1:
                rows += [by_call[k].row(f"  call {k}", "") for k in calls[:CALLS_SHOWN]]
            if len(calls) > CALLS_SHOWN:
                rows.append({"layer": f"  ... {len(calls)} calls a pass"})
        return rows

    def _cells(self) -> list[list[str]]:
        rows = self._shown()
        names = [name for name in COLUMNS if name != "note" or any(row["note"] for row in self)]
        return [names, *([_text(name, row.get(name)) for name in names] for row in rows)]

    def __str__(self) -> str:
        return text_table(self._cells(), left=(0, len(COLUMNS) - 1))

    def __repr__(self) -> str:
        return str(self)

    def _repr_html_(self) -> str:
        head, *body = self._cells()
        return html_table(head, body)


def _total(by_call: dict[int, Counts]) -> Counts:
    """Of all calls; each pass and its samples have a first call, and count there."""
    total = Counts()
    for counts in by_call.values():
        total.add(counts)
    if 0 in by_call:
        total.passes, total.samples = by_call[0].passes, by_call[0].samples
    return total


def _text(name: str, value: Any) -> str:
    if value is None:
        return "-"
    if name == "clipped":
        return f"{value:.2%}"
    return f"{value:.4g}" if isinstance(value, float) and math.isfinite(value) else str(value)
