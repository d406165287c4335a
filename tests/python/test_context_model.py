"""Fitting of the context model, and the C coder against a decoder written from the format."""

from __future__ import annotations

import ctypes
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "reference"))

import coder_context
from primitives import Block

from lwfc.context.fit import ModelFit
from lwfc.context.fitter import ContextFitter

ROOT = Path(__file__).resolve().parents[2]
SOURCES = [
    "entropy/context.c",
    "entropy/context_folds.c",
    "entropy/context_work.c",
    "entropy/context_single.c",
    "entropy/context_model.c",
    "kernels/context_kernels.c",
    "kernels/lanes.c",
    "cpu/cpu.c",
    "base/memory.c",
]


def make_symbols(
    samples: int, channels: int, height: int, width: int, levels: int, seed: int = 0
) -> np.ndarray:
    """Smooth planes that share a few latent fields, cut at 0 and quantized."""
    rng = np.random.default_rng(seed)
    mix = np.random.default_rng(99).normal(size=(channels, 6))
    fields = rng.normal(size=(samples, 6, height + 4, width + 4))
    smooth = (
        sum(fields[:, :, dy : dy + height, dx : dx + width] for dy in range(5) for dx in range(5))
        / 5.0
    )
    x = np.einsum("cf,nfhw->nchw", mix, smooth) / 2.4
    x += 0.3 * rng.normal(size=x.shape)
    return np.clip(np.rint(x), 0, levels - 1).astype(np.uint8)


def fit(levels: int, symbols: np.ndarray) -> bytes:
    fitter = ContextFitter(levels, symbols.shape[1])
    fitter.update(symbols)
    return fitter.finish()


def decode_reference(data: bytes, shape: tuple[int, ...], blob: bytes) -> tuple[Any, float]:
    """(symbols, ideal bits) from the reference decoder."""
    bits = 0.0
    plain = coder_context.States.decode

    def decode(states: Any, chain: int, lane: int, thresholds: list[int]) -> int:
        nonlocal bits
        k = plain(states, chain, lane, thresholds)
        bits -= np.log2((([*thresholds, 256])[k] - ([0, *thresholds])[k]) / 256)
        return k

    model = coder_context.read_model(blob)
    with mock.patch.object(coder_context.States, "decode", decode):
        symbols = coder_context.decode(data, Block(*shape), model.levels, model)
    return np.array(symbols, np.uint8).reshape(shape), bits


class Extent(ctypes.Structure):
    _fields_ = [(k, ctypes.c_int32) for k in ("samples", "channels", "height", "width")]


class Coder:
    """The C coder through ctypes."""

    def __init__(self, path: Path) -> None:
        self.lib = ctypes.CDLL(str(path))
        size, pointer, block = ctypes.c_size_t, ctypes.c_void_p, ctypes.POINTER(Extent)
        self.lib.lwfc_alloc.restype = pointer
        self.lib.lwfc_alloc.argtypes = [size]
        self.lib.lwfc_free.argtypes = [pointer]
        for name, last in (("bound", ctypes.c_int), ("workspace", pointer)):
            getattr(self.lib, f"lwfc_context_{name}").restype = size
            getattr(self.lib, f"lwfc_context_{name}").argtypes = [block, last]
        self.lib.lwfc_context_model_workspace.restype = size
        self.lib.lwfc_context_model_workspace.argtypes = [ctypes.c_char_p, size]
        self.lib.lwfc_context_model_read.argtypes = [ctypes.c_char_p, size, pointer, pointer]
        self.lib.lwfc_context_encode.restype = size
        self.lib.lwfc_context_encode.argtypes = [
            pointer,
            block,
            ctypes.c_int,
            pointer,
            pointer,
            size,
            pointer,
        ]

    def encode(self, symbols: np.ndarray, levels: int, blob: bytes) -> bytes:
        block = Extent(*symbols.shape)
        model = ctypes.create_string_buffer(512)
        bound = self.lib.lwfc_context_bound(block, levels)
        alloc = self.lib.lwfc_alloc
        memory = alloc(self.lib.lwfc_context_model_workspace(blob, len(blob)))
        assert self.lib.lwfc_context_model_read(blob, len(blob), model, memory) == 0
        source, out = alloc(symbols.size), alloc(bound)
        work = alloc(self.lib.lwfc_context_workspace(block, model))
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
    subprocess.run(
        [
            cc,
            "-std=c11",
            "-O2",
            "-ffp-contract=off",
            "-shared",
            "-fPIC",
            f"-I{csrc}",
            f"-I{csrc / 'include'}",
            *[str(csrc / s) for s in SOURCES],
            "-o",
            str(path),
        ],
        check=True,
    )
    return Coder(path)


