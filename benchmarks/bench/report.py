"""Results as markdown tables, with the ratios that matter beside each figure."""

from collections.abc import Iterator
from typing import Any

__all__ = ["describe", "table"]


def describe(machine: dict[str, Any]) -> str:
    return (
        f"{machine['processor']} ({machine['cores']} cores; {machine['simd']}), "
        f"{machine['compiler']}, Python {machine['python']}, NumPy {machine['numpy']}, "
        f"commit {machine['commit']}, {machine['time']}, load {machine['load'][0]:.1f}"
    )


def line(*cells: object) -> str:
    return "| " + " | ".join(str(c) for c in cells) + " |"


def head(*cells: str) -> list[str]:
    return [line(*cells), line("---", *("--:" for _ in cells[1:]))]


def grouped(rows: list[dict], *keys: str) -> Iterator[list[dict]]:
    """Rows with equal keys together, in order of appearance."""
    groups: dict[tuple, list[dict]] = {}
    for row in rows:
        groups.setdefault(tuple(str(row.get(k)) for k in keys), []).append(row)
    yield from groups.values()


def rate(row: dict, which: str) -> float:
    """Elements per second, in millions."""
    return row["elements"] / row[which] / 1e6


def symbols_table(rows: list[dict]) -> list[str]:
    out = []
    for group in grouped(rows, "data"):
        first = group[0]
        by_name = {row["peer"]: row for row in group}
        base = by_name["lwfc cabac"]
        copy = by_name["memcpy of the symbols"]
        out += ["", f"{first['data']} (N={first['levels']}, {first['elements']:,} symbols, "
                f"order-0 entropy {first['order0']:.4f} bit)", ""]  # fmt: skip
        out += head("coder", "bits", "encode Msym/s", "decode Msym/s", "x cabac", "x cabac",
                    "of memcpy", "of memcpy")  # fmt: skip
        for row in sorted(group, key=lambda r: r["decode_s"] / r["elements"]):
            enc, dec = rate(row, "encode_s"), rate(row, "decode_s")
            out.append(
                line(
                    row["peer"],
                    f"{row['bits']:.4f}",
                    f"{enc:,.0f}",
                    f"{dec:,.0f}",
                    f"{enc / rate(base, 'encode_s'):.2f}",
                    f"{dec / rate(base, 'decode_s'):.2f}",
                    f"{enc / rate(copy, 'encode_s'):.3f}",
                    f"{dec / rate(copy, 'decode_s'):.3f}",
                )
            )
    return out


def tensors_table(rows: list[dict]) -> list[str]:
    out = []
    for group in grouped(rows, "shape"):
        copy = next((row for row in group if row["chain"] == "memcpy"), None)
        shape = group[0].get("shape")
        if shape:
            size = f"{group[0]['elements']:,} elements"
            out += ["", f"{' x '.join(str(n) for n in shape)}, {size}"]
        out += ["", *head("chain", "bits", "encode us", "decode us", "encode GB/s of input",
                "decode GB/s", "of memcpy", "of memcpy")]  # fmt: skip
        for row in group:
            width = 2 if "float16" in row["chain"] else 8 if "float64" in row["chain"] else 4
            enc, dec = row["encode_s"], row["decode_s"]
            best = min(copy["encode_s"], copy["decode_s"]) / copy["elements"] if copy else None
            n = row["elements"]
            out.append(
                line(
                    row["chain"],
                    f"{row['bits']:.4f}",
                    f"{1e6 * enc:,.1f}",
                    f"{1e6 * dec:,.1f}",
                    f"{width * n / enc / 1e9:.2f}",
                    f"{width * n / dec / 1e9:.2f}",
                    f"{best * n / enc:.3f}" if best else "",
                    f"{best * n / dec:.3f}" if best else "",
                )
            )
    return out


def calibrated_table(rows: list[dict]) -> list[str]:
    out = []
    for group in grouped(rows, "data"):
        copy = next(row for row in group if row["chain"] == "memcpy")
        base = next(row for row in group if row["chain"].startswith("cabac"))
        n = copy["elements"]
        out += ["", f"{group[0]['data']}, {n:,} elements", "",
                *head("chain", "bits", "encode Msym/s", "decode Msym/s", "x cabac", "x cabac",
                      "of memcpy", "of memcpy")]  # fmt: skip
        for row in group:
            enc, dec = row["encode_s"], row["decode_s"]
            out.append(line(row["chain"], f"{row['bits']:.4f}",
                            f"{n / enc / 1e6:,.0f}", f"{n / dec / 1e6:,.0f}",
                            f"{base['encode_s'] / enc:.2f}", f"{base['decode_s'] / dec:.2f}",
                            f"{copy['encode_s'] / enc:.3f}", f"{copy['decode_s'] / dec:.3f}",
                            ))  # fmt: skip
    return out


