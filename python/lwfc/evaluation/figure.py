"""The evaluation's plot, drawn by matplotlib."""

from collections.abc import Sequence
from typing import Any

__all__ = ["MOST", "colours", "draw", "outstanding"]

# Ours are strong, the paper's is black, the rest is paler.
OURS = ("#d62728", "#ff7f0e", "#e377c2", "#9467bd", "#8c564b")
COLOURS = ("#1f77b4", "#17becf", "#2ca02c", "#bcbd22", "#7f7f7f", "#6b8ba4", "#a1c45a", "#4b8f8c",
           "#b59f3b", "#5a6fb0", "#93b7be", "#8a9a5b", "#3d7a99", "#c2a878", "#66b2a0",
           "#9aa3ad", "#2f6f4f", "#7b8cde", "#b0b36a")  # fmt: skip
INPUTS = ("#0b5345", "#1a5276", "#00a3a3", "#4a7c0f", "#6d4c41", "#3f51b5", "#9e9d24")
PAPER = "#111111"
MOST = 4.0  # points of loss on the axis
WIDE = 3  # panels in a row
NEAREST = 2  # rivals, and ways to send the input, of each panel


def colours(result: Any) -> dict[str, str]:
    """A colour for each codec, the same in every study."""
    found: dict[str, str] = {}
    for group, palette in (("ours", OURS), ("rival", COLOURS), ("input", INPUTS)):
        # Ours from the smallest on, which stands last.
        names = [codec for study in result.studies
                 for codec in result.codecs(study, group)[:: -1 if group == "ours" else 1]]
        for i, codec in enumerate(dict.fromkeys(names)):
            found[codec] = palette[i % len(palette)]
    papers = [codec for study in result.studies for codec in result.codecs(study, "paper")]
    return found | dict.fromkeys(papers, PAPER)


def outstanding(result: Any, study: str) -> list[str]:
    """The codecs worth a look first: ours, the paper's, the rivals and inputs of fewest bits."""
    bound = result.about["bounds"][-1]
    return [*result.codecs(study, "paper"), *result.codecs(study, "ours"),
            *result.cheapest(study, "rival", bound)[:NEAREST],
            *result.cheapest(study, "input", bound)[:NEAREST]]  # fmt: skip


def draw(result: Any, studies: Sequence[str], codecs: Sequence[str] | None) -> Any:
    """A figure of loss against bits, a panel a study, with the intervals of the losses as bands."""
    try:
        import matplotlib.pyplot as plt
        from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter
    except ImportError as error:
        raise ImportError("Evaluation.plot needs matplotlib: pip install 'lwfc[viz]'") from error
    wide = 2 if len(studies) == 4 else min(WIDE, len(studies))
    tall = -(-len(studies) // wide)
    figure, panels = plt.subplots(tall, wide, figsize=(4.4 * wide, 3.7 * tall + 0.9),
                                  squeeze=False, layout="constrained")  # fmt: skip
    paint = colours(result)
    for panel, study in zip(panels.flat, studies, strict=False):
        shown = codecs or outstanding(result, study)
        for codec in [codec for codec in result.codecs(study) if codec in shown]:
            curve = result.curve(study, codec)
            bits = [r["bits"] for r in curve]
            ours, sent = (curve[0]["group"] == group for group in ("ours", "input"))
            panel.fill_between(bits, [r["low"] for r in curve], [r["high"] for r in curve],
                               color=paint[codec], alpha=0.13, linewidth=0)  # fmt: skip
            panel.plot(bits, [r["loss"] for r in curve], "o--" if sent else "o-", markersize=3.5,
                       color=paint[codec], linewidth=2 if ours else 1.4,
                       label=f"lwfc {codec}" if ours else codec,
                       zorder=3 if ours else 2)  # fmt: skip
        for bound in result.about["bounds"]:
            panel.axhline(bound, color="#cccccc", linewidth=0.7, zorder=0)
        panel.set_ylim(MOST, -0.6)
        panel.set_xscale("log")
        panel.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        panel.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        panel.xaxis.set_minor_formatter(NullFormatter())
        panel.tick_params(labelsize=8.5)
        panel.spines[["top", "right"]].set_visible(False)
        shape = "x".join(map(str, result.about["shape"][study]))
        panel.set_title(f"{study}, {shape}", fontsize=11)
        panel.set_xlabel("bits per element")
        panel.set_ylabel(f"points of {result.about['measure'][study]} lost")
    for panel in list(panels.flat)[len(studies) :]:
        panel.set_axis_off()
    named: dict[str, Any] = {}
    for panel in panels.flat:
        lines, labels = panel.get_legend_handles_labels()
        named |= dict(zip(labels, lines, strict=True))
    places = list(paint)
    order = sorted(named, key=lambda label: places.index(label.removeprefix("lwfc ")))
    figure.legend([named[codec] for codec in order], order, loc="outside lower center", fontsize=9,
                  ncol=max(2, min(len(order), round(2.2 * wide))), frameon=False)  # fmt: skip
    return figure
