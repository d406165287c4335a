"""basic-pitch: the notes of two seconds of music, cut behind its spectrogram; ONNX.

Notes are played by a small additive synthesizer, so that it is known which sound when.
"""

from pathlib import Path

import numpy as np

from lwfc.evaluation.study import SPLITS, Study

from .common import halved, halves, package_file

__all__ = ["AT", "MODELS", "PACKAGE", "basic_pitch", "frames_right", "music"]

PACKAGE = "basic-pitch==0.4.0"
MODELS = "saved_models/icassp_2022"  # the network as nmp.onnx, nmp.tflite and the folder nmp
AT = "model_1/batch_normalization/FusedBatchNormV3;model_1/batch_normalization/FusedBatchNormV33"
NOTES = "StatefulPartitionedCall:1"  # of three outputs
RATE, LENGTH, HOP, FRAMES = 22050, 43844, 256, 172  # samples a second, a clip, a frame; frames
PITCHES, LOWEST = 88, 21  # keys of a piano; the number of the lowest in MIDI
ACTIVE = 0.3  # the package's own threshold
SIZES, QUICK = (30, 60, 50), (24, 40, 60)  # calibration, tune and test clips


def tone(rng: np.random.Generator, key: int, count: int) -> np.ndarray:
    """A struck or blown note: harmonics with an envelope."""
    time = np.arange(count) / RATE
    pitch = 440 * 2 ** ((key - 69) / 12)
    fall, decay = rng.uniform(0.8, 2.0), rng.choice([0.0, 2.0, 4.0])
    x = np.zeros(count)
    for k in range(1, 9):
        if k * pitch < 0.45 * RATE:
            phase = rng.uniform(0, 2 * np.pi)
            x += k**-fall * np.sin(2 * np.pi * k * pitch * time + phase) * np.exp(-decay * k * time)
    edge = int(0.01 * RATE)
    ramp = np.minimum(1, np.minimum(np.arange(count), np.arange(count)[::-1]) / edge)
    return x * ramp / np.sqrt(np.square(x).mean())


def music(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """(a clip of LENGTH samples, which of PITCHES sound in each of FRAMES)."""
    x, sounding = np.zeros(LENGTH), np.zeros((FRAMES, PITCHES), bool)
    for _ in range(rng.integers(3, 8)):
        key = int(rng.integers(40, 85))
        start, count = rng.integers(LENGTH - RATE // 4), rng.integers(RATE // 4, RATE)
        count = min(count, LENGTH - start)
        x[start : start + count] += rng.uniform(0.3, 1) * tone(rng, key, count)
        sounding[round(start / HOP) : round((start + count) / HOP), key - LOWEST] = True
    x += 10 ** rng.uniform(-3, -1.5) * rng.normal(size=LENGTH)
    return (0.5 * x / np.abs(x).max()).astype(np.float32)[:, None], sounding


def clips(split: str, count: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng([4, SPLITS.index(split)])
    x, sounding = zip(*(music(rng) for _ in range(count)), strict=True)
    return np.stack(x), np.stack(sounding)


def frames_right(notes: np.ndarray, sounding: np.ndarray) -> np.ndarray:
    """F-measure of sounding pitches over a clip's frames, in percent."""
    found = np.asarray(notes) > ACTIVE
    both = (found & sounding).sum((1, 2))
    return 200.0 * both / np.maximum(found.sum((1, 2)) + sounding.sum((1, 2)), 1)


def basic_pitch(quick: bool, cache: Path) -> Study:
    """Clips of two seconds, 172 frames of 309 frequencies; F-measure of the pitches that sound."""
    path = package_file(PACKAGE, MODELS) / "nmp.onnx"
    inputs, labels = {}, {}
    for split, count in zip(SPLITS, QUICK if quick else SIZES, strict=True):
        inputs[split], labels[split] = clips(split, count)
    edge, cloud = halves(path, AT, inputs["calibration"][:1])

    def first(x: np.ndarray) -> np.ndarray:
        return np.moveaxis(edge.tensors(x)[AT], -1, 1)

    def second(x: np.ndarray) -> np.ndarray:
        return cloud({AT: np.moveaxis(x, 1, -1)})[NOTES]

    def received(sounds: np.ndarray) -> np.ndarray:
        return sounds[..., None] / np.float32(1 << 15)

    sounds = {split: np.rint(x[..., 0] * (1 << 15)).astype(np.int16) for split, x in inputs.items()}
    return halved("basic-pitch", first, second, inputs, cache, batch=10, labels=labels,
                  metric=frames_right, measure="F-measure", images=sounds,
                  received=received)  # fmt: skip
