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
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
WORK = ROOT / "build" / "against"
TASKS = ("encode", "decode", "calibrate")
# How transforms are calibrated: in the metric of the demo networks' second halves, else without.
TRANSFORM = {"classifier": {"distortion": 0.02}, "detector": {"distortion": 0.012},
             "linear-40x28x28": {"target_bits": 1.45}}  # fmt: skip
TURN = 4e-3  # seconds of calls in one turn
SAMPLES = 40  # calibrated on


@dataclass(frozen=True)
class Case:
    """A tensor of ``batch`` samples, and how its codec is calibrated."""

    data: str
    levels: int
    coder: str
    restore: str
    batch: int = 1
    dtype: str = "float32"

    @property
    def name(self) -> str:
        name = f"{self.data} N={self.levels} {self.coder}+{self.restore}"
        if self.coder == "transform":
            name = f"{self.data} transform"
        name += f" x{self.batch}" if self.batch > 1 else ""
        return name if self.dtype == "float32" else f"{name} {self.dtype}"


SYNTHETIC = ("48x14x14", "64x24x24", "128x28x28", "256x28x28", "512x14x14", "1024x14x14")
NETWORK = ("relu6-144x56x56", "relu6-240x28x28", "relu6-480x14x14", "linear-40x28x28")
DEMO = ("classifier", "detector")


def cases() -> list[Case]:
    """All that the tool knows; ``--cases`` chooses among their names."""
    found = []
    for data in (*SYNTHETIC, *DEMO, *NETWORK[:3]):
        for levels in (2, 3, 4):
            for restore in ("none", "local", "linear"):
                found += [Case(data, levels, "context", restore, batch) for batch in (1, 8)]
            found.append(Case(data, levels, "rans", "none"))
    found.append(Case("64x24x24", 3, "context", "linear", dtype="float16"))
    found += [Case(data, 3, "transform", "", batch) for data in TRANSFORM for batch in (1, 8, 64)]
    return found


def correlated(channels: int, height: int, width: int, samples: int, seed: int) -> np.ndarray:
    """float32 (samples, C, H, W): ReLU of smooth fields, each half its own, half of some shared.

    A quarter as many shared fields as channels, three of them in each channel; 50 to 95 % zeros.
    """
    from bench.data import smooth

    rng = np.random.default_rng(seed)
    shared = max(2, channels // 4)
    mix = np.zeros((channels, shared), np.float32)
    for row in mix:
        row[rng.choice(shared, min(3, shared), replace=False)] = rng.choice((-1, 1))
    offset = -1.6 * rng.random((channels, 1, 1), np.float32)
    gain = np.exp(0.3 * rng.standard_normal((channels, 1, 1), np.float32))
    out = np.empty((samples, channels, height, width), np.float32)
    for x in out:
        own = smooth(rng, (1, channels, height, width), 1.2)[0]
        common = smooth(rng, (1, shared, height, width), 1.5)[0]
        common = np.tensordot(mix, common, 1)
        field = own / own.std() + common / common.std()
        x[:] = np.maximum(field / np.float32(1.4) + offset, 0) * gain
    return out


def tensors(data: str, features: Path) -> tuple[Path, Path] | None:
    """Files with the calibration and test samples of ``data``, made where missing."""
    paths = tuple(WORK / "data" / f"{data}-{part}.npy" for part in ("calibration", "test"))
    if all(path.exists() for path in paths):
        return paths
    paths[0].parent.mkdir(parents=True, exist_ok=True)
    if data in NETWORK:
        stored = [features / f"{data}-{part}.npy" for part in ("calibration", "test")]
        if not all(path.exists() for path in stored):
            return None
        arrays = [np.load(path)[:SAMPLES].astype(np.float32) for path in stored]
    elif data in DEMO:
        try:
            import demo_nets
            import torch
        except ImportError:
            return None
        torch.set_num_threads(1)
        model = demo_nets.load_models()[DEMO.index(data)]
        if data == "classifier":
            images = demo_nets.load_classifier_data("calibration", SAMPLES + 8)[0]
        else:
            images = demo_nets.load_scenes("calibration", SAMPLES + 8)[0]
        with torch.no_grad():
            x = model.edge(images).numpy()
        arrays = [x[:SAMPLES], x[SAMPLES:]]
    else:
        x = correlated(*(int(n) for n in data.split("x")), SAMPLES + 8, 1)
        arrays = [x[:SAMPLES], x[SAMPLES:]]
    for path, array in zip(paths, arrays, strict=True):
        np.save(path, np.ascontiguousarray(array))
    return paths


def transform(data: str, features: Path) -> Path:
    """The codec file of a transform for `data`, made where it is missing."""
    import lwfc

    path = WORK / "data" / f"{data}-transform.lwfc"
    if path.exists():
        return path
    if data in DEMO:
        import demo_nets
        import torch

        import lwfc.torch as lt

        torch.set_num_threads(1)
        model = demo_nets.load_models()[DEMO.index(data)]
        load = demo_nets.load_classifier_data if data == "classifier" else demo_nets.load_scenes
        images = load("calibration", 500)[0]
        codec = lt.calibrate(model, model.split_layer, images, transform="dct", **TRANSFORM[data])
    else:
        samples = np.load(features / f"{data}-calibration.npy").astype(np.float32)
        codec = lwfc.calibrate(samples, transform="dct", **TRANSFORM[data])
    codec.save(path)
    return path


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
