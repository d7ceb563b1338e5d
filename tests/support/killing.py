"""A file command that is killed three times while it asks a server, and started again each time."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
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
    kills = 0
    while True:
        process = subprocess.Popen(
            [sys.executable, "-c", _PROGRAM, *words],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        before = server.asked
        while process.poll() is None and kills < KILLS:
            if server.asked >= before + every:
                process.send_signal(signal.SIGKILL)
                kills += 1
                break
            time.sleep(0.02)
        out, err = process.communicate(timeout=60)
        if process.returncode != -signal.SIGKILL:
            break
        assert not output.exists()
    assert (process.returncode, kills) == (0, KILLS), err
    told: dict[str, Any] = json.loads(out)
    return told
