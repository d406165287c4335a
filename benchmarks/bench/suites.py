"""The suites: each returns a JSON-able result; report.py prints it."""

import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

import lwfc

from .chains import (
    Chain,
    codec_chain,
    coder_chain,
    kernel_chain,
    memcpy_chain,
    timed,
    zstd_chain,
)
from .data import DataSet, clustered, features, synthetic
from .native import CABAC, CONTEXT, RANS, address, aligned, library
from .peers import MISSING, peers
from .profiles import codecs, profile_suite
from .timing import Task, interleave

__all__ = ["SUITES"]

CALIBRATED = (("cabac", "none"), ("rans", "none"), ("context", "none"), ("context", "local"),
              ("context", "linear"))  # fmt: skip
LARGE = (50, 256, 28, 28)  # 10,035,200 elements


def codes(data: DataSet, slow: bool, seconds: float) -> list[dict[str, Any]]:
    """Rows of one data set: every peer, symbols to bytes and back."""
    found = peers(data, slow)
    tasks = [Task(p.name, call) for p in found for call in (p.encode, p.decode)]
    interleave(tasks, seconds)
    return [
        {
            "data": data.name,
            "levels": data.levels,
            "order0": data.order0,
            "peer": p.name,
            "elements": p.size,
            "bits": 8 * p.nbytes / p.size,
            "encode_s": tasks[2 * i].cpu,
            "decode_s": tasks[2 * i + 1].cpu,
            "rounds": tasks[2 * i].rounds,
        }
        for i, p in enumerate(found)
    ]


def symbols_suite(seconds: float, folder: Path) -> dict[str, Any]:
    """Symbols to bytes: data sets A to D, all peers."""
    rows = [row for data in synthetic() for row in codes(data, True, seconds)]
    return {"rows": rows, "missing": dict(MISSING)}


def features_suite(seconds: float, folder: Path) -> dict[str, Any]:
    """Symbols to bytes: real features, N = 4 and N = 2, the fast peers."""
    sets = [data for levels in (4, 2) for data in features(folder, levels)]
    rows = [row for data in sets for row in codes(data, False, max(seconds / 3, 2))]
    return {"rows": rows, "missing": dict(MISSING)}


def tensors_suite(seconds: float, folder: Path) -> dict[str, Any]:
    """Float tensors of 10^7 elements to bytes and back, data B."""
    data = clustered(LARGE)
    x = aligned(data.x.shape, np.float32)
    x[...] = data.x
    data = DataSet(data.name, x, data.levels, data.hi)
    last = np.ascontiguousarray(x.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)
    strided = np.zeros((*x.shape[:3], 2 * x.shape[3]), np.float32)[..., ::2]
    strided[...] = x
    chains = [memcpy_chain(x)]
    for levels in (2, 4, 8, 16, 64, 256):
        codec = DataSet("", x, levels, data.hi).codec()
        chains.append(codec_chain(f"lwfc rans N={levels}", codec, x))
    codec = data.codec()
    chains += [
        codec_chain("lwfc rans N=4, float16", codec, x.astype(np.float16)),
        codec_chain("lwfc rans N=4, float64", codec, x.astype(np.float64)),
        codec_chain("lwfc rans N=4, channels last", codec, last),
        codec_chain("lwfc rans N=4, every second float", codec, strided),
        codec_chain("lwfc raw N=4", data.codec("raw"), x),
        codec_chain("lwfc cabac N=4", data.codec("cabac"), x),
        kernel_chain("C loop, rans N=4", data),
    ]
    chains += [
        chain
        for chain in (
            zstd_chain("joined + zstd -1, N=4", data, 4, 1),
            zstd_chain("int8 + zstd -1", data, 256, 1),
        )
        if chain
    ]
    return {"rows": timed(chains, x.size, 4 * seconds, data="B")}


def calibrated_suite(seconds: float, folder: Path) -> dict[str, Any]:
    """Calibrated codecs on real features, float tensors to bytes and back."""
    rows = []
    for data, calibrate in relu_features(folder):
        chains = [memcpy_chain(data.x)]
        for coder, restore in CALIBRATED:
            chains.append(codec_chain(f"{coder} + {restore}", calibrate(coder, restore), data.x))
        rows += timed(chains, data.x.size, seconds, data=data.name)
    return {"rows": rows}


def coders_suite(seconds: float, folder: Path) -> dict[str, Any]:
    """The coders alone on real features, symbols to bytes and back; memcpy of float32."""
    rows = []
    for data, calibrate in relu_features(folder):
        model = calibrate("context", "none").context
        chains = [memcpy_chain(data.x)]
        for name, coder in (("cabac", CABAC), ("rans", RANS), ("context", CONTEXT)):
            chains.append(coder_chain(name, coder, data.symbols, data.levels, model))
        rows += timed(chains, data.x.size, seconds, data=data.name)
    return {"rows": rows}


def relu_features(folder: Path) -> Iterator[tuple[DataSet, Callable[[str, str], lwfc.Codec]]]:
    """The ReLU6 layers' test features at N = 4 and 2, and what calibrates a codec for them."""
    for levels in (4, 2):
        for data in features(folder, levels):
            name = data.name.split()[0]
            if not name.startswith("relu6"):
                continue
            calibration = np.load(folder / f"{name}-calibration.npy")[:60].astype(np.float32)

            def calibrate(coder: str, restore: str, data: DataSet = data,
                          x: np.ndarray = calibration) -> lwfc.Codec:  # fmt: skip
                return lwfc.calibrate(x, levels=data.levels, clip=(0.0, data.hi),
                                      activation="relu6", coder=coder, restore=restore)  # fmt: skip

            yield data, calibrate


