"""The body of a training Job: `python -m longstream_trainer.remote --pipeline P --job ID --attempt N --told ADDRESS`.

It fetches what the attempt is told and its rows from storage, trains in a child process as the service itself would,
stores the model, and reports to the pipeline's owner through the control topic. It ends with the child's exit code.
SIGTERM lets the child write a checkpoint. Checkpoints go into storage; the next attempt goes on from the newest in its
working folder, or else from the one that the job names. Where several pods make one model each is told its number
(JOB_COMPLETION_INDEX), and only the first one reports, but for what keeps another from starting.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import sys
import uuid
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TypeVar

from prometheus_client import CollectorRegistry

from longstream.app import Stop, exit_code, signals_to
from longstream.attempts import Backoff
from longstream.bodies_bus import BodiesBus
from longstream.bus import Bus, Output
from longstream.bus.opening import open_bus
from longstream.errors import InvalidInput, NotFound, SuiteError
from longstream.runtime import PREFIX, RuntimeSettings, load
from longstream.storage import Storage, open_storage
from longstream.telemetry import Metrics, configure_logging
from longstream.topics import TRAINING, PipelineTopics
from longstream.v1.records_pb2 import ReportTraining, TrainingCommand
from longstream_trainer import jobs
from longstream_trainer.job import CHECKPOINT_FILES, Machines
from longstream_trainer.launch import Attempt, ChildLauncher, Running, checked_tree
from longstream_trainer.pod_metrics import SERVICE, PodMetrics, shown
from longstream_trainer.report import Checkpoint, Done, Event, ExitCode, Failed, encode_event
from longstream_trainer.settings import TrainerSettings

T = TypeVar("T")

_log = logging.getLogger("longstream_trainer.remote")

_LOOK_EVERY_S = 0.2
_BACKOFF = Backoff(first_s=0.5, longest_s=10.0)
_MAX_MESSAGE = 2_000


@dataclass(slots=True, kw_only=True)
class Reporter:
    """Sends an attempt's events to the owner, in order, each of them durably before the next."""

    bus: Bus
    keys: PipelineTopics
    pipeline: str
    job_id: str
    attempt: int
    source: str = field(default_factory=lambda: uuid.uuid4().hex)
    sent: int = 0
    seen: Callable[[Event], None] = lambda event: None
    """Is told each event as it comes, before storage and log have it."""

    def send(self, events: Sequence[Event]) -> None:
        """Publish. Raises as Bus.publish does; the same events may then be sent again, and count once."""
        if events:
            self.bus.publish(
                [self._output(self.sent + 1 + index, event) for index, event in enumerate(events)]
            )
            self.sent += len(events)

    def _output(self, number: int, event: Event) -> Output:
        report = ReportTraining(
            job_id=self.job_id,
            attempt=self.attempt,
            source=self.source,
            number=number,
            event=encode_event(event),
        )
        command = TrainingCommand(pipeline=self.pipeline, report=report)
        return self.keys.output(TRAINING, self.pipeline, "", command.SerializeToString())


class Patience:
    """Tries again what fails because log or storage are away or full, until the program is asked to stop."""

    def __init__(self, stop: Stop) -> None:
        self._stop = stop
        self.ending = False

    def look(self, wait_s: float) -> bool:
        """Whether the program was asked to stop, after waiting up to wait_s for it."""
        self.ending = self._stop.times(0.0 if self.ending else wait_s) > 0 or self.ending
        return self.ending

    def __call__(self, act: Callable[[], T]) -> T:
        """What act returns. Raises its SuiteError if no retry can help, or nobody waits any more."""
        failures = 0
        while True:
            try:
                return act()
            except SuiteError as error:
                failures += 1
                if not error.retryable or self.look(_BACKOFF.drawn_s(failures)):
                    raise
                _log.warning("waiting", extra={"reason": error.reason, "why": error.message})


def run(
    find: Callable[[], Attempt], storage: Storage, reporter: Reporter, patience: Patience, processes: int = 0
) -> int:
    """Train the attempt that is found, report, store the model; returns the exit code.

    What no retry helps is reported before it is raised. Raises Unavailable, StorageFull if asked to stop while log or
    storage are away or full.
    """
    try:
        attempt = patience(find)
        patience(lambda: _laid_out(attempt, storage))
        running = patience(lambda: ChildLauncher(storage, processes).launch(attempt))
        try:
            code = _followed(running, storage, reporter, patience)
        finally:
            running.stop()  # where it still runs, it writes a checkpoint
    except SuiteError as error:
        if not error.retryable:
            failed = Failed(reason=error.reason, message=error.message[:_MAX_MESSAGE], retryable=False)
            patience(lambda: reporter.send([failed]))
        raise
    if code == ExitCode.DONE:
        jobs.clear(attempt.work_dir)
    return code


