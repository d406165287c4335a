"""Evaluations given what users give by mistake: metrics, halves, codecs, logs, saved results."""

import json

import numpy as np
import pytest
from toy_study import Rounder, make_study, tail

import lwfc
from lwfc.base import journal
from lwfc.evaluation import choice
from lwfc.evaluation.bdrate import bd_rate
from lwfc.evaluation.evaluate import evaluate
from lwfc.evaluation.families import Family
from lwfc.evaluation.result import Evaluation, merge
from lwfc.evaluation.study import Study, top1

ROUNDER = Family("rounder", Rounder, ({"step": 0.5}, {"step": 2.0}))


def right(outputs, labels):
    return 100.0 * (outputs.argmax(1) == labels)


def losses(result, codec="rounder"):
    return [(r["bits"], r["loss"], r["error"]) for r in result.records if r["codec"] == codec]


@pytest.mark.parametrize(
    ("given", "text"),
    [
        (lambda y, labels: "good", "a score for each"),
        (lambda y, labels: None, "a score for each"),
        (lambda y, labels: {"top": right(y, labels)}, "a score for each"),
        (lambda y, labels: (v for v in right(y, labels)), "a score for each"),
        (lambda y, labels: right(y, labels) + 1j, "a score for each"),
        (lambda y, labels: right(y, labels).mean(), "one score each"),
        (lambda y, labels: right(y, labels)[:-1], "one score each"),
    ],
)
def test_metrics_that_are_none(given, text):
    with pytest.raises(lwfc.ParameterError, match=text):
        evaluate(make_study(metric=given), [ROUNDER], batch=8)


def test_scores_of_any_kind():
    wanted = losses(evaluate(make_study(metric=right), [ROUNDER], max_loss=40, batch=8))
    kinds = [lambda s: s.tolist(), lambda s: s[:, None], lambda s: s.astype("f2")]
    torch = pytest.importorskip("torch")
    kinds += [lambda s: torch.from_numpy(s).requires_grad_(), lambda s: torch.tensor(s).bfloat16()]
    for kind in kinds:
        study = make_study(metric=lambda y, labels, kind=kind: kind(right(y, labels)))
        assert losses(evaluate(study, [ROUNDER], max_loss=40, batch=8)) == wanted
    study = make_study()
    study.features = {split: torch.from_numpy(x) for split, x in study.features.items()}
    study.tail = lambda x: torch.from_numpy(tail(x)).requires_grad_()
    assert losses(evaluate(study, [ROUNDER], max_loss=40, batch=8)) == wanted


def test_a_metric_that_is_not_finite_with_a_codec():
    plain = make_study()

    def metric(outputs, labels):
        scores = right(outputs, labels)
        return scores if any(np.array_equal(outputs, tail(plain.x(s))) for s in
                             ("tune", "test")) else scores * np.nan  # fmt: skip

    with pytest.warns(UserWarning, match="D=|step=0.5: metric of study 'toy' is nan"):
        found = evaluate(make_study(metric=metric), [ROUNDER], batch=8)
    assert Evaluation.from_json(found.to_json()).about == found.about
    assert "rounder is left out: step=0.5" in str(found)


def test_halves_and_codecs_that_write_into_what_they_are_given():
    def shifted(x):
        x -= 0.5
        return tail(np.maximum(x, 0, out=x))

    class Emptying(Rounder):
        def encode(self, x):
            data = super().encode(x)
            x[:] = 0
            return data

    found = []
    for half, coder in ((shifted, Emptying), (lambda x: shifted(x.copy()), Rounder)):
        study = make_study()
        study.tail = half
        kept = {split: x.copy() for split, x in study.features.items()}
        found.append(losses(evaluate(study, [Family("rounder", coder, ROUNDER.settings)],
                                     max_loss=40, batch=8)))  # fmt: skip
        assert all(np.array_equal(study.features[split], x) for split, x in kept.items())
    assert found[0] == found[1]


