"""Searches that users set up wrongly, or whose logs and samples belong elsewhere."""

import json
import tracemalloc
import warnings

import numpy as np
import pytest
from common import features

import lwfc
from lwfc.transform import survey

X = features((12, 8, 10, 10))
GRID = {
    "levels": (2, 3, 4),
    "clip_scale": (1.0, 2.0),
    "restore": ("none",),
    "restore_strength": (1.0,),
    "rate_weight": (0.0,),
    "coder": ("rans",),
}


class Counted:
    """A metric that counts its calls."""

    def __init__(self, value=1.0):
        self.value, self.calls = value, []

    def __call__(self, codec):
        self.calls.append(codec)
        return self.value


def error(codec):
    return 0.0 if codec is None else float(np.mean((codec.simulate(X) - X) ** 2))


@pytest.mark.parametrize("make", [lambda: iter(X[None, :4]), lambda: (x for x in X[None, :4]),
                                  lambda: X[:4], lambda: [X[:2], X[2:4]]])  # fmt: skip
def test_measured_is_the_same_for_all_settings(make):
    result = lwfc.tune(X, Counted(), grid=GRID, measured=make())
    assert {row["elements"] for row in result.rows} == {X[:4].size}
    codec = lwfc.calibrate(X, levels=2, bound=True)
    assert result.rows[0]["nbytes"] == sum(len(codec.encode(x[None])) for x in X[:4])


def test_measured_that_is_used_up():
    class Once:
        parts = iter([X[:4]])

        def __iter__(self):
            yield from self.parts

    with pytest.raises(lwfc.ParameterError, match="walked once"):
        lwfc.tune(X, Counted(), grid=GRID, measured=Once())


@pytest.mark.parametrize(
    "other",
    [features((12, 8, 10, 10), 5), X[:, ::-1], -X, X[:6], X[..., :5], X * np.float32(1.001)],
    ids=["seed", "reversed", "negated", "fewer", "narrower", "scaled"],
)
def test_logs_belong_to_their_samples(tmp_path, other):
    log = tmp_path / "log.jsonl"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", lwfc.CalibrationWarning)
        first, second = Counted(1.0), Counted(0.5)
        lwfc.tune(X, first, grid=GRID, log=log, max_loss=1)
        result = lwfc.tune(other, second, grid=GRID, log=log, max_loss=1)
        assert len(second.calls) == 7 and result.reference == 0.5
        again = Counted(9.0)
        for samples in (X, X[::-1], iter([X[:5], X[5:]]), X.astype(np.float64)):
            assert lwfc.tune(samples, again, grid=GRID, log=log, max_loss=1).reference == 1.0
        assert not again.calls


def test_logs_belong_to_what_is_measured(tmp_path):
    log = tmp_path / "log.jsonl"
    whole = lwfc.tune(X, Counted(), grid=GRID, log=log)
    part = lwfc.tune(X, Counted(), grid=GRID, log=log, measured=X[:3])
    assert part.rows[0]["elements"] == X[:3].size < whole.rows[0]["elements"]


@pytest.mark.parametrize("content", [b"a,b\n1,2", b"\x93NUMPY\xff\xfe", b'{"row": 1}'])
def test_files_of_something_else_are_no_logs(tmp_path, content):
    path = tmp_path / "results.csv"
    path.write_bytes(content)
    with pytest.raises(lwfc.ParameterError, match="another file"):
        lwfc.tune(X, Counted(), grid=GRID, log=path)
    assert path.read_bytes() == content


def test_a_folder_is_no_log(tmp_path):
    with pytest.raises(lwfc.ParameterError, match="is a folder"):
        lwfc.tune(X, Counted(), grid=GRID, log=tmp_path)


