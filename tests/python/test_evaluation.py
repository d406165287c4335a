"""Evaluations on a toy study: points, choices, intervals, gains, the journal, the pages."""

import json
import subprocess
import sys

import numpy as np
import pytest
from toy_study import Rounder, make_study, tail

import lwfc
from lwfc.base.journal import Journal
from lwfc.evaluation import bootstrap, choice, figure, tables
from lwfc.evaluation.bdrate import bd_rate, decibels
from lwfc.evaluation.bootstrap import Scores
from lwfc.evaluation.evaluate import evaluate
from lwfc.evaluation.families import Family, settings
from lwfc.evaluation.measure import measure
from lwfc.evaluation.result import Evaluation, merge
from lwfc.evaluation.study import Study

ROUNDER = Family("rounder", Rounder, settings(step=(0.05, 0.5, 2.0)))
RANS = Family(
    "rans",
    lambda study, **o: lwfc.calibrate(study.x("calibration"), bound=True, **o),
    settings(levels=(2, 4, 16)),
    "ours",
)
PAPER = Family(
    "paper",
    lambda study, **o: lwfc.calibrate(study.x("calibration"), bound=True, coder="cabac", **o),
    settings(levels=(2, 4, 16)),
    "paper",
)


@pytest.fixture(scope="module")
def result():
    return evaluate(make_study(), [PAPER, RANS, ROUNDER], max_loss=(5, 40), most=60, batch=8)


def test_bits_are_those_of_the_bytes(result):
    study = make_study()
    record = next(r for r in result.records if r["codec"] == "rounder" and r["split"] == "test")
    assert record["bits"] == 16 and record["streams"] == [2 * 8 * 6 * 64] * 5
    mine = next(r for r in result.records if r["codec"] == "rans" and r["split"] == "test")
    codec = RANS.make(study, **mine["setting"])
    x = study.x("test")
    streams = [codec.encode(x[i : i + 8]) for i in range(0, len(x), 8)]
    assert mine["streams"] == [len(data) for data in streams]
    decoded = np.concatenate([codec.decode(data) for data in streams])
    assert mine["error"] == pytest.approx(np.square(x - decoded).mean() / x.var(), rel=1e-5)
    right = tail(decoded).argmax(1) == study.labels["test"]
    assert mine["loss"] == pytest.approx(100 - 100 * right.mean())
    assert mine["low"] <= mine["loss"] <= mine["high"] and len(mine["draws"]) == bootstrap.DRAWS


def test_choice_is_made_on_tune_samples(result):
    for row in result.rows:
        tune = [r for r in result.records if r["codec"] == row["codec"] and r["split"] == "tune"]
        allowed = [r for r in tune if r["upper"] <= row["bound"]]
        assert row["reached"] == bool(allowed)
        if allowed:
            least = min(r["bits"] for r in allowed)
            assert row["setting"] in [r["setting"] for r in allowed if r["bits"] == least]
            assert row["bits_single"] > 0


def test_every_other_split_is_blind_to_the_test_split():
    study = make_study()
    other = make_study()
    other.features["test"] = other.features["test"][::-1] * np.float32(0.9)
    rows = [[r for r in evaluate(s, [RANS], max_loss=10, batch=8).records if r["split"] == "tune"]
            for s in (study, other)]  # fmt: skip
    assert [r["loss"] for r in rows[0]] == [r["loss"] for r in rows[1]]
    assert study.fingerprint() == other.fingerprint()


def test_journal_goes_on_and_reads_test_once(tmp_path, monkeypatch):
    log = tmp_path / "points.jsonl"
    calls = []

    def counted(x):
        calls.append(len(x))
        return tail(x)

    study = make_study()
    study.tail = counted
    first = evaluate(study, [RANS], max_loss=10, batch=8, log=log)
    lines = log.read_text().splitlines()
    keys = [json.loads(line)["key"].split()[0] for line in lines]
    assert keys.count("tune") == 3 and keys.count("test") == len(first.curve("toy", "rans"))
    log.write_text("\n".join(lines[:2]) + "\n" + lines[2][:40])
    again = evaluate(study, [RANS], max_loss=10, batch=8, log=log)

    def timeless(evaluation):
        return [{k: v for k, v in r.items() if not k.endswith(("_ms", "cpu_s"))}
                for r in evaluation.records]  # fmt: skip

    assert timeless(again) == timeless(first)
    before = len(calls)
    evaluate(study, [RANS], max_loss=10, batch=8, log=log)
    assert len(calls) == before  # neither split is run again


