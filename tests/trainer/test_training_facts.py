"""What the trainer's gauges say of jobs and models: the log's facts, also after a restart."""

from __future__ import annotations

import time
from dataclasses import replace

from longstream.topics import MODELS
from longstream.v1.records_pb2 import Model, Release, TrainingJob
from longstream_trainer.report import ExitCode
from tests.support.house import soon
from tests.support.trainees import Trainees, Trainer, checkpoint, started, step


def shown(trainer: Trainer, name: str, value: float) -> None:
    soon(lambda: trainer.house.shown(name, pipeline="p") == value or None)


def test_a_running_attempt_shows_where_it_stands_and_an_ended_one_nothing(
    trainer: Trainer, trainees: Trainees
) -> None:
    began = time.time()
    trainer.release()
    trainee = trainees.next(1)
    told = replace(
        step(1, 2.5),
        step_tokens=30,
        useful_tokens_ratio=0.75,
        neftune_effective_alpha=4.5,
        flops=1e9,
        memory_bytes=2**30,
    )
    trainee.say(replace(started(), gpus=2), told, checkpoint(1))
    shown(trainer, "trainer_loss", 2.5)
    soon(lambda: trainer.house.shown("trainer_checkpoint_timestamp_seconds", pipeline="p"))
    gauges = {
        "trainer_step": 1,
        "trainer_planned_steps": 2,
        "trainer_attempts": 1,
        "trainer_gpus": 2,
        "trainer_tokens_per_second": 300,
        "trainer_useful_tokens_ratio": 0.75,
        "trainer_neftune_effective_alpha": 4.5,
        "trainer_flops_per_second": 1e10,
        "trainer_mfu_ratio": None,
        "trainer_memory_bytes": 2**30,
    }
    assert {name: trainer.house.shown(name, pipeline="p") for name in gauges} == gauges
    assert (trainer.house.shown("trainer_gpu_seconds", pipeline="p") or 0) > 0
    assert (trainer.house.shown("trainer_progress_timestamp_seconds", pipeline="p") or 0) >= began
    assert trainer.house.shown("trainer_open_jobs", pipeline="p", state="running") == 1
    assert trainer.house.sample("trainer_tokens_total", pipeline="p") == 30
    trainee.succeed()
    trainer.job(TrainingJob.STATE_SUCCEEDED)
    assert trainer.house.shown("trainer_step", pipeline="p") is None
    assert trainer.house.shown("trainer_open_jobs", pipeline="p", state="running") == 0


def test_an_attempt_that_has_not_said_anything_shows_since_when(trainer: Trainer, trainees: Trainees) -> None:
    trainer.release()
    trainees.next(1)
    assert soon(lambda: trainer.house.shown("trainer_progress_timestamp_seconds", pipeline="p")) > 0
    assert trainer.house.shown("trainer_loss", pipeline="p") is None


def test_a_new_attempt_does_not_show_the_last_ones_steps(trainer: Trainer, trainees: Trainees) -> None:
    trainer.release()
    trainees.next(1).say(started(), step(1))
    shown(trainer, "trainer_step", 1)
    trainees.next(1).end(ExitCode.FAILED)
    trainees.next(2)
    shown(trainer, "trainer_attempts", 2)
    assert trainer.house.shown("trainer_loss", pipeline="p") is None
    assert trainer.house.sample("trainer_attempts_failed_total", pipeline="p") == 1


def test_latency_is_bounded_by_the_cuts_of_the_models_release_and_of_the_one_before(
    trainer: Trainer, trainees: Trainees
) -> None:
    now = int(time.time())
    first = trainer.release(1)
    trainees.next(1).succeed()
    soon(lambda: trainer.house.shown("pipeline_model_timestamp_seconds", pipeline="p"))
    for release, age_s in ((first, 500), (trainer.release(2, parent_id=first.id), 100)):
        release.cut_time.FromSeconds(now - age_s)
        trainer.house.put("releases", "p", release.id, Release.FromString(release.SerializeToString()))
    trainees.next(2).succeed()
    soon(lambda: True if len(trainer.house.facts(MODELS, Model)) == 2 else None)
    newest = soon(
        lambda: trainer.house.shown("pipeline_document_to_model_seconds", pipeline="p", document="oldest")
    )
    assert 500 <= newest < 520
    assert (
        100
        <= trainer.house.sample("pipeline_document_to_model_seconds", pipeline="p", document="newest")
        < 120
    )