@pytest.mark.parametrize("edit", [("metric", "good"), ("nbytes", None), ("seconds", [1])])
def test_edited_rows_are_measured_anew(tmp_path, edit):
    log, name = tmp_path / "log.jsonl", edit[0]
    before = lwfc.tune(X, Counted(), grid=GRID, log=log)
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    for line in lines:
        line["value"] = line["value"] | {name: edit[1]}
    log.write_text("".join(json.dumps(line) + "\n" for line in lines))
    again = Counted()
    after = lwfc.tune(X, again, grid=GRID, log=log)
    assert len(again.calls) >= 6
    assert [row["nbytes"] for row in after.rows] == [row["nbytes"] for row in before.rows]


@pytest.mark.parametrize("measured", [[], iter([]), X[:0], X[:, :0]])
def test_nothing_measured_is_no_rate(measured):
    with pytest.raises(lwfc.ParameterError, match="no samples|0 elements"):
        lwfc.tune(X, Counted(), grid=GRID, measured=measured)
    with pytest.raises(lwfc.ParameterError, match="0 elements"):
        lwfc.tune(X, lambda codec: (1.0, 0, 0), grid=GRID)


PLAIN = {"grid": GRID | {"levels": 2, "clip_scale": (1.0,)}}


@pytest.mark.parametrize(
    "options",
    [
        PLAIN,
        {"grid": PLAIN["grid"] | {"coder": "context"}},
        {"grid": PLAIN["grid"] | {"coder": "context", "restore": "linear"}},
        {"transform": "dct", "step": 0.5, "block": 4},
    ],
    ids=["plain", "context", "linear", "transform"],
)
def test_memory_does_not_grow(options, monkeypatch):
    monkeypatch.setattr(survey, "KEPT", 1 << 18)  # values, of which there are more

    def batches(count):
        for seed in range(count):
            yield features((10, 16, 28, 28), seed)

    peaks = []
    for count in (10, 40):
        tracemalloc.start()
        lwfc.tune(batches(count), lambda codec: (1.0, 1, 1), **options)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < peaks[0] + 5e6  # 30 batches more are 15 MB


@pytest.mark.parametrize(
    "grid, text",
    [
        ({"level": (2, 4)}, "'levels'"),
        ({"samples": (1,)}, "no option 'samples'"),
        ({"levels": (2, 3, 999)}, "levels=999"),
        ({"levels": (2.5,)}, "levels=2.5"),
        ({"coder": ("rans", "zip")}, "coder='zip'"),
        ({"clip": ("mse", (3, 1))}, "clip="),
        ({"clip_scale": ("wide",)}, "clip_scale='wide'"),
        ({"quantizer": "ecsq", "granularity": "channel"}, "ecsq"),
        ({"levels": (4, 32), "coder": ("rans", "context")}, "levels=32"),
        ({"levels": []}, "empty"),
        ([("levels", 4)], "grid is a list"),
    ],
)
def test_grids_are_checked_before_anything_runs(grid, text):
    task = Counted()
    with pytest.raises(lwfc.ParameterError, match=text):
        lwfc.tune(X, task, grid=GRID | grid if isinstance(grid, dict) else grid)
    assert not task.calls


def test_fixed_options_are_checked_too():
    task = Counted()
    with pytest.raises(lwfc.ParameterError, match="'restore_strength'|'restore'"):
        lwfc.tune(X, task, grid=GRID, restored="linear")
    with pytest.raises(lwfc.ParameterError, match="slope="):
        lwfc.tune(X, task, grid=GRID, slope=7)
    assert not task.calls