def test_paired_intervals():
    rng = np.random.default_rng(0)
    right = 100.0 * (rng.random(500) < 0.9)
    worse = right.copy()
    worse[:10] = 0
    drawn = bootstrap.redrawn(Scores(right)) - bootstrap.redrawn(Scores(worse))
    low, high = bootstrap.interval(drawn)
    lost = float((right - worse).mean())
    assert low < lost < high
    # Of paired samples: as narrow as 10 changed of 500 allow, far under two independent means.
    assert high - low < 3 * 1.96 * (right - worse).std() / np.sqrt(500)
    assert np.array_equal(bootstrap.indices(9, 3), bootstrap.indices(9, 3))


def test_metrics_that_are_no_means():
    class Median:
        def __init__(self, values):
            self.values = np.asarray(values)

        def __len__(self):
            return len(self.values)

        def metric(self, drawn=None):
            return float(np.median(self.values if drawn is None else self.values[drawn]))

    study = make_study(metric=lambda y, labels: Median(100 * (y.argmax(1) == labels)))
    found = evaluate(study, {"float16": (lambda x: x.astype("f2").tobytes(),
                     lambda d: np.frombuffer(d, "f2").reshape(-1, 6, 8, 8))})  # fmt: skip
    record = found.curve("toy", "float16")[0]
    assert record["bits"] == 16 and record["loss"] == 0 and record["group"] == "rival"


def test_gain_covers_the_choice(result):
    found = result.gain("toy", "rans", "paper", 40)
    rows = {r["codec"]: r for r in result.rows if r["bound"] == 40}
    saved = 100 * (1 - rows["rans"]["bits"] / rows["paper"]["bits"])
    assert found["saved"] == pytest.approx(saved)
    assert found["low"] <= found["saved"] <= found["high"]
    assert result.gain("toy", "rans", "rans", 40) is None
    assert {g["group"] for g in result.gains} == {"paper", "rival"}


def test_frontier_and_curve():
    records = [{"bits": b, "loss": loss, "upper": loss, "error": None} for b, loss in
               ((1, 9), (2, 3), (3, 4), (4, 1), (5, 0.4), (6, 0.3))]  # fmt: skip
    assert [r["bits"] for r in choice.frontier(records, "loss")] == [1, 2, 4, 5, 6]
    assert [r["bits"] for r in choice.curve(records, (0.5, 1), 4, 3)] == [2, 4, 5]
    assert choice.chosen(records, 1) == 3 and choice.chosen(records, 0.1) is None
    assert [r["bits"] for r in choice.curve(records[:1], (1,), 4, 3)] == [1]
    # One that is beaten in loss, by luck, stays for its squared error.
    known = [r | {"error": 1 / r["bits"]} for r in records]
    assert [r["bits"] for r in choice.curve(known, (), 4, 9)] == [2, 3, 4, 5, 6]


def test_choice_has_a_margin():
    def coded(share, seed):  # loses this share of the samples
        rng = np.random.default_rng(seed)
        return 100.0 - 100.0 * (rng.random((20, 2000)) < share)

    # Five settings that lose 1.2 points, of ever more bits, and one that loses 0.2: with the mean
    # for the choice most draws would take one of the five for a loss under one point.
    worse, better = [coded(0.012, seed) for seed in range(5)], coded(0.002, 99)
    taken = {"loss": [], "upper": []}
    for trial in range(20):
        records = []
        for bits, scores in enumerate([*(w[trial] for w in worse), better[trial]]):
            drawn = 100 - bootstrap.redrawn(Scores(scores), 100)
            loss = 100 - scores.mean()
            records.append({"bits": bits, "loss": loss, "upper": loss + 1.645 * drawn.std(),
                            "draws": drawn})  # fmt: skip
        taken["upper"].append(choice.chosen(records, 1.0))
        taken["loss"].append(choice.chosen([r | {"upper": r["loss"]} for r in records], 1.0))
    assert taken["upper"].count(5) >= 17 and taken["loss"].count(5) <= 10
    # In a redraw the margin stays: the redrawn loss must be within the bound by as much.
    record = {"bits": 1, "loss": 0.4, "upper": 0.7, "draws": [0.6, 0.8]}
    assert list(choice.redrawn_choices([record], 1)) == [0, -1]


