"""Two revisions of lwfc side by side: ratios of time, bits and squared error, case by case.

Usage: python benchmarks/against.py REV [--cases PATTERN ...] [--tasks encode decode calibrate]
                                        [--seconds 3] [--core 0] [--features FOLDER]
                                        [--num-threads 1]

REV is checked out and built below build/against; the other side is the present tree, built in
place. Each side is a process with its own extension, both on one core. They code the same tensors,
each with the codec that its own ``calibrate`` makes of the same samples, and take turns of some
milliseconds; the best thread CPU time of a call counts. Ratios above 1 mean that the present tree
is faster; bits and error are the present tree's over REV's. Cases with features of a real network
need the folder that photo_features.py writes; those of the demo networks need torch.

Cases "... transform" set a codec with a transform, made once by the present tree, against REV's
context coder with linear restoration at three levels: what each decodes is then not alike.
"""

import argparse
import fnmatch
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from bench.against_cases import WORK, Case, cases, tensors, transform

ROOT = Path(__file__).resolve().parents[1]
TASKS = ("encode", "decode", "calibrate")
TURN = 4e-3  # seconds of calls in one turn


def build(revision: str | None) -> tuple[Path, str]:
    """The tree with its extension built in place, and its commit; None: the present tree."""
    git = ["git", "-C", str(ROOT)]
    if revision is None:
        tree = ROOT
        commit = subprocess.check_output([*git, "rev-parse", "--short", "HEAD"], text=True).strip()
        if subprocess.check_output([*git, "status", "--porcelain", "csrc", "python"], text=True):
            commit += " with changes"
    else:
        commit = subprocess.check_output(
            [*git, "rev-parse", "--short", f"{revision}^{{commit}}"], text=True
        ).strip()
        tree = WORK / commit
    if not tree.exists():
        tree.mkdir(parents=True)
        with subprocess.Popen([*git, "archive", commit], stdout=subprocess.PIPE) as archive:
            subprocess.run(["tar", "-x", "-C", str(tree)], stdin=archive.stdout, check=True)
    command = [sys.executable, "setup.py", "-q", "build_ext", "--inplace"]
    subprocess.run(command, cwd=tree, check=True, stdout=subprocess.DEVNULL)
    return tree, commit