@pytest.mark.parametrize(
    "grid, name, tried",
    [
        ({"levels": 4}, "levels", [4]),
        ({"coder": "cabac"}, "coder", ["cabac"]),
        ({"levels": np.arange(2, 4)}, "levels", [2, 3]),
        ({"levels": np.int64(3)}, "levels", [3]),
        ({"clip_scale": np.linspace(1, 2, 3)}, "clip_scale", [1.0, 1.5, 2.0]),
        ({"clip": (0, 2)}, "clip", [(0, 2)]),
        ({"clip": ("mse", (0, 2))}, "clip", ["mse", (0, 2)]),
        ({"clip": np.array([[0, 2], [0, 3]])}, "clip", [(0, 2), (0, 3)]),
        ({"levels": {2: "a", 3: "b"}.keys()}, "levels", [2, 3]),
        ({"levels": (n for n in (2, 2, 3))}, "levels", [2, 3]),
        ({"levels": memoryview(np.arange(2, 4))}, "levels", [2, 3]),
    ],
)
def test_values_in_any_form(grid, name, tried, tmp_path):
    result = lwfc.tune(X, Counted(), grid=GRID | grid, search="grid", log=tmp_path / "log")
    found = [row[name] for row in result.rows]
    assert sorted(set(map(str, found))) == sorted(map(str, tried))
    assert result.to_json()


def test_equal_settings_run_once():
    task = Counted()
    grid = GRID | {"levels": 3, "clip_scale": 1.0, "restore": ("none", "centroid"),
                   "restore_strength": (0.5, 1.0), "rate_weight": (0.0, 0.1)}  # fmt: skip
    result = lwfc.tune(X, task, grid=grid, search="grid")
    assert len(task.calls) == 3 and len(result.rows) == 2
    task = Counted()  # settings that differ, but give the same codec
    lwfc.tune(X, task, grid=GRID | {"levels": 3, "activation": ("auto", "relu")}, search="grid")
    assert len(task.calls) == 3 and len({id(codec) for codec in task.calls}) == 3


def test_smaller_is_better():
    result = lwfc.tune(X, error, grid=GRID, mode="min", max_loss=0.5)
    allowed = [row for row in result.rows if row["metric"] <= 0.5]
    assert allowed and result.best["bits_per_element"] == min(
        row["bits_per_element"] for row in allowed
    )
    assert all(row["loss"] == row["metric"] for row in result.rows)
    front = [(row["bits_per_element"], row["metric"]) for row in result.pareto]
    assert front == sorted(front, key=lambda point: -point[0]) and len(front) > 1
    assert [point[1] for point in front] == sorted(point[1] for point in front)


def test_a_wrong_direction_shows():
    with pytest.warns(lwfc.OptionWarning, match='mode="min"'):
        lwfc.tune(X, error, grid=GRID)
    with pytest.warns(lwfc.OptionWarning, match='mode="max"'):
        lwfc.tune(X, lambda codec: -error(codec), grid=GRID, mode="min")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        lwfc.tune(X, error, grid=GRID, mode="min", max_loss=0.3)
        lwfc.tune(X, lambda codec: -error(codec), grid=GRID)
    with pytest.raises(lwfc.ParameterError, match="mode="):
        lwfc.tune(X, error, grid=GRID, mode="least")


@pytest.mark.parametrize(
    "value", [None, "good", (1.0, 2), np.zeros(0), float("nan"), float("inf")]
)
def test_metrics_that_are_none(value):
    with pytest.raises(lwfc.ParameterError, match="evaluate"):
        lwfc.tune(X, lambda codec: value, grid=GRID)


def test_options_of_the_search_without_effect():
    with pytest.warns(lwfc.OptionWarning, match="optuna"):
        lwfc.tune(X, Counted(), grid=GRID, trials=5)
    with pytest.warns(lwfc.OptionWarning, match="measured"):
        lwfc.tune(X, lambda codec: (1.0, 10, 100), grid=GRID, measured=X[:2])
    with pytest.warns(lwfc.OptionWarning, match="restore_strength"):
        lwfc.tune(X, Counted(), grid=GRID, restore="centroid", restore_strength=0.5)