def test_samples_of_which_none_changed_exclude_no_small_loss():
    study = make_study()
    fine, every = Family("fine", Rounder, ({"step": 1e-3},)), Family("every", Every)
    record, exact = (measure(study, f, f.settings[0], "tune") for f in (fine, every))
    assert record["loss"] == exact["loss"] == 0 and record["draws"] == exact["draws"]
    assert record["upper"] == 100 * 3 / 40 and exact["upper"] == 0
    assert measure(study, fine, fine.settings[0], "tune", screened=True)["upper"] == 0
    smooth = make_study(metric=lambda y, labels: 90 + y.max(1) / 100)
    assert 0 < measure(smooth, fine, fine.settings[0], "tune")["upper"] < 1


class Every:
    """All bits, many streams at a time."""

    def __init__(self, study):
        self.calls = []

    def expected(self, x):
        return x

    def encode_all(self, parts):
        self.calls.append(len(parts))
        return [part.tobytes() for part in parts]

    def decode_all(self, streams):
        return [np.frombuffer(data, np.float32).reshape(-1, 6, 8, 8) for data in streams]


@pytest.mark.parametrize(("screened", "streams"), [(False, 8), (True, 2)])
def test_many_streams_by_one_call(screened, streams):
    study, coder = make_study(), Every(None)
    record = measure(study, Family("every", lambda study: coder), {}, "tune", 4, None, screened)
    assert coder.calls == [streams] and record["coded"] == 4 * streams
    assert record["bits"] == 32 and record["error"] == 0


def test_large_tune_splits_are_screened(monkeypatch):
    module = sys.modules["lwfc.evaluation.evaluate"]
    monkeypatch.setattr(module, "LEAST", 10)
    study = make_study(images={"tune": np.zeros((40, 2)), "test": np.zeros((40, 2))})
    found = evaluate(study, [RANS], max_loss=(5, 40), most=60, batch=8)
    sizes = {}
    for record in found.records:
        sizes.setdefault(record["split"], set()).add(record["samples"])
    assert sizes == {"screen": {10}, "tune": {40}, "test": {40}}
    screened = [r["setting"] for r in found.records if r["split"] == "screen"]
    assert screened == list(RANS.settings)
    part = study.thinned(4)
    assert np.array_equal(part.x("tune"), study.x("tune")[::4])
    assert np.array_equal(part.labels["tune"], study.labels["tune"][::4])
    listed = make_study(metric=lambda y, labels: 100.0 * (y.argmax(1) == np.array(labels)))
    listed.labels = {k: v.tolist() for k, v in listed.labels.items()}
    assert listed.thinned(4).reference("tune").metric() == part.reference("tune").metric()


def test_another_test_split_is_measured_anew(tmp_path):
    log = tmp_path / "points.jsonl"
    counts = []
    for change in (1, 0.5):
        study = make_study()
        study.features["test"] = study.features["test"] * np.float32(change)
        found = evaluate(study, [RANS], max_loss=40, most=60, batch=8, log=log)
        counts.append([r["bits"] for r in found.curve("toy", "rans")])
    keys = [json.loads(line)["key"].split()[0] for line in log.read_text().splitlines()]
    assert keys.count("tune") == 3 and keys.count("test") == 2 * len(counts[0])
    assert counts[0] != counts[1]


def test_bd_rate():
    pytest.importorskip("scipy")
    rate = np.array([0.1, 0.2, 0.4, 0.8, 1.6])
    quality = 10 * np.log10(rate / 0.05)
    for method in ("akima", "pchip"):
        assert bd_rate(rate, quality, rate / 2, quality, method=method) == pytest.approx(-50)
        assert bd_rate(rate, quality, rate, quality, method=method) == pytest.approx(0, abs=1e-9)
    with pytest.raises(lwfc.ParameterError, match="share"):
        bd_rate(rate, quality, rate, quality + 11.5)
    with pytest.raises(lwfc.ParameterError, match="saturates.*bound on the loss"):
        bd_rate(rate, [80, 90, 93.1, 93.2, 93.25], rate, [80, 85, 90, 92, 94], noise=0.3)
    with pytest.raises(lwfc.ParameterError, match="falls"):
        bd_rate(rate, [1, 3, 2, 4, 5], rate, quality)
    with pytest.raises(lwfc.ParameterError, match="4 points"):
        bd_rate(rate[:3], quality[:3], rate, quality)
    assert decibels(0.1) == pytest.approx(10)


def test_views(result, tmp_path):
    text = str(result)
    assert "rounder" in text and "over paper" in text
    assert "<table>" in result._repr_html_()
    html = result.to_html(tmp_path / "page.html")
    assert html.count("<circle") == sum(r["split"] == "test" for r in result.records)
    assert "http" not in html and "data-told" in html
    again = Evaluation.from_json(result.to_json())
    assert again.rows == result.rows and str(again) == text


