"""Interleaved timing: every task takes turns, the minimum counts."""

import os
import platform
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

__all__ = ["Task", "clocks", "interleave", "machine"]

SHORT = 200e-6  # s; shorter calls are repeated within one timing


@dataclass
class Task:
    """A call to time. After :func:`interleave`: best thread CPU and wall seconds of one call."""

    name: str
    run: Callable[[], Any]
    number: int = 1
    rounds: int = 0
    cpu: float = np.inf
    wall: float = np.inf
    spent: float = field(default=0.0, repr=False)


def clocks() -> tuple[float, float]:
    """Thread CPU seconds and wall seconds. CPU time is what a shared machine leaves alone."""
    return time.thread_time(), time.perf_counter()


def once(task: Task) -> None:
    run = task.run
    cpu, wall = clocks()
    for _ in range(task.number):
        run()
    cpu_end, wall_end = clocks()
    task.cpu = min(task.cpu, (cpu_end - cpu) / task.number)
    task.wall = min(task.wall, (wall_end - wall) / task.number)
    task.spent += wall_end - wall


def interleave(tasks: list[Task], seconds: float, least: int = 5) -> None:
    """Time all tasks in turns for about ``seconds`` of wall time.

    Every task gets ``least`` rounds; slow ones then sit out, so that fast ones get many.
    """
    for task in tasks:  # warm up, and find how often a short call must be repeated
        task.run()
        once(task)
        task.number = max(1, min(1000, int(SHORT / max(task.wall, 1e-7))))
        task.cpu = task.wall = np.inf
        task.spent = 0.0
    begin = time.perf_counter()
    share = seconds / len(tasks)
    while True:
        late = time.perf_counter() - begin > seconds
        for task in tasks:
            if task.rounds < least or (not late and task.spent < 2 * share):
                once(task)
                task.rounds += 1
        if late and all(task.rounds >= least for task in tasks):
            return
        if all(task.rounds >= least and task.spent >= 2 * share for task in tasks):
            return


def first_line(command: list[str]) -> str:
    try:
        found = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        return found.splitlines()[0]
    except (OSError, subprocess.CalledProcessError, IndexError):
        return "unknown"


def machine() -> dict[str, Any]:
    """Processor, compiler, versions and commit of this run."""
    model = platform.processor() or platform.machine()
    flags: set[str] = set()
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text().splitlines():
            key, _, value = line.partition(":")
            if key.strip() == "model name":
                model = value.strip()
            elif key.strip() == "flags":
                flags = set(value.split())
    root = str(Path(__file__).parents[2])
    wanted = ("avx2", "bmi2", "avx512bw", "avx512_vbmi2", "avx512_vnni")
    return {
        "processor": model,
        "simd": " ".join(name for name in wanted if name in flags),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 0,
        "load": list(os.getloadavg()) if hasattr(os, "getloadavg") else [],
        "system": platform.platform(),
        "python": platform.python_version(),
        "numpy": np.__version__,
        "compiler": first_line([os.environ.get("CC", "cc"), "--version"]),
        "commit": first_line(["git", "-C", root, "rev-parse", "--short", "HEAD"]),
        "time": time.strftime("%Y-%m-%d %H:%M:%S"),
    }
