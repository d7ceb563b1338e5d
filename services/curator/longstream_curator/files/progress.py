"""How far a long reading is: bytes, rate, records and the time that is left, on one line of a terminal."""

from __future__ import annotations

import time

from longstream.commands.terminal import TerminalLine


class Progress:
    """Told by whoever reads."""

    def __init__(self, size: int, terminal: TerminalLine) -> None:
        """size: bytes of all inputs, 0 if nobody knows."""
        self._size = size
        self._terminal = terminal
        self._begun = time.monotonic()
        self._before = 0
        self._here = 0
        self.records = 0

    @property
    def seconds(self) -> float:
        """Since the beginning."""
        return time.monotonic() - self._begun

    def at(self, position: int) -> None:
        """So many bytes of the present input have been read."""
        self._here = position
        self._terminal.show(self.line)

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