def test_tables(result):
    head, *body = tables.summary(result, "toy")
    assert head == ["codec", "loss < 5", "loss < 40"] and [r[0] for r in body] == [
        "paper", "rans", "rounder"]  # fmt: skip
    row = next(r for r in result.rows if r["codec"] == "rounder" and r["bound"] == 40)
    assert body[2][2] == f"{row['bits']:.3g} ({row['loss']:.2f})"
    tools = {row[0]: row[2] for row in tables.tool_table(result)[1:]}
    assert tools["rounder"] == "step 0.05, 0.5, 2"
    assert len(tables.gain_table(result)) == 1 + len(result.gains)
    behind = tables.behind_table(result)[1:]
    for study, bound, ours, codec, _ in behind:
        assert ours == "not reached" or result.gain(study, ours, codec, float(bound))["saved"] < 0
    over = [r for r in result.rows if r["reached"] and r["loss"] > r["bound"]]
    assert len(tables.over_table(result)) == 1 + len(over)
    assert len(tables.compute_table(result)) == 1
    counted = Evaluation(result.records, result.about | {"compute": {"toy": {"edge": 2e6,
                         "whole": 3.5e6}}})  # fmt: skip
    assert tables.compute_table(counted)[1] == ["toy", "2", "3.5"]
    assert "on the device" in counted.to_html() and "on the device" not in result.to_html()
    assert result.seconds.keys() == {"paper", "rans", "rounder"}


def test_curves_worth_a_look_first(result):
    records = list(result.records)
    for i in range(3):
        step = {"codec": f"more {i}"}
        records += [r | step | {"bits": r["bits"] + i + 1} for r in result.records
                    if r["codec"] == "rounder"]  # fmt: skip
    found = figure.outstanding(Evaluation(records, result.about), "toy")
    assert found == ["paper", "rans", "rounder", "more 0"]
    page = Evaluation(records, result.about).to_html()
    assert page.count('class="codec off"') == 2 and page.count("style=display:none") == 2


def test_pandas_and_plot(result, tmp_path):
    pandas = pytest.importorskip("pandas")
    frame = result.to_pandas()
    assert isinstance(frame, pandas.DataFrame) and len(frame) == len(result.records)
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("Agg")
    result.plot(tmp_path / "curves.png")
    assert (tmp_path / "curves.png").stat().st_size > 5000


def test_studies_side_by_side(result):
    other = evaluate(make_study("other"), [RANS], max_loss=(5, 40), batch=8)
    both = merge([result, other])
    assert both.studies == ["toy", "other"] and both.codecs("other") == ["rans"]
    assert len(both.records) == len(result.records) + len(other.records)
    with pytest.raises(lwfc.ParameterError, match="bounds"):
        merge([result, evaluate(make_study(), [RANS], max_loss=1, batch=8)])


def test_what_fails_is_named():
    def broken(study):
        raise FileNotFoundError("no such program: x265")

    with pytest.warns(UserWarning, match="x265"):
        found = evaluate(make_study(), [Family("hevc", broken), RANS], max_loss=10, batch=8)
    assert found.about["failed"] == {"toy: hevc": "no such program: x265"}
    assert found.codecs("toy") == ["rans"]


def test_inputs_are_a_row_too():
    images = {split: np.arange(40 * 4, dtype=np.uint8).reshape(40, 2, 2)
              for split in ("tune", "test")}  # fmt: skip
    study = make_study(images=images, whole=lambda pixels: tail(make_study().x("test")))
    raw = Family("raw", lambda study: Raw(), group="input")

    class Raw:
        def encode(self, x):
            return x.tobytes()

        def decode(self, data):
            return np.frombuffer(data, np.uint8).reshape(-1, 2, 2)

    record = evaluate(study, [raw], max_loss=100, most=100).curve("toy", "raw")[0]
    assert record["bits"] == 8 * 4 / (6 * 64) and record["error"] is None


@pytest.mark.parametrize(
    ("splits", "about", "message"),
    [
        ({"tune": np.zeros((0, 6, 8, 8))}, {}, "count samples"),
        ({"test": np.full((40, 6, 8, 8), np.nan)}, {}, "'test'.*NaN"),
        ({"test": np.zeros((40, 6, 8, 4))}, {}, "must be equal"),
        ({}, {"labels": {"tune": np.zeros(40)}}, "'test'.*no labels"),
        ({}, {"labels": {"tune": np.zeros(39), "test": np.zeros(40)}}, "39 labels for 40"),
        ({}, {"metric": lambda y, labels: np.full(40, np.nan)}, "metric.*nan"),
    ],
)
def test_wrong_splits(splits, about, message):
    study = make_study()
    study.features |= splits
    for name, value in about.items():
        setattr(study, name, value)
    with pytest.raises(lwfc.ParameterError, match=message):
        evaluate(study, "rans")


