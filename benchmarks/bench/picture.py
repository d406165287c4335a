"""Speed against bits, as a picture of the peers' rows."""

from pathlib import Path
from typing import Any

__all__ = ["draw_peers"]


def draw_peers(rows: list[dict[str, Any]], data: str, target: Path) -> None:
    """One data set: bits a symbol across, encoding and decoding speed up; ours in colour."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    rows = [row for row in rows if row["data"] == data and "memcpy" not in row["peer"]]
    figure, axes = plt.subplots(1, 2, figsize=(12, 5), sharey=True, layout="constrained")
    for ax, which in zip(axes, ("encode_s", "decode_s"), strict=True):
        for row in rows:
            ours = row["peer"].startswith("lwfc")
            speed = row["elements"] / row[which] / 1e6
            ax.plot(row["bits"], speed, "o", color="tab:red" if ours else "tab:gray")
            ax.annotate(row["peer"], (row["bits"], speed), xytext=(4, 3), fontsize=7,
                        textcoords="offset points",
                        color="tab:red" if ours else "black")  # fmt: skip
        ax.set(xlabel="bits a symbol", yscale="log", title=which.removesuffix("_s"))
        ax.grid(alpha=0.3)
    axes[0].set_ylabel("million symbols a second, one core")
    figure.suptitle(f"Data set {data}, {rows[0]['levels']} levels: symbols to bytes and back")
    figure.savefig(target, dpi=110)
    plt.close(figure)
