"""Which settings are offered, tried and coded, on a toy study."""

import pytest
from toy_study import Rounder, make_study

import lwfc
from lwfc.evaluation import choice
from lwfc.evaluation.families import PROFILES, Family
from lwfc.evaluation.measure import CODED, measure


def test_a_bound_is_closed_in_on():
    front = [{"setting": {"q": q}, "bits": q, "loss": 9 - q, "upper": 9 - q} for q in range(10)]
    tried, order = [front[0], front[9]], []
    while record := choice.between(front, tried, 2.5):
        order.append(record["bits"])
        tried.append(record)
    assert order == [4, 6, 7] and tried[choice.chosen(tried, 2.5)]["bits"] == 7
    # None within the bound: on to what is finer than all tried.
    assert choice.between(front, front[:6], 0.5)["bits"] == 7
    assert choice.between(front, front[9:], -1) is None


def test_of_a_lossless_coder_a_few_streams_tell_the_bits():
    class Lossless(Rounder):
        coded = 0

        def encode(self, x):
            Lossless.coded += len(x)
            return super().encode(x)

        def expected(self, x):
            return self.decode(Rounder.encode(self, x))

    study = make_study()
    every = [measure(study, Family("x", kind), {"step": 0.5}, "test", 2)
             for kind in (Rounder, Lossless)]  # fmt: skip
    assert Lossless.coded == CODED * 2 == every[1]["coded"] and every[0]["coded"] == 40
    for key in ("loss", "error", "bits", "kb_per_sample", "draws"):
        assert every[0][key] == every[1][key]

    class Wrong(Lossless):
        def expected(self, x):
            return super().expected(x) + 1

    with pytest.raises(lwfc.ParameterError, match=r"expected\(\)"):
        measure(study, Family("x", Wrong), {"step": 0.5}, "test", 2)


def test_ours_may_choose_what_the_paper_may():
    offered = {name: list(family.settings) for name, family in PROFILES.items()}
    assert all(setting in offered["rans"] for setting in offered["paper"])
    designed = [s for s in offered["paper"] if s.get("quantizer") == "ecsq"]
    assert sum(setting in designed for setting in offered["context"]) >= 4
    assert sum(setting in designed for setting in offered["context+linear"]) >= 4
    study = make_study()
    for name in ("paper", "rans", "context", "context+linear"):
        for setting in (s for s in offered[name] if "quantizer" in s or "granularity" in s):
            assert measure(study, PROFILES[name], setting, "tune", 20)["error"] < 1
