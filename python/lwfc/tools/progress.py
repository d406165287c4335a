"""Progress on a terminal: a tqdm bar where tqdm is installed, else a line that counts."""

import sys
from typing import Any

__all__ = ["Bar"]


class Bar:
    """A progress callable for ``lwfc.calibrate`` and others: ``bar(done, total, what)``.

    Writes to standard error, and only if that is a terminal and ``shown`` is true.
    """

    def __init__(self, shown: bool = True) -> None:
        self._shown = shown and sys.stderr.isatty()
        self._what: str | None = None
        self._bar: Any = None
        try:
            from tqdm import tqdm
        except ImportError:
            tqdm = None
        self._tqdm = tqdm

    def __call__(self, done: int, total: int | None, what: str) -> None:
        if not self._shown:
            return
        if self._tqdm is None:
            of = f"/{total}" if total else ""
            sys.stderr.write(f"\r\033[K{what}: {done}{of}")
            sys.stderr.flush()
            self._what = what
            return
        if what != self._what or (self._bar is not None and done < self._bar.n):
            self.close()
            self._bar = self._tqdm(desc=what, total=total, leave=False, file=sys.stderr)
            self._what = what
        self._bar.total = total
        self._bar.update(done - self._bar.n)

    def close(self) -> None:
        """Clear the line."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None
        elif self._shown and self._what is not None:
            sys.stderr.write("\r\033[K")
        self._what = None

    def __enter__(self) -> "Bar":
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()