def work() -> None:
    """One side: commands as lines of JSON from standard input, answers likewise."""
    import lwfc

    codec = x = stream = out = None
    for line in sys.stdin:
        command = json.loads(line)
        answer: dict[str, Any] = {}
        if command["do"] == "open":
            samples = np.load(command["calibration"])
            tests = np.load(command["test"])
            chosen = np.arange(command["batch"]) % len(tests)
            x = tests[chosen].astype(command["dtype"])
            coder = "context" if command["coder"] == "transform" else command["coder"]
            options = {"levels": command["levels"], "coder": coder,
                       "activation": "identity" if "linear-" in command["test"] else "relu",
                       "restore": command["restore"] or "linear"}  # fmt: skip
            if command.get("transform"):
                codec = lwfc.Codec.load(command["transform"])
            else:
                codec = lwfc.calibrate(samples, **options)
            stream = codec.encode(x)
            out = np.empty_like(x)
            codec.decode(stream, out=out)
            error = float(np.mean((out.astype(np.float64) - x) ** 2))
            answer = {"bits": 8 * len(stream) / x.size, "error": error}
        elif command["do"] == "calibrate":
            threads = command["num_threads"]
            start = time.process_time(), time.perf_counter()
            lwfc.calibrate(samples, **options, num_threads=threads)
            answer = {"seconds": time.process_time() - start[0],
                      "wall": time.perf_counter() - start[1],
                      "kilobytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss}  # fmt: skip
        else:
            calls = range(command["number"])
            start = time.thread_time()
            if command["do"] == "encode":
                for _ in calls:
                    codec.encode(x, num_threads=1)
            else:
                for _ in calls:
                    codec.decode(stream, out=out, num_threads=1)
            answer = {"seconds": (time.thread_time() - start) / len(calls)}
        print(json.dumps(answer), flush=True)


class Side:
    """A process that runs one tree."""

    def __init__(self, tree: Path, core: int) -> None:
        environment = os.environ | {"PYTHONPATH": str(tree / "python"), "OMP_NUM_THREADS": "1",
                                    "OPENBLAS_NUM_THREADS": "1"}  # fmt: skip
        self.process = subprocess.Popen(
            [sys.executable, __file__, "--work", "here"], env=environment, text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        )  # fmt: skip
        if core >= 0 and hasattr(os, "sched_setaffinity"):
            os.sched_setaffinity(self.process.pid, {core})

    def ask(self, do: str, **fields: Any) -> dict[str, Any]:
        self.process.stdin.write(json.dumps({"do": do, **fields}) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit(f"a side ended: exit status {self.process.wait()}")
        return json.loads(line)

    def close(self) -> None:
        self.process.stdin.close()
        self.process.wait()


def compare(sides: tuple[Side, Side], task: str, seconds: float, threads: int) -> list[float]:
    """The least seconds of one call on each side; the sides take turns."""
    if task == "calibrate":
        best = [np.inf, np.inf]
        for _ in range(2):
            for i, side in enumerate(sides):
                best[i] = min(best[i], side.ask(task, num_threads=threads)["seconds"])
        return best
    for _ in range(2):  # the first call warms up
        once = [side.ask(task, number=1)["seconds"] for side in sides]
    number = [max(1, int(TURN / t)) for t in once]
    best, end = [np.inf, np.inf], time.perf_counter() + seconds
    while time.perf_counter() < end or not np.isfinite(best).all():
        for i, side in enumerate(sides):
            best[i] = min(best[i], side.ask(task, number=number[i])["seconds"])
    return best


def rows(chosen: list[Case], sides: tuple[Side, Side], arguments: Any) -> Iterator[list[str]]:
    for case in chosen:
        paths = tensors(case.data, arguments.features)
        if paths is None:
            yield [case.name, "left out: no features"]
            continue
        fields = asdict(case) | {"calibration": str(paths[0]), "test": str(paths[1])}
        own = dict(fields)
        if case.coder == "transform":
            own["transform"] = str(transform(case.data, arguments.features))
        opened = [sides[0].ask("open", **fields), sides[1].ask("open", **own)]
        cells = [case.name, f"{opened[1]['bits']:.4f}"]
        cells += [f"{opened[1][k] / opened[0][k]:.4f}" for k in ("bits", "error")]
        shape = np.load(paths[1], mmap_mode="r").shape
        elements = case.batch * int(np.prod(shape[1:]))
        for task in arguments.tasks:
            old, new = compare(sides, task, arguments.seconds, arguments.num_threads)
            if task == "calibrate":
                cells.append(f"{old:.2f} / {new:.2f} = {old / new:.2f}")
            else:
                cells.append(f"{elements / old / 1e6:,.0f} > {elements / new / 1e6:,.0f} = "
                             f"{old / new:.2f}")  # fmt: skip
        yield cells


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("revision", help="what the present tree is compared with")
    parser.add_argument("--cases", nargs="*", default=["*linear"],
                        help="shell patterns of case names (default: *linear)")  # fmt: skip
    parser.add_argument("--tasks", nargs="*", default=["encode", "decode"], choices=TASKS)
    parser.add_argument("--seconds", type=float, default=3.0, help="for each task (default 3)")
    parser.add_argument("--core", type=int, default=0, help="both run there; -1: anywhere")
    parser.add_argument("--num-threads", type=int, default=1, help="of calibrate (default 1)")
    parser.add_argument("--features", type=Path, default=ROOT / "build" / "features")
    arguments = parser.parse_args()
    known = cases()
    chosen = [c for c in known if any(fnmatch.fnmatch(c.name, p) for p in arguments.cases)]
    if not chosen:
        parser.error("no such case; there are\n" + "\n".join(case.name for case in known))
    old, commit = build(arguments.revision)
    new, present = build(None)
    sys.path.insert(0, str(new / "python"))
    from bench.report import describe, line
    from bench.timing import machine

    print(f"{describe(machine())}\n\n{commit} against {present}, core {arguments.core}; "
          "encode and decode in 10^6 values a second, calibrate in seconds\n")  # fmt: skip
    print(line("case", "bits", "x bits", "x error", *arguments.tasks))
    print(line("---", *["--:"] * (3 + len(arguments.tasks))), flush=True)
    sides = (Side(old, arguments.core), Side(new, arguments.core))
    for cells in rows(chosen, sides, arguments):
        print(line(*cells), flush=True)
    for side in sides:
        side.close()


if __name__ == "__main__":
    if sys.argv[1:2] == ["--work"]:
        work()
    else:
        main()