def threads_suite(seconds: float, folder: Path) -> dict[str, Any]:
    """One thread against two and more, 10^7 elements; wall time counts."""
    data = clustered(LARGE)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    chains = [memcpy_chain(data.x)]
    for coder in ("rans", "cabac"):
        for n in sorted({1, 2, cores or 1}):
            chains.append(codec_chain(f"lwfc {coder}, {n} threads", data.codec(coder), data.x, n))
    rows = timed(chains, data.x.size, 2 * seconds, data="B")
    # The same work by two Python threads on one thread each: the GIL is released.
    pair = [codec_chain("", data.codec(), data.x) for _ in range(2)]

    def both(name: str) -> Callable[[], None]:
        def run() -> None:
            threads = [threading.Thread(target=getattr(c, name)) for c in pair]
            for t in threads:
                t.start()
            for t in threads:
                t.join()

        return run

    rows += timed(
        [Chain("two Python threads, a tensor each", pair[0].bits, both("encode"), both("decode"))],
        2 * data.x.size, seconds, data="B",
    )  # fmt: skip
    return {"rows": rows}


def batches_suite(seconds: float, folder: Path) -> dict[str, Any]:
    """Batches of 64x24x24 by profile, one thread against two; wall time counts."""
    data, rows = clustered((64, 64, 24, 24)), []
    for name, codec in codecs(data).items():
        for batch in (8, 64):
            x = np.ascontiguousarray(data.x[:batch])
            chains = [codec_chain(f"{name} x{batch}, {n} threads", codec, x, n) for n in (1, 2)]
            rows += timed(chains, x.size, seconds / 4, data="B")
    return {"rows": rows}


def small_suite(seconds: float, folder: Path) -> dict[str, Any]:
    """One small tensor from Python: data B's first channels, N = 4."""
    whole = clustered((32, 256, 28, 28)).x
    rows = []
    for channels, side in ((128, 28), (16, 28), (128, 7), (16, 8), (2, 8)):
        x = np.ascontiguousarray(whole[:1, :channels, :side, :side])
        data = DataSet("B", x, 4, clustered_hi())
        chains = [memcpy_chain(x)]
        chains.append(codec_chain("lwfc rans", data.codec(), x))
        chains.append(codec_chain("lwfc cabac", data.codec("cabac"), x))
        chains.append(kernel_chain("C loop, rans", data))
        extra = zstd_chain("joined + zstd -1", data, 4, 1)
        rows += timed(chains + ([extra] if extra else []), x.size, seconds / 2,
                      data="B", shape=list(x.shape))  # fmt: skip
    return {"rows": rows}


def clustered_hi() -> float:
    return clustered((1, 1, 8, 8)).hi


def sizes_suite(seconds: float, folder: Path) -> dict[str, Any]:
    """Cost against size: 10^3 to 10^8 elements of data B, N = 4, from Python."""
    base = clustered((32, 256, 28, 28))
    rows = []
    shapes = ((1, 2, 28, 28), (1, 13, 28, 28), (1, 128, 28, 28), (5, 256, 28, 28), LARGE,
              (500, 256, 28, 28))  # fmt: skip
    for shape in shapes:
        x = np.resize(base.x[:, : shape[1]], shape)
        data = DataSet("B", x, 4, base.hi)
        chains = [memcpy_chain(x), codec_chain("lwfc rans", data.codec(), x)]
        rows += timed(chains, x.size, seconds, data="B", shape=list(shape))
    return {"rows": rows}


def kernels_suite(seconds: float, folder: Path) -> dict[str, Any]:
    """The float passes alone: quantize and dequantize of 10^7 floats, against memcpy."""
    x = np.random.default_rng(5).standard_exponential(10_000_000, np.float32)
    lib, n = library(), x.size
    symbols = aligned((n,))
    out = aligned((n,), np.float32)
    chains = [memcpy_chain(x)]
    for levels in (2, 3, 4, 8, 16, 32, 64, 256):
        codec = DataSet("", x[:1].reshape(1, 1, 1, 1), levels, 4.0).codec()
        thresholds, values = codec.thresholds[0].copy(), codec.values[0].copy()

        def quantize(t: np.ndarray = thresholds, count: int = levels - 1) -> None:
            lib.bench_quantize(address(x), n, address(t), count, address(symbols))

        def dequantize(
            v: np.ndarray = values, t: np.ndarray = thresholds, levels: int = levels
        ) -> None:
            lib.bench_dequantize(address(symbols), n, address(v), levels, address(out))

        chains.append(Chain(f"N={levels}", 8.0, quantize, dequantize))
    tasks = []
    for c in chains:
        tasks += [Task(c.name, c.encode), Task(c.name, c.decode)]
    rows = []
    for i, c in enumerate(chains):  # symbols must be of the N that reads them
        c.encode()
        pair = [Task("memcpy", chains[0].encode), *tasks[2 * i : 2 * i + 2]]
        interleave(pair, seconds / 4)
        rows.append({"chain": c.name, "elements": n, "bits": c.bits, "memcpy_s": pair[0].cpu,
                     "encode_s": pair[1].cpu, "decode_s": pair[2].cpu})  # fmt: skip
    return {"rows": rows}


SUITES = {
    "symbols": symbols_suite,
    "features": features_suite,
    "kernels": kernels_suite,
    "tensors": tensors_suite,
    "calibrated": calibrated_suite,
    "coders": coders_suite,
    "threads": threads_suite,
    "batches": batches_suite,
    "small": small_suite,
    "sizes": sizes_suite,
    "profile": profile_suite,
}
