"""One training child for each device of this machine, told of each other as torchrun would tell them.

The first one's events go where those of a single child go. When one ends with anything but success the others are
stopped, for they would wait for it; when this process ends, however it does, they see their standard input end.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import IO

from longstream_trainer.report import ExitCode

_LOOK_EVERY_S = 0.1
_GRACE_S = 60.0
"""How long the others may take to end after one has: they may have a checkpoint to write."""


def run_ranks(job_file: Path, world: int, ways: tuple[IO[str], IO[str]], stopping: threading.Event) -> int:
    """Run so many children over a job; returns the first's exit code, or that of the first one that failed.

    ways: where events go, and where everything else that they say.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    children = [_start(job_file, rank, world, (port, *ways)) for rank in range(world)]
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


def _start(
    job_file: Path, rank: int, world: int, ways: tuple[str, IO[str], IO[str]]
) -> subprocess.Popen[bytes]:
    port, events, words = ways
    told = {
        "RANK": str(rank),
        "LOCAL_RANK": str(rank),
        "WORLD_SIZE": str(world),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": port,
    }
    return subprocess.Popen(
        [sys.executable, "-m", "longstream_trainer.child", str(job_file)],
        env={**os.environ, **told},
        stdin=subprocess.PIPE,
        stdout=events if rank == 0 else words,
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
