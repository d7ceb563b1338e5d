"""How far a long reading is: records, bytes, rate and the time that is left, on one line of a terminal."""

from __future__ import annotations

import time
from types import TracebackType
from typing import Self, TextIO

_TICK_S = 0.2


class Progress:
    """Told by whoever reads; writes to a terminal only."""

    def __init__(self, size: int, out: TextIO) -> None:
        """size: bytes of all inputs, 0 if nobody knows."""
        self._size = size
        self._out = out if out.isatty() else None
        self._begun = time.monotonic()
        self._shown = 0.0
        self._before = 0
        self._here = 0
        self.records = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        if self._out is not None:
            self._out.write("\r\x1b[K")
            self._out.flush()

    @property
    def seconds(self) -> float:
        """Since the beginning."""
        return time.monotonic() - self._begun

    def at(self, position: int) -> None:
        """So many bytes of the present input have been read."""
        self._here = position
        self._show()

    def next_input(self) -> None:
        """The present input is done."""
        self._before += self._here
        self._here = 0

    def line(self) -> str:
        """What is shown."""
        read, seconds = self._before + self._here, max(self.seconds, 1e-9)
        size = f" of {self._size / 1e6:,.1f}" if self._size else ""
        text = f"{read / 1e6:,.1f}{size} MB, {read / 1e6 / seconds:,.0f} MB/s, {self.records:,} records"
        if self._size and read:
            text += f", {max(0.0, (self._size - read) * seconds / read):,.0f} s left"
        return text

    def _show(self) -> None:
        now = time.monotonic()
        if self._out is not None and now - self._shown >= _TICK_S:
            self._shown = now
            self._out.write(f"\r\x1b[K{self.line()}")
            self._out.flush()
