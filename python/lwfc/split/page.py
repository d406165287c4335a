"""The explorer's report as one static HTML file: styles and pictures are inside."""

import html
import math
from typing import Any

from ..base.show import html_table
from .figure import COLOURS, best_rows, label
from .link import TIMES

__all__ = ["page"]

STYLE = """
body{font:14px/1.45 system-ui,sans-serif;margin:2em auto;max-width:1180px;padding:0 1em;color:#222}
h1{font-size:1.5em}h2{font-size:1.15em;margin-top:2em}.scroll{overflow-x:auto}
table{border-collapse:collapse;font-size:12px}td,th{padding:3px 8px;border-bottom:1px solid #ddd;
text-align:right;white-space:nowrap}td:nth-child(-n+3),th:nth-child(-n+3){text-align:left}
tr:nth-child(even){background:#f6f6f6}svg text{font:11px system-ui,sans-serif}
.key span{display:inline-block;margin-right:1.2em}.key i{display:inline-block;width:10px;
height:10px;margin-right:5px}p.note{color:#555;max-width:60em}
"""
OWN = """
.scroll svg{min-width:760px}td:last-child,th:last-child{text-align:left}
"""
WIDTH, NAMES, BAR = 1100, 300, 20


def page(result: Any) -> str:
    """The whole document."""
    about, link = result.about, result.link
    title = f"Where to cut {about.get('network', 'the network')}"
    over = "not given"
    if link is not None:
        over = f"{link.mbit_s:g} Mbit/s, {link.rtt_ms:g} ms round trip"
    facts = [
        f"link: {over}",
        f"device at {result.edge_speed:g} and cloud at {result.cloud_speed:g} times the measuring "
        "machine's speed",
        f"outputs may move by {about.get('max_loss', 0):g} (relative squared error)",
        f"{about.get('samples', 0)} samples",
        f"graph by {about.get('way', '?')}",
    ]
    if not about.get("complete", True):
        facts.append("not complete")
    head, *body = result.cells()
    parts = [
        f"<h1>{html.escape(title)}</h1><p class=note>{html.escape('; '.join(facts))}.</p>",
        f"<p>{html.escape(_advice(result))}</p>",
        f"<h2>A sample's time, by cut</h2>{_key()}{_scroll(_bars(best_rows(result)))}",
        f"<h2>Bytes sent and time on the device</h2>{_scroll(_front(result))}",
        f"<h2>All rows</h2>{_scroll(html_table(head, body))}",
        "<p class=note>Bytes are those of one sample, headers included. Estimates come from few "
        "samples and the outputs' sensitivity; exact rows were calibrated on half of the samples, "
        "coded and run on the others. The features of a network are not anonymous, and coding them "
        "protects nothing.</p>",
    ]
    return (
        f"<!doctype html><html lang=en><meta charset=utf-8><title>{html.escape(title)}</title>"
        f"<style>{STYLE}{OWN}</style><body>{''.join(parts)}</body></html>"
    )


def _scroll(inner: str) -> str:
    return f"<div class=scroll>{inner}</div>"


def _advice(result: Any) -> str:
    rows = [row for row in result.rows if row["pass"] == "exact"]
    if not rows:
        return "Only estimates so far."
    best = result.best
    sent = "" if best["coded_bytes"] is None else f", {best['coded_bytes']:,.0f} bytes a sample"
    profile = f" with profile {best['profile']}" if best["kind"] == "split" else ""
    return f"Lowest latency measured: {label(best)}{profile}: {best['total_ms']:.3g} ms{sent}."


def _key() -> str:
    marks = (
        f'<span><i style="background:{colour}"></i>{name.removesuffix("_ms")}</span>'
        for name, colour in zip(TIMES, COLOURS, strict=True)
    )
    return f"<div class=key>{''.join(marks)}</div>"


def _bars(rows: list[dict[str, Any]]) -> str:
    most = max((row["total_ms"] for row in rows), default=1.0) or 1.0
    scale = (WIDTH - NAMES - 170) / most
    out = []
    for i, row in enumerate(rows):
        y, x = i * BAR, float(NAMES)
        text = label(row)
        shown = text if len(text) < 46 else text[:43] + "..."
        out.append(f'<text x="{NAMES - 8}" y="{y + 14}" text-anchor="end">{html.escape(shown)}'
                   f"<title>{html.escape(text)}</title></text>")  # fmt: skip
        for name, colour in zip(TIMES, COLOURS, strict=True):
            width = row[name] * scale
            if width:
                out.append(
                    f'<rect x="{x:.2f}" y="{y + 3}" width="{width:.2f}" height="{BAR - 6}" '
                    f'fill="{colour}"><title>{name} {row[name]:.3g}</title></rect>'
                )
            x += width
        sent = "" if row["coded_bytes"] is None else f", {row['coded_bytes']:,.0f} B"
        out.append(f'<text x="{x + 6:.2f}" y="{y + 14}">{row["total_ms"]:.3g} ms{sent}</text>')
    return f'<svg viewBox="0 0 {WIDTH} {len(rows) * BAR + 4}" width="100%">{"".join(out)}</svg>'


def _front(result: Any) -> str:
    height, left, bottom = 320, 60, 40
    points = [(max(1.0, row["coded_bytes"] or 1.0), row["head_ms"] + row["encode_ms"], row)
              for row in result.rows]  # fmt: skip
    if not points:
        return ""
    low = math.floor(min(math.log10(n) for n, _, _ in points))
    high = max(low + 1, math.ceil(max(math.log10(n) for n, _, _ in points)))
    most = max(ms for _, ms, _ in points) or 1.0

    def at(nbytes: float, ms: float) -> tuple[float, float]:
        x = left + (math.log10(nbytes) - low) / (high - low) * (WIDTH - left - 20)
        return x, 10 + (1 - ms / most) * (height - bottom - 10)

    floor = height - bottom
    out = [f'<path d="M{left} 10V{floor}H{WIDTH - 20}" fill="none" stroke="#888"/>']
    for power in range(low, high + 1):
        x, _ = at(10.0**power, 0)
        name = f"{10**power:,}" if power >= 0 else ""
        out.append(f'<text x="{x:.1f}" y="{floor + 16}" text-anchor="middle">{name}</text>')
    for part in (0, 0.5, 1):
        _, y = at(10.0**low, part * most)
        y += 4
        out.append(f'<text x="{left - 6}" y="{y:.1f}" text-anchor="end">{part * most:.3g}</text>')
    out.append(f'<text x="{WIDTH / 2}" y="{height - 6}" text-anchor="middle">bytes sent</text>')
    out.append(f'<text x="14" y="{floor / 2}" transform="rotate(-90 14 {floor / 2})" '
               'text-anchor="middle">ms on the device</text>')  # fmt: skip
    for nbytes, ms, row in points:
        x, y = at(nbytes, ms)
        solid = "#555" if row["pass"] == "exact" else "#bbb"
        name = html.escape(f"{label(row)} {row['profile']}")
        out.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.5" fill="{solid}">'
                   f"<title>{name}: {nbytes:,.0f} bytes, {ms:.3g} ms</title></circle>")  # fmt: skip
    best = {id(row) for row in result.pareto}
    front = sorted(at(nbytes, ms) for nbytes, ms, row in points if id(row) in best)
    line = " ".join(f"{x:.1f},{y:.1f}" for x, y in front)
    out.append(f'<polyline points="{line}" fill="none" stroke="#d73027" stroke-width="1.5"/>')
    return f'<svg viewBox="0 0 {WIDTH} {height}" width="100%">{"".join(out)}</svg>'
