"""Training by several processes from the command line, told as it comes."""

from __future__ import annotations

import os
import queue
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event as Flag

from longstream.errors import Refused
from longstream_trainer.job import Job, Stopped, write_job
from longstream_trainer.report import Done, Event, Failed, Reporter, decode_event
from longstream_trainer.spawn import Team, run_ranks

_LOOK_EVERY_S = 0.1
_TOLD = 1_000
"""Letters of what they said last, where none of them says why it failed."""


def by_many(job: Job, world: int, report: Reporter, check: Callable[[], None]) -> Done:
    """Train by so many processes. Raises Stopped, or Refused with what the first of them said."""
    from longstream_trainer.before import told_before

    told_before(job)  # tokens are kept for all of them, and what cannot fit is refused
    path, log = job.work_dir / "job.json", job.work_dir / "processes.log"
    write_job(job, path)
    told: queue.SimpleQueue[Event] = queue.SimpleQueue()
    stopping, last = Flag(), None
    reading, writing = os.pipe()
    with ThreadPoolExecutor(2) as pool:
        heard = pool.submit(_hear, reading, told)
        ran = pool.submit(_run, path, world, (writing, log), stopping)
        while not (ran.done() and heard.done() and told.empty()):
            try:
                check()
            except Stopped:
                stopping.set()  # they write a checkpoint first
            while not told.empty():
                last = told.get()
                report(last)
            time.sleep(_LOOK_EVERY_S)
    if isinstance(last, Done):
        return last
    if stopping.is_set():
        raise Stopped
    why = last.message if isinstance(last, Failed) else log.read_text(errors="replace")[-_TOLD:].strip()
    raise Refused(f"training failed: {why}")


def _run(path: Path, world: int, ways: tuple[int, Path], stopping: Flag) -> int:
    writing, log = ways
    with os.fdopen(writing, "w") as events, log.open("a") as words:
        return run_ranks(path, Team(processes=world), (events, words), stopping)


def _hear(reading: int, told: queue.SimpleQueue[Event]) -> None:
    with os.fdopen(reading, "rb") as lines:
        for line in lines:
            told.put(decode_event(line))
