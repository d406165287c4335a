"""lwfc demo: the main job on two trained networks, measured.

Runs from a source checkout, whose ``benchmarks`` folder holds the networks, their weights and
data. Everything is calibrated on unlabelled images; test samples are coded one by one, as a
device would send them, and every byte counts.
"""

import json
import math
import sys
import time
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from ..base.checks import finite_or_none
from ..base.progress import Bar
from ..base.threads import thread_count
from ..calibration.calibrate import calibrate
from ..codec.codec import Codec
from .demo_networks import Network, find_benchmarks, load_networks
from .files import check_place

__all__ = ["run"]

LEVELS = range(2, 9)
QUICK_LEVELS = (2, 3, 4)
ECSQ_WEIGHT = 0.5  # squared error, in units of the variance, that a bit may cost
# (levels, range scale) of the rows "uniform+" and "lwfc": ranges wider than the one of least
# squared error give fewer bits at the same accuracy. Found on the labelled "tune" samples.
WIDE = {
    "classifier": (
        ((3, 1.8), (3, 2.0), (4, 2.0), (4, 2.2)),
        ((2, 1.6), (2, 2.0), (2, 2.4), (3, 2.4)),
    ),
    "detector": (((4, 1.0), (6, 1.0), (8, 2.0)), ((3, 1.0), (3, 1.5), (4, 1.0), (4, 1.5))),
}
# How far the outputs of held-out calibration images may move: nats; a share of their variance.
DISTORTIONS = {"classifier": (0.02, 0.01, 0.03), "detector": (0.008, 0.012, 0.016)}
PAPER_CODER = "cabac"
OURS = ("context", "lwfc", "dct")


def recipes(network: Network, quick: bool) -> Iterator[tuple[str, dict[str, Any]]]:
    """(name, options of calibrate) of every row, the paper's codec first."""
    levels = QUICK_LEVELS if quick else tuple(LEVELS)
    for n in levels:
        yield "uniform", {"levels": n, "coder": PAPER_CODER}
    for n in levels:
        yield "ecsq", {"levels": n, "coder": PAPER_CODER, "quantizer": "ecsq",
                       "rate_weight": ECSQ_WEIGHT}  # fmt: skip
    paper, ours = WIDE[network.name]
    for n, scale in paper:
        yield "uniform+", {"levels": n, "coder": PAPER_CODER, "clip_scale": scale,
                           "clip_lo": network.lo}  # fmt: skip
    n, scale = next(pair for pair in paper if pair[0] == 4)
    yield "context", {"levels": n, "coder": "context", "clip_scale": scale, "clip_lo": network.lo}
    for n, scale in ours[:2] if quick else ours:
        yield "lwfc", {"levels": n, "coder": "context", "restore": "linear", "clip_scale": scale,
                       "clip_lo": network.lo}  # fmt: skip
    for distortion in DISTORTIONS[network.name][: 1 if quick else None]:
        yield "dct", {"distortion": distortion}


def measure(network: Network, name: str, options: dict[str, Any], num_threads: int) -> Codec:
    """Calibrate, code every test sample, run the cloud half on what was decoded; adds a row."""
    started = time.perf_counter()
    if "distortion" in options:
        codec = network.transform(options["distortion"])
    else:
        codec = calibrate(
            network.calibration,
            activation=network.activation,
            slope=network.slope,
            bound=True,
            num_threads=num_threads,
            **options,
        )
    lo, hi = map(float, codec.metadata.get("range", (math.nan, math.nan)))
    calibrated = time.perf_counter()
    decoded = np.empty_like(network.test)
    nbytes = 0
    for i in range(len(network.test)):
        data = codec.encode(network.test[i : i + 1], num_threads=num_threads)
        codec.decode(data, out=decoded[i : i + 1], num_threads=num_threads)
        nbytes += len(data)
    coded = time.perf_counter()
    value = network.evaluate(decoded)
    deviation = np.mean((decoded - network.test) ** 2, dtype=np.float64)
    network.rows.append(
        {
            "network": network.name,
            "codec": name,
            "levels": options.get("levels"),
            "levels_kept": codec.levels,
            "lo": finite_or_none(lo),
            "hi": finite_or_none(hi),
            "step": codec.metadata.get("step"),
            "bits_per_element": 8 * nbytes / network.test.size,
            "kB_per_sample": nbytes / 1000 / len(network.test),
            "ratio_to_float32": network.test.nbytes / nbytes,
            "normalised_squared_error": float(deviation / network.test.var(dtype=np.float64)),
            "metric": network.metric,
            "value": value,
            "loss": network.reference - value,
            "calibration_s": calibrated - started,
            "coding_s": coded - calibrated,
        }
    )
    return codec


