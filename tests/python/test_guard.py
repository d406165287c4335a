"""Bits and losses of every profile stay where they are: a sliver of ``make evaluate-quick``."""

import copy
import json
import sys
from pathlib import Path

import pytest

pytest.importorskip("torch")
sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
import guard  # noqa: E402


def test_a_sliver_of_the_figures_holds():
    assert guard.check(sliver=True) == []


def test_what_leaves_its_interval_is_named(capsys):
    then = json.loads(guard.FIGURES.read_text())["classifier sliver"]
    assert guard.breaches("classifier", then, then) == []
    for change, count in ((1.15, len(then)), (0.85, 0)):
        now = copy.deepcopy(then)
        for row in now.values():
            row["bits"][0] *= change
        assert len(guard.breaches("classifier", now, then)) == count
        assert capsys.readouterr().out.count("better") == len(then) - count
    now = copy.deepcopy(then)
    key = next(iter(now))
    now[key]["loss"][0] += 10
    assert [text for text in guard.breaches("x", now, then) if "loss" in text and key in text]
    del now[key]
    assert "not measured" in guard.breaches("x", now, then)[0]
