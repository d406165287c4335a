"""The explorer's plot, drawn by matplotlib."""

from typing import Any

from .link import TIMES

__all__ = ["draw"]

COLOURS = ("#3b6fb6", "#8fb8de", "#e08214", "#fdb863", "#b2abd2", "#7b5aa6")


def draw(result: Any, ax: Any = None) -> Any:
    """Stacked latencies and coded bytes for the best row of each cut; the Pareto front."""
    try:
        import matplotlib.pyplot as plt
    except ImportError as error:
        raise ImportError("Exploration.plot needs matplotlib: pip install 'lwfc[viz]'") from error
    rows = best_rows(result)
    if ax is None:
        size = 12, 0.32 * len(rows) + 2
        _, ax = plt.subplots(1, 2, figsize=size, width_ratios=(2, 1), layout="constrained")
    bars, front = ax
    places, left = range(len(rows)), [0.0] * len(rows)
    for name, colour in zip(TIMES, COLOURS, strict=True):
        widths = [row[name] for row in rows]
        bars.barh(places, widths, left=left, color=colour, label=name.removesuffix("_ms"))
        left = [a + b for a, b in zip(left, widths, strict=True)]
    bars.set_yticks(places, [label(row) for row in rows], fontsize=8)
    bars.invert_yaxis()
    bars.set_xlabel("milliseconds a sample")
    bars.legend(fontsize=8, ncols=3)
    across = bars.twiny()
    sent = [(row["coded_bytes"], i) for i, row in enumerate(rows) if row["coded_bytes"]]
    across.plot(*zip(*sent, strict=True), "k.-", linewidth=0.8) if sent else None
    across.set_xscale("log")
    across.set_xlabel("bytes sent (points)")
    points = [(row["coded_bytes"] or 1, row["head_ms"] + row["encode_ms"]) for row in result.rows]
    front.scatter(*zip(*points, strict=True), s=9, color="#999999")
    best = [(row["coded_bytes"] or 1, row["head_ms"] + row["encode_ms"]) for row in result.pareto]
    front.plot(*zip(*best, strict=True), "o-", color="#d73027", markersize=4, label="Pareto front")
    front.set_xscale("log")
    front.set_xlabel("bytes sent")
    front.set_ylabel("milliseconds on the device")
    front.legend(fontsize=8)
    return ax


def best_rows(result: Any) -> list[dict[str, Any]]:
    """For each cut, by depth, its row of least latency, exact ones first; then the others."""
    found: dict[str, dict[str, Any]] = {}
    for row in result.rows:
        key = row["cut"] if row["kind"] == "split" else f"{row['cut']} {row['profile']}"
        known = found.get(key)
        rank = (row["pass"] != "exact", row["total_ms"])
        if known is None or rank < (known["pass"] != "exact", known["total_ms"]):
            found[key] = row
    order = {name: i for i, name in enumerate(result.cuts)}
    return sorted(found.values(), key=lambda row: order.get(row["cut"], len(order)))


def label(row: dict[str, Any]) -> str:
    """A row's name on an axis."""
    if row["kind"] == "device":
        return "all on the device"
    if not row["within"]:
        row = row | {"cut": f"{row['cut']} (loss too high)"}
    name = f"{row['cut']} as {row['profile']}" if row["kind"] == "cloud" else row["cut"]
    return name if row["pass"] == "exact" else f"{name} (estimate)"
