"""The number of channels: calibration's seconds, memory and bits, values coded a second.

Usage: python benchmarks/channels.py [--channels 64 256 ...] [--restore none linear]
                                      [--against REV] [--limit 120]

24 samples of 7x7, three levels, context coder, one thread, each width a process. 8 others are
coded, and repeated to a batch of at least 2^18 values for the speed of encode and decode, the best
of half a second each. Memory is the peak of the process less what Python, NumPy and the samples
take. --restore transform: the transform profile with random gradients instead. --against: REV,
checked out and built as by against.py, does the same in turn. What does not end within --limit
seconds is said to.
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

WIDTHS = (1, 3, 31, 32, 33, 64, 67, 127, 256, 257, 509, 512, 1000, 1009, 1024, 2048, 4096, 8192)
SIDE, SAMPLES, TESTS = 7, 24, 8
BATCH, SECONDS = 1 << 18, 0.5
CELLS = ("s", "MB", "bits", "error", "encode", "decode")


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
    batch = np.concatenate([tests] * max(1, -(-BATCH // tests.size)))
    data = codec.encode(batch)

    def speed(call) -> float:
        """10^6 values a processor second."""
        best, until = np.inf, time.process_time() + SECONDS
        while time.process_time() < until:
            begun = time.process_time()
            call()
            best = min(best, time.process_time() - begun)
        return batch.size / best / 1e6

    out = np.empty_like(batch)
    cells = [f"{seconds:.2f}", f"{used / 1024:,.0f}", f"{8 * len(stream) / tests.size:.4f}",
             f"{error:.4f}", f"{speed(lambda: codec.encode(batch, num_threads=1)):.0f}",
             f"{speed(lambda: codec.decode(data, out=out, num_threads=1)):.0f}"]  # fmt: skip
    print(json.dumps(cells))


def measured(tree: Path, channels: int, restore: str, limit: float) -> list[str]:
    """One tree's :data:`CELLS`."""
    environment = os.environ | {"PYTHONPATH": str(tree / "python"), "OMP_NUM_THREADS": "1",
                                "OPENBLAS_NUM_THREADS": "1"}  # fmt: skip
    command = [sys.executable, __file__, "--work", str(channels), restore]
    try:
        done = subprocess.run(command, env=environment, capture_output=True, text=True,
                              timeout=limit)  # fmt: skip
    except subprocess.TimeoutExpired:
        return [f"> {limit:g}", *[""] * (len(CELLS) - 1)]
    if done.returncode:
        said = done.stderr.strip().splitlines()[-1] if done.stderr else "ended"
        return [said, *[""] * (len(CELLS) - 1)]
    return json.loads(done.stdout)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--channels", nargs="*", type=int, default=WIDTHS)
    parser.add_argument("--restore", nargs="*", default=["none", "linear"])
    parser.add_argument("--against", help="a revision that does the same")
    parser.add_argument("--limit", type=float, default=120.0, help="seconds of a process")
    arguments = parser.parse_args()
    revisions = [arguments.against, None] if arguments.against else [None]
    trees = [build(revision) for revision in revisions]
    cells = [f"{commit}: {name}" for _, commit in trees for name in CELLS]
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