def _laid_out(attempt: Attempt, storage: Storage) -> None:
    """Put the job's newest checkpoint where the child looks for it, unless the folder holds some of its own."""
    checkpoints = attempt.work_dir / "work" / "checkpoints"
    if attempt.job.get("machines", {}).get("here") or not attempt.checkpoint:
        return  # the first machine's is spread to all
    if any(checkpoints.glob("step-*")):
        return
    # Its number is inside; under this name it is the oldest, so that one of the child's own is always newer.
    checkpoints.mkdir(parents=True, exist_ok=True)
    storage.fetch_tree(attempt.checkpoint, checkpoints / "step-00000000")


def _followed(running: Running, storage: Storage, reporter: Reporter, patience: Patience) -> int:
    while (code := running.exit_code()) is None:
        told = list(running.events())
        for event in told:
            reporter.seen(event)
        events = [patience(partial(_stored, event, storage)) for event in told]
        patience(partial(reporter.send, events))
        if patience.look(0.0 if events else _LOOK_EVERY_S):
            running.stop()
    return code


def _stored(event: Event, storage: Storage) -> Event:
    if isinstance(event, Done):
        return replace(event, output=storage.put_tree(checked_tree(Path(event.output))))
    if isinstance(event, Checkpoint):
        return _kept(event, storage)
    if isinstance(event, Failed):
        return replace(event, message=event.message[:_MAX_MESSAGE])
    return event


def _kept(event: Checkpoint, storage: Storage) -> Checkpoint:
    """The checkpoint as a tree in storage, where it has not been replaced meanwhile by a newer one."""
    folder = Path(event.path)
    try:
        address = str(storage.put_tree(folder))
    except (InvalidInput, NotFound, FileNotFoundError):
        return replace(event, path="")
    # What was removed meanwhile may be missing in the tree.
    whole = all((folder / name).is_file() for name in CHECKPOINT_FILES)
    return replace(event, path=address if whole else "")


def attempt_told(options: argparse.Namespace, storage: Storage, folder: Path) -> Attempt:
    """The attempt that the launcher described, working in folder. Raises InvalidInput, NotFound, Unavailable."""
    told = json.loads(storage.get(options.told))
    machines = Machines(count=options.machines, here=options.here, first=options.first)
    # Where nodes share a claim, each has a folder of its own in it.
    place = folder / options.job / (f"machine-{machines.here}" if machines.here else "")
    return Attempt(
        pipeline=options.pipeline,
        job_id=options.job,
        number=options.attempt,
        job={
            **told["job"],
            "work_dir": str(place / "work"),
            "output_dir": str(place / "output"),
            "machines": asdict(machines),
        },
        shards=tuple(told["shards"]),
        work_dir=place,
        checkpoint=told.get("checkpoint", ""),
    )


def main() -> int:
    """Run the attempt that the arguments name; the environment says where log and objects are."""
    options = _parser().parse_args()
    configure_logging("training-job", stream=sys.stderr, level=os.environ.get(f"{PREFIX}LOG_LEVEL", "INFO"))
    stop = Stop()
    with signals_to(stop):
        try:
            settings, own = load(RuntimeSettings, PREFIX), load(TrainerSettings, "TRAINER_")
            metrics = Metrics(SERVICE, CollectorRegistry())
            gauges = PodMetrics(metrics, options.pipeline, options.attempt)
            with (
                shown(metrics, own.job_metrics_address),
                open_storage(settings.storage_url, settings.s3) as storage,
                open_bus(settings.bus_url, security=settings.kafka) as log,
            ):
                reporter = Reporter(
                    bus=BodiesBus(log, storage),
                    keys=PipelineTopics(settings.control_partitions),
                    pipeline=options.pipeline,
                    job_id=options.job,
                    attempt=options.attempt,
                    seen=gauges.seen,
                )
                find = partial(attempt_told, options, storage, own.work_dir)
                return run(find, storage, reporter, Patience(stop), own.processes)
        except SuiteError as error:
            _log.error("attempt cannot run", exc_info=error)
            return exit_code(error)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m longstream_trainer.remote", description=__doc__)
    for name in ("pipeline", "job", "told"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--attempt", type=int, required=True)
    parser.add_argument("--machines", type=int, default=1)
    parser.add_argument("--here", type=int, default=int(os.environ.get("JOB_COMPLETION_INDEX", "0")))
    parser.add_argument("--first", default="", metavar="HOST:PORT")
    return parser


if __name__ == "__main__":
    sys.exit(main())
