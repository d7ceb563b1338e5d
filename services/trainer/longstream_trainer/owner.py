"""The owner of a pipeline's training: which releases become jobs, which attempt runs, what becomes a model.

A job is RUNNING in the log before its attempt is started, under a new attempt number, so that a successor that
finds it so knows that an attempt may live on somewhere. A child process dies with its owner: the successor begins
another attempt, which resumes from the job's newest checkpoint. A Job on a cluster lives on and is found again; its
reports are commands in the control topic, so that none is lost or counted twice, whoever owns the pipeline meanwhile.
What an older attempt still says is passed over, and only the owner writes models. What a job leaves on disk is cleared
once its end is committed.
"""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from longstream.bus import Bus, Output, Partition, Record
from longstream.errors import InvalidInput, Refused, StorageFull, SuiteError
from longstream.faults import crash_point
from longstream.ids import digest
from longstream.owned import OwnedFacts
from longstream.owner import Owner, answer
from longstream.pipeline import Pipeline
from longstream.records import TRAINING_ENDED, now, parse
from longstream.storage import Storage
from longstream.topics import MODELS, TRAINING_EVENTS, TRAINING_JOBS, TRAINING_STATE, PipelineTopics
from longstream.v1.records_pb2 import (
    CreateTraining,
    Model,
    OwnerState,
    Release,
    ReportTraining,
    TrainingCommand,
    TrainingJob,
)
from longstream.view import CATCH_UP_S, View
from longstream_trainer import jobs
from longstream_trainer.facts import fact_of, finished_of, progressed
from longstream_trainer.job import WorkFolderBusy
from longstream_trainer.launch import Launcher, Running, checked_tree
from longstream_trainer.metrics import TrainerMetrics
from longstream_trainer.report import STOPPED, Done, Event, ExitCode, Failed, decode_event, without_a_word
from longstream_trainer.retraining import Policy

_log = logging.getLogger(__name__)

