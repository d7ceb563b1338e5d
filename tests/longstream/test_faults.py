"""Crash points: free when unset, deadly at the asked pass, enumerable from the source."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import longstream
from longstream.errors import InvalidInput
from longstream.faults import crash_points

PROGRAM = """
from longstream.faults import crash_point
for n in range(1, 6):
    crash_point("here.before")
    crash_point("here.after")
    print(n, flush=True)
"""


def run(wish: str | None) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if name != "LONGSTREAM_CRASH_AT"}
    if wish is not None:
        environment["LONGSTREAM_CRASH_AT"] = wish
    command = [sys.executable, "-c", PROGRAM]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=60)


def test_nothing_happens_unless_asked() -> None:
    assert run(None).stdout.split() == ["1", "2", "3", "4", "5"]
    assert run("elsewhere:1").returncode == 0


def test_the_process_dies_at_the_asked_pass_of_the_asked_point() -> None:
    died = run("here.before:3")
    assert died.returncode == -signal.SIGKILL
    assert died.stdout.split() == ["1", "2"]


@pytest.mark.parametrize("wish", ["here.before", "here.before:0", "here.before:x", ":1"])
def test_a_wish_that_cannot_be_read_is_told(wish: str) -> None:
    refused = run(wish)
    assert "InvalidInput" in refused.stderr
    assert refused.stdout == ""


def test_points_are_enumerated_from_the_source(tmp_path: Path) -> None:
    (tmp_path / "one.py").write_text('crash_point("b.x")\nfaults.crash_point("a.y")\ncrash_point("b.x")\n')
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "two.py").write_text('def f():\n    crash_point("c.z")\n')
    assert crash_points(tmp_path) == ("a.y", "b.x", "c.z")


def test_a_point_without_a_literal_name_is_refused(tmp_path: Path) -> None:
    (tmp_path / "one.py").write_text('name = "a"\ncrash_point(name)\n')
    with pytest.raises(InvalidInput, match=r"one\.py:2"):
        crash_points(tmp_path)


def test_every_point_of_the_library_can_be_enumerated() -> None:
    assert "bus.commit.before" in crash_points(Path(longstream.__file__).parent)