def order0_bits(symbols: np.ndarray) -> float:
    p = np.bincount(symbols.ravel()) / symbols.size
    p = p[p > 0]
    return float(-(p * np.log2(p)).sum() * symbols.size)


@pytest.mark.parametrize(
    ("levels", "shape"),
    [
        (2, (1, 40, 12, 12)),
        (4, (1, 70, 16, 16)),
        (3, (2, 37, 1, 120)),
        (7, (1, 5, 9, 8)),
        (2, (2, 33, 45, 46)),
    ],
)
def test_stream_follows_the_format(coder: Coder, levels: int, shape: tuple[int, ...]) -> None:
    channels = shape[1]
    blob = fit(levels, make_symbols(20, channels, *shape[2:], levels))
    test = make_symbols(shape[0], channels, *shape[2:], levels, seed=5)
    test[:, channels // 2] = 0
    data = coder.encode(test, levels, blob)
    decoded, bits = decode_reference(data, shape, blob)
    assert np.array_equal(decoded, test)
    states = 3 if test.size < 16384 else 64 * (2 if test.size >= 131072 else 1)
    assert 8 * len(data) <= 1.03 * bits + 8 * (states + 2 + channels // 8)


def make_restless(samples: int, channels: int, size: int, levels: int, seed: int) -> np.ndarray:
    """Symbols around the middle, calm in one half of a sample's columns, wild in the other."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(samples, channels, size, size))
    x[..., : size // 2] *= 0.3
    x[..., size // 2 :] *= 1.5
    return np.clip(np.rint(x + (levels - 1) / 2), 0, levels - 1).astype(np.uint8)


@pytest.mark.parametrize("levels", [3, 4, 7])
def test_a_spread_is_fitted_where_it_pays(coder: Coder, levels: int) -> None:
    blob = fit(levels, make_restless(20, 40, 16, levels, 1))
    assert coder_context.read_model(blob).scores == 2
    test = make_restless(2, 40, 16, levels, 2)
    data = coder.encode(test, levels, blob)
    decoded, bits = decode_reference(data, test.shape, blob)
    assert np.array_equal(decoded, test)
    assert bits < order0_bits(test) and 8 * len(data) <= 1.03 * bits + 8 * 64


def test_a_spread_is_fitted_where_scores_without_it_saturate(
    coder: Coder, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(1)
    walk = rng.normal(size=(44, 1, 49)).cumsum(axis=2) * rng.normal(size=(32, 1)) * 2 / 3
    x = walk + 0.05 * rng.normal(size=(44, 32, 49))  # all channels nearly certain beside another
    symbols = np.clip(np.rint(x + 3.5), 0, 7).astype(np.uint8)[:, :, None]
    blobs = [fit(8, symbols[:40])]
    monkeypatch.setattr(ModelFit, "spread_pays", lambda _: False)
    blobs.append(fit(8, symbols[:40]))
    assert coder_context.read_model(blobs[0]).scores == 2
    spread, plain = (len(coder.encode(symbols[40:], 8, blob)) for blob in blobs)
    assert spread < 0.8 * plain


@pytest.mark.parametrize("levels", [2, 4])
def test_beats_order_0_from_ten_samples_on(coder: Coder, levels: int) -> None:
    test = make_symbols(2, 64, 24, 24, levels, seed=7)
    sizes = [
        8 * len(coder.encode(test, levels, fit(levels, make_symbols(n, 64, 24, 24, levels))))
        for n in (3, 10, 40)
    ]
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
    assert sum(rows.nbytes for _, rows in fitter._rows) <= 64 << 20
    coder_context.read_model(fitter.finish())


def test_references_are_limited() -> None:
    fitter = ContextFitter(3, 40, references=2)
    fitter.update(make_symbols(8, 40, 14, 14, 3))
    assert max(len(s.references) for s in coder_context.read_model(fitter.finish()).slots) == 2


@pytest.mark.parametrize("value", [0, 3])
def test_constant_channels(value: int) -> None:
    coder_context.read_model(fit(4, np.full((4, 33, 6, 6), value, np.uint8)))


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