_KINDS = {"adapter": Model.KIND_ADAPTER, "weights": Model.KIND_WEIGHTS}
_OUTSIDE = frozenset({StorageFull.reason, WorkFolderBusy.reason, STOPPED})
"""Why an attempt may fail as often as it likes: a full disk is waited for, and a drained node is left for another."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainerParts:
    """What the owner works with."""

    bus: Bus
    storage: Storage
    releases: View[Release]
    launcher: Launcher
    work_dir: Path
    metrics: TrainerMetrics
    max_attempts: int
    """Tries of a job whose child died or failed in a way that a retry can help."""
    policy: Policy
    retry_s: float = 5.0
    """Wait before the second try; doubles with each, up to 32 times."""
    max_queued: int = 100
    """Jobs of a pipeline that may wait; more are refused."""


@dataclass(slots=True)
class _Run:
    """The attempt under way in this process."""

    job: TrainingJob
    running: Running | None = None
    last: Event | None = None


class TrainerOwner(Owner):
    """Handler of `training`. One attempt at a time runs in each trainer process."""

    def __init__(
        self, layout: PipelineTopics, pipelines: Mapping[str, Pipeline], parts: TrainerParts
    ) -> None:
        super().__init__(OwnedFacts(parts.bus, TRAINING_STATE, OwnerState, layout), layout, pipelines)
        self._parts = parts
        self._jobs = OwnedFacts(parts.bus, TRAINING_JOBS, TrainingJob, layout)
        self._run: _Run | None = None
        self._leaving: list[threading.Thread] = []
        self._ending: dict[int, list[str]] = {}
        self._ended: dict[int, list[str]] = {}
        self._metrics = parts.metrics

    def gained(self, partition: Partition) -> None:
        """Restore states and jobs; a job that was running is started again by `act`."""
        super().gained(partition)
        self._parts.releases.catch_up(CATCH_UP_S)
        self._jobs.gained(partition)
        self._ended[partition.index] = [
            job.id for job in self._jobs.in_partition(partition) if job.state in TRAINING_ENDED
        ]

    def lost(self, partition: Partition) -> None:
        """Stop an attempt whose job is somebody else's now."""
        self._ending.pop(partition.index, None)
        self._ended.pop(partition.index, None)
        super().lost(partition)
        self._jobs.lost(partition)
        if self._run is not None and self._layout.partition(self._run.job.pipeline) == partition.index:
            self._abandon("leave")

    def close(self) -> None:
        """Leave the attempt, a child with a checkpoint; its job stays RUNNING and the next owner goes on with it."""
        run, self._run = self._run, None
        if run is not None and run.running is not None:
            run.running.leave()

    def tick(self, partition: Partition) -> Sequence[Output]:
        """Act, after clearing up behind the jobs whose end was committed since the last turn."""
        self._leaving = [thread for thread in self._leaving if thread.is_alive()]
        while not self._leaving and self._ended.get(partition.index):
            jobs.clear(self._parts.work_dir / self._ended[partition.index].pop())
        outputs = super().tick(partition)
        self._ended.setdefault(partition.index, []).extend(self._ending.pop(partition.index, []))
        return outputs

    def apply(self, state: OwnerState, record: Record) -> Sequence[Output]:
        """Create or cancel a job, or take what an attempt elsewhere reports."""
        command = parse(TrainingCommand, record)
        outputs: list[Output] = []
        if command.WhichOneof("command") == "report":
            self._hear(command.pipeline, command.report, outputs)
        elif command.WhichOneof("command") == "create":
            answer(state, command, lambda: self._create(command, outputs))
        elif command.WhichOneof("command") == "cancel":
            answer(state, command, lambda: self._cancel(command, outputs))
        else:
            raise InvalidInput("a training command must create, cancel or report")
        return outputs

    def act(self, state: OwnerState, pipeline: Pipeline, outputs: list[Output]) -> None:
        """Queue what new releases ask for, then take the pipeline's work a step further."""
        del state
        if pipeline.train.on_release:
            for job, then, why in self._parts.policy.due(pipeline, self._jobs):
                if then in TRAINING_ENDED:
                    self._end(job, then, why, outputs)
                else:
                    job.state = then
                    outputs.append(self._put(job))
        if self._run is None:
            if not self._leaving:  # two children would share one device
                self._take_next(pipeline, outputs)
        elif self._run.job.pipeline == pipeline.name:
            self._advance(self._run, outputs)

    def _create(self, command: TrainingCommand, outputs: list[Output]) -> str:
        create: CreateTraining = command.create
        key = f"{command.pipeline}/{create.release_id}"
        release = self._parts.releases.get(key)
        if release is None or release.state != Release.STATE_FINAL:
            self._parts.releases.catch_up(CATCH_UP_S)  # the caller may have seen more than this view
            release = self._parts.releases.get(key)
        if release is None or release.state != Release.STATE_FINAL:
            raise Refused(f"release {create.release_id} is not final; wait for it", field="release_id")
        recipe = jobs.recipe_of(release, create.recipe)
        job = jobs.queued(release, f"request {command.request_id}", asdict(recipe))
        if self._jobs.get(command.pipeline, job.id) is None:  # else its request is long forgotten
            waiting = [
                one for one in self._jobs.of(command.pipeline) if one.state == TrainingJob.STATE_QUEUED
            ]
            jobs.check_room(len(waiting), self._parts.max_queued)
            job.decision = "asked for by a call"
            outputs.append(self._put(job))
        return job.id

    def _cancel(self, command: TrainingCommand, outputs: list[Output]) -> str:
        job = self._jobs.get(command.pipeline, command.cancel.job_id)
        if job is None:
            raise InvalidInput(f"there is no job {command.cancel.job_id}", field="job_id")
        if job.state not in jobs.CANCELLABLE:
            raise Refused(f"the job has ended: {TrainingJob.State.Name(job.state)}", field="job_id")
        if self._runs(job):
            self._abandon("stop")
        self._end(job, TrainingJob.STATE_CANCELLED, "cancelled by a caller", outputs)
        return job.id

    def _take_next(self, pipeline: Pipeline, outputs: list[Output]) -> None:
        for job in sorted(self._jobs.of(pipeline.name), key=jobs.age):
            if job.state == TrainingJob.STATE_RUNNING and self._parts.launcher.outlive:
                self._run = _Run(job)
                return
            if job.state in {TrainingJob.STATE_QUEUED, TrainingJob.STATE_RUNNING}:
                jobs.begin_attempt(job)
                outputs.append(self._put(job))
                self._run = _Run(job)
                return

    def _advance(self, run: _Run, outputs: list[Output]) -> None:
        if run.running is None:  # the attempt is in the log by now
            self._launch(run, outputs)
            return
        for event in run.running.events():
            run.last = event
            self._report(run.job, event, outputs)
        code = run.running.exit_code()
        if code is not None:
            self._finish(run, code, outputs)
            self._run = None

    def _launch(self, run: _Run, outputs: list[Output]) -> None:
        release = self._parts.releases.get(f"{run.job.pipeline}/{run.job.release_id}")
        if release is None:  # the view has not come so far yet
            return
        folder = self._parts.work_dir / run.job.id
        try:
            run.running = self._parts.launcher.launch(jobs.attempt_of(run.job, release, folder))
            crash_point("trainer.launch.started")
        except SuiteError as error:
            if error.retryable:  # no space, or storage is away: nothing was begun, and no attempt is used up
                raise
            self._run = None
            self._end(run.job, TrainingJob.STATE_FAILED, error.message, outputs)

    def _hear(self, pipeline: str, report: ReportTraining, outputs: list[Output]) -> None:
        event = decode_event(report.event)
        job = self._jobs.get(pipeline, report.job_id)
        if job is None or not jobs.is_news(job, report):
            return
        missing = self._missing(event)  # raises what a retry can help, so before anything changes
        job.report_source, job.report_number = report.source, report.number
        self._report(job, event, outputs)
        if missing:
            self._end(job, TrainingJob.STATE_FAILED, missing, outputs)
        elif isinstance(event, Done):
            self._succeed(job, event, event.output, outputs)
        elif isinstance(event, Failed):
            self._retry_or_fail(job, event, outputs)
        if job.state != TrainingJob.STATE_RUNNING and self._runs(job):
            self._abandon("leave")

    def _missing(self, event: Event) -> str:
        if isinstance(event, Done):
            try:
                self._parts.storage.size(event.output)
            except SuiteError as error:
                if error.retryable:
                    raise
                return error.message
        return ""

    def _report(self, job: TrainingJob, event: Event, outputs: list[Output]) -> None:
        job.events += 1
        fact = fact_of(event)
        fact.pipeline, fact.job_id, fact.attempt = job.pipeline, job.id, job.attempt
        fact.sequence = job.events
        fact.time.CopyFrom(now())
        self._metrics.reported(fact)
        outputs.append(
            self._layout.output(TRAINING_EVENTS, fact.pipeline, fact.job_id, fact.SerializeToString())
        )
        progressed(job, event)
        outputs.append(self._put(job))

    def _finish(self, run: _Run, code: int, outputs: list[Output]) -> None:
        job = run.job
        if code == ExitCode.DONE and isinstance(run.last, Done):
            self._keep(job, run.last, outputs)
        elif isinstance(run.last, Failed):
            self._retry_or_fail(job, run.last, outputs)
        else:
            self._retry_or_fail(job, without_a_word(code), outputs)

    def _keep(self, job: TrainingJob, done: Done, outputs: list[Output]) -> None:
        try:
            address = self._parts.storage.put_tree(checked_tree(Path(done.output)))
        except SuiteError as error:
            if error.retryable:  # no space: the model waits in its folder until there is
                raise
            self._end(job, TrainingJob.STATE_FAILED, error.message, outputs)
            return
        self._succeed(job, done, address, outputs)

    def _succeed(self, job: TrainingJob, done: Done, address: str, outputs: list[Output]) -> None:
        crash_point("trainer.model.stored")
        model = self._model(job, done, address)
        outputs.append(self._layout.output(MODELS, job.pipeline, model.id, model.SerializeToString()))
        job.model_id = model.id
        self._end(job, TrainingJob.STATE_SUCCEEDED, "", outputs)

    def _retry_or_fail(self, job: TrainingJob, failed: Failed, outputs: list[Output]) -> None:
        why = failed.message
        self._metrics.attempt_failed(job.pipeline)
        _log.warning("attempt failed", extra={"job": job.id, "attempt": job.attempt, "why": why})
        if failed.retryable and (failed.reason in _OUTSIDE or job.attempt < self._parts.max_attempts):
            job.state, job.reason = TrainingJob.STATE_QUEUED, why
            self._rest(job.pipeline, self._parts.retry_s * 2 ** min(job.attempt - 1, 5))
            outputs.append(self._put(job))
        else:
            self._end(job, TrainingJob.STATE_FAILED, why, outputs)

    def _end(self, job: TrainingJob, state: TrainingJob.State, why: str, outputs: list[Output]) -> None:
        job.state, job.reason, job.checkpoint = state, why, ""  # which nothing keeps from then on
        job.end_time.CopyFrom(now())
        self._ending.setdefault(self._layout.partition(job.pipeline), []).append(job.id)
        self._metrics.ended(job)
        outputs.append(self._put(job))

    def _model(self, job: TrainingJob, done: Done, address: str) -> Model:
        release = self._parts.releases.get(f"{job.pipeline}/{job.release_id}")
        recipe = json.loads(job.recipe)
        return Model(
            pipeline=job.pipeline,
            id=digest("model", job.pipeline, job.id),
            kind=_KINDS.get(done.kind) or _KINDS["adapter" if recipe["method"] == "lora" else "weights"],
            address=address,
            base_model=job.base_model,
            base_revision=done.base_revision,
            job_id=job.id,
            release_id=job.release_id,
            release_content_hash=release.content_hash if release is not None else "",
            recipe=job.recipe,
            template=recipe["template"],
            revision=job.revision,
            create_time=now(),
            metrics=finished_of(done),
            trace=job.trace,
        )

    def _runs(self, job: TrainingJob) -> bool:
        return self._run is not None and self._run.job.id == job.id

    def _abandon(self, how: Literal["stop", "leave"]) -> None:
        run, self._run = self._run, None
        if run is not None and run.running is not None:
            end = run.running.stop if how == "stop" else run.running.leave
            # A child writes a checkpoint first, and the loop must go on polling meanwhile.
            self._leaving.append(threading.Thread(target=end, daemon=True))
            self._leaving[-1].start()

    def _put(self, job: TrainingJob) -> Output:
        return self._jobs.put(job.pipeline, job.id, job)
