"""A file command that is killed three times while it asks a server, and started again each time."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from tests.support.standin import Server

_PROGRAM = "import sys; from longstream.cli import main; sys.exit(main(sys.argv[1:]))"
KILLS = 3


def killed_until_done(words: Sequence[str], output: Path, server: Server, every: int) -> dict[str, Any]:
    """Kill it after so many requests, three times, then let it end well; what it tells as JSON.

    Nothing stands at output before that.
    """
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    for _ in range(KILLS):
        process = _started(words, environment)
        last = server.asked + every
        # The server kills it before it answers, so that a busy machine cannot let it run to its end.
        server.on_asked = partial(_kill_at, process, last)
        _, err = process.communicate(timeout=60)
        assert process.returncode == -signal.SIGKILL, err
        assert not output.exists()
    server.on_asked = lambda asked: None
    process = _started(words, environment)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    told: dict[str, Any] = json.loads(out)
    return told


def _started(words: Sequence[str], environment: Mapping[str, str]) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-c", _PROGRAM, *words],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def _kill_at(process: subprocess.Popen[bytes], last: int, asked: int) -> None:
    if asked >= last:
        process.kill()
