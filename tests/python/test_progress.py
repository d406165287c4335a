"""progress=True and the command line's bar: from the start, gone at the end; lines in logs."""

import io
import os
import signal
import sys
import threading
from unittest import mock

import pytest
from common import features

import lwfc
from lwfc.base.progress import Bar, shows_progress

X = features((6, 4, 6, 5))
SMALL = {"levels": (2, 3), "clip_scale": (1.0,), "restore": ("none",), "rate_weight": (0.0,),
         "coder": ("rans",), "restore_strength": (1.0,)}  # fmt: skip


@pytest.fixture(params=["tqdm", "plain"])
def kind(request, monkeypatch):
    if request.param == "tqdm":
        pytest.importorskip("tqdm")
    else:
        monkeypatch.setitem(sys.modules, "tqdm.auto", None)
    return request.param


@pytest.fixture
def terminal(kind, capsys, monkeypatch):
    monkeypatch.setattr(type(sys.stderr), "isatty", lambda stream: True)


def test_true_shows_every_stage(terminal, capsys):
    codec = lwfc.calibrate(X, levels=2, coder="context", restore="centroid", progress=True)
    said = capsys.readouterr()
    assert said.out == ""
    for stage in ("statistics", "symbols", "context model"):
        assert stage in said.err
    assert codec == lwfc.calibrate(X, levels=2, coder="context", restore="centroid")
    assert capsys.readouterr().err == ""


def test_the_bar_goes_when_a_call_fails(terminal, capsys):
    walks = []

    class Samples:
        def __iter__(self):
            yield X
            walks.append(1)
            if len(walks) > 1:
                raise OSError("gone")

    with pytest.raises(OSError, match="gone"):
        lwfc.calibrate(Samples(), restore="centroid", progress=True)
    assert capsys.readouterr().err.endswith(("\r", "\033[K"))


def test_tune_takes_it_too(kind, capsys):
    lwfc.tune(X, lambda codec: 1.0, grid=SMALL, progress=True)
    assert "tune" in capsys.readouterr().err


def test_a_callable_is_called_and_false_is_none():
    seen = []
    lwfc.calibrate(X, progress=lambda done, total, what: seen.append((done, what)))
    assert (1, "statistics") in seen
    assert lwfc.calibrate(X, progress=False) == lwfc.calibrate(X)


def test_logs_get_whole_lines(capsys, monkeypatch):
    """A stage's name when it begins, where asked for; and after ten seconds, twenty, forty ..."""
    now = [0.0]
    monkeypatch.setattr("lwfc.base.progress.time.monotonic", lambda: now[0])
    for always in (False, True):
        now[0] = 0.0
        with Bar(always=always) as bar:  # standard error is no terminal here
            for i in range(200):
                bar(i, 200, "first" if i < 100 else "second")
                now[0] += 1.0
        lines = capsys.readouterr().err.splitlines()
        starts = ["lwfc, 0:00 min: first: 0 of 200"] * always
        assert lines[: 1 + always] == [*starts, "lwfc, 0:10 min: first: 10 of 200"]
        assert any("1:40 min: second: 100" in line for line in lines) == always
        assert len(lines) == (6 if always else 5)


def _study():
    from lwfc.evaluation.study import Study

    splits = {split: X + i for i, split in enumerate(("calibration", "tune", "test"))}
    return Study("toy", splits, lambda x: x.mean((2, 3)))


@pytest.mark.parametrize("stream", ["none", "closed", "without isatty", "broken pipe"])
def test_work_goes_on_where_standard_error_takes_nothing(stream, monkeypatch):
    closed, broken = io.StringIO(), io.StringIO()
    closed.close()
    monkeypatch.setattr(broken, "write", mock.Mock(side_effect=BrokenPipeError))
    found = {"none": None, "closed": closed, "without isatty": object(), "broken pipe": broken}
    monkeypatch.setattr("lwfc.base.progress.PAUSES", (0, 0))
    monkeypatch.setattr(sys, "stderr", found[stream])
    for progress in (None, True):
        lwfc.tune(X, lambda codec: 1.0, grid=SMALL, progress=progress)


