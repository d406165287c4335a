"""The evaluation as one static HTML file: curves, bands, tables; a click on a point tells it."""

import html
import json
import math
from collections.abc import Collection, Sequence
from typing import Any

from ..base.show import html_table
from ..split.page import STYLE
from .figure import MOST, colours, outstanding
from .tables import (
    bd_table,
    behind_table,
    compute_table,
    gain_table,
    over_table,
    summary,
    tool_table,
)
from .text import setting_text

__all__ = ["page"]

OWN = """
.panels{display:flex;flex-wrap:wrap;gap:18px}.panel{width:560px}circle{cursor:pointer}
.codec{cursor:pointer;display:inline-block;margin-right:1em}.codec.off{opacity:.3}
.codec i{display:inline-block;width:10px;height:10px;margin-right:5px}
#told{position:sticky;top:0;background:#fffbe6;padding:6px 10px;border:1px solid #ddd;z-index:1;
min-height:2.9em;font-size:13px}circle.on{stroke:#000;stroke-width:2}
"""
SCRIPT = """
const told=document.getElementById('told');let last=null;
document.querySelectorAll('circle').forEach(c=>c.addEventListener('click',()=>{
 if(last)last.classList.remove('on');last=c;c.classList.add('on');told.textContent=c.dataset.told}));
document.querySelectorAll('.codec').forEach(k=>k.addEventListener('click',()=>{
 const off=k.classList.toggle('off');document.querySelectorAll('g[data-codec]').forEach(g=>{
 if(g.dataset.codec===k.dataset.codec)g.style.display=off?'none':''})}));
"""
WIDTH, HEIGHT, LEFT, BOTTOM, TOP, LEAST = 560, 380, 52, 44, 12, -0.7


def page(result: Any) -> str:
    """The whole document."""
    paint = colours(result)
    about = result.about
    first = {codec for study in result.studies for codec in outstanding(result, study)}
    keys = "".join(f'<span class="codec{" off" * (name not in first)}" '
                   f'data-codec="{html.escape(name)}"><i style="background:{colour}"></i>'
                   f"{html.escape(name)}</span>"
                   for name, colour in paint.items())  # fmt: skip
    panels = "".join(_panel(result, study, paint, first) for study in result.studies)
    summaries = "".join(f"<div><h3>{html.escape(study)}</h3>{_table(summary(result, study))}</div>"
                        for study in result.studies)  # fmt: skip
    parts = [
        "<h1>Bits against what a task loses</h1>",
        f"<p class=note>{html.escape(_facts(about))}</p>",
        "<div id=told>Click a point: its codec, setting and numbers. Click a name below to hide or "
        "show its curve; pale names are hidden.</div>",
        f"<p>{keys}</p><div class=panels>{panels}</div>",
        "<h2>Bits an element at each bound on the loss; in brackets the loss on test samples</h2>",
        f"<div class=panels>{summaries}</div>",
        "<h2>Ours against the paper's codec, the best of the others, and the input sent</h2>",
        _table(gain_table(result)),
        "<h2>Who needs fewer bits than the best of ours</h2>",
        _table(behind_table(result)),
        "<h2>Choices that lose more on test samples than their bound</h2>",
        _table(over_table(result)),
        "<h2>Chosen settings</h2>",
        _table(result.cells()),
        "<h2>BD-rate over the paper's codec, at equal squared error of the features</h2>",
        _table(bd_table(result)),
    ]
    if any(about["compute"].values()):
        parts += ["<h2>The whole network on the device instead</h2>", _table(compute_table(result))]
    parts += ["<h2>Which tool at which settings</h2>", _table(tool_table(result))]
    if about["failed"]:
        parts += ["<h2>Not measured</h2>", _table([["what", "why"], *about["failed"].items()])]
    if not about.get("complete", True):
        parts.append("<p>Not complete.</p>")
    return (
        "<!doctype html><html lang=en><meta charset=utf-8><title>lwfc: evaluation</title>"
        f"<style>{STYLE}{OWN}</style><body>{''.join(parts)}<script>{SCRIPT}</script></body></html>"
    )


def _table(cells: Sequence[Sequence[str]]) -> str:
    head, *body = cells
    return f"<div class=scroll>{html_table(head, body)}</div>"


def _facts(about: Any) -> str:
    sizes = "; ".join(f"{study}: {', '.join(f'{n} {split}' for split, n in counts.items())}"
                      for study, counts in about["samples"].items())  # fmt: skip
    batches = " or ".join(map(str, sorted(set(about["batch"].values()))))
    return (
        "Codecs are fitted on calibration samples, points measured once on test samples "
        f"({sizes}). For each bound on the loss a codec has its setting of fewest bits among those "
        "whose loss on tune samples is within it by the upper end of a one-sided 95 % interval. "
        f"Bits count every byte of streams of {batches} samples, over the elements of the "
        "feature tensor; inputs that are sent instead count over the same elements. Bands and "
        "intervals: 95 %, paired bootstrap against "
        "the uncompressed network."
    )


