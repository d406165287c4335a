"""What an attached codec did: bits per element, kilobytes per sample, times."""

import json
import math
import threading
from collections.abc import Sequence
from typing import Any

from ..base.show import html_table

__all__ = ["Recorder", "Report"]


class Recorder:
    """Sums over the calls of one attached layer; DataParallel replicas add from their threads."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._lock = threading.Lock()
        self.reset()

    def reset(self) -> None:
        """Forget all calls."""
        self.calls = self.samples = self.elements = self.nbytes = 0
        self.encode_ns = self.decode_ns = 0
        self.measured = True

    def add(self, shape: Sequence[int], nbytes: int | None, encode_ns: int, decode_ns: int) -> None:
        """Count one tensor; ``nbytes`` is None where no bytes were made."""
        with self._lock:
            self.calls += 1
            self.samples += shape[0] if len(shape) > 1 else 1
            self.elements += math.prod(shape)
            self.measured = self.measured and nbytes is not None
            self.nbytes += nbytes or 0
            self.encode_ns += encode_ns
            self.decode_ns += decode_ns

    def row(self) -> dict[str, Any]:
        """The numbers so far; None for what simulation does not know."""
        row: dict[str, Any] = {
            "layer": self.name,
            "calls": self.calls,
            "samples": self.samples,
            "elements": self.elements,
        }
        known = self.measured and self.elements > 0
        samples = max(1, self.samples)
        row["bits_per_element"] = 8 * self.nbytes / self.elements if known else None
        row["kB_per_sample"] = self.nbytes / 1000 / samples if known else None
        row["ratio_to_float32"] = 4 * self.elements / self.nbytes if known else None
        row["encode_ms_per_sample"] = self.encode_ns / 1e6 / samples if known else None
        row["decode_ms_per_sample"] = self.decode_ns / 1e6 / samples if known else None
        return row

    def __reduce__(self) -> tuple:
        return Recorder, (self.name,)


class Report:
    """Rows of plain dicts, one for each layer; prints as a table, in notebooks too.

    A kilobyte is 1000 bytes; all bytes of every stream count, headers included. Simulated runs
    make no bytes, so their rates and times are None.
    """

    def __init__(self, rows: Sequence[dict[str, Any]]) -> None:
        self.rows = list(rows)

    def to_json(self) -> str:
        """The rows as a JSON array."""
        return json.dumps(self.rows)

    def to_pandas(self) -> Any:
        """The rows as a pandas DataFrame; needs pandas."""
        try:
            import pandas
        except ImportError as error:
            raise ImportError("Report.to_pandas needs pandas: pip install pandas") from error
        return pandas.DataFrame(self.rows)

    def _cells(self) -> list[list[str]]:
        def text(value: Any) -> str:
            if value is None:
                return "-"
            return f"{value:.4g}" if isinstance(value, float) else str(value)

        names = list(self.rows[0]) if self.rows else ["layer"]
        return [names, *([text(row[name]) for name in names] for row in self.rows)]

    def __str__(self) -> str:
        cells = self._cells()
        widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
        return "\n".join(
            "  ".join(
                cell.ljust(width) if i == 0 else cell.rjust(width)
                for i, (cell, width) in enumerate(zip(line, widths, strict=True))
            ).rstrip()
            for line in cells
        )

    def __repr__(self) -> str:
        return str(self)

    def _repr_html_(self) -> str:
        head, *body = self._cells()
        return html_table(head, body)