def threads_table(rows: list[dict]) -> list[str]:
    single = {row["chain"].rsplit(",", 1)[0]: row for row in rows if ", 1 thread" in row["chain"]}
    out = ["", *head("chain", "encode ms (wall)", "decode ms (wall)", "x one thread",
                     "x one thread")]  # fmt: skip
    for row in rows:
        base = single.get(row["chain"].rsplit(",", 1)[0])
        if row["chain"].startswith("two Python"):
            base = single["lwfc rans"]
        cells = [row["chain"], f"{1e3 * row['encode_wall_s']:.2f}",
                 f"{1e3 * row['decode_wall_s']:.2f}"]  # fmt: skip
        for which in ("encode_wall_s", "decode_wall_s"):
            gain = (base[which] / base["elements"]) / (row[which] / row["elements"]) if base else 0
            cells.append(f"{gain:.2f}" if base else "")
        out.append(line(*cells))
    return out


def kernels_table(rows: list[dict]) -> list[str]:
    out = ["", *head("levels", "quantize Gelem/s", "dequantize Gelem/s", "of memcpy",
                     "of memcpy")]  # fmt: skip
    for row in rows:
        out.append(
            line(
                row["chain"],
                f"{rate(row, 'encode_s') / 1e3:.2f}",
                f"{rate(row, 'decode_s') / 1e3:.2f}",
                f"{row['memcpy_s'] / row['encode_s']:.2f}",
                f"{row['memcpy_s'] / row['decode_s']:.2f}",
            )
        )
    return out


MOVED = {"encode": (1, 0), "quantize": (1, 1), "code": (0, 1), "decode": (1, 0),
         "decode symbols": (0, 1), "decode without restoration": (1, 0)}  # fmt: skip


def bound(row: dict, stage: str, ns: float) -> str:
    """What holds a stage back: memory, if a copy of what it moves takes most of its time."""
    tensor, symbols = MOVED[stage]
    moved = tensor * row["itemsize"] + symbols
    copied = row["ns"]["memcpy"] * moved / (2 * row["itemsize"])  # a copy reads and writes
    if ns < 1.5 * copied:
        return "memory"
    count = row["instructions"].get(stage)
    if not count:
        return ""
    pace = count / (ns * row["gigahertz"])
    return "issue" if pace > 2.5 else "latency" if pace < 1.5 else "both"


def profile_table(rows: list[dict]) -> list[str]:
    out = []
    for group in grouped(rows, "profile"):
        first = group[0]
        out += ["", f"{first['profile']}: {first['bits']:.4f} bits a value of {first['data']}, "
                f"{first['elements']:,} values", ""]  # fmt: skip
        stages = [stage for stage in first["ns"] if stage != "memcpy"]
        out += head("ns a value", *(row["tensor"] for row in group), "of memcpy",
                    "instructions (AVX2)", "held back by")  # fmt: skip
        for stage in stages:
            ns = first["ns"][stage]
            count = first["instructions"].get(stage)
            out.append(line(stage, *(f"{row['ns'][stage]:.3f}" for row in group),
                            f"{first['ns']['memcpy'] / ns:.2f}",
                            f"{count:.1f}" if count else "",
                            bound(first, stage, ns)))  # fmt: skip
        out.append(line("memcpy", *(f"{row['ns']['memcpy']:.3f}" for row in group), "", "", ""))
    return out


TABLES = {
    "symbols": symbols_table,
    "features": symbols_table,
    "kernels": kernels_table,
    "calibrated": calibrated_table,
    "coders": calibrated_table,
    "threads": threads_table,
    "batches": threads_table,
    "profile": profile_table,
}


def table(suite: str, result: dict[str, Any]) -> str:
    """One suite's result as markdown."""
    if not result["rows"]:
        return "(no data)"
    lines = TABLES.get(suite, tensors_table)(result["rows"])
    if "calls" in result:
        lines += ["", *head("us a call with next to nothing to code", "encode", "decode")]
        lines += [line(row["profile"], f"{row['encode_us']:.2f}", f"{row['decode_us']:.2f}")
                  for row in result["calls"]]  # fmt: skip
    for name, why in result.get("missing", {}).items():
        lines += ["", f"Left out: {name} ({why})."]
    return "\n".join(lines)
