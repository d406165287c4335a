"""The search for an operating point: deterministic, resumable, measured in bytes."""

import json

import numpy as np
import pytest
from common import features

import lwfc
from lwfc.calibration.samples import Batches
from lwfc.calibration.search import pareto

GRID = {
    "levels": (2, 4),
    "clip_scale": (1.0, 1.6),
    "restore": ("none", "centroid"),
    "rate_weight": (0.0, 0.1),
    "coder": ("raw", "cabac"),
}


class Task:
    """The metric: 1 - normalised squared error. Counts its calls."""

    def __init__(self, x):
        self.x = x
        self.calls = []

    def __call__(self, codec):
        self.calls.append(codec)
        if codec is None:
            return 1.0
        return 1 - np.mean((codec.simulate(self.x) - self.x) ** 2) / self.x.var()


@pytest.fixture
def x():
    return features((12, 8, 10, 10))


def test_finds_the_fewest_bytes_within_the_bound(x):
    task = Task(x)
    result = lwfc.tune(x, task, max_loss=0.2, grid=GRID, search="grid")
    # rate_weight does nothing without coder="context": half of the 32 settings equal another
    assert result.reference == 1 and len(result.rows) == 16 and len(task.calls) == 17
    allowed = [row for row in result.rows if row["loss"] <= 0.2]
    assert result.best["bits_per_element"] == min(row["bits_per_element"] for row in allowed)
    assert result.best["loss"] <= 0.2
    best = {name: result.best[name] for name in GRID}
    assert result.codec == lwfc.calibrate(x, bound=True, **best)
    nbytes = sum(len(result.codec.encode(x[i : i + 1])) for i in range(len(x)))
    assert result.best["nbytes"] == nbytes and result.best["elements"] == x.size


def test_stages_try_less_and_find_about_as_much(x):
    full = lwfc.tune(x, Task(x), max_loss=0.2, grid=GRID, search="grid")
    fast = lwfc.tune(x, Task(x), max_loss=0.2, grid=GRID)
    assert len(fast.rows) < 10
    assert fast.best["bits_per_element"] <= 1.1 * full.best["bits_per_element"]
    again = lwfc.tune(x, Task(x), max_loss=0.2, grid=GRID)
    strip = [{k: v for k, v in row.items() if k != "seconds"} for row in fast.rows]
    assert strip == [{k: v for k, v in row.items() if k != "seconds"} for row in again.rows]


def test_nothing_within_the_bound(x):
    result = lwfc.tune(x, Task(x), max_loss=1e-6, grid=GRID)
    assert result.codec is None and result.best is None and result.rows
    least = min(row["loss"] for row in result.rows)
    for text in (str(result), result._repr_html_()):
        assert f"so codec is None; the least is {least:.4g}: allow more" in text
    assert "levels" in str(result)


def test_resumes(x, tmp_path):
    log = tmp_path / "log.jsonl"
    task = Task(x)
    first = lwfc.tune(x, task, max_loss=0.2, grid=GRID, log=log)
    calls = len(task.calls)
    lines = log.read_text().splitlines(keepends=True)
    assert len(lines) == calls
    log.write_text("".join(lines[:-2]) + lines[-2][:20])
    again = lwfc.tune(x, task, max_loss=0.2, grid=GRID, log=log)
    assert len(task.calls) == calls + 2
    assert again.codec == first.codec
    assert len(log.read_text().splitlines()) == len(lines) + 1  # the line that was cut stays
    lwfc.tune(x, task, max_loss=0.2, grid=GRID, log=log, quantizer="deadzone")
    assert len(task.calls) > calls + 2


def test_own_measure_and_generator(x):
    def evaluate(codec):
        return (1.0, 0, 0) if codec is None else (1.0, codec.levels * 100, 800)

    result = lwfc.tune(iter([x]), evaluate, grid=GRID, activation="relu", coder="rans")
    assert result.best["nbytes"] == 200 and result.best["bits_per_element"] == 2
    assert "coder" not in result.best and result.codec.coder == "rans"


def test_statistics_are_taken_once_for_all_settings(x):
    stages, settings = [], [{"levels": n, "clip_scale": s} for n in (2, 3) for s in (1.0, 2.0)]
    with Batches(x, lambda done, total, what: stages.append((done, what))) as batches:
        found = [lwfc.calibrate(batches, **one) for one in settings]
        lwfc.calibrate(batches, granularity="channel")
    assert stages.count((1, "statistics")) == 2  # of the tensor, and of its channels
    assert found == [lwfc.calibrate(x, **one) for one in settings]