def test_samples_of_two_splits_are_told():
    study = make_study()
    study.features["test"][:3] = study.features["tune"][:3]
    study.labels["test"][:3] = study.labels["tune"][:3]
    with pytest.warns(lwfc.OptionWarning, match="3 samples of 'test' .* split before"):
        study.check()
    assert make_study().shared() == {}


def test_a_share_for_points_is_told():
    study = make_study(metric=lambda y, labels: y.argmax(1) == labels)
    with pytest.warns(lwfc.OptionWarning, match="times 100"):
        evaluate(study, [RANS], max_loss=40, batch=8)


@pytest.mark.parametrize(
    ("encode", "decode", "message"),
    [
        (lambda x: [1], lambda data: np.zeros((8, 6, 8, 8)), "must be bytes"),
        (lambda x: b"1", lambda data: np.full((8, 6, 8, 8), np.nan), "NaN"),
        (lambda x: b"1", lambda data: np.zeros((8, 6, 8)), "shape"),
        (lambda x: None + 1, lambda data: data, "unsupported operand"),
    ],
)
def test_codecs_that_are_wrong_are_left_out(encode, decode, message):
    with pytest.warns(UserWarning, match=message):
        found = evaluate(make_study(), {"wrong": (encode, decode)}, batch=8)
    assert not found.rows and message in found.about["failed"]["toy: wrong"]
    with pytest.raises(lwfc.ParameterError, match="nothing was measured"):
        found.plot()


def test_constant_features():
    study = make_study()
    study.features = {split: 0 * x for split, x in study.features.items()}
    pair = (lambda x: bytes(len(x)), lambda data: np.zeros((len(data), 6, 8, 8), np.float32))
    with pytest.warns(lwfc.OptionWarning, match="split before"):
        found = evaluate(study, {"nothing": pair}, batch=8)
    assert found.curve("toy", "nothing")[0]["error"] is None
    assert Evaluation.from_json(found.to_json()).rows == found.rows


def test_interrupted(tmp_path):
    def stopped(study):
        raise KeyboardInterrupt

    log = tmp_path / "points.jsonl"
    with pytest.warns(UserWarning, match="same log"):
        found = evaluate(make_study(), [RANS, Family("slow", stopped), ROUNDER], max_loss=40,
                         batch=8, log=log)  # fmt: skip
    assert found.codecs("toy") == ["rans"] and not found.about["complete"]
    assert "Not complete" in found.to_html()
    assert evaluate(make_study(), [RANS], max_loss=40, batch=8, log=log).records == found.records


def test_processes_share_a_log(tmp_path):
    log = tmp_path / "points.jsonl"
    program = ("from pathlib import Path; import sys; from lwfc.base.journal import Journal\n"
               "journal = Journal(sys.argv[1], 'm')\n"
               "for i in range(40): journal.put(f'{sys.argv[2]}{i}', [i] * 30000)")  # fmt: skip
    both = [subprocess.Popen([sys.executable, "-c", program, str(log), name]) for name in "ab"]
    assert [one.wait() for one in both] == [0, 0]
    journal = Journal(log, "m")
    assert all(journal.get(f"{name}{i}") == [i] * 30000 for name in "ab" for i in range(40))
    with pytest.raises(lwfc.ParameterError, match="folder"):
        Journal(tmp_path / "none" / "points.jsonl", "m")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"study": 3}, "must be a Study"),
        ({"codecs": ["nothing"]}, "'paper'"),
        ({"codecs": {"x": 5}}, "encode, decode"),
        ({"codecs": ["rans", "rans"]}, "once"),
        ({"max_loss": ()}, "one bound"),
        ({"batch": 0}, "batch"),
    ],
)
def test_wrong_arguments(change, message):
    call = {"study": make_study(), "codecs": "rans"} | change
    with pytest.raises(lwfc.ParameterError, match=message):
        evaluate(**call)


def test_wrong_studies():
    with pytest.raises(lwfc.ParameterError, match="test"):
        Study("x", {"calibration": 0, "tune": 0}, tail)
    study = make_study(metric=lambda y, labels: [1.0])
    with pytest.raises(lwfc.ParameterError, match="one score each"):
        evaluate(study, "rans")
    with pytest.raises(lwfc.ParameterError, match="group"):
        Family("x", Rounder, group="good")
