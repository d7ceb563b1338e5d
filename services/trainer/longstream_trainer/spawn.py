"""One training child for each device of this machine, told of each other as torchrun would tell them.

Where several machines make one model each runs its own, and the first machine's address is where all meet. The first
one's events go where those of a single child go. When one ends with anything but success the others are
stopped, for they would wait for it; when this process ends, however it does, they see their standard input end.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from longstream_trainer.job import Machines
from longstream_trainer.report import ExitCode

_LOOK_EVERY_S = 0.1
_GRACE_S = 60.0
"""How long the others may take to end after one has: they may have a checkpoint to write."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Team:
    """The children of this machine, and the machines that make the model with it."""

    processes: int
    """On each machine."""
    machines: Machines = field(default_factory=Machines)

    def told(self, number: int, first: str) -> dict[str, str]:
        """What a child of this machine is told. first: HOST:PORT where all of them meet."""
        host, _, port = first.rpartition(":")
        return {
            "RANK": str(self.machines.here * self.processes + number),
            "LOCAL_RANK": str(number),
            "LOCAL_WORLD_SIZE": str(self.processes),
            "WORLD_SIZE": str(self.machines.count * self.processes),
            "MASTER_ADDR": host,
            "MASTER_PORT": port,
        }


def run_ranks(job_file: Path, team: Team, ways: tuple[IO[str], IO[str]], stopping: threading.Event) -> int:
    """Run this machine's children over a job; returns the first's exit code, or that of the first one that failed.

    ways: where events go, and where everything else that they say.
    """
    first = team.machines.first or f"127.0.0.1:{_free_port()}"
    children = [
        _start(job_file, team.told(number, first), ways[0 if number == 0 else 1], ways[1])
        for number in range(team.processes)
    ]
    told_s: float | None = None
    failed: int | None = None
    try:
        while any(child.poll() is None for child in children):
            codes = [child.poll() for child in children]
            if failed is None:
                failed = next((code for code in codes if code not in (None, 0)), None)
            if told_s is None and (stopping.is_set() or failed is not None):
                told_s = time.monotonic()
                _tell(children, subprocess.Popen.terminate)
            if told_s is not None and time.monotonic() > told_s + _GRACE_S:
                _tell(children, subprocess.Popen.kill)
            time.sleep(_LOOK_EVERY_S)
    finally:
        _tell(children, subprocess.Popen.kill)
    codes = [_ended(child) for child in children]
    worst = failed if failed is not None else next((code for code in codes if code), ExitCode.DONE)
    return codes[0] or worst


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def _start(
    job_file: Path, told: Mapping[str, str], events: IO[str], words: IO[str]
) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "longstream_trainer.child", str(job_file)],
        env={**os.environ, **told},
        stdin=subprocess.PIPE,
        stdout=events,
        stderr=words,
    )


def _ended(child: subprocess.Popen[bytes]) -> int:
    assert child.stdin is not None
    child.stdin.close()
    return child.wait()


def _tell(children: list[subprocess.Popen[bytes]], how: Callable[[subprocess.Popen[bytes]], None]) -> None:
    for child in children:
        if child.poll() is None:
            how(child)