def test_a_log_tells_codecs_halves_and_metrics_apart(tmp_path):
    log = tmp_path / "points.jsonl"
    features = make_study().features

    def bits(codec):
        return evaluate(make_study(), {"mine": codec}, max_loss=90, log=log).records[0]["bits"]

    codecs = [lwfc.calibrate(features["calibration"], levels=n) for n in (2, 8)]
    assert bits(codecs[0]) < bits(codecs[1]) and bits(codecs[0]) < bits(codecs[1])
    pairs = [(lambda x, kind=kind: x.astype(kind).tobytes(),
              lambda data, kind=kind: np.frombuffer(data, kind).reshape(-1, 6, 8, 8))
             for kind in ("f2", "f4")]  # fmt: skip
    assert [bits(pair) for pair in pairs] == [16, 32]
    # Without labels the uncompressed network is right by definition, whichever it is.
    studies = [
        Study("s", features, tail),
        Study("s", features, lambda x: -np.square(tail(x) - 1)),
        Study("s", features, tail, lambda y, whole: 100 * np.exp(-np.square(y - whole).sum(1))),
        Study("s", features, lambda x: list(tail(x)),
              lambda y, whole: -100 * np.square(np.array(y) - np.array(whole)).sum(1)),
    ]  # fmt: skip
    marks = {study.fingerprint() for study in studies}
    assert len(marks) == len(studies) and studies[0].fingerprint() in marks
    for study in studies[:3]:
        fresh = losses(evaluate(study, [ROUNDER], max_loss=90, batch=8))
        assert losses(evaluate(study, [ROUNDER], max_loss=90, batch=8, log=log)) == fresh


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"name": 3}, "name of study 3 is a int: must be a string"),
        ({"tail": None}, "tail .* must be a function"),
        ({"features": np.zeros((3, 4))}, "features .* must be a mapping"),
        ({"labels": np.zeros(40)}, "labels .* must be a mapping"),
        ({"metric": "top1"}, "metric .* must be a function"),
        ({"options": ["levels"]}, "options .* must be a mapping"),
    ],
)
def test_wrong_fields_of_studies(change, text):
    with pytest.raises(lwfc.ParameterError, match=text):
        Study(**({"name": "x", "features": make_study().features, "tail": tail} | change))


@pytest.mark.parametrize(
    ("features", "text"),
    [("abc", "U3"), (iter([[1.0]]), "generator|iterator"), (None, "NoneType"),
     ([np.zeros((2, 3)), np.zeros((2, 4))], "no array")],
)  # fmt: skip
def test_features_that_are_no_arrays(features, text):
    study = make_study()
    study.features["tune"] = features
    with pytest.raises(lwfc.ParameterError, match=f"features\\['tune'\\].*({text})"):
        evaluate(study, [ROUNDER])


def test_labels_in_another_form():
    with pytest.raises(lwfc.ParameterError, match="class number"):
        top1(np.zeros((4, 3)), np.eye(3)[[0, 1, 2, 0]])
    study = make_study()
    study.labels["test"] = iter(study.labels["test"])
    with pytest.raises(lwfc.ParameterError, match="no labels"):
        evaluate(study, [ROUNDER])


@pytest.mark.parametrize(
    ("codecs", "text"),
    [
        (None, "must be names"),
        (lwfc.Codec([0.5], [0.0, 1.0]), "must be names.*mine"),
        ([lwfc.Codec([0.5], [0.0, 1.0])], "mapping of names"),
        (["rans", {"rans": (bytes, bytes)}], "named once"),
        (["auto", "rans"], "named once"),
        ({3: (bytes, bytes)}, "must be a name"),
    ],
)
def test_codecs_in_another_form(codecs, text):
    with pytest.raises(lwfc.ParameterError, match=text):
        evaluate(make_study(), codecs)


@pytest.mark.parametrize("settings", [("step",), {"step": 1}, ({"step": np.float32(1)},)])
def test_settings_that_no_log_can_keep(settings):
    with pytest.raises(lwfc.ParameterError, match="plain Python values"):
        Family("x", Rounder, settings)


@pytest.mark.parametrize("bound", ["small", float("nan"), (1, None)])
def test_bounds_that_are_none(bound):
    with pytest.raises(lwfc.ParameterError, match="max_loss="):
        evaluate(make_study(), [ROUNDER], max_loss=bound)


def test_a_log_without_room_ends_the_evaluation(tmp_path, monkeypatch):
    with pytest.raises(OSError, match="/dev/full.*make room and run again"):
        journal._append_line("/dev/full", "{}")

    with pytest.raises(lwfc.ParameterError, match="a device"):
        evaluate(make_study(), [ROUNDER], log="/dev/full")

    def full(path, line):
        raise journal.LogError(28, "no room")

    monkeypatch.setattr(journal, "_append_line", full)
    with pytest.raises(OSError, match="no room"):
        evaluate(make_study(), [ROUNDER], log=tmp_path / "log")


