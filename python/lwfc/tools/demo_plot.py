"""The demo's picture: rate against accuracy, and what the quantizer does to the values."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..base.errors import LwfcError
from ..calibration.calibrate import calibrate
from ..model.activation import ActivationModel
from .demo_networks import Network

try:
    import matplotlib

    matplotlib.use("agg")
    from matplotlib import pyplot
except ImportError as error:
    raise LwfcError("--plot needs matplotlib: pip install 'lwfc[viz]'") from error

__all__ = ["draw"]

STYLES = {
    "uniform": dict(marker="o", color="tab:blue", label="paper's codec, uniform"),
    "ecsq": dict(marker="s", color="tab:orange", label="paper's codec, entropy-constrained"),
    "uniform+": dict(marker="v", color="tab:purple", label="paper's codec, other ranges"),
    "context": dict(marker="D", color="tab:red", label="context coder, the wide range's symbols"),
    "lwfc": dict(marker="*", markersize=11, color="tab:green", label="context coder + restoration"),
    "dct": dict(marker="P", markersize=8, color="black", label="transform, tuned to the outputs"),
}
SHOWN_LEVELS = 4


def draw_rates(axes: Any, network: Network) -> None:
    """Metric over bits per element, a line for each kind of codec."""
    axes.axhline(network.reference, color="black", lw=1, label="uncompressed")
    axes.axhline(network.reference - 1, color="grey", lw=1, ls=":", label="one point less")
    for name, style in STYLES.items():
        rows = sorted(
            (row for row in network.rows if row["codec"] == name),
            key=lambda row: row["bits_per_element"],
        )
        if rows:
            x = [row["bits_per_element"] for row in rows]
            axes.plot(x, [row["value"] for row in rows], lw=1.2, **style)
            for row in rows if rows[0]["levels"] else ():
                place = (row["bits_per_element"], row["value"])
                axes.annotate(f" {row['levels']}", place, fontsize=7, va="top")
    lowest = min(row["value"] for row in network.rows)
    axes.set_ylim(max(lowest, network.reference - 6) - 0.3, network.reference + 1)
    axes.set_xlim(left=0)
    axes.set_xlabel("bits per element, all bytes counted (numbers: levels)")
    axes.set_ylabel(network.metric)
    axes.set_title(network.name)
    axes.legend(fontsize=7, loc="best")
    axes.grid(alpha=0.3)


def draw_quantizer(axes: Any, network: Network) -> None:
    """Histogram of the layer, the fitted density, thresholds and levels for four levels."""
    values = network.calibration.ravel()[:1_000_000].astype(np.float64)
    slope = network.slope if network.activation == "leaky_relu" else None
    model = ActivationModel.fit(values.mean(), values.var(), network.activation, slope)
    codec = calibrate(
        network.calibration,
        levels=SHOWN_LEVELS,
        activation=network.activation,
        slope=network.slope,
    )
    top = float(codec.values.max()) * 1.3
    bottom = min(0.0, float(np.percentile(values, 0.1)))
    shown = values[values != 0] if network.activation == "relu" else values
    counts, edges = np.histogram(shown, bins=150, range=(bottom, top))
    density = counts / len(values) / np.diff(edges)
    axes.stairs(density, edges, fill=True, color="lightgrey", label="calibration features")
    y = np.linspace(bottom, top, 800)
    y = y[y != 0]
    axes.plot(y, model.pdf(y), color="tab:red", lw=1.2, label="fitted model")
    for i, threshold in enumerate(codec.thresholds[0]):
        label = "thresholds" if i == 0 else None
        axes.axvline(threshold, color="tab:blue", lw=1, ls="--", label=label)
    axes.plot(codec.values[0], np.full(SHOWN_LEVELS, 1e-4), "^", color="black", clip_on=False,
              label=f"levels, N = {SHOWN_LEVELS}")  # fmt: skip
    axes.set_yscale("log")
    axes.set_ylim(1e-4, 3 * max(density.max(), 0.1))
    zeros = f", {np.mean(values == 0):.0%} zeros" if network.activation == "relu" else ""
    axes.set_title(f"{network.name}: activations{zeros}")
    axes.set_xlabel("activation")
    axes.set_ylabel("density")
    axes.legend(fontsize=7, loc="upper right")


def draw(networks: Sequence[Network], path: str) -> None:
    """Write the picture of all networks to a file."""
    figure, grid = pyplot.subplots(
        len(networks), 2, figsize=(11, 4 * len(networks)), squeeze=False, layout="constrained"
    )
    for (left, right), network in zip(grid, networks, strict=True):
        draw_rates(left, network)
        draw_quantizer(right, network)
    figure.savefig(path, dpi=130)
    pyplot.close(figure)
