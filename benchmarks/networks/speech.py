"""silero-vad: where someone speaks, 128 channels of an encoder in front of an LSTM; ONNX.

Speech is made by the program espeak-ng, with other voices in each split, so that it is known when
it sounds; noise of several colours lies over it.
"""

import io
import subprocess
import wave
from pathlib import Path

import numpy as np

from lwfc.evaluation.study import SPLITS, Study

from .common import halved, halves, package_file

__all__ = ["silero"]

PACKAGE = "silero-vad==6.2.3"
MODEL = "data/silero_vad_16k_sequence.onnx"
AT = "/Relu_output_0"
RATE, WINDOW, CONTEXT = 16000, 512, 64  # the network's: samples a second, a step, before a step
STEPS = 125  # four seconds
STATE = {name: np.zeros((1, 1, 128), np.float32) for name in "hc"}
SPEAKERS = ("m1", "m2", "m3", "f1", "f2", "f3", "m4", "m5", "m6", "f4", "f5", "m7")
LANGUAGES = ("en-us", "en-gb", "de", "fr-fr", "es", "it")
WORDS = ("window", "banana", "radio", "seven", "garden", "music", "orange", "letter", "paper",
         "river", "dinner", "family", "summer", "doctor", "number", "hotel", "animal", "minute",
         "silver", "visit", "melody", "corner", "planet", "salad")  # fmt: skip
AUDIBLE = 30  # dB below an utterance's loudest step, where a step still counts as speech
SIZES, QUICK = (60, 100, 100), (30, 40, 60)  # calibration, tune and test clips


def spoken(rng: np.random.Generator, speakers: tuple[str, ...]) -> np.ndarray:
    """A few words at the network's rate, of loudness 1."""
    from scipy.signal import resample_poly

    voice = f"{rng.choice(LANGUAGES)}+{rng.choice(speakers)}"
    text = " ".join(rng.choice(WORDS, rng.integers(1, 4)))
    speed, pitch = (str(rng.integers(*ends)) for ends in ((130, 190), (30, 70)))
    command = ["espeak-ng", "-v", voice, "-s", speed, "-p", pitch, "--stdout", text]
    data = subprocess.run(command, check=True, capture_output=True).stdout
    with wave.open(io.BytesIO(data)) as sound:
        rate, raw = sound.getframerate(), sound.readframes(1 << 30)
    x = np.frombuffer(raw[: len(raw) // 2 * 2], "<i2").astype(np.float64)
    x = resample_poly(x, RATE, rate)
    return x / np.sqrt(np.square(x).mean())


def noise(rng: np.random.Generator, count: int) -> np.ndarray:
    """Noise between white and brown, of loudness 1."""
    spectrum = np.fft.rfft(rng.normal(size=count))
    spectrum /= np.maximum(np.arange(len(spectrum)), 20) ** rng.uniform(0, 1)
    x = np.fft.irfft(spectrum, count)
    return x / np.sqrt(np.square(x).mean())


def clip(rng: np.random.Generator, speakers: tuple[str, ...]) -> tuple[np.ndarray, np.ndarray]:
    """(the network's input of STEPS steps, whether someone speaks in each)."""
    count = STEPS * WINDOW
    speech, speaking = np.zeros(count), np.zeros(STEPS, bool)
    for half in range(2):  # an utterance in each half, or none
        if rng.random() < 0.25:
            continue
        words = spoken(rng, speakers)[: count // 2]
        start = half * count // 2 + rng.integers(count // 2 - len(words) + 1)
        alone = np.zeros(count)
        alone[start : start + len(words)] = words
        power = np.square(alone.reshape(STEPS, WINDOW)).mean(1)
        speaking |= power > power.max() * 10 ** (-AUDIBLE / 10)
        speech += alone
    loud, below = rng.uniform(0.02, 0.1), rng.uniform(5, 25)  # of full scale; dB
    x = loud * (speech + 10 ** (-below / 20) * noise(rng, count))
    return stepped(x.astype(np.float32)), speaking


def stepped(x: np.ndarray) -> np.ndarray:
    """Steps with what is before each, (STEPS, CONTEXT + WINDOW), of a clip's samples."""
    x = np.concatenate([np.zeros(CONTEXT, np.float32), x])
    steps = np.lib.stride_tricks.sliding_window_view(x, CONTEXT + WINDOW)[::WINDOW]
    return np.ascontiguousarray(steps)


def right(outputs: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Percent of a clip's steps judged right."""
    return 100.0 * ((outputs > 0.5) == labels).mean(1)


def silero(quick: bool, cache: Path) -> Study:
    """Clips of four seconds, 128 channels at four times a step; accuracy of the steps."""
    path = package_file(PACKAGE, MODEL)
    inputs, labels = {}, {}
    for i, (split, count) in enumerate(zip(SPLITS, QUICK if quick else SIZES, strict=True)):
        rng = np.random.default_rng([3, i])
        try:
            clips = [clip(rng, SPEAKERS[i :: len(SPLITS)]) for _ in range(count)]
        except FileNotFoundError as error:
            raise FileNotFoundError("needs the program espeak-ng, which makes the speech") \
                from error  # fmt: skip
        inputs[split], labels[split] = map(np.stack, zip(*clips, strict=True))
    example = {"input": inputs["calibration"][0], **STATE}
    edge, cloud = halves(path, AT, example, allow_input=True)

    def first(x: np.ndarray) -> np.ndarray:
        steps = edge.tensors({"input": x[0], **STATE})[AT]
        return np.moveaxis(steps, 0, 1).reshape(1, steps.shape[1], -1)

    def second(x: np.ndarray) -> np.ndarray:
        steps = np.moveaxis(x[0].reshape(len(x[0]), STEPS, -1), 1, 0)
        return cloud({AT: np.ascontiguousarray(steps), **STATE})["speech_probs"][None]

    def received(sounds: np.ndarray) -> np.ndarray:
        return np.stack([stepped(sound / np.float32(1 << 15)) for sound in sounds])

    sounds = {split: np.rint(x[..., CONTEXT:].reshape(len(x), -1) * (1 << 15)).clip(
        -(1 << 15), (1 << 15) - 1).astype(np.int16) for split, x in inputs.items()}  # fmt: skip
    return halved("silero", first, second, inputs, cache, batch=1, labels=labels, metric=right,
                  measure="steps right", images=sounds, received=received)  # fmt: skip
