"""benchmarks/networks: studies of networks that packages ship, on a handful of samples."""

import shutil
import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("onnxruntime")
sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
import networks  # noqa: E402
from networks import common, files, music, reading, speech  # noqa: E402

from lwfc.evaluation.families import PROFILES  # noqa: E402
from lwfc.evaluation.measure import measure  # noqa: E402


@pytest.mark.parametrize("module", [files, music, reading, speech])
def test_a_study_is_coded_and_judged(module, tmp_path, monkeypatch):
    if module is speech and shutil.which("espeak-ng") is None:
        pytest.skip("espeak-ng is not installed")
    try:
        common.package_file(module.PACKAGE, "")
    except ImportError as error:
        pytest.skip(str(error))
    monkeypatch.setattr(module, "QUICK", (3, 4, 4))
    name = next(n for n, place in networks.NETWORKS.items()
                if place.startswith(module.__name__.rpartition(".")[2] + ":"))  # fmt: skip
    study = networks.load(name, True, tmp_path)
    inputs = [study.x(split) for split in ("calibration", "tune", "test")]
    assert len({x.tobytes() for split in inputs for x in split}) == 3 + 4 + 4
    assert study.reference("tune").metric() > 70
    record = measure(study, PROFILES["rans"], {"levels": 16, "clip_scale": 2.2}, "tune", 2)
    assert 0 < record["bits"] < 4 and record["loss"] < 20


def test_a_missing_package_is_named():
    with pytest.raises(ImportError, match="pip install --no-deps no-such-package==1.2"):
        common.package_file("no-such-package==1.2", "file")


def test_files_are_as_they_say_and_texts_apart():
    found = {split: files.made(split, len(files.MAKERS)) for split in ("calibration", "test")}
    made = dict(zip(found["test"][1], found["test"][0], strict=True))
    assert set(made) == set(files.MAKERS)
    assert made["zip"][:2] == b"PK" and made["npy"][1:6] == b"NUMPY" and made["wav"][:4] == b"RIFF"
    assert not set(found["calibration"][0]) & set(found["test"][0])
    tokens = files.tokens(b"  abc ")
    assert tokens[:4].tolist() == [97, 98, 99, 32] and tokens[4] == files.PADDING
    assert tokens[-4:].tolist() == [32, 97, 98, 99]


def test_what_sounds_is_where_the_labels_say():
    x, sounding = music.music(np.random.default_rng(0))
    assert x.shape == (music.LENGTH, 1) and sounding.any()
    assert music.frames_right(sounding[None], sounding[None]) == 100
    assert music.frames_right(~sounding[None], sounding[None]) == 0


def test_characters_are_read_without_repetitions_and_blanks():
    outputs = np.eye(4)[[0, 1, 1, 0, 1, 2, 3, 0]][None]
    assert reading.read(outputs, ["a", "b", " "]) == ["aab"]
