"""Progress: a tqdm bar where tqdm is installed, else a line that counts; in logs a few lines."""

import contextlib
import functools
import importlib.util
import shutil
import sys
import time
from collections.abc import Callable
from typing import Any, TypeVar

__all__ = ["Bar", "Progress", "shows_progress", "takes_progress"]

# Called as progress(done, total, what): steps done, their number or None, and the stage's name.
Progress = Callable[[int, int | None, str], None]
PAUSES = 10, 60  # seconds between lines in a log, at first and at last
Function = TypeVar("Function", bound=Callable[..., Any])


class Bar:
    """A progress callable: ``bar(done, total, what)``, on standard error.

    On terminals, and in notebooks with tqdm's widgets, a bar; elsewhere, as in log files, lines:
    the first one after ten seconds, others now and then; with ``always`` one at each stage's start
    too. Silent if ``wanted`` is false.
    """

    def __init__(self, wanted: bool = True, *, always: bool = False) -> None:
        self._shown = wanted and (_on_terminal() or _in_notebook())
        self._lines = _Lines(always) if wanted and not self._shown else None
        self._what: str | None = None
        self._bar: Any = None
        self._tqdm: Any = None
        if self._shown:
            with contextlib.suppress(ImportError):
                from tqdm.auto import tqdm

                self._tqdm = tqdm

    def __call__(self, done: int, total: int | None, what: str) -> None:
        if self._lines is not None:
            self._lines.say(done, total, what)
        if not self._shown:
            return
        if self._tqdm is None:
            of = f"/{total}" if total else ""
            _write(f"\r\033[K{what}: {done}{of}")
            self._what = what
            return
        if what != self._what or (self._bar is not None and done < self._bar.n):
            self.close()
            size = {}
            if _on_terminal():  # where that tells no size, tqdm would write nothing at all
                columns, rows = shutil.get_terminal_size()
                size = {"ncols": columns - 1, "nrows": rows}
            self._bar = self._tqdm(desc=what, total=total, leave=False, file=sys.stderr, **size)
            self._what = what
        self._bar.total = total
        self._bar.update(done - self._bar.n)

    def close(self) -> None:
        """Clear the line."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None
        elif self._shown and self._what is not None:
            _write("\r\033[K")
        self._what = None

    def __enter__(self) -> "Bar":
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()


class _Lines:
    """Lines for a log, the longer the work takes the fewer."""

    def __init__(self, stages: bool) -> None:
        self._stages = stages  # whether each begins with a line
        self._what: str | None = None
        self._pause = PAUSES[0]
        self._begun = self._said = time.monotonic()

    def say(self, done: int, total: int | None, what: str) -> None:
        now = time.monotonic()
        begins = self._stages and what != self._what
        self._what = what
        if now - self._said >= self._pause:
            self._pause = min(2 * self._pause, PAUSES[1])
        elif not begins:
            return
        self._said = now
        minutes, seconds = divmod(int(now - self._begun), 60)
        of = f": {done} of {total}" if total else f": {done}" if done else ""
        _write(f"lwfc, {minutes}:{seconds:02d} min: {what}{of}\n")


def _write(text: str) -> None:
    """To standard error, if it takes it: without one, or a pipe's other end, the work goes on."""
    with contextlib.suppress(AttributeError, OSError, ValueError):
        sys.stderr.write(text)
        sys.stderr.flush()


def _on_terminal() -> bool:
    """Whether standard error is one; services may have none, or a closed one."""
    with contextlib.suppress(AttributeError, ValueError):
        return sys.stderr.isatty()
    return False


def _in_notebook() -> bool:
    """Whether cells can show widgets; text bars would stay in their output."""
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    widgets = importlib.util.find_spec("ipywidgets") and importlib.util.find_spec("tqdm")
    return hasattr(shell, "kernel") and widgets is not None


def takes_progress(function: Function) -> Function:
    """Lets ``progress=True`` of a function ask for a bar, which is closed at the end."""
    return _with_bar(function, usual=False)


def shows_progress(function: Function) -> Function:
    """The same for functions that take minutes: a bar, or lines, unless ``progress=False``."""
    return _with_bar(function, usual=True)


def _with_bar(function: Function, usual: bool) -> Function:
    """``usual``: whether None asks for a bar."""

    @functools.wraps(function)
    def call(*arguments: Any, progress: Progress | bool | None = None, **options: Any) -> Any:
        if progress is True or (usual and progress is None):
            with Bar(always=progress is True) as bar:
                return function(*arguments, progress=bar, **options)
        return function(*arguments, progress=progress or None, **options)

    return call  # type: ignore[return-value]
