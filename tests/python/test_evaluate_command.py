"""lwfc evaluate."""

import json

import pytest

from lwfc.tools.cli import main

SOURCE = """
import numpy as np
import neighbour_of_mine
from lwfc.evaluation.study import Study

def study():
    x = np.maximum(np.random.default_rng(1).normal(size=(60, 4, 6, 6)), 0).astype("f4")
    return Study("mine", {"calibration": x[:20], "tune": x[20:40], "test": x[40:]},
                 lambda x: x.mean((2, 3)))

def with_rival():
    pair = (lambda x: x.astype("f2").tobytes(),
            lambda data: np.frombuffer(data, "f2").reshape(-1, 4, 6, 6))
    return {"study": study(), "codecs": ["rans", {"half": pair}], "max_loss": 20}

def wrong():
    return 3

def other():
    return {"study": study(), "codec": "rans"}

def takes(study):
    return study

number = 3
"""


@pytest.fixture
def source(tmp_path):
    (tmp_path / "mine.py").write_text(SOURCE)
    (tmp_path / "neighbour_of_mine.py").write_text("")
    return str(tmp_path / "mine.py")


def test_every_output(source, tmp_path, capsys):
    paths = {name: str(tmp_path / name) for name in ("page.html", "all.json", "log.jsonl")}
    status = main(["evaluate", f"{source}:study", "--codecs", "rans", "--max-loss", "20", "90",
                   "--html", paths["page.html"], "-o", paths["all.json"], "--batch", "10",
                   "--log", paths["log.jsonl"], "--json"])  # fmt: skip
    assert status == 0
    rows = json.loads(capsys.readouterr().out)
    assert {row["bound"] for row in rows} == {20.0, 90.0} and rows[-1]["reached"]
    written = json.loads((tmp_path / "all.json").read_text())
    assert {r["codec"] for r in written["records"]} == {"rans"}
    assert "<svg" in (tmp_path / "page.html").read_text()
    assert len((tmp_path / "log.jsonl").read_text().splitlines()) >= len(written["records"])


def test_rivals_come_with_the_source(source, capsys):
    assert main(["evaluate", f"{source}:with_rival"]) == 0
    out = capsys.readouterr().out
    assert "half" in out and "16" in out and "rans" in out


@pytest.mark.parametrize("name", ["wrong", "missing", "other", "takes", "number"])
def test_wrong_sources(source, name, capsys):
    assert main(["evaluate", f"{source}:{name}"]) == 2
    assert name in capsys.readouterr().err


@pytest.mark.parametrize("option", ["--html", "--plot", "--log", "-o"])
def test_outputs_without_a_place_are_told_before_the_work(option, tmp_path, capsys):
    for place, text in ((tmp_path / "none" / "x", "no folder"), (tmp_path, "is a folder")):
        assert main(["evaluate", str(tmp_path / "not read.py:study"), option, str(place)]) == 1
        assert text in capsys.readouterr().err
