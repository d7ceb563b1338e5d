"""The trainer's owner over a real log: which releases become jobs, what runs, what becomes a model."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from longstream.topics import MODELS, TRAINING, TRAINING_JOBS
from longstream.v1 import trainer_pb2 as pb
from longstream.v1.records_pb2 import Model, Release, TrainingJob
from tests.support.house import opened, soon
from tests.support.trainees import (
    Trainees,
    Trainer,
    a_pipeline,
    a_release,
    checkpoint,
    recipe_of,
    started,
    step,
)

Start = Callable[..., Trainer]


def idle(trainer: Trainer) -> None:
    """Return when the owner has had time for several turns."""
    version, until = trainer.jobs.version, time.monotonic() + 0.3
    while time.monotonic() < until:
        trainer.jobs.wait_change(version, 0.1)


def test_a_final_release_becomes_one_job_and_one_model(trainer: Trainer, trainees: Trainees) -> None:
    release = trainer.release()
    trainee = trainees.next(1)
    trainee.say(started(), step(1, 2.5), checkpoint(1), step(2, 1.5))
    trainee.succeed()
    job = trainer.job(TrainingJob.STATE_SUCCEEDED)
    (model,) = trainer.house.facts(MODELS, Model)
    assert (job.attempt, job.step, job.steps, job.loss, job.model_id) == (1, 2, 2, 1.5, model.id)
    assert recipe_of(job)["rank"] == 2
    assert (model.pipeline, model.job_id, model.release_id) == ("p", job.id, release.id)
    assert (model.release_content_hash, model.base_model, model.base_revision) == ("hash-1", "base", "base-1")
    assert (model.kind, model.recipe, model.template) == (
        Model.KIND_ADAPTER,
        job.recipe,
        recipe_of(job)["template"],
    )
    assert model.revision == release.revision
    assert (model.metrics.loss, model.metrics.base_bits_per_byte, model.metrics.bits_per_byte) == (
        1.5,
        2.5,
        2.25,
    )
    tree = trainer.storage.fetch_tree(model.address, trainer.house.folder / "fetched")
    assert (tree / "adapter_model.safetensors").read_bytes() == b"weights"
    assert job.HasField("start_time")
    assert job.HasField("end_time")
    assert trainer.house.sample("trainer_jobs_total", pipeline="p", outcome="succeeded") == 1


def test_training_all_weights_gives_a_model_of_weights(tmp_path: Path, trainees: Trainees) -> None:
    pipeline = a_pipeline(recipe={"method": "full"})
    with opened(Trainer(tmp_path, trainees, {"p": pipeline})) as trainer:
        trainer.release()
        trainees.next(1).succeed()
        trainer.job(TrainingJob.STATE_SUCCEEDED)
        assert [model.kind for model in trainer.house.facts(MODELS, Model)] == [Model.KIND_WEIGHTS]


def test_what_an_attempt_reports_is_told_in_its_order_and_under_its_number(
    trainer: Trainer, trainees: Trainees
) -> None:
    trainer.release()
    trainees.next(1).say(started(), step(1))
    trainees.next(1).end(137)
    trainees.next(2).say(started(resumed=1), step(2))
    trainees.next(2).succeed()
    trainer.job(TrainingJob.STATE_SUCCEEDED)
    told = [(event.attempt, event.sequence, event.WhichOneof("event")) for event in trainer.events()]
    assert told == [
        (1, 1, "started"),
        (1, 2, "step"),
        (2, 1, "started"),
        (2, 2, "step"),
        (2, 3, "finished"),
    ]


def test_a_child_is_told_its_base_its_rows_and_where_it_comes_from(
    trainer: Trainer, trainees: Trainees
) -> None:
    release = a_release(trainer.pipelines["p"])
    release.shards.add(address="sha256:1", rows=2)
    release.shards.add(address="sha256:2", rows=1)
    trainer.house.put("releases", "p", release.id, release)
    attempt = trainees.next(1).attempt
    assert attempt.shards == ("sha256:1", "sha256:2")
    assert attempt.job["base_model"] == "base"
    assert attempt.job["parents"] == {
        "pipeline": "p",
        "release": release.id,
        "content_hash": "hash-1",
        "job": trainer.job(TrainingJob.STATE_RUNNING).id,
    }


@pytest.mark.parametrize(
    "fields", [{"state": Release.STATE_INSTRUCTING}, {"state": Release.STATE_OPEN}, {"rows_ready": 0}]
)
def test_a_release_that_is_not_final_or_is_empty_becomes_no_job(
    trainer: Trainer, fields: dict[str, Any]
) -> None:
    trainer.release(1, **fields)
    trainer.release(2)
    trainer.job(TrainingJob.STATE_RUNNING, "r00002")
    assert [job.release_id for _, job in trainer.jobs.under("")] == ["r00002"]


def test_a_pipeline_that_trains_on_demand_only_waits_to_be_asked(tmp_path: Path, trainees: Trainees) -> None:
    with opened(Trainer(tmp_path, trainees, {"p": a_pipeline(on_release=False)})) as trainer:
        trainer.release()
        idle(trainer)
        assert trainer.jobs.under("") == []


def test_a_release_becomes_a_job_once_in_all_lives_of_the_trainer(tmp_path: Path, trainees: Trainees) -> None:
    with opened(Trainer(tmp_path, trainees)) as trainer:
        trainer.release()
        trainees.next(1).succeed()
        trainer.job(TrainingJob.STATE_SUCCEEDED)
        written = len(trainer.house.records(TRAINING_JOBS))
    with opened(Trainer(tmp_path, trainees)) as trainer:
        idle(trainer)
        assert len(trainer.house.records(TRAINING_JOBS)) == written
        assert len(trainees.launched) == 1


def test_jobs_run_one_after_the_other_the_oldest_first(trainer: Trainer, trainees: Trainees) -> None:
    for number in (1, 2, 3):
        trainer.release(number)
        soon(partial(_has_jobs, trainer, number))
    for number in (1, 2, 3):
        trainees.next(number).succeed()
        trainer.job(TrainingJob.STATE_SUCCEEDED, f"r0000{number}")
    assert len(trainees.launched) == 3


def _has_jobs(trainer: Trainer, number: int) -> bool:
    return len(trainer.jobs.under("")) == number


def test_pipelines_share_the_one_attempt_in_turn(tmp_path: Path, trainees: Trainees) -> None:
    pipelines = {name: a_pipeline(name) for name in ("p", "q", "a", "b")}
    with opened(Trainer(tmp_path, trainees, pipelines)) as trainer:
        assert len({trainer.house.keys.partition(name) for name in pipelines}) == 2
        for number, name in enumerate(pipelines, 1):
            trainer.release(number, name)
        for number in range(1, 5):
            trainees.next(number).succeed()
        for number in range(1, 5):
            trainer.job(TrainingJob.STATE_SUCCEEDED, f"r0000{number}")


def test_a_job_goes_on_under_a_new_number_after_the_trainers_restart(
    tmp_path: Path, trainees: Trainees
) -> None:
    with opened(Trainer(tmp_path, trainees)) as trainer:
        trainer.release()
        trainees.next(1).say(started(), step(1))
        soon(lambda: len(trainer.events()) == 2)
        folder = trainees.next(1).attempt.work_dir
    assert trainees.next(1).stopped.is_set()
    with opened(Trainer(tmp_path, trainees)) as trainer:
        trainee = trainees.next(2)
        assert trainee.attempt.work_dir == folder
        trainee.say(started(resumed=1), step(2))
        trainee.succeed()
        assert trainer.job(TrainingJob.STATE_SUCCEEDED).attempt == 2
        assert {(event.attempt, event.sequence) for event in trainer.events()} == {
            (1, 1),
            (1, 2),
            (2, 1),
            (2, 2),
            (2, 3),
        }
        assert len(trainer.house.facts(MODELS, Model)) == 1


def test_an_attempt_is_in_the_log_before_its_child_is_started(trainer: Trainer, trainees: Trainees) -> None:
    trainer.release()
    trainees.next(1)
    states = [job.state for job in trainer.house.facts(TRAINING_JOBS, TrainingJob)]
    assert states[-1] == TrainingJob.STATE_RUNNING


def test_another_replica_takes_over_only_what_it_owns(tmp_path: Path) -> None:
    mine, theirs = Trainees(), Trainees()
    pipelines = {name: a_pipeline(name) for name in ("p", "q", "a", "b")}
    with opened(Trainer(tmp_path, mine, pipelines)) as first:
        for number, name in enumerate(pipelines, 1):
            first.release(number, name)
        mine.next(1)
        with opened(Trainer(tmp_path, theirs, pipelines, member="t-1")) as second:
            theirs.next(1)
            for trainees in (mine, theirs):
                threading.Thread(target=_succeed_all, args=(trainees, second), daemon=True).start()
            for number in range(1, 5):
                first.job(TrainingJob.STATE_SUCCEEDED, f"r0000{number}")
            models = [model.id for model in first.house.facts(MODELS, Model)]
            assert len(models) == len(set(models)) == 4


def _succeed_all(trainees: Trainees, trainer: Trainer) -> None:
    done = 0
    while len(trainer.house.facts(MODELS, Model)) < 4:
        if len(trainees.launched) > done and not trainees.launched[done].stopped.is_set():
            trainees.launched[done].succeed()
            done += 1
        elif len(trainees.launched) > done:
            done += 1
        time.sleep(0.02)


def test_a_cancelled_child_has_ended_before_the_next_is_started(trainer: Trainer, trainees: Trainees) -> None:
    trainer.release(1)
    trainees.next(1).may_stop.clear()
    job = trainer.job(TrainingJob.STATE_RUNNING)
    trainer.calls.CancelTrainingJob(pb.CancelTrainingJobRequest(pipeline="p", request_id="c", job_id=job.id))
    trainer.release(2)
    idle(trainer)
    assert len(trainees.launched) == 1
    trainees.next(1).may_stop.set()
    trainees.next(2).succeed()
    trainer.job(TrainingJob.STATE_SUCCEEDED, "r00002")


def test_bytes_that_are_no_command_are_a_dead_letter_and_work_goes_on(
    trainer: Trainer, trainees: Trainees
) -> None:
    place = trainer.house.keys.partition("p")
    for key, value, partition in (
        (b"p", b"\xff\xff", place),
        (b"\xff\xfe", b"", place),
        (b"p", b"", 1 - place),
        (b"p", b"", place),
    ):
        trainer.house.publish(TRAINING, value, key=key, partition=partition)
    trainer.release()
    trainees.next(1).succeed()
    trainer.job(TrainingJob.STATE_SUCCEEDED)
    assert len(soon(lambda: dead if len(dead := trainer.house.dead(TRAINING)) == 4 else None)) == 4
    assert trainer.house.sample("dlq_records_total", topic=TRAINING, reason="invalid_input") == 4