def table(network: Network) -> str:
    """The rows as text."""
    elements = network.test[0].size
    lines = [
        f"{network.name}: layer {network.layer}, {' x '.join(map(str, network.test.shape[1:]))} = "
        f"{elements} elements, {elements * 4 / 1000:.1f} kB as float32",
        f"calibrated on {len(network.calibration)} unlabelled samples, tested on "
        f"{len(network.test)}; {network.metric} uncompressed: {network.reference:.2f}",
        "",
        f"{'codec':<8} {'N':>4} {'range':>14} {'bits/el':>8} {'kB':>7} {'ratio':>6} "
        f"{network.metric:>10} {'loss':>6}",
    ]
    for row in network.rows:
        if row["step"] is None:
            span = f"[{row['lo']:.2f}, {row['hi']:.2f}]"
            kept = "" if row["levels"] == row["levels_kept"] else f">{row['levels_kept']}"
            count = f"{row['levels']}{kept}"
        else:
            count, span = "", f"step {row['step']:.2f}"
        lines.append(
            f"{row['codec']:<8} {count:>4} {span:>14} {row['bits_per_element']:>8.3f} "
            f"{row['kB_per_sample']:>7.3f} {row['ratio_to_float32']:>6.1f} {row['value']:>10.2f} "
            f"{row['loss']:>6.2f}"
        )
    paper = best(row for row in network.rows if row["codec"] not in OURS)
    ours = best(row for row in network.rows if row["codec"] in OURS)
    lines += ["", f"fewest bits at under one point of loss: paper's codec {paper}, lwfc {ours}"]
    return "\n".join(lines)


def best(rows: Iterable[dict[str, Any]]) -> str:
    """The fewest bits per element at a loss below one point, as text."""
    bits = [row["bits_per_element"] for row in rows if row["loss"] < 1 - 1e-6]
    return f"{min(bits):.3f}" if bits else "none"


LEGEND = """\
uniform   the paper's codec: range from its model, truncated unary, one adaptive context per bin
ecsq      the same with entropy-constrained thresholds and values, which drop levels (N: 8>4)
uniform+  uniform over wider ranges, down to the mean of the negative values, found on other samples
context   the symbols of a row of uniform+, and so its accuracy, with the context coder
lwfc      context coder and linear restoration over such ranges, from the same unlabelled samples
dct       the transform profile, tuned to the network's second half by gradients, without labels
bits/el   all bytes of every stream, headers included, over the elements of the tensor"""

QUICK_NOTE = """
quick     so few test samples tell losses apart by some points only: compare without --quick"""


def run(
    *,
    data: str | None = None,
    plot: str | None = None,
    quick: bool = False,
    as_json: bool = False,
    show_progress: bool = True,
    num_threads: int | None = 1,
) -> list[dict[str, Any]]:
    """Run the demo and print its tables (or JSON); returns the rows. Errors: LwfcError."""
    folder = find_benchmarks(data)
    threads = thread_count(num_threads)
    networks = []
    if plot is not None:  # what fails, fails now, not after the work
        check_place(plot)
        from .demo_plot import draw
    with Bar(show_progress) as bar:
        for network in load_networks(folder, quick):
            plans = list(recipes(network, quick))
            for done, (name, options) in enumerate(plans):
                bar(done, len(plans), network.name)
                measure(network, name, options, threads)
            bar.close()
            networks.append(network)
            if not as_json:
                print(table(network), end="\n\n", flush=True)
    rows = [row for network in networks for row in network.rows]
    if as_json:
        print(json.dumps(rows))
    else:
        print(LEGEND + (QUICK_NOTE if quick else ""))
    if plot is not None:
        draw(networks, plot)
        print(f"plot: {plot}", file=sys.stderr)
    return rows
