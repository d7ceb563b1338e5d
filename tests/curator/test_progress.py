"""What a long reading shows of itself, and only on a terminal."""

from __future__ import annotations

import io

from longstream.commands.terminal import TerminalLine
from longstream_curator.files.progress import Progress


class Terminal(io.StringIO):
    """Text that a person would see."""

    def isatty(self) -> bool:
        return True


def test_it_tells_how_far_it_is_and_clears_its_line() -> None:
    out = Terminal()
    line = TerminalLine(out)
    progress = Progress(4_000_000, line)
    progress.records = 7
    progress.at(1_000_000)
    progress.next_input()
    progress.at(1_000_000)
    line.clear()
    assert progress.line().startswith("2.0 of 4.0 MB, ")
    assert "7 records" in progress.line()
    assert progress.line().endswith(" s left")
    assert "1.0 of 4.0 MB" in out.getvalue()
    assert out.getvalue().endswith("\r\x1b[K")


def test_what_nobody_knows_is_not_told() -> None:
    progress = Progress(0, TerminalLine(Terminal()))
    progress.at(1_000_000)
    assert " of " not in progress.line()
    assert "left" not in progress.line()


def test_a_log_file_gets_nothing() -> None:
    out = io.StringIO()
    line = TerminalLine(out)
    Progress(10, line).at(5)
    line.clear()
    assert out.getvalue() == ""
