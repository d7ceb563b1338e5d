"""A launcher whose attempts do what the test tells them, and a trainer over a real log that uses it."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from longstream.errors import SuiteError
from longstream.pipeline import Pipeline, parse
from longstream.records import TRAINING_ENDED
from longstream.server import ServerSettings
from longstream.storage import Storage
from longstream.topics import (
    MODELS,
    PROMOTIONS,
    RELEASES,
    TRAINING,
    TRAINING_EVENTS,
    TRAINING_JOBS,
    TRAINING_STATE,
    Layout,
)
from longstream.v1.records_pb2 import Model, OwnerState, Promotion, Release, TrainingEvent, TrainingJob
from longstream.v1.trainer_pb2_grpc import TrainerServiceStub, add_TrainerServiceServicer_to_server
from longstream_trainer.launch import Attempt, Launcher, Running
from longstream_trainer.metrics import TrainerMetrics, TrainingFacts
from longstream_trainer.owner import TrainerOwner, TrainerParts
from longstream_trainer.report import Checkpoint, Done, Event, ExitCode, Failed, Started, Step
from longstream_trainer.retraining import Policy
from longstream_trainer.service import TrainerService, TrainerViews
from tests.support.house import House, soon


def a_pipeline(name: str = "p", **train: Any) -> Pipeline:
    return parse({"name": name, "base_model": "base", "train": {"recipe": {"rank": 2}, **train}})


def a_release(pipeline: Pipeline, number: int = 1, **fields: Any) -> Release:
    """A final release of three rows, whose bytes nobody reads."""
    facts = {"state": Release.STATE_FINAL, "rows_ready": 3, "content_hash": f"hash-{number}"}
    revision = pipeline.revision()
    return Release(pipeline=pipeline.name, id=f"r{number:05d}", revision=revision, **{**facts, **fields})


def started(steps: int = 2, resumed: int = 0) -> Started:
    return Started(
        steps_planned=steps,
        resumed_from_step=resumed,
        examples=3,
        heldout_examples=0,
        trained_tokens=30,
        prompt_tokens=9,
        trainable_parameters=8,
        device="cpu",
        precision="fp32",
        dropped={},
    )


def step(number: int, loss: float = 2.0) -> Step:
    return Step(step=number, loss=loss, learning_rate=1e-3, grad_norm=1.0, tokens=30 * number, seconds=0.1)


def done(output: str) -> Done:
    return Done(
        output=output,
        base_revision="base-1",
        steps=2,
        loss=1.5,
        base_bits_per_byte=2.5,
        bits_per_byte=2.25,
        seconds=4.0,
    )


@dataclass
class Trainee:
    """An attempt under way: the test says what it reports and how it ends."""

    attempt: Attempt
    stopped: threading.Event = field(default_factory=threading.Event)
    may_stop: threading.Event = field(default_factory=threading.Event)
    code: int | None = None
    _events: list[Event] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.may_stop.set()

    def say(self, *events: Event) -> None:
        self._events.extend(events)

    def end(self, code: int) -> None:
        self.code = code

    def fail(self, reason: str, *, retryable: bool) -> None:
        self.say(Failed(reason=reason, message=f"failed by {reason}", retryable=retryable))
        self.end(ExitCode.FAILED if retryable else ExitCode.PERMANENT)

    def succeed(self) -> None:
        """Leave a small model and end."""
        output = Path(self.attempt.job["output_dir"])
        output.mkdir(parents=True, exist_ok=True)
        (output / "adapter_model.safetensors").write_bytes(b"weights")
        self.say(done(str(output)))
        self.end(ExitCode.DONE)

    def events(self) -> Iterator[Event]:
        while self._events:
            yield self._events.pop(0)

    def exit_code(self) -> int | None:
        return None if self._events else self.code

    def stop(self) -> None:
        self.may_stop.wait(10)
        self.code = ExitCode.STOPPED if self.code is None else self.code
        self.stopped.set()

    def leave(self) -> None:
        self.stop()


@dataclass
class Trainees:
    """Implements `Launcher`; raises each of the errors once before it launches anything."""

    outlive: bool = False
    errors: list[SuiteError] = field(default_factory=list)
    launched: list[Trainee] = field(default_factory=list)

    def launch(self, attempt: Attempt) -> Running:
        if self.errors:
            raise self.errors.pop(0)
        trainee = Trainee(attempt)
        self.launched.append(trainee)
        return trainee

    def next(self, number: int) -> Trainee:
        """The attempt launched as number-th, counted from 1."""
        return soon(lambda: self.launched[number - 1] if len(self.launched) >= number else None)


class Trainer:
    """The trainer's parts in this process, for one life of it."""

    def __init__(
        self,
        folder: Path,
        launcher: Launcher,
        pipelines: Mapping[str, Pipeline] | None = None,
        *,
        storage: Storage | None = None,
        member: str = "t-0",
    ) -> None:
        self.house = House(folder, "trainer", (TRAINING,), Layout(control_partitions=2))
        self.pipelines = pipelines or {"p": a_pipeline()}
        self.jobs = self.house.view(TRAINING_JOBS, TrainingJob)
        self.models = self.house.view(MODELS, Model)
        self.storage = storage or self.house.storage
        releases = self.house.view(RELEASES, Release)
        TrainingFacts(self.jobs, self.models, releases).show(self.house.metrics, tuple(self.pipelines))
        parts = TrainerParts(
            bus=self.house.bus,
            storage=self.storage,
            releases=releases,
            launcher=launcher,
            work_dir=folder / "work",
            metrics=TrainerMetrics(self.house.metrics, tuple(self.pipelines)),
            max_attempts=3,
            retry_s=0.02,
            max_queued=4,
            policy=Policy(releases, self.models, self.house.view(PROMOTIONS, Promotion), self.storage),
        )
        self.owner = TrainerOwner(self.house.keys, self.pipelines, parts)
        port = self.house.port(TRAINING, self.house.view(TRAINING_STATE, OwnerState))
        views = TrainerViews(jobs=self.jobs, models=self.models)
        service = TrainerService(self.house.bus, self.house.keys, port, views, frozenset(self.pipelines))
        self.worker = self.house.worker(TRAINING, self.owner, member=member)
        self.address = self.house.serve(
            partial(add_TrainerServiceServicer_to_server, service), settings=ServerSettings()
        )
        self.calls = TrainerServiceStub(self.house.call(self.address))

    def release(self, number: int = 1, pipeline: str = "p", **fields: Any) -> Release:
        """Publish a release as the curator would."""
        release = a_release(self.pipelines[pipeline], number, **fields)
        self.house.put(RELEASES, pipeline, release.id, release)
        return release

    def job(self, state: TrainingJob.State, release: str = "r00001") -> TrainingJob:
        """The release's job once it is in that state."""

        def found() -> TrainingJob | None:
            jobs = [job for _, job in self.jobs.under("") if job.release_id == release]
            assert all(job.state == state or job.state not in TRAINING_ENDED for job in jobs), jobs
            return next((job for job in jobs if job.state == state), None)

        return soon(found)

    def events(self) -> list[TrainingEvent]:
        return self.house.facts(TRAINING_EVENTS, TrainingEvent)

    def close(self) -> None:
        self.worker.stop()
        self.owner.close()
        self.house.close()


def checkpoint(number: int) -> Checkpoint:
    return Checkpoint(step=number, path=f"checkpoints/{number}")


def recipe_of(job: TrainingJob) -> dict[str, Any]:
    return dict(json.loads(job.recipe))
