"""Adds golden files for new stream features; never overwrites one (`make golden`).

v1/ holds streams and the codec files they need, bad/ what a decoder must refuse. MANIFEST says what
each must give, one file a line, and only grows:

    v1/NAME.codec  SHA-256 of the file  digest
    v1/NAME.lwfc   SHA-256 of the file  codec or -  dtype:shape  SHA-256 of the decoded bytes
    bad/NAME       SHA-256 of the file  codec or -  field that the error names
"""

import hashlib
import random
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parents[1] / "reference"))
sys.path.insert(0, str(Path(__file__).parents[1] / "python"))

import decoder
import generator
import numpy as np
import stream_cases
from bad_cases import bad_cases
from primitives import Block

from lwfc import _core

FOLDER = Path(__file__).parent

# Shapes and the seeds of streams that no encoder of ours would write.
INVENTED = [
    ("planes", (1, 2, 9, 30)), ("planes", (2, 3, 1, 200)), ("planes", (1, 20, 3, 4)),
    ("planes", (3, 11, 2, 3)), ("planes", (1, 70, 2, 2)), ("planes", (1, 1, 5, 900)),
    ("planes", (1, 9, 6, 5)), ("planes", (2, 40, 2, 3)), ("joined", (1, 1, 1, 400)),
    ("joined", (1, 1, 1, 1)), ("joined", (1, 1, 1, 777)), ("joined", (1, 2, 20, 20)),
    ("joined", (1, 1, 1, 2500)), ("joined", (1, 1, 1, 5000)), ("joined", (1, 3, 5, 7)),
    ("joined", (1, 1, 1, 33)), ("context", (1, 3, 4, 5)), ("context", (2, 40, 3, 3)),
    ("context", (1, 65, 1, 9)), ("context", (1, 33, 23, 22)),
]  # fmt: skip


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def invented():
    """(name, stream, codec file or None)"""
    for seed, (kind, shape) in enumerate(INVENTED):
        rng = random.Random(seed)
        block = Block(*shape)
        levels = rng.choice((2, 3, 5, 8, 16))
        values = [np.arange(levels, dtype="<f4").tobytes()]
        if kind != "context":
            payload, _ = getattr(generator, kind)(block, levels, rng)
            yield f"made-{kind}-{seed}", generator.make_stream(shape, 1, values, [payload]), None
            continue
        blob = stream_cases.context_blob(levels, block.channels, seed)
        file = _core.codec_write(stream_cases.make_codec(levels, 3, context=blob))
        codec = decoder.read_codec(file)
        payload, _ = generator.context(block, codec.context, rng)
        tag = codec.digest & 0xFFFFFFFF
        stream = generator.make_stream(shape, 1, values, [payload], coder=3, tag=tag)
        yield f"made-{kind}-{seed}", stream, file


def encoded():
    for name, codec, x in stream_cases.cases():
        stream = _core.encode(codec, x)
        bound = _core.inspect(stream, codec)["bound"]
        yield name, stream, _core.codec_write(codec) if bound else None


class Manifest:
    def __init__(self):
        self.path = FOLDER / "MANIFEST"
        lines = self.path.read_text().splitlines() if self.path.exists() else []
        self.names = {line.split()[0] for line in lines}

    def add(self, name: str, data: bytes, *rest: str) -> None:
        (FOLDER / name).parent.mkdir(exist_ok=True)
        (FOLDER / name).write_bytes(data)
        with self.path.open("a") as f:
            print(name, sha256(data), *rest, file=f)
        self.names.add(name)
        print("added", name)


def add_stream(manifest: Manifest, name: str, stream: bytes, codec_file: bytes | None) -> None:
    codec_name, codec = "-", None
    if codec_file is not None:
        codec_name = f"v1/{name}.codec"
        codec = decoder.read_codec(codec_file)
        manifest.add(codec_name, codec_file, f"{codec.digest:016x}")
    y = decoder.decode(stream, codec)
    if codec_file is not None:
        other = _core.decode(stream, _core.codec_read(codec_file))
    else:
        other = _core.decode(stream)
    if y.dtype != other.dtype or y.shape != other.shape or y.tobytes() != other.tobytes():
        raise SystemExit(f"{name}: the two decoders differ; nothing was added")
    shape = ",".join(map(str, y.shape))
    manifest.add(f"v1/{name}.lwfc", stream, codec_name, f"{y.dtype}:{shape}", sha256(y.tobytes()))


def main() -> None:
    manifest = Manifest()
    for name, stream, codec_file in (*encoded(), *invented()):
        if f"v1/{name}.lwfc" not in manifest.names:
            add_stream(manifest, name, stream, codec_file)
    for name, field, data, codec_file in bad_cases():
        if f"bad/{name}" in manifest.names:
            continue
        codec_name = "-"
        if codec_file is not None:
            codec_name = f"bad/{name}.codec"
            digest = decoder.read_codec(codec_file).digest
            manifest.add(codec_name, codec_file, f"{digest:016x}")
        manifest.add(f"bad/{name}", data, codec_name, field)


if __name__ == "__main__":
    main()