def test_fixed_options_are_not_searched(x):
    result = lwfc.tune(x, Task(x), max_loss=0.3, grid=GRID, levels=3, restore="none")
    assert all("levels" not in row for row in result.rows)
    assert result.codec.levels == 3


def test_pareto():
    rows = [
        {"bits_per_element": b, "metric": m} for b, m in ((1, 5), (2, 5), (2, 7), (3, 6), (4, 9))
    ]
    assert pareto(rows) == [rows[4], rows[2], rows[0]]
    for row, upper in zip(rows, (9, 8, 8, 1, 2), strict=True):
        row["upper"] = upper  # decides, where it is known
    assert pareto(rows) == [rows[3], rows[1], rows[0]]


def test_scores_bound_the_loss_from_above(x, tmp_path):
    task, log = Task(x), tmp_path / "log.jsonl"
    spread = np.linspace(-1, 1, 50)

    def scores(codec):
        return task(codec) + (0 if codec is None else 0.3) * spread

    result = lwfc.tune(x, scores, max_loss=0.3, grid=GRID, log=log)
    margin = 1.645 * 0.3 * spread.std(ddof=1) / np.sqrt(50)
    assert all(r["upper"] == pytest.approx(r["loss"] + margin) for r in result.rows)
    allowed = [r["bits_per_element"] for r in result.rows if r["upper"] <= 0.3]
    assert result.best["bits_per_element"] == min(allowed) and "*" in str(result)
    means = lwfc.tune(x, lambda codec: scores(codec).mean(), max_loss=0.3 - margin, grid=GRID)
    assert means.codec == result.codec and "upper" not in means.best
    again = lwfc.tune(x, lambda codec: 1 / 0, max_loss=0.3, grid=GRID, log=log)
    assert again.rows == result.rows


def test_result_shows_itself(x):
    result = lwfc.tune(x, Task(x), max_loss=0.2, grid=GRID)
    assert json.loads(result.to_json())["best"] == result.best
    assert "*" in str(result) and "<table>" in result._repr_html_()
    assert result.best in result.pareto


def test_progress(x):
    calls = []
    lwfc.tune(x, Task(x), grid=GRID, progress=lambda *call: calls.append(call))
    assert calls[0] == (0, None, "tune: samples")
    assert [call[0] for call in calls[1:]] == list(range(len(calls) - 1))


@pytest.mark.parametrize(
    "options, text",
    [
        ({"search": "random"}, "search="),
        ({"grid": {"levels": ()}}, "empty"),
        ({"max_loss": "a"}, "max_loss"),
    ],
)
def test_bad_options(x, options, text):
    with pytest.raises(lwfc.ParameterError, match=text):
        lwfc.tune(x, Task(x), **options)


def test_on_a_model(x, tmp_path):
    torch = pytest.importorskip("torch")
    import lwfc.torch as lt

    torch.manual_seed(0)
    net = torch.nn.Sequential(
        torch.nn.Conv2d(8, 8, 3), torch.nn.ReLU(), torch.nn.Conv2d(8, 2, 3)
    ).eval()
    images = torch.from_numpy(x)
    target = net(images).detach()

    def metric(model):
        with torch.no_grad():
            return -float((model(images) - target).square().mean() / target.var())

    result = lt.tune(net, "1", images, metric, max_loss=0.2, grid=GRID, log=tmp_path / "log")
    assert result.reference == 0 and result.best["loss"] <= 0.2
    with lt.attach(net, {"1": result.codec}) as tap:
        assert metric(net) == pytest.approx(result.best["metric"], abs=1e-6)
    assert tap.report().rows[0]["bits_per_element"] == pytest.approx(
        result.best["bits_per_element"]
    )
    assert not net[1]._forward_hooks


def test_optuna(x):
    pytest.importorskip("optuna")
    run = [lwfc.tune(x, Task(x), max_loss=0.2, grid=GRID, search="optuna", trials=8) for _ in "ab"]
    assert len(run[0].rows) == 8
    chosen = [[row["levels"] for row in result.rows] for result in run]
    assert chosen[0] == chosen[1]
