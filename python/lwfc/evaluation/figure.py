"""The evaluation's plot, drawn by matplotlib."""

from collections.abc import Sequence
from typing import Any

__all__ = ["COLOURS", "colours", "draw"]

COLOURS = ("#3b6fb6", "#e08214", "#1a9850", "#7b5aa6", "#d73027", "#a6761d", "#1b9e9e", "#e7298a",
           "#66a61e", "#666666", "#80b1d3", "#b15928")  # fmt: skip
PAPER = "#222222"
MOST = 4.0  # points of loss on the axis
WIDE = 3  # panels in a row


def colours(result: Any) -> dict[str, str]:
    """A colour for each codec, the same in every study."""
    found: dict[str, str] = {}
    for study in result.studies:
        for group in ("ours", "rival", "input", "paper"):
            for codec in result.codecs(study, group):
                other = COLOURS[len(found) % len(COLOURS)]
                found.setdefault(codec, PAPER if group == "paper" else other)
    return found


def draw(result: Any, studies: Sequence[str]) -> Any:
    """A figure of loss against bits, a panel a study, with the intervals of the losses as bands."""
    try:
        import matplotlib.pyplot as plt
    except ImportError as error:
        raise ImportError("Evaluation.plot needs matplotlib: pip install 'lwfc[viz]'") from error
    wide = min(WIDE, len(studies))
    tall = -(-len(studies) // wide)
    figure, panels = plt.subplots(tall, wide, figsize=(5.2 * wide, 4.2 * tall), squeeze=False)
    paint = colours(result)
    for panel, study in zip(panels.flat, studies, strict=False):
        for codec in result.codecs(study):
            curve = result.curve(study, codec)
            bits = [r["bits"] for r in curve]
            line = "--" if curve[0]["group"] == "input" else "-"
            panel.plot(bits, [r["loss"] for r in curve], "o" + line, color=paint[codec],
                       markersize=3, linewidth=1.2, label=codec)  # fmt: skip
            panel.fill_between(bits, [r["low"] for r in curve], [r["high"] for r in curve],
                               color=paint[codec], alpha=0.12, linewidth=0)  # fmt: skip
        for bound in result.about["bounds"]:
            panel.axhline(bound, color="#bbbbbb", linewidth=0.6)
        panel.set_ylim(MOST, -0.5)
        panel.set_xscale("log")
        shape = "x".join(map(str, result.about["shape"][study]))
        panel.set_title(f"{study}, {shape}", fontsize=10)
        panel.set_xlabel("bits per element, every byte counted")
        panel.set_ylabel(f"{result.about['measure'][study]}: points lost")
        panel.legend(fontsize=7)
    for panel in list(panels.flat)[len(studies) :]:
        panel.set_axis_off()
    figure.tight_layout()
    return figure
