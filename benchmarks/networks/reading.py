"""rapidocr's recognizer: the characters of a line of text, 12x80 features of a CNN; ONNX."""

from pathlib import Path

import numpy as np

from lwfc.evaluation.study import SPLITS, Study

from .common import halved, halves, package_file
from .speech import WORDS

__all__ = ["rapidocr"]

PACKAGE = "rapidocr-onnxruntime==1.4.4"
MODEL = "models/ch_PP-OCRv4_rec_infer.onnx"
AT = "p2o.Add.79"
HEIGHT, WIDTH = 48, 160  # of the network's input
SIZES, QUICK = (60, 150, 100), (30, 40, 60)  # calibration, tune and test lines


def line(rng: np.random.Generator) -> tuple[np.ndarray, str]:
    """(the network's input, the text): a word and a number, rendered by Pillow, under noise."""
    from PIL import Image, ImageDraw, ImageFont

    text = f"{rng.choice(WORDS)}{rng.integers(10, 100)}"
    dark, light = rng.uniform(0, 90, 3), rng.uniform(160, 255, 3)
    mask = Image.new("L", (WIDTH, HEIGHT))
    font = ImageFont.load_default(int(rng.integers(22, 29)))
    place = rng.integers(4, 12), rng.integers(4, 12)
    ImageDraw.Draw(mask).text(tuple(map(int, place)), text, 255, font)
    share = np.asarray(mask)[..., None] / 255
    image = dark * share + light * (1 - share) + rng.normal(0, rng.uniform(0, 25), share.shape)
    x = np.clip(np.rint(image), 0, 255) / 127.5 - 1
    return np.moveaxis(x, -1, 0).astype(np.float32), text


def read(outputs: np.ndarray, characters: list[str]) -> list[str]:
    """The likeliest character of each step, repetitions, blanks (0) and outer spaces left out."""
    found = []
    for row in outputs.argmax(-1):
        kept = row[np.flatnonzero(np.diff(row, prepend=-1))]
        found.append("".join(characters[i - 1] for i in kept if i).strip())
    return found


def rapidocr(quick: bool, cache: Path) -> Study:
    """Lines of a word and a number, 128x12x80; how many are read without a mistake."""
    path = package_file(PACKAGE, MODEL)
    inputs, labels = {}, {}
    for i, (split, count) in enumerate(zip(SPLITS, QUICK if quick else SIZES, strict=True)):
        rng = np.random.default_rng([5, i])
        lines = [line(rng) for _ in range(count)]
        inputs[split] = np.stack([x for x, _ in lines])
        labels[split] = [text for _, text in lines]
    edge, cloud = halves(path, AT, inputs["calibration"][:1])
    import onnx

    entries = {entry.key: entry.value for entry in onnx.load(path).metadata_props}
    characters = [*entries["character"].splitlines(), " "]

    def metric(outputs: np.ndarray, texts: list[str]) -> np.ndarray:
        return 100.0 * (np.array(read(outputs, characters)) == np.array(texts))

    def first(x: np.ndarray) -> np.ndarray:
        return edge.tensors(x)[AT]

    def second(x: np.ndarray) -> np.ndarray:
        return cloud({AT: x})

    def received(pictures: np.ndarray) -> np.ndarray:
        return np.moveaxis(pictures, -1, 1) / np.float32(127.5) - 1

    pictures = {split: np.rint((np.moveaxis(x, 1, -1) + 1) * 127.5).astype(np.uint8)
                for split, x in inputs.items()}  # fmt: skip
    return halved("rapidocr", first, second, inputs, cache, batch=10, labels=labels, metric=metric,
                  measure="lines right", images=pictures, received=received)  # fmt: skip
