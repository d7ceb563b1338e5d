"""One line of a terminal that is written over while something long goes on."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TextIO

_TICK_S = 0.2
_CLEAR = "\r\x1b[K"


class TerminalLine:
    """Shows the newest text, a few times a second; nothing where there is no stream, or it is no terminal."""

    def __init__(self, out: TextIO | None = None) -> None:
        self._out = out if out is not None and out.isatty() else None
        self._shown_s = 0.0

    def show(self, text: Callable[[], str]) -> None:
        """Write what text gives over the line, if it is time to."""
        now = time.monotonic()
        if self._out is not None and now - self._shown_s >= _TICK_S:
            self._shown_s = now
            self._write(text())

    def clear(self) -> None:
        """Leave an empty line to whatever is printed next."""
        self._write("")

    def _write(self, text: str) -> None:
        if self._out is not None:
            self._out.write(f"{_CLEAR}{text}")
            self._out.flush()
