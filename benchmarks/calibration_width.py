"""Calibration against the number of channels: seconds, memory and bits, each width a process.

Usage: python benchmarks/calibration_width.py [--channels 64 256 ...] [--restore none linear]
                                              [--against REV] [--limit 120]

24 samples of 7x7, three levels, context coder, one thread; 8 others are coded. Memory is the peak
of the process less what Python, NumPy and the samples take. --restore transform: the transform
profile with random gradients instead. --against: REV, checked out and built
as by against.py, does the same in turn. What does not end within --limit seconds is said to.
"""

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
from against import build
from bench.against_cases import correlated
from bench.report import line

WIDTHS = (1, 3, 31, 33, 64, 67, 256, 509, 512, 1000, 1024, 2048, 4096, 8192)
SIDE, SAMPLES, TESTS = 7, 24, 8


def work(channels: int, restore: str) -> None:
    """One calibration in this process; its figures as a line of JSON."""
    import resource
    import time

    import lwfc

    x = correlated(channels, SIDE, SIDE, SAMPLES + TESTS, 1)

    def peak() -> int:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    before, start = peak(), time.process_time()
    options = {"levels": 3, "activation": "relu", "coder": "context", "restore": restore}
    if restore == "transform":
        draws = np.random.default_rng(2).standard_normal((2, *x[:SAMPLES].shape), np.float32)
        options = {"transform": "dct", "metric": draws}
    codec = lwfc.calibrate(x[:SAMPLES], num_threads=1, **options)
    seconds, used = time.process_time() - start, peak() - before
    tests = x[SAMPLES:]
    stream = codec.encode(tests)
    error = float(((codec.decode(stream) - tests) ** 2).mean() / tests.var())
    print(json.dumps({"seconds": seconds, "MB": used / 1024, "error": error,
                      "bits": 8 * len(stream) / tests.size}))  # fmt: skip


def measured(tree: Path, channels: int, restore: str, limit: float) -> list[str]:
    """Cells of one tree's figures: seconds, MB, bits, error."""
    environment = os.environ | {"PYTHONPATH": str(tree / "python"), "OMP_NUM_THREADS": "1",
                                "OPENBLAS_NUM_THREADS": "1"}  # fmt: skip
    command = [sys.executable, __file__, "--work", str(channels), restore]
    try:
        done = subprocess.run(command, env=environment, capture_output=True, text=True,
                              timeout=limit)  # fmt: skip
    except subprocess.TimeoutExpired:
        return [f"> {limit:g}", "", "", ""]
    if done.returncode:
        return [done.stderr.strip().splitlines()[-1] if done.stderr else "ended", "", "", ""]
    found = json.loads(done.stdout)
    return [f"{found['seconds']:.2f}", f"{found['MB']:,.0f}", f"{found['bits']:.4f}",
            f"{found['error']:.4f}"]  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--channels", nargs="*", type=int, default=WIDTHS)
    parser.add_argument("--restore", nargs="*", default=["none", "linear"])
    parser.add_argument("--against", help="a revision that does the same")
    parser.add_argument("--limit", type=float, default=120.0, help="seconds of a process")
    arguments = parser.parse_args()
    revisions = [arguments.against, None] if arguments.against else [None]
    trees = [build(revision) for revision in revisions]
    cells = [f"{commit}: {name}" for _, commit in trees for name in ("s", "MB", "bits", "error")]
    print(line("channels", "restore", *cells))
    print(line("--:", "---", *["--:"] * len(cells)), flush=True)
    for restore in arguments.restore:
        for channels in arguments.channels:
            found = [measured(tree, channels, restore, arguments.limit) for tree, _ in trees]
            print(line(str(channels), restore, *sum(found, [])), flush=True)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--work"]:
        work(int(sys.argv[2]), sys.argv[3])
    else:
        main()
