"""Jobs: what a release asks for, what an attempt is told, and what is left of a job in the end."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from longstream.errors import InvalidInput, Overloaded
from longstream.ids import digest
from longstream.pipeline import canonical
from longstream.records import now
from longstream.telemetry import begin_fact
from longstream.v1.records_pb2 import Release, ReportTraining, TrainingJob
from longstream_trainer.launch import Attempt
from longstream_trainer.recipe import Recipe

CANCELLABLE = frozenset({TrainingJob.STATE_WAITING, TrainingJob.STATE_QUEUED, TrainingJob.STATE_RUNNING})


class QueueFull(Overloaded):
    """So many jobs wait already; ask again, with a fresh request id, when some have ended."""

    reason = "queue_full"
    # The owner's answer stands: to wait for room it would have to keep what it cannot hold.
    retryable = False


def check_room(waiting: int, most: int) -> None:
    """Raises QueueFull."""
    if waiting >= most:
        raise QueueFull(
            f"{waiting} training jobs of this pipeline wait already; ask again when some have ended"
        )


def recipe_of(release: Release, overrides: str) -> Recipe:
    """The recipe of the pipeline revision that cut the release, with a caller's JSON overrides on top.

    Raises InvalidInput that names what is wrong.
    """
    base = json.loads(release.revision.document)["train"]["recipe"]
    try:
        changed = json.loads(overrides or "{}")
    except (ValueError, RecursionError):
        raise InvalidInput("recipe is not JSON", field="recipe") from None
    if not isinstance(changed, dict):
        raise InvalidInput("recipe must be a JSON object of the keys to replace", field="recipe")
    return Recipe.from_mapping({**base, **changed})


def age(job: TrainingJob) -> tuple[int, str]:
    """By which jobs stand in the queue, the oldest first."""
    return job.create_time.ToNanoseconds(), job.id


def job_id(release: Release, asked_by: str) -> str:
    """The same for the same release and asker, on every owner and in every life of it."""
    return digest("training", release.pipeline, release.id, asked_by)


def queued(release: Release, asked_by: str, recipe: Mapping[str, Any]) -> TrainingJob:
    """A job for the release that nobody has begun."""
    trace, parent_trace = begin_fact(release.trace)
    return TrainingJob(
        pipeline=release.pipeline,
        id=job_id(release, asked_by),
        state=TrainingJob.STATE_QUEUED,
        release_id=release.id,
        base_model=json.loads(release.revision.document)["base_model"],
        recipe=canonical(recipe),
        create_time=now(),
        revision=release.revision,
        trace=trace,
        parent_trace=parent_trace,
    )


def begin_attempt(job: TrainingJob) -> None:
    """Make the job run, under the next attempt number."""
    job.state, job.attempt, job.events = TrainingJob.STATE_RUNNING, job.attempt + 1, 0
    job.progress_time.CopyFrom(now())
    job.ClearField("latest")
    job.ClearField("gpus")
    if not job.HasField("start_time"):
        job.start_time.CopyFrom(now())


def is_news(job: TrainingJob, report: ReportTraining) -> bool:
    """Whether the report is of the attempt that runs, and was not taken in before."""
    if job.state != TrainingJob.STATE_RUNNING or job.attempt != report.attempt:
        return False
    return job.report_source != report.source or job.report_number < report.number


def attempt_of(job: TrainingJob, release: Release, folder: Path) -> Attempt:
    """The next try of a job, in its folder."""
    return Attempt(
        pipeline=job.pipeline,
        job_id=job.id,
        number=job.attempt,
        job={
            "base_model": job.base_model,
            "recipe": json.loads(job.recipe),
            "work_dir": str(folder / "work"),
            "output_dir": str(folder / "output"),
            "parents": {
                "pipeline": job.pipeline,
                "release": release.id,
                "content_hash": release.content_hash,
                "job": job.id,
            },
        },
        shards=tuple(shard.address for shard in release.shards),
        work_dir=folder,
        checkpoint=job.checkpoint,
    )


def clear(folder: Path) -> None:
    """Give back the space of a job that has ended: its model is stored, and nobody resumes it. Logs stay."""
    for name in ("work", "output", "shards"):
        shutil.rmtree(folder / name, ignore_errors=True)