def _told(record: dict[str, Any]) -> str:
    error = "" if record["error"] is None else f", squared error {record['error']:.3g}"
    return (
        f"{record['study']}, {record['codec']} {setting_text(record['setting'])}: "
        f"{record['bits']:.4g} bits an element, {record['kb_per_sample']:.4g} kB a sample; loss "
        f"{record['loss']:.2f} ({record['low']:.2f} to {record['high']:.2f}){error}; encode "
        f"{record['encode_ms']:.3g} ms, decode {record['decode_ms']:.3g} ms a sample. "
        f"Setting: {json.dumps(record['setting'])}"
    )


def _panel(result: Any, study: str, paint: dict[str, str], shown: Collection[str]) -> str:
    curves = {codec: result.curve(study, codec) for codec in result.codecs(study)}
    every = [r["bits"] for curve in curves.values() for r in curve if r["bits"] > 0]
    low, high = (math.log10(f(every, default=1) * s) for f, s in ((min, 0.9), (max, 1.1)))
    floor = HEIGHT - BOTTOM

    def at(bits: float, loss: float) -> tuple[float, float]:
        x = LEFT + (math.log10(bits) - low) / (high - low) * (WIDTH - LEFT - 10)
        place = (min(max(loss, LEAST), MOST) - LEAST) / (MOST - LEAST)
        return x, TOP + place * (floor - TOP)

    shape = "x".join(map(str, result.about["shape"][study]))
    out = [f'<path d="M{LEFT} {TOP}V{floor}H{WIDTH - 10}" fill="none" stroke="#888"/>']
    for loss in range(math.ceil(LEAST), int(MOST) + 1):
        _, y = at(10**low, loss)
        out.append(f'<path d="M{LEFT} {y:.1f}H{WIDTH - 10}" stroke="#eee"/>')
        out.append(f'<text x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{loss}</text>')
    for bits in _ticks(10**low, 10**high):
        x, _ = at(bits, 0)
        out.append(f'<text x="{x:.1f}" y="{floor + 15}" text-anchor="middle">{bits:g}</text>'
                   f'<path d="M{x:.1f} {floor}v4" stroke="#888"/>')  # fmt: skip
    middle = (TOP + floor) / 2
    measure = html.escape(result.about["measure"][study])
    out.append(f'<text x="{WIDTH / 2}" y="{HEIGHT - 8}" text-anchor="middle">bits an element</text>'
               f'<text x="12" y="{middle}" transform="rotate(-90 12 {middle})" '
               f'text-anchor="middle">points of {measure} lost</text>')  # fmt: skip
    for codec, curve in curves.items():
        kept = [r for r in curve if r["bits"] > 0]
        out.append(_curve(codec, kept, paint[codec], at, codec in shown))
    whole = result.about["whole"][study]
    return (
        f"<div class=panel><h2>{html.escape(study)}, {shape}; uncompressed {whole:.2f}</h2>"
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" width="100%">{"".join(out)}</svg></div>'
    )


def _curve(
    codec: str, curve: Sequence[dict[str, Any]], colour: str, at: Any, shown: bool
) -> str:
    upper = [at(r["bits"], r["low"]) for r in curve]
    lower = [at(r["bits"], r["high"]) for r in curve]

    def joined(points: Sequence[tuple[float, float]]) -> str:
        return " ".join(f"{x:.1f},{y:.1f}" for x, y in points)

    dash = ' stroke-dasharray="5 4"' if curve and curve[0]["group"] == "input" else ""
    out = [
        f'<g data-codec="{html.escape(codec)}"{"" if shown else " style=display:none"}>'
        f'<polygon points="{joined(upper + lower[::-1])}" fill="{colour}" opacity=".12"/>'
        f'<polyline points="{joined([at(r["bits"], r["loss"]) for r in curve])}" fill="none" '
        f'stroke="{colour}" stroke-width="1.5"{dash}/>'
    ]
    for record in curve:
        x, y = at(record["bits"], record["loss"])
        told = html.escape(_told(record))
        out.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4" fill="{colour}" data-told="{told}">'
                   f"<title>{told}</title></circle>")  # fmt: skip
    return "".join(out) + "</g>"


def _ticks(low: float, high: float) -> list[float]:
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    found = [step * 10.0**power for power in powers for step in (1, 2, 5)]
    return [value for value in found if low <= value <= high]

