"""magika: the type of a file from its bytes, 512 tokens of 256 features; ONNX.

Files are made by Python's standard library and NumPy of Python's own modules, which are dealt out
to the three splits, so that no text is in two of them.
"""

import bz2
import configparser
import csv
import difflib
import email.message
import gzip
import html
import io
import json
import lzma
import marshal
import pickle
import plistlib
import re
import sqlite3
import sysconfig
import tarfile
import tempfile
import wave
import xml.etree.ElementTree
import zipfile
import zlib
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from lwfc.evaluation.study import SPLITS, Study

from .common import halved, halves, package_file

__all__ = ["magika"]

PACKAGE = "magika==1.0.3"
MODEL = "models/standard_v3_3"
AT = "jax2tf_get_logits_/pjit_get_logits_/MagikaV2/LayerNorm_0/AddV2_1:0"
COUNT = "jax2tf_get_logits_/strided_slice:0"  # of samples, which the second half also reads
HALF, BLOCK, PADDING = 1024, 4096, 256  # tokens of each end of a file, bytes looked at, no byte
SIZES, QUICK = (40, 150, 60), (60, 75, 125)  # calibration, tune and test files


def words(text: str) -> list[str]:
    return re.findall(r"[A-Za-z_]{3,}", text)


def counts(text: str) -> dict[str, int]:
    found = words(text.lower())
    return {word: found.count(word) for word in dict.fromkeys(found[:200])}


def prose(text: str) -> list[str]:
    """Docstrings and comments, as paragraphs."""
    found = re.findall(r'"""(.+?)"""', text, re.S) + re.findall(r"# (.+)", text)
    return [" ".join(part.split()) for part in found]


def _csv(text: str, rng: np.random.Generator, delimiter: str) -> bytes:
    out = io.StringIO()
    writer = csv.writer(out, delimiter=delimiter)
    writer.writerow(["word", "count", "length", "share"])
    for word, count in counts(text).items():
        writer.writerow([word, count, len(word), f"{rng.random():.4f}"])
    return out.getvalue().encode()


def _ini(text: str, rng: np.random.Generator) -> bytes:
    config, found = configparser.ConfigParser(), list(counts(text).items())
    for i in range(0, len(found), 8):
        config[f"section_{found[i][0]}"] = {k: str(v) for k, v in found[i : i + 8]}
    out = io.StringIO()
    config.write(out)
    return out.getvalue().encode()


def _xml(text: str, rng: np.random.Generator) -> bytes:
    root = xml.etree.ElementTree.Element("words")
    for word, count in counts(text).items():
        xml.etree.ElementTree.SubElement(root, "word", count=str(count)).text = word
    return xml.etree.ElementTree.tostring(root, "utf-8", xml_declaration=True)


def _html(text: str, rng: np.random.Generator) -> bytes:
    body = "\n".join(f"<p>{html.escape(part)}</p>" for part in prose(text))
    title = " ".join(words(text)[:4])
    return (f"<!DOCTYPE html>\n<html>\n<head><title>{title}</title></head>\n<body>\n"
            f"<h1>{title}</h1>\n{body}\n</body>\n</html>\n").encode()  # fmt: skip


def _email(text: str, rng: np.random.Generator) -> bytes:
    found, message = words(text), email.message.EmailMessage()
    message["From"], message["To"] = (f"{name}@example.org" for name in found[:2])
    message["Subject"] = " ".join(found[2:8])
    message["Date"] = "Mon, 05 Jan 2026 10:00:00 +0000"
    message["Message-ID"] = f"<{rng.integers(1 << 40)}@example.org>"
    message.set_content("\n".join(prose(text)))
    return message.as_bytes()


def _diff(text: str, rng: np.random.Generator) -> bytes:
    before = text.splitlines(keepends=True)
    after = [line for line in before if rng.random() > 0.05]
    return "".join(difflib.unified_diff(before, after, "a/module.py", "b/module.py")).encode()


def _sqlite(text: str, rng: np.random.Generator) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "words.db"
        base = sqlite3.connect(path)
        base.execute("CREATE TABLE words (word TEXT, count INTEGER)")
        base.executemany("INSERT INTO words VALUES (?, ?)", counts(text).items())
        base.commit()
        base.close()
        return path.read_bytes()


def _archive(kind: str, text: str, rng: np.random.Generator) -> bytes:
    out = io.BytesIO()
    data, half = text.encode(), len(text) // 2
    if kind == "zip":
        with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
            for word, part in zip(counts(text), (data[:half], data[half:]), strict=False):
                archive.writestr(f"{word}.txt", part)
    else:
        with tarfile.open(fileobj=out, mode="w") as archive:
            for word, part in zip(counts(text), (data[:half], data[half:]), strict=False):
                entry = tarfile.TarInfo(f"{word}.txt")
                entry.size = len(part)
                archive.addfile(entry, io.BytesIO(part))
    return out.getvalue()


def _array(text: str, rng: np.random.Generator) -> np.ndarray:
    shape = tuple(rng.integers(4, 60, rng.integers(1, 4)))
    return rng.normal(0, 1, shape).astype(rng.choice(["f4", "f8", "i4"]))