def test_a_callable_that_raises_ends_an_evaluation():
    def stop(done, total, what):
        if done:
            raise RuntimeError("enough")

    with pytest.raises(RuntimeError, match="enough"):
        lwfc.evaluate(_study(), "rans", points=1, progress=stop)


def test_short_work_leaves_no_line(capsys):
    with Bar() as bar:
        bar(0, 3, "work")
    with Bar(False) as bar:
        bar(0, 3, "work")
    assert capsys.readouterr().err == ""


def test_tune_and_evaluate_tell_logs_where_they_are(capsys, monkeypatch):
    monkeypatch.setattr("lwfc.base.progress.PAUSES", (0, 0))
    study = _study()
    calls = {
        "evaluate toy": lambda **options: lwfc.evaluate(study, "rans", points=1, **options),
        "tune": lambda **options: lwfc.tune(X, lambda codec: 1.0, grid=SMALL, **options),
    }
    for stage, call in calls.items():
        call(progress=False)
        assert capsys.readouterr().err == ""
        call()
        assert f"min: {stage}" in capsys.readouterr().err


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs a pseudo-terminal")
def test_a_terminal_of_unknown_width_shows_it(kind, monkeypatch):
    import os
    import pty

    reader, writer = pty.openpty()  # of width 0
    with os.fdopen(writer, "w") as terminal:
        monkeypatch.setattr(sys, "stderr", terminal)
        with Bar() as bar:
            bar(1, 3, "work")
    with os.fdopen(reader, "rb", buffering=0) as shown:
        assert b"work" in shown.read(10_000)


def test_long_calls_show_a_bar_only_where_it_is_seen(kind, capsys, monkeypatch):
    @shows_progress
    def work(*, progress):
        if progress is not None:
            progress(1, 3, "work")
        return progress

    assert work() is not None and capsys.readouterr().err == ""
    assert work(progress=False) is None
    work(progress=True)
    assert "work" in capsys.readouterr().err
    seen = []
    work(progress=lambda *step: seen.append(step))
    assert seen == [(1, 3, "work")]
    monkeypatch.setattr("lwfc.base.progress._in_notebook", lambda: True)
    work()
    assert "work" in capsys.readouterr().err


def test_signatures_are_the_functions_own():
    import inspect

    assert "levels" in inspect.signature(lwfc.calibrate).parameters
    assert lwfc.calibrate.__name__ == "calibrate" and lwfc.calibrate.__module__ == "lwfc"


@pytest.fixture
def ctrl_c():
    """What Python does of itself, but not in the background of a shell, where it is ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.skipif(sys.platform == "win32", reason="signals of a process to itself")
@pytest.mark.parametrize("stage", ["symbols", "context model", "restoration"])
def test_an_interrupt_is_heard_while_fitting(stage, ctrl_c):
    """It comes while C or BLAS works, ends the call at its next look, and leaves all usable."""
    x, begun, said = features((16, 96, 7, 7)), threading.Event(), []
    options = {"levels": 3, "activation": "relu", "coder": "context", "restore": "linear"}

    def interrupt():
        begun.wait()
        os.kill(os.getpid(), signal.SIGINT)

    def progress(done, total, what):
        said.append(what)
        if what.startswith(stage):
            begun.set()

    whole = lwfc.calibrate(x, **options)
    sender = threading.Thread(target=interrupt)
    sender.start()
    with pytest.raises(KeyboardInterrupt):
        for _ in range(1000):  # one call may be over before the signal comes
            lwfc.calibrate(x, progress=progress, **options)
    sender.join()
    assert any(what.startswith(stage) for what in said)
    assert lwfc.calibrate(x, **options) == whole
