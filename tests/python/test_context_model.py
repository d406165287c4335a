"""Fitting of the context model, and the C coder against a decoder written from the format."""

from __future__ import annotations

import ctypes
import shutil
import struct
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lwfc.context_model import ContextFitter

ROOT = Path(__file__).resolve().parents[2]
SOURCES = ["entropy/context.c", "entropy/context_work.c", "entropy/context_single.c",
           "entropy/context_model.c", "kernels/context_kernels.c", "kernels/lanes.c",
           "cpu/cpu.c", "base/memory.c"]


def make_symbols(samples: int, channels: int, height: int, width: int, levels: int,
                 seed: int = 0) -> np.ndarray:
    """Smooth planes that share a few latent fields, cut at 0 and quantized."""
    rng = np.random.default_rng(seed)
    mix = np.random.default_rng(99).normal(size=(channels, 6))
    fields = rng.normal(size=(samples, 6, height + 4, width + 4))
    smooth = sum(fields[:, :, dy:dy + height, dx:dx + width]
                 for dy in range(5) for dx in range(5)) / 5.0
    x = np.einsum("cf,nfhw->nchw", mix, smooth) / 2.4
    x += 0.3 * rng.normal(size=x.shape)
    return np.clip(np.rint(x), 0, levels - 1).astype(np.uint8)


def fit(levels: int, symbols: np.ndarray) -> bytes:
    fitter = ContextFitter(levels, symbols.shape[1])
    fitter.update(symbols)
    return fitter.finish()


class Model:
    """The blob, read as the format says."""

    def __init__(self, blob: bytes) -> None:
        version, self.levels, self.shift, self.coarse, c = struct.unpack_from("<BBBBH", blob)
        assert version == 1
        self.channels = c
        self.link = list(blob[6:38])
        self.order = np.frombuffer(blob, "<u2", c, 38).astype(int)
        at = 38 + 2 * c
        self.records = []
        for _ in range(c):
            n = self.levels - 1
            (offset,) = struct.unpack_from("<h", blob, at)
            values = np.frombuffer(blob, np.int8, 5 + 3 * n, at + 2).astype(int)
            at += 7 + 3 * n
            above, bias, left, left2 = np.split(values, [5, 5 + n, 5 + 2 * n])
            refs = []
            for _ in range(blob[at]):
                kinds = "<Hbbb" if self.levels > 2 else "<Hbb"
                refs.append((*struct.unpack_from(kinds, blob, at + 1), 0)[:4])
                at += struct.calcsize(kinds)
            at += 1
            sums = [np.concatenate([[0], np.cumsum(v)]) for v in (left, left2)]
            self.records.append((offset, above, bias, sums[0], sums[1], refs))
        assert at == len(blob)

    def groups(self) -> list[range]:
        first = (self.channels - 1) % 32 + 1
        return [range(first)] + [range(s, s + 32) for s in range(first, self.channels, 32)]

    def thresholds(self, slot: int, q: np.ndarray, y: int, x: int) -> list[int]:
        """C_0..C_N from symbols (C, H + 2, W + 3), padded by two on top and left, one right."""
        offset, above, bias, left, left2, refs = self.records[slot]
        own = q[self.order[slot]]
        e = 0
        for ref, base, first, slope in refs:
            s = int(q[self.order[ref], y + 2, x + 2])
            e = sat8(e + base + (first + (s - 1) * slope if s else 0))
        up = int(own[y + 1, x + 2])
        near = [up, int(own[y + 1, x + 1]), int(own[y + 1, x + 3]), int(own[y, x + 2]), up > 0]
        e = sat8((offset + (e << self.shift) + int(np.dot(above, near))) >> self.shift)
        e = sat8(sat8(e + int(left2[own[y + 2, x]])) + int(left[own[y + 2, x + 1]]))
        c = [0]
        for k, b in enumerate(bias):
            v = sat8(e + int(b))
            start = self.link[min(abs(v), (32 << self.coarse) - 1) >> self.coarse]
            c.append((256 - start if v < 0 else start) + k)
        return [*c, 256]


def sat8(v: int) -> int:
    return max(-128, min(127, v))


