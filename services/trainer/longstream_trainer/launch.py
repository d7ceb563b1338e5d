"""Launching an attempt: a child process that trains and reports, while the service goes on serving.

The child gets a JSON file and answers with JSON lines on its standard output. Its standard input is a pipe that
nobody writes to: when the service dies, however it dies, the pipe ends and the child stops with it.
"""

from __future__ import annotations

import json
import logging
import queue
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Protocol

from longstream.errors import Corrupt, InvalidInput
from longstream.faults import crash_point
from longstream.storage import Storage
from longstream.storage.atomic import full_disk_told
from longstream_trainer.report import Event, decode_event

_log = logging.getLogger(__name__)

STOP_GRACE_S = 60.0
"""How long a child may take to write a checkpoint after SIGTERM."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One try of a job: what the child is told, and where it works."""

    pipeline: str
    job_id: str
    number: int
    """Of the try, from 1."""
    job: Mapping[str, Any]
    """What job.py reads, but for the shards."""
    shards: tuple[str, ...]
    """Addresses in storage."""
    work_dir: Path
    """Kept between attempts: checkpoints are here."""
    checkpoint: str = ""
    """Tree in storage, for where the folder is another one than the last attempt's."""


class Running(Protocol):
    """An attempt under way."""

    def events(self) -> Iterator[Event]:
        """What it has reported since the last call; never waits."""

    def exit_code(self) -> int | None:
        """None while it runs, or while something reported has not been read."""

    def stop(self) -> None:
        """Let it write a checkpoint, then end it."""

    def leave(self) -> None:
        """The owner ends, or somebody else owns the job now: stop what cannot be found again, leave the rest."""


class Launcher(Protocol):
    """Starts attempts: as a child process here (`ChildLauncher`), as a Job on a cluster (`KubernetesLauncher`)."""

    @property
    def outlive(self) -> bool:
        """Whether attempts outlive their owner; launching one that was launched before then finds it again."""

    def launch(self, attempt: Attempt) -> Running:
        """Start; raises Corrupt or StorageFull if its input cannot be laid out."""


class ChildLauncher:
    """Runs attempts as child processes of this one."""

    outlive = False

    def __init__(self, storage: Storage, processes: int = 0) -> None:
        """processes: of each attempt; 0: as many as there are GPUs."""
        self._storage = storage
        self._processes = processes

    def launch(self, attempt: Attempt) -> ChildProcess:
        """Lay out the shards, write the job file, start the child."""
        job_file = attempt.work_dir / "job.json"
        with full_disk_told():
            attempt.work_dir.mkdir(parents=True, exist_ok=True)
            shards = [self._fetched(address, attempt.work_dir) for address in attempt.shards]
            shards_told = [str(path) for path in shards]
            job = {**attempt.job, "shards": shards_told, "processes": self._processes}
            job_file.write_text(json.dumps(job, indent=2, sort_keys=True))
            crash_point("trainer.launch.laid_out")
            return ChildProcess(job_file)

    def _fetched(self, address: str, folder: Path) -> Path:
        return self._storage.fetch(address, folder / "shards" / f"{address.rpartition(':')[2]}.parquet")


class ChildProcess:
    """A training child, and what it has reported so far."""

    def __init__(self, job_file: Path) -> None:
        log = (job_file.parent / "child.log").open("ab")
        self._process = subprocess.Popen(
            [sys.executable, "-m", "longstream_trainer.child", str(job_file)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
        )
        log.close()
        self._events: queue.SimpleQueue[Event] = queue.SimpleQueue()
        self._reader = threading.Thread(target=self._read, args=(self._process.stdout,), daemon=True)
        self._reader.start()

    @property
    def process_id(self) -> int:
        """The child's, for logs and for those who look after it."""
        return self._process.pid

    def events(self) -> Iterator[Event]:
        """What the child has reported since the last call."""
        while not self._events.empty():
            yield self._events.get()

    def exit_code(self) -> int | None:
        """None until the child has ended and all that it reported has been read."""
        if self._reader.is_alive() or not self._events.empty():
            return None
        return self._process.poll()

    def stop(self) -> None:
        """SIGTERM, so that the child writes a checkpoint; SIGKILL if it takes too long."""
        self._process.terminate()
        try:
            self._process.wait(STOP_GRACE_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._reader.join()

    def leave(self) -> None:
        """A child has nobody else who would hear it."""
        self.stop()

    def _read(self, stream: IO[bytes]) -> None:
        for line in stream:
            try:
                self._events.put(decode_event(line))
            except InvalidInput:
                _log.warning("a line of the training child is no event", extra={"bytes": len(line)})


def checked_tree(folder: Path) -> Path:
    """A finished attempt's output. Raises Corrupt if the child said done and left nothing."""
    if not any(folder.iterdir() if folder.is_dir() else ()):
        raise Corrupt(f"the training child left no model in {folder}")
    return folder
