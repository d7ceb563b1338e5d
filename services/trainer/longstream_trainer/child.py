"""The training child: `python -m longstream_trainer.child JOB.json`.

It fine-tunes one model and ends. Events (report.py) go to standard output as JSON lines, everything else to
standard error. SIGTERM, SIGINT and, where standard input is a pipe, its end (the parent is gone) mean:
write a checkpoint and stop. Exit codes are report.ExitCode's. The same program is the body of a Kubernetes
Job.
"""

from __future__ import annotations

import logging
import os
import signal
import stat
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO

from longstream.errors import SuiteError
from longstream_trainer.job import Job, Stopped, alone_in, read_job
from longstream_trainer.report import Event, ExitCode, Failed, encode_event
from longstream_trainer.spawn import Team, run_ranks

_log = logging.getLogger("longstream_trainer.child")


class EventWriter:
    """Writes events to the parent. When nobody reads any more it asks the run to stop, and is silent."""

    def __init__(self, stream: IO[str], stopping: threading.Event) -> None:
        self.stream = stream
        self._stopping = stopping

    def __call__(self, event: Event) -> None:
        """Write one line and flush it."""
        try:
            self.stream.write(encode_event(event) + "\n")
            self.stream.flush()
        except BrokenPipeError:
            _log.warning("nobody reads the events any more; stopping")
            self._stopping.set()


def main(arguments: Sequence[str]) -> int:
    """Run the attempt that the job file describes."""
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(name)s %(message)s")
    if len(arguments) != 1:
        print("usage: python -m longstream_trainer.child JOB.json", file=sys.stderr)
        return ExitCode.PERMANENT
    # torch's threads spin while they wait for each other. Beside other work (an engine on the same cores)
    # that makes a step take ten times as long; sleeping costs next to nothing. Read when torch is first
    # imported.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    stopping = threading.Event()
    _stop_on_signals(stopping)
    _stop_with_parent(stopping)
    report = EventWriter(_own_standard_output(), stopping)
    return _attempt(Path(arguments[0]), report, stopping)


def _attempt(path: Path, report: EventWriter, stopping: threading.Event) -> int:
    def check() -> None:
        if stopping.is_set():
            raise Stopped

    try:
        job = read_job(path)
        if "RANK" in os.environ:
            return _one_of_many(job, report, check)
        with alone_in(job.work_dir):
            # torch takes seconds to import: a bad job is told before that, and a signal finds its handler.
            from longstream_trainer.before import processes_of, told_before
            from longstream_trainer.run import fine_tune, quiet_libraries

            quiet_libraries()
            check()
            team = Team(processes=processes_of(job), machines=job.machines)
            if team.processes * team.machines.count > 1:
                told_before(job)  # tokens are kept for all of them, and what cannot fit is refused
                return run_ranks(path, team, (report.stream, sys.stderr), stopping)
            done = fine_tune(job, report, check)
    except Stopped:
        return ExitCode.STOPPED
    except Exception as error:
        failed = failure(error)
        _log.error("attempt failed: %s", failed.message, exc_info=error)
        if os.environ.get("RANK", "0") == "0":
            report(failed)
        return ExitCode.FAILED if failed.retryable else ExitCode.PERMANENT
    report(done)
    return ExitCode.DONE


def _one_of_many(job: Job, report: EventWriter, check: Callable[[], None]) -> int:
    """What one of several processes does; the one that started them holds the working folder."""
    from longstream_trainer.ranks import joined
    from longstream_trainer.run import fine_tune, quiet_libraries

    quiet_libraries()
    with joined() as ranks:
        done = fine_tune(job, report if ranks.first else _silent, check, ranks)
    if ranks.first:
        report(done)
    return ExitCode.DONE


def _silent(event: Event) -> None:
    """The first process reports for all."""


def failure(error: Exception) -> Failed:
    """What the parent is told about an error. An unforeseen one may be retried: it can be the machine's."""
    if isinstance(error, SuiteError):
        return Failed(reason=error.reason, message=error.message, retryable=error.retryable)
    import torch

    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        words = f"out of memory; lower micro_batch, or use gradient_checkpointing: {error}"
        return Failed(reason="out_of_memory", message=words, retryable=True)
    return Failed(reason="internal", message=f"{type(error).__name__}: {error}", retryable=True)


def _stop_on_signals(stopping: threading.Event) -> None:
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())


def _stop_with_parent(stopping: threading.Event) -> None:
    # A terminal or /dev/null says nothing about a parent; a pipe that ends does.
    if not stat.S_ISFIFO(os.fstat(0).st_mode):
        return

    def watch() -> None:
        while os.read(0, 4_096):
            pass
        _log.info("standard input has ended: the parent is gone")
        stopping.set()

    threading.Thread(target=watch, name="parent", daemon=True).start()


def _own_standard_output() -> IO[str]:
    """Keep standard output for events: what libraries print goes to standard error."""
    stream = os.fdopen(os.dup(1), "w", encoding="utf-8")
    sys.stdout.flush()
    os.dup2(2, 1)
    return stream


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