def decode_reference(data: bytes, shape: tuple[int, ...], model: Model) -> tuple[Any, float]:
    """(symbols, ideal bits), slowly."""
    samples, channels, height, width = shape
    size = int(np.prod(shape))
    single = size < 16384
    chains = 2 if not single and samples > 1 and size >= 131072 else 1
    at = 1
    silent = np.zeros(channels, bool)
    if data[0] & 1:
        silent = np.unpackbits(np.frombuffer(data, np.uint8, (channels + 7) // 8, 1),
                               bitorder="little")[:channels].astype(bool)
        at += (channels + 7) // 8
    if single:
        states, low = [[int.from_bytes(data[at:at + 3], "little")]], 1 << 15
        at += 3
    else:
        lanes, low = min(channels, 32), 256
        states = np.frombuffer(data, "<u2", chains * lanes, at).reshape(chains, lanes).tolist()
        at += 2 * chains * lanes
    q = np.zeros((samples, channels, height + 2, width + 3), np.uint8)
    bits = 0.0
    for p in range(0, samples, chains):
        for group in model.groups():
            for y, x in np.ndindex(height, width):
                for chain in range(min(chains, samples - p)):
                    for lane, slot in enumerate(group):
                        if silent[slot]:
                            continue
                        i = 0 if single else lane
                        c = model.thresholds(slot, q[p + chain], y, x)
                        state = states[chain][i]
                        k = int(np.searchsorted(c, state & 255, side="right")) - 1
                        f = c[k + 1] - c[k]
                        bits -= np.log2(f / 256)
                        state = f * (state >> 8) + (state & 255) - c[k]
                        if state < low:
                            state, at = state << 8 | data[at], at + 1
                        states[chain][i] = state
                        q[p + chain, model.order[slot], y + 2, x + 2] = k
    assert at == len(data) and all(s == low for chain in states for s in chain)
    return q[:, :, 2:, 2:-1], bits


class Block(ctypes.Structure):
    _fields_ = [(k, ctypes.c_int32) for k in ("samples", "channels", "height", "width")]


class Coder:
    """The C coder through ctypes."""

    def __init__(self, path: Path) -> None:
        self.lib = ctypes.CDLL(str(path))
        size, pointer, block = ctypes.c_size_t, ctypes.c_void_p, ctypes.POINTER(Block)
        self.lib.lwfc_alloc.restype = pointer
        self.lib.lwfc_alloc.argtypes = [size]
        self.lib.lwfc_free.argtypes = [pointer]
        for name in ("bound", "workspace"):
            getattr(self.lib, f"lwfc_context_{name}").restype = size
            getattr(self.lib, f"lwfc_context_{name}").argtypes = [block, ctypes.c_int]
        self.lib.lwfc_context_model_workspace.restype = size
        self.lib.lwfc_context_model_workspace.argtypes = [ctypes.c_char_p, size]
        self.lib.lwfc_context_model_read.argtypes = [ctypes.c_char_p, size, pointer, pointer]
        self.lib.lwfc_context_encode.restype = size
        self.lib.lwfc_context_encode.argtypes = [pointer, block, ctypes.c_int, pointer, pointer,
                                                 size, pointer]

    def encode(self, symbols: np.ndarray, levels: int, blob: bytes) -> bytes:
        block = Block(*symbols.shape)
        model = ctypes.create_string_buffer(512)
        bound = self.lib.lwfc_context_bound(block, levels)
        sizes = [self.lib.lwfc_context_model_workspace(blob, len(blob)), symbols.size, bound,
                 self.lib.lwfc_context_workspace(block, levels)]
        memory, source, out, work = [self.lib.lwfc_alloc(n) for n in sizes]
        assert self.lib.lwfc_context_model_read(blob, len(blob), model, memory) == 0
        ctypes.memmove(source, np.ascontiguousarray(symbols).ctypes.data, symbols.size)
        n = self.lib.lwfc_context_encode(source, block, levels, model, out, bound, work)
        data = ctypes.string_at(out, n)
        for p in (memory, source, out, work):
            self.lib.lwfc_free(p)
        return data


@pytest.fixture(scope="module")
def coder(tmp_path_factory: pytest.TempPathFactory) -> Coder:
    cc = shutil.which("cc")
    if cc is None:
        pytest.skip("no C compiler")
    path = tmp_path_factory.mktemp("context") / "context.so"
    csrc = ROOT / "csrc"
    subprocess.run([cc, "-std=c11", "-O2", "-ffp-contract=off", "-shared", "-fPIC", f"-I{csrc}",
                    f"-I{csrc / 'include'}", *[str(csrc / s) for s in SOURCES], "-o", str(path)],
                   check=True)
    return Coder(path)


def order0_bits(symbols: np.ndarray) -> float:
    p = np.bincount(symbols.ravel()) / symbols.size
    p = p[p > 0]
    return float(-(p * np.log2(p)).sum() * symbols.size)


@pytest.mark.parametrize(
    ("levels", "shape"),
    [(2, (1, 40, 12, 12)), (4, (1, 70, 16, 16)), (3, (2, 37, 1, 120)), (7, (1, 5, 9, 8)),
     (2, (2, 33, 45, 46))])
def test_stream_follows_the_format(coder: Coder, levels: int, shape: tuple[int, ...]) -> None:
    channels = shape[1]
    blob = fit(levels, make_symbols(20, channels, *shape[2:], levels))
    test = make_symbols(shape[0], channels, *shape[2:], levels, seed=5)
    test[:, channels // 2] = 0
    data = coder.encode(test, levels, blob)
    decoded, bits = decode_reference(data, shape, Model(blob))
    assert np.array_equal(decoded, test)
    states = 3 if test.size < 16384 else 64 * (2 if test.size >= 131072 else 1)
    assert 8 * len(data) <= 1.03 * bits + 8 * (states + 2 + channels // 8)


@pytest.mark.parametrize("levels", [2, 4])
def test_beats_order_0_from_ten_samples_on(coder: Coder, levels: int) -> None:
    test = make_symbols(2, 64, 24, 24, levels, seed=7)
    sizes = [8 * len(coder.encode(test, levels, fit(levels, make_symbols(n, 64, 24, 24, levels))))
             for n in (3, 10, 40)]
    assert max(sizes[1:]) < 0.65 * order0_bits(test) and sizes[2] < 1.01 * sizes[1]
    assert sizes[0] < 0.8 * order0_bits(test)


def test_noise_costs_no_more_than_order_0(coder: Coder) -> None:
    rng = np.random.default_rng(3)
    noise = (rng.random((12, 40, 20, 20)) < 0.3).astype(np.uint8)
    blob = fit(2, noise[:10])
    assert 8 * len(coder.encode(noise[10:], 2, blob)) < 1.02 * order0_bits(noise[10:]) + 600


def test_fit_is_deterministic_and_independent_of_batches() -> None:
    symbols = make_symbols(12, 36, 14, 14, 4)
    whole = fit(4, symbols)
    pieces = ContextFitter(4, 36)
    for part in np.split(symbols, [1, 5]):
        pieces.update(part)
    shares: list[float] = []
    assert pieces.finish(shares.append) == whole
    assert shares == sorted(shares) and shares[-1] == 1.0


def test_memory_stays_bounded() -> None:
    fitter = ContextFitter(2, 8)
    symbols = make_symbols(50, 8, 10, 10, 2)
    for _ in range(60):
        fitter.update(symbols)
    assert fitter.samples == 3000
    assert sum(rows.size for _, rows in fitter._rows) <= 64 << 20
    Model(fitter.finish())


def test_references_are_limited() -> None:
    fitter = ContextFitter(3, 40, references=2)
    fitter.update(make_symbols(8, 40, 14, 14, 3))
    assert max(len(record[5]) for record in Model(fitter.finish()).records) == 2


@pytest.mark.parametrize("value", [0, 3])
def test_constant_channels(value: int) -> None:
    Model(fit(4, np.full((4, 33, 6, 6), value, np.uint8)))


def test_arguments_are_checked() -> None:
    with pytest.raises(ValueError, match="2..16 levels"):
        ContextFitter(17, 4)
    with pytest.raises(ValueError, match="references"):
        ContextFitter(4, 4, references=256)
    fitter = ContextFitter(3, 4)
    with pytest.raises(ValueError, match="no calibration"):
        fitter.finish()
    with pytest.raises(ValueError, match="below 3"):
        fitter.update(np.full((1, 4, 2, 2), 3, np.uint8))
    with pytest.raises(ValueError, match="shape"):
        fitter.update(np.zeros((1, 5, 2, 2), np.uint8))
