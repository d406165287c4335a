"""Where a value's time goes: every profile, type and layout, stage by stage.

Stages are timed as what the public API does alone (symbols, encode_symbols, decode_symbols) and as
differences (with a restoration less without). Instructions are callgrind's, where valgrind is
there: of the AVX2 kernels, which it knows, so the bound is told for these.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import lwfc

from .data import DataSet, clustered, features
from .native import library
from .timing import Task, interleave

__all__ = ["codecs", "profile_suite"]

SHAPE = (8, 256, 28, 28)
CALLS = ("lwfc_encode", "lwfc_trace_symbols", "lwfc_trace_coefficients", "lwfc_encode_symbols",
         "lwfc_decode", "lwfc_decode_symbols")  # fmt: skip


def codecs(data: DataSet) -> dict[str, lwfc.Codec]:
    """Every profile, calibrated on the first samples."""
    x = data.x[:16]
    given: dict[str, Any] = {"levels": data.levels, "clip": (0.0, data.hi), "channel_axis": 1}
    context = given | {"coder": "context"}
    found = {
        "cabac": lwfc.calibrate(x, coder="cabac", **given),
        "rans": lwfc.calibrate(x, coder="rans", **given),
        "context": lwfc.calibrate(x, **context),
        "context + local": lwfc.calibrate(x, restore="local", **context),
        "context + linear": lwfc.calibrate(x, restore="linear", **context),
        "transform": lwfc.calibrate(x, transform="dct", step=float(x.std()), channel_axis=1),
    }
    if found["transform"].transform is None:
        del found["transform"]  # on these features the calibration falls back to another profile
    return found


def tensors(x: np.ndarray) -> dict[str, np.ndarray]:
    """The same values by type and layout, channels on axis 1."""
    last = np.ascontiguousarray(x.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)
    found = {"float32": x, "float32, channels last": last, "float16": x.astype(np.float16)}
    try:
        import ml_dtypes
    except ImportError:
        return found
    return found | {"bfloat16": x.astype(ml_dtypes.bfloat16)}


def stages(codec: lwfc.Codec, x: np.ndarray) -> tuple[dict[str, Callable[[], Any]], int]:
    """(calls by stage, bytes of the stream)."""
    data, out = codec.encode(x), np.empty_like(x)
    calls: dict[str, Callable[[], Any]] = {
        "encode": lambda: codec.encode(x),
        "quantize": lambda: codec.symbols(x),
        "decode": lambda: codec.decode(data, out=out),
    }
    if codec.transform is None:
        symbols, plain = codec.symbols(x), codec.replace(restore=None)
        bare = plain.encode(x)
        dtype = x.dtype.name
        calls["code"] = lambda: codec.encode_symbols(symbols, dtype=dtype)
        calls["decode symbols"] = lambda: codec.decode_symbols(data)
        calls["decode without restoration"] = lambda: plain.decode(bare, out=out)
    return calls, len(data)


def profile_suite(seconds: float, folder: Path) -> dict[str, Any]:
    """Where a value's time goes: each profile by stage, type and layout; instructions and bound."""
    found = features(folder)
    data = found[0] if found else clustered(SHAPE)
    x = np.ascontiguousarray(data.x[-8:])
    rows, made = [], codecs(data)
    counts = instructions(made, x[:1])
    gigahertz = clock()
    for name, codec in made.items():
        for kind, tensor in tensors(x).items():
            calls, nbytes = stages(codec, tensor)
            copy = np.empty_like(tensor)
            calls["memcpy"] = lambda to=copy, of=tensor: np.copyto(to, of)
            tasks = {stage: Task(stage, call) for stage, call in calls.items()}
            interleave(list(tasks.values()), seconds / 3)
            ns = {stage: 1e9 * task.cpu / x.size for stage, task in tasks.items()}
            rows.append({"data": data.name, "profile": name, "tensor": kind, "elements": x.size,
                         "bits": 8 * nbytes / x.size, "itemsize": tensor.itemsize, "ns": ns,
                         "instructions": counts.get(name, {}) if kind == "float32" else {},
                         "gigahertz": gigahertz})  # fmt: skip
    return {"rows": rows, "calls": overheads(made, seconds)}


def overheads(made: dict[str, lwfc.Codec], seconds: float) -> list[dict[str, Any]]:
    """Microseconds of a call that has next to nothing to code: checks, allocation, header."""
    tiny = np.zeros((1, next(iter(made.values())).inner_shape[0], 1, 1), np.float32)
    rows = []
    for name, codec in made.items():
        if codec.transform is not None:
            continue  # takes samples of its own inner shape only
        data = codec.encode(tiny)
        pair = [Task("", lambda c=codec: c.encode(tiny)),
                Task("", lambda c=codec, d=data: c.decode(d))]  # fmt: skip
        interleave(pair, seconds / 6)
        encode, decode = (1e6 * task.cpu for task in pair)
        rows.append({"profile": name, "encode_us": encode, "decode_us": decode})
    return rows


def clock() -> float:
    """Gigahertz, from additions that wait for each other."""
    lib, n = library(), 20_000_000
    task = Task("", lambda: lib.bench_ticks(n))
    interleave([task], 0.5)
    return n / task.cpu / 1e9


CHILD = """
import sys, numpy as np, lwfc
from pathlib import Path
from bench.profiles import stages
folder = Path(sys.argv[1])
x = np.load(folder / "x.npy")
for path in sorted(folder.glob("*.lwfc")):
    for call in stages(lwfc.load(path), x)[0].values():
        call()
        call()
"""


def instructions(made: dict[str, lwfc.Codec], x: np.ndarray) -> dict[str, dict[str, float]]:
    """Instructions a value by profile and stage; {} without valgrind."""
    if shutil.which("valgrind") is None:
        return {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        np.save(folder / "x.npy", x)
        order = []
        for i, (profile, codec) in enumerate(made.items()):
            codec.save(folder / f"{i}.lwfc")
            order += [(profile, None)] * (1 if codec.transform is not None else 3)  # by stages()
            for stage in stages(codec, x)[0]:
                order += [(profile, None), (profile, stage)]  # from the first call to the second
        command = ["valgrind", "--tool=callgrind", *(f"--dump-after={call}" for call in CALLS),
                   f"--callgrind-out-file={folder}/out", sys.executable, "-c", CHILD,
                   name]  # fmt: skip
        path = os.pathsep.join([str(Path(__file__).parents[1]), *sys.path])
        subprocess.run(command, check=True, capture_output=True,
                       env=os.environ | {"LWFC_CPU": "avx2", "PYTHONPATH": path,
                                         "OMP_NUM_THREADS": "1"})  # fmt: skip
        dumps = sorted(folder.glob("out.*"), key=lambda path: int(path.suffix[1:]))
        found: dict[str, dict[str, float]] = {}
        for (profile, stage), dump in zip(order, dumps, strict=True):
            if stage is not None:
                totals = next(line for line in dump.read_text().splitlines()
                              if line.startswith("totals:"))  # fmt: skip
                found.setdefault(profile, {})[stage] = int(totals.split()[1]) / x.size
        return found

