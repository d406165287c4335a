"""The evaluation's tables as text cells under their heads, for pages and for markdown."""

from collections.abc import Mapping
from typing import Any

from .text import gain_text, setting_text

__all__ = ["bd_table", "behind_table", "chosen_table", "compute_table", "gain_table", "over_table",
           "summary", "tool_table"]  # fmt: skip

Cells = list[list[str]]
OTHERS = {"paper": "the paper's codec", "rival": "the best rival", "input": "the input sent"}


def summary(result: Any, study: str) -> Cells:
    """For each codec the bits at each bound, and in brackets what that choice lost on test."""
    bounds = result.about["bounds"]
    found = {(row["codec"], row["bound"]): row for row in result.rows if row["study"] == study}

    def cell(codec: str, bound: float) -> str:
        row = found[codec, bound]
        return f"{row['bits']:.3g} ({row['loss']:.2f})" if row["reached"] else "not reached"

    head = ["codec", *(f"loss < {bound:g}" for bound in bounds)]
    return [head, *([codec, *(cell(codec, bound) for bound in bounds)]
                    for codec in result.codecs(study))]  # fmt: skip


def gain_table(result: Any) -> Cells:
    """The best of ours against the paper's codec, the best rival and the best input sent."""
    head = ["study", "loss <", "ours", "against", "which is", "bits saved (95 %)"]
    return [head, *([row["study"], f"{row['bound']:g}", row["ours"], row["against"],
                     OTHERS[row["group"]], gain_text(row)] for row in result.gains)]  # fmt: skip


def behind_table(result: Any) -> Cells:
    """Every codec that needs fewer bits than the best of ours, at each bound, on test samples; and
    those that reach a bound which none of ours does.
    """
    head = ["study", "loss <", "ours", "codec", "bits that ours saves (95 %)"]
    rows = []
    for row in result.rows:
        if row["group"] == "ours" or not row["reached"]:
            continue
        start = [row["study"], f"{row['bound']:g}"]
        ours = result.best(row["study"], "ours", row["bound"])
        found = ours and result.gain(row["study"], ours, row["codec"], row["bound"])
        if not found:
            rows.append([*start, "not reached", row["codec"], f"{row['bits']:.3g} bits"])
        elif found["saved"] < 0:
            rows.append([*start, ours, row["codec"], gain_text(found)])
    return [head, *rows]


def over_table(result: Any) -> Cells:
    """Choices whose loss on test samples is above their bound, and how sure that is."""
    head = ["study", "codec", "loss <", "loss on test samples (95 %)"]
    return [head, *([row["study"], row["codec"], f"{row['bound']:g}",
                     f"{row['loss']:.2f} ({row['low']:.2f} to {row['high']:.2f})"]
                    for row in result.rows if row["reached"] and row["loss"] > row["bound"])
            ]  # fmt: skip


def chosen_table(result: Any) -> Cells:
    """Every chosen setting and all that was measured of it."""
    head = ["study", "codec", "loss <", "setting", "bits", "bits, single", "kB/sample", "loss",
            "95 %", "over paper", "error", "encode ms", "decode ms"]  # fmt: skip
    return [head, *(_chosen(row) for row in result.rows)]


def _chosen(row: Mapping[str, Any]) -> list[str]:
    start = [row["study"], row["codec"], f"{row['bound']:g}"]
    if not row["reached"]:
        return [*start, "not reached", *["-"] * 9]
    numbers = (row["bits"], row.get("bits_single"))
    return [
        *start,
        setting_text(row["setting"]),
        *("-" if v is None else f"{v:.4g}" for v in numbers),
        f"{row['kb_per_sample']:.4g}",
        f"{row['loss']:.2f}",
        f"{row['low']:.2f} to {row['high']:.2f}",
        gain_text(row["over_paper"]),
        "-" if row["error"] is None else f"{row['error']:.3g}",
        f"{row['encode_ms']:.3g}",
        f"{row['decode_ms']:.3g}",
    ]


def bd_table(result: Any) -> Cells:
    """BD-rates over the paper's codec, or why there is none."""
    try:
        rows = result.bd_rates()
    except ImportError as error:
        return [["BD-rate"], [str(error)]]
    return [["study", "codec", "BD-rate, %", "why not"], *(
        [row["study"], row["codec"], "-" if row["bd_rate"] is None else f"{row['bd_rate']:.1f}",
         row["why"]] for row in rows)]  # fmt: skip


def tool_table(result: Any) -> Cells:
    """What runs as each codec, and the values measured of the options that it may choose."""
    options: dict[str, dict[str, set[Any]]] = {}
    for record in result.records:
        own = options.setdefault(record["codec"], {})
        for name, value in record["setting"].items():
            own.setdefault(name, set()).add(value)

    def listed(values: set[Any]) -> str:
        if all(isinstance(value, (int, float)) for value in values):
            return ", ".join(f"{value:g}" for value in sorted(values))
        return ", ".join(sorted(map(str, values)))

    return [["codec", "tool", "settings to choose from"], *(
        [codec, result.about["tools"].get(codec, ""),
         "; ".join(f"{name} {listed(values)}" for name, values in own.items()) or "one"]
        for codec, own in options.items())]  # fmt: skip


def compute_table(result: Any) -> Cells:
    """The other way out: the whole network on the device, no bits, no loss, its compute."""
    head = ["study", "first half, million multiply-adds a sample", "whole network: 0 bits, loss 0"]
    return [head, *([study, *(f"{found[part] / 1e6:.3g}" for part in ("edge", "whole"))]
                    for study, found in result.about["compute"].items() if found)]  # fmt: skip