def test_one_sample_has_no_interval():
    study = make_study()
    study.features["tune"], study.labels["tune"] = study.x("tune")[:1], study.labels["tune"][:1]
    with pytest.raises(lwfc.ParameterError, match="'tune'.*one sample"):
        evaluate(Study("one", study.features, tail, labels=study.labels), [ROUNDER])


def test_a_codec_of_no_bytes():
    nothing = (lambda x: b"", lambda data: np.zeros((8, 6, 8, 8), np.float32))
    own = {"none": Family("none", lambda study: lwfc.Codec([9.0], [0.0, 9.0]), group="ours")}
    found = evaluate(make_study(), {"nothing": nothing} | own, max_loss=100, batch=8)
    assert found.curve("toy", "nothing")[0]["bits"] == 0
    assert found.gain("toy", "none", "nothing", 100) is None and found.gains == []
    assert found.gain("toy", "nothing", "none", 100)["saved"] == 100
    alone = Evaluation([r for r in found.records if r["codec"] == "nothing"], found.about)
    assert "<svg" in found.to_html() and "<svg" in alone.to_html()


def test_saved_results(tmp_path):
    found = evaluate(make_study(), [ROUNDER], max_loss=40, batch=8)
    text = found.to_json()
    parts = json.loads(text)
    lacking = [r for r in parts["records"] if r["split"] == "test"]
    for other in ("", "{}", "[]", text[:500], json.dumps(parts | {"records": lacking}),
                  '{"reference": 1, "rows": []}'):  # fmt: skip
        with pytest.raises(lwfc.FormatError, match="no evaluation"):
            Evaluation.from_json(other)
    for ask in (lambda: found.curve("toy", "x"), lambda: found.curve("x", "rounder"),
                lambda: found.gain("toy", "rounder", "x", 1), lambda: found.plot(codecs="x"),
                lambda: found.plot(studies=["x"])):  # fmt: skip
        with pytest.raises(lwfc.ParameterError, match="'rounder'|'toy'"):
            ask()
    with pytest.raises(lwfc.ParameterError, match="two parts"):
        merge([found, found])


def test_plots_of_a_kind_unknown(tmp_path):
    pytest.importorskip("matplotlib").use("Agg")
    found = evaluate(make_study(), [ROUNDER], max_loss=40, batch=8)
    with pytest.raises(lwfc.ParameterError, match=r"curves\.nope"):
        found.plot(tmp_path / "curves.nope")


def test_names_are_text_on_the_page():
    codec = lwfc.calibrate(make_study().features["calibration"], levels=4)
    study = Study("<b>s</b>", make_study().features, tail, measure="<i>m</i>")
    page = evaluate(study, {'<u>"&': codec}, max_loss=90).to_html()
    assert not any(tag in page for tag in ("<b>", "<i>m", "<u>"))
    assert "&lt;b&gt;s" in page and "&lt;u&gt;&quot;&amp;" in page


def test_interrupted_without_a_log():
    def stopped(study):
        raise KeyboardInterrupt

    with pytest.warns(UserWarning, match="log= would keep"):
        found = evaluate(make_study(), [Family("slow", stopped)])
    assert "not complete" in str(found)


def test_rates_and_noise_that_are_none():
    pytest.importorskip("scipy")
    rising = [1, 2, 3, 4]
    for noise in (-1, float("nan"), "some"):
        with pytest.raises(lwfc.ParameterError, match="noise"):
            bd_rate(rising, rising, rising, rising, noise=noise)
    with pytest.raises(lwfc.ParameterError, match="text|type"):
        bd_rate("abcd", rising, rising, rising)
    # Equal rates at rising qualities are a curve: straight up.
    for method in ("akima", "pchip"):
        assert bd_rate([2] * 4, rising, [1] * 4, rising, method=method) == pytest.approx(-50)


def test_gain_over_nothing():
    record = {"setting": {}, "upper": 0, "loss": 0, "draws": [0.0], "bits": 0, "streams": [0]}
    assert choice.gain([(record, record)], [(record, record)], 1) is None
