"""One service as a child process: its log, its process group, and the guard that ends it with its parent.

A service starts processes of its own (an engine, a training run). Each service therefore lives in a process
group that a guard leads: a shell that waits on a pipe whose other end only the parent holds. When the parent
goes, however it goes, the pipe closes and the guard kills the group. That needs no `preexec_fn`, which is
unsafe beside threads, and leaves no gap between the start of the child and the protection of it. A process
that opens a session of its own leaves the group, and must then see to its end itself.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import threading
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

PERMANENT = 42
"""Exit status of a service whose settings or data are wrong: starting it again changes nothing."""

_GUARD = ("/bin/sh", "-c", "read _; kill -9 0")
_TAIL_BYTES = 16_384
_CHUNK_BYTES = 65_536


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceProgram:
    """What to run: the service, its command line and settings, and where its gRPC server will answer."""

    name: str
    argv: tuple[str, ...]
    address: str = ""
    environ: Mapping[str, str] = field(default_factory=dict)


class RotatingLog:
    """A file of at most max_bytes, with the former ones beside it as FILE.1 (newest) to FILE.<kept>."""

    def __init__(self, path: Path, *, max_bytes: int = 10_000_000, kept: int = 3) -> None:
        self.path = path
        self._max_bytes = max_bytes
        self._kept = kept
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = path.open("ab", buffering=0)

    def write(self, chunk: bytes) -> None:
        """Append; a full disk loses the chunk rather than stopping the child that wrote it."""
        with suppress(OSError):
            if self._file.tell() + len(chunk) > self._max_bytes and self._file.tell() > 0:
                self._rotate()
            self._file.write(chunk)

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _rotate(self) -> None:
        for number in range(self._kept - 1, 0, -1):
            with suppress(FileNotFoundError):
                self._former(number).rename(self._former(number + 1))
        self.path.rename(self._former(1))
        self._file.close()
        self._file = self.path.open("ab", buffering=0)

    def _former(self, number: int) -> Path:
        return self.path.with_name(f"{self.path.name}.{number}")


class Guard:
    """Leads a process group and kills it when this process goes, however it goes."""

    def __init__(self) -> None:
        self._shell = subprocess.Popen(
            _GUARD,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            process_group=0,
        )

    @property
    def group(self) -> int:
        """The process group to start others in; signals of the terminal do not reach it."""
        return self._shell.pid

    def end(self) -> None:
        """Kill the whole group at once; a second call does nothing."""
        if self._shell.poll() is None:
            os.killpg(self._shell.pid, signal.SIGKILL)
            self._shell.wait()
        if self._shell.stdin is not None:
            self._shell.stdin.close()


class ChildProcess:
    """A running service. Start it from a thread that lives as long as it shall."""

    def __init__(self, program: ServiceProgram, log: RotatingLog, environ: Mapping[str, str]) -> None:
        self._log = log
        self._tail = b""
        self._guard = Guard()
        try:
            self._process = subprocess.Popen(
                program.argv,
                env={**environ, "PYTHONUNBUFFERED": "1", **program.environ},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                process_group=self._guard.group,
            )
        except OSError:
            self._guard.end()
            raise
        assert self._process.stdout is not None
        self._pump = threading.Thread(target=self._copy, args=(self._process.stdout,), daemon=True)
        self._pump.start()

    @property
    def pid(self) -> int:
        """The service's own process, not its guard's."""
        return self._process.pid

    def exit_code(self) -> int | None:
        """None while it runs, else its exit status (negative: a signal); then nothing of its group lives."""
        code = self._process.poll()
        if code is not None:
            self._guard.end()
            # A process that has left the group may hold the pipe open for ever.
            self._pump.join(1.0)
        return code

    def terminate(self) -> None:
        """Ask the service to drain; its own children are its own business."""
        self._process.terminate()

    def kill(self) -> None:
        """End the service and whatever it has started, at once."""
        self._guard.end()
        self._process.wait()
        self._pump.join(1.0)

    def last_words(self) -> str:
        """Why it ended, as far as its log tells: its last error, or else its last line."""
        return last_words(self._tail.decode(errors="replace"))

    def _copy(self, pipe: IO[bytes]) -> None:
        with pipe:
            while chunk := os.read(pipe.fileno(), _CHUNK_BYTES):
                self._log.write(chunk)
                self._tail = (self._tail + chunk)[-_TAIL_BYTES:]


def last_words(log: str) -> str:
    """The last error in a log of JSON lines with what caused it, or else the last line that is not blank."""
    lines = [line.strip() for line in log.splitlines() if line.strip()]
    for line in reversed(lines):
        told = _error_in(line)
        if told:
            return told
    return lines[-1][:500] if lines else ""


def _error_in(line: str) -> str:
    try:
        record = json.loads(line)
    except ValueError:
        return ""
    if not isinstance(record, dict) or record.get("level") not in ("error", "critical"):
        return ""
    error = record.get("error")
    cause = error.get("message") or error.get("type") if isinstance(error, dict) else record.get("why")
    return ": ".join(str(part) for part in (record.get("event"), cause) if part)


def how_it_ended(exit_code: int) -> str:
    """The exit status in words."""
    if exit_code >= 0:
        return f"exit status {exit_code}"
    try:
        return f"killed by {signal.Signals(-exit_code).name}"
    except ValueError:
        return f"killed by signal {-exit_code}"