def _saved(save: Callable[[io.BytesIO, Any], None], text: str, rng: np.random.Generator) -> bytes:
    out = io.BytesIO()
    save(out, _array(text, rng))
    return out.getvalue()


def _wave(text: str, rng: np.random.Generator) -> bytes:
    out = io.BytesIO()
    with wave.open(out, "wb") as sound:
        sound.setnchannels(int(rng.integers(1, 3)))
        sound.setsampwidth(2)
        sound.setframerate(int(rng.choice([8000, 16000, 44100])))
        tone = np.sin(np.arange(8000) * rng.uniform(0.01, 0.3)) * 8000 + rng.normal(0, 99, 8000)
        sound.writeframes(tone.astype("<i2").tobytes())
    return out.getvalue()


def _bytecode(text: str, rng: np.random.Generator) -> bytes:
    import importlib.util

    code = compile(text, "module.py", "exec")
    header = importlib.util.MAGIC_NUMBER + bytes(4) + rng.bytes(4) + len(text).to_bytes(4, "little")
    return header + marshal.dumps(code)


def _jsonl(text: str, rng: np.random.Generator) -> bytes:
    rows = ({"word": k, "count": v, "share": rng.random()} for k, v in counts(text).items())
    return "\n".join(map(json.dumps, rows)).encode()


# A file of each type from a module's text and a generator of random numbers.
MAKERS: dict[str, Callable[[str, np.random.Generator], bytes]] = {
    "python": lambda text, rng: text.encode(),
    "pythonbytecode": _bytecode,
    "txt": lambda text, rng: "\n\n".join(prose(text)).encode(),
    "html": _html,
    "xml": _xml,
    "json": lambda text, rng: json.dumps(counts(text), indent=int(rng.integers(1, 5))).encode(),
    "jsonl": _jsonl,
    "csv": partial(_csv, delimiter=","),
    "tsv": partial(_csv, delimiter="\t"),
    "ini": _ini,
    "diff": _diff,
    "eml": _email,
    "appleplist": lambda text, rng: plistlib.dumps(counts(text)),
    "applebplist": lambda text, rng: plistlib.dumps(counts(text), fmt=plistlib.FMT_BINARY),
    "pickle": lambda text, rng: pickle.dumps(counts(text), int(rng.integers(2, 6))),
    "npy": partial(_saved, np.save),
    "npz": partial(_saved, np.savez),
    "sqlite": _sqlite,
    "zip": partial(_archive, "zip"),
    "tar": partial(_archive, "tar"),
    "gzip": lambda text, rng: gzip.compress(text.encode(), mtime=int(rng.integers(1 << 31))),
    "bzip": lambda text, rng: bz2.compress(text.encode()),
    "xz": lambda text, rng: lzma.compress(text.encode()),
    "zlibstream": lambda text, rng: zlib.compress(text.encode()),
    "wav": _wave,
}


def made(split: str, count: int) -> tuple[list[bytes], list[str]]:
    """So many files of a split, and their types."""
    library = Path(sysconfig.get_paths()["stdlib"])
    modules = [path for path in sorted(library.glob("*.py")) + sorted(library.glob("*/*.py"))
               if "site-packages" not in path.parts and path.stat().st_size > 4000]  # fmt: skip
    rng = np.random.default_rng(1)
    rng.shuffle(modules)
    mine = modules[SPLITS.index(split) :: len(SPLITS)]
    rng = np.random.default_rng([2, SPLITS.index(split)])
    kinds = [list(MAKERS)[i % len(MAKERS)] for i in range(count)]
    found = []
    for kind in kinds:
        text = mine[rng.integers(len(mine))].read_text("utf-8", errors="replace")
        found.append(MAKERS[kind](text, rng))
    return found, kinds


def tokens(data: bytes) -> np.ndarray:
    """The first and last bytes without white space, as the network reads them."""
    first, last = data[:BLOCK].lstrip()[:HALF], data[-BLOCK:].rstrip()[-HALF:]
    found = np.full(2 * HALF, PADDING, np.int32)
    found[: len(first)] = np.frombuffer(first, np.uint8)
    found[2 * HALF - len(last) :] = np.frombuffer(last, np.uint8)
    return found


def magika(quick: bool, cache: Path) -> Study:
    """File types, 25 of the network's 214; its tokens are far larger than the 2 kB it reads."""
    path = package_file(PACKAGE, MODEL)
    classes = json.loads((path / "config.min.json").read_text())["target_labels_space"]
    inputs, labels = {}, {}
    for split, count in zip(SPLITS, QUICK if quick else SIZES, strict=True):
        files, kinds = made(split, count)
        inputs[split] = np.stack([tokens(data) for data in files])
        labels[split] = np.array([classes.index(kind) for kind in kinds])
    edge, cloud = halves(path / "model.onnx", AT, inputs["calibration"][:1])

    def second(x: np.ndarray) -> np.ndarray:
        return cloud({AT: x, COUNT: np.array([len(x)], np.int32)})

    def first(x: np.ndarray) -> np.ndarray:
        return edge.tensors(x)[AT]

    return halved("magika", first, second, inputs, cache, batch=25, labels=labels,
                  options={"channel_axis": -1}, received=lambda x: x.astype(np.int32),
                  images={split: x.astype(np.uint16) for split, x in inputs.items()})  # fmt: skip