@pytest.mark.parametrize(
    "options, name",
    [
        ({"rate_weight": 0.1}, "rate_weight"),
        ({"rate_weight": 0.1, "coder": "cabac", "quantizer": "deadzone"}, "rate_weight"),
        ({"activation": "relu", "slope": 0.3}, "slope"),
        ({"slope": 0.3}, "slope"),
        ({"restore_strength": 0.5}, "restore_strength"),
        ({"restore_strength": 0.5, "restore": "centroid"}, "restore_strength"),
        ({"kappa": 0.7, "clip": "mse"}, "kappa"),
        ({"kappa": 0.7, "clip": (0, 2)}, "kappa"),
        ({"clip_lo": -0.1, "clip": (0, 2)}, "clip_lo"),
        ({"clip_lo": -0.1, "clip": "aciq"}, "clip_lo"),
    ],
)
def test_options_without_effect_are_named(options, name):
    with pytest.warns(lwfc.OptionWarning, match=f"^{name}="):
        idle = lwfc.calibrate(X, **options)
    del options[name]
    assert idle == lwfc.calibrate(X, **options)
    if name != "restore_strength":
        with pytest.warns(lwfc.OptionWarning, match=f"^{name}="):
            lwfc.encode(X, **options, **{name: 0.2})


@pytest.mark.parametrize(
    "options",
    [
        {"rate_weight": 0.1, "quantizer": "ecsq", "levels": 8},
        {"restore_strength": 0.5, "restore": "local"},
        {"kappa": 0.7, "activation": "relu"},
        {"clip_lo": 0.1},
    ],
)
def test_options_with_effect_are_silent(options, recwarn):
    lwfc.calibrate(X, **options)
    assert not [w for w in recwarn.list if issubclass(w.category, lwfc.OptionWarning)]


def test_a_range_is_given_once():
    with pytest.raises(lwfc.ParameterError, match="clip="):
        lwfc.encode(X, lo=0, hi=1, clip="mse")


def test_channel_axis_of_vectors():
    with pytest.raises(lwfc.ParameterError, match="channel_axis"):
        lwfc.encode(X.ravel(), channel_axis=1)
    with pytest.warns(lwfc.OptionWarning, match="channel_axis"):
        lwfc.calibrate(X.ravel(), channel_axis=0)


def test_a_metric_of_nan_is_the_worst(tmp_path):
    def broken(codec):  # with two levels, the cheapest of all
        return 1.0 if codec is None else float("nan") if codec.levels == 2 else 0.9

    grid = {"levels": (2, 4, 8), "clip_scale": (1.0,), "coder": ("rans",), "restore": ("none",)}
    log = tmp_path / "log.jsonl"
    for _ in range(2):
        found = lwfc.tune(X, broken, grid=grid, max_loss=0.2, log=log)
        assert found.best["levels"] == 4 and [r["levels"] for r in found.pareto] == [4]
        assert found.rows[0]["loss"] == np.inf
        assert json.loads(found.to_json())["rows"][0]["metric"] is None
    found = lwfc.tune(X, lambda codec: 1.0 if codec is None else float("nan"), transform="dct")
    assert found.codec is None and {r["upper"] for r in found.rows} == {np.inf}


@pytest.mark.parametrize("counts", [(12, 11), (12, 1), (1, 12)])
def test_scores_of_other_samples(counts):
    with pytest.raises(lwfc.ParameterError, match=f"{counts[1]} scores.*{counts[0]} without"):
        lwfc.tune(X, lambda codec: np.ones(counts[codec is not None]), transform="dct")


def test_a_folder_for_the_log_and_numbers_as_text(tmp_path):
    calls = Counted()
    with pytest.raises(lwfc.ParameterError, match="folder"):
        lwfc.tune(X, calls, grid=GRID, log=tmp_path / "none" / "log.jsonl")
    for name in ("max_loss", "trials"):
        with pytest.raises(lwfc.ParameterError, match=name):
            lwfc.tune(X, calls, grid=GRID, **{name: "few"})
    with pytest.raises(lwfc.ParameterError, match="trials=0"):
        lwfc.tune(X, calls, grid=GRID, search="optuna", trials=0)
    with pytest.raises(lwfc.ParameterError, match="-5 bytes"):
        lwfc.tune(X, lambda codec: (1.0, -5, 10), grid=GRID)
