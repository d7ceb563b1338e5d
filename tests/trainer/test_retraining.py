"""Which releases are trained on: the pipeline's policy over a real log, each decision a fact with its reason."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import grpc
import pytest

from longstream.topics import MODELS, PROMOTIONS, RELEASES
from longstream.v1 import trainer_pb2 as pb
from longstream.v1.records_pb2 import Model, Promotion, Release, TrainingJob
from tests.support.house import opened
from tests.support.trainees import Trainees, Trainer, a_pipeline, a_release, started
from tests.support.trainingjobs import row, write_shard


@contextmanager
def training(folder: Path, trainees: Trainees, **retrain: Any) -> Iterator[Trainer]:
    with opened(Trainer(folder, trainees, {"p": a_pipeline(retrain=retrain)})) as trainer:
        yield trainer


def release(trainer: Trainer, number: int, ranks: Sequence[int], *, age_s: int = 0) -> Release:
    """A release of those rows, cut so long ago; each second one more recent than the one before."""
    made = a_release(trainer.pipelines["p"], number)
    made.cut_time.FromSeconds(int(time.time()) - age_s + number)
    rows = [row(rank) for rank in ranks] + [row(99, split="test")]
    shard = write_shard(trainer.house.folder / f"{number}.parquet", rows)
    made.shards.add(address=trainer.storage.put_file(shard), rows=len(rows))
    trainer.house.put(RELEASES, "p", made.id, made)
    return made


def crown(trainer: Trainer, sequence: int = 1) -> Model:
    """Promote the newest model."""
    model = trainer.house.facts(MODELS, Model)[-1]
    promotion = Promotion(
        pipeline="p",
        id=f"promotion-{sequence}",
        sequence=sequence,
        outcome=Promotion.OUTCOME_PROMOTED,
        model_id=model.id,
        champion_id=model.id,
    )
    trainer.house.put(PROMOTIONS, "p", promotion.id, promotion)
    return model


def first_champion(trainer: Trainer, trainees: Trainees, ranks: Sequence[int]) -> None:
    release(trainer, 1, ranks)
    trainees.next(1).succeed()
    job = trainer.job(TrainingJob.STATE_SUCCEEDED)
    assert job.decision == "there is no champion yet"
    crown(trainer)
    time.sleep(0.3)  # the view of promotions is a thread of its own


def test_a_release_with_enough_new_rows_is_trained_on_and_says_so(tmp_path: Path, trainees: Trainees) -> None:
    with training(tmp_path, trainees) as trainer:
        first_champion(trainer, trainees, range(10))
        release(trainer, 2, range(5, 15))
        trainees.next(2).succeed()
        job = trainer.job(TrainingJob.STATE_SUCCEEDED, "r00002")
        assert job.decision == "50% of 10 rows are new to the champion's release r00001, 50% are wanted"


def test_a_release_with_few_new_rows_is_skipped_with_its_reason_and_can_be_asked_for(
    tmp_path: Path, trainees: Trainees
) -> None:
    with training(tmp_path, trainees) as trainer:
        first_champion(trainer, trainees, range(10))
        release(trainer, 2, range(4, 14))
        job = trainer.job(TrainingJob.STATE_SKIPPED, "r00002")
        assert job.reason == "40% of 10 rows are new to the champion's release r00001, 50% are wanted"
        assert job.HasField("end_time")
        assert trainer.house.sample("trainer_jobs_total", pipeline="p", outcome="skipped") == 1
        watched = trainer.calls.WatchTrainingJob(pb.WatchTrainingJobRequest(pipeline="p", job_id=job.id))
        assert list(watched) == []
        asked = pb.CreateTrainingJobRequest(pipeline="p", request_id="ask", release_id="r00002")
        assert trainer.calls.CreateTrainingJob(asked).job.decision == "asked for by a call"
        trainees.next(2).succeed()


def test_every_release_is_trained_on_where_no_change_is_wanted(tmp_path: Path, trainees: Trainees) -> None:
    with training(tmp_path, trainees, changed=0) as trainer:
        first_champion(trainer, trainees, range(4))
        release(trainer, 2, range(4))
        trainees.next(2).succeed()
        assert trainer.job(TrainingJob.STATE_SUCCEEDED, "r00002").decision == "every release is trained on"


def test_one_that_comes_too_soon_waits_and_is_queued_when_the_time_has_come(
    tmp_path: Path, trainees: Trainees
) -> None:
    with training(tmp_path, trainees, every_s=2) as trainer:
        release(trainer, 1, range(4))
        trainees.next(1).succeed()
        trainer.job(TrainingJob.STATE_SUCCEEDED)
        release(trainer, 2, range(4))
        waiting = trainer.job(TrainingJob.STATE_WAITING, "r00002")
        assert "the last one began less than 2 s ago: waits until" in waiting.decision
        assert len(trainees.launched) == 1
        trainees.next(2).succeed()
        ran = trainer.job(TrainingJob.STATE_SUCCEEDED, "r00002")
        assert ran.id == waiting.id
        assert ran.start_time.ToNanoseconds() >= waiting.create_time.ToNanoseconds() + 1e9


def test_of_releases_that_come_together_one_begins_and_the_next_waits(
    tmp_path: Path, trainees: Trainees
) -> None:
    """The first one's job stands in the queue and has not begun when the second is decided on."""
    with training(tmp_path, trainees, every_s=3_600) as trainer:
        trainer.worker.stop()
        release(trainer, 1, range(4))
        release(trainer, 2, range(4))
    with training(tmp_path, trainees, every_s=3_600) as trainer:
        trainees.next(1).succeed()
        trainer.job(TrainingJob.STATE_SUCCEEDED)
        trainer.job(TrainingJob.STATE_WAITING, "r00002")
        assert len(trainees.launched) == 1


def test_a_newer_release_takes_the_place_of_one_that_waits(tmp_path: Path, trainees: Trainees) -> None:
    with training(tmp_path, trainees, every_s=3_600) as trainer:
        release(trainer, 1, range(4))
        trainees.next(1).succeed()
        trainer.job(TrainingJob.STATE_SUCCEEDED)
        release(trainer, 2, range(4))
        trainer.job(TrainingJob.STATE_WAITING, "r00002")
        release(trainer, 3, range(4))
        skipped = trainer.job(TrainingJob.STATE_SKIPPED, "r00002")
        assert skipped.decision == "release r00003 came while this one waited"
        waiting = trainer.job(TrainingJob.STATE_WAITING, "r00003")
        request = pb.CancelTrainingJobRequest(pipeline="p", request_id="c", job_id=waiting.id)
        assert trainer.calls.CancelTrainingJob(request).job.state == TrainingJob.STATE_CANCELLED


def test_a_spent_budget_of_gpu_hours_lets_the_next_one_wait(tmp_path: Path, trainees: Trainees) -> None:
    with training(tmp_path, trainees, gpu_hours=0.0001) as trainer:
        release(trainer, 1, range(4))
        # Eight GPUs for half a second are more than 0.36 GPU seconds.
        trainees.next(1).say(replace(started(), gpus=8))
        time.sleep(0.5)
        trainees.next(1).succeed()
        trainer.job(TrainingJob.STATE_SUCCEEDED)
        release(trainer, 2, range(4))
        waiting = trainer.job(TrainingJob.STATE_WAITING, "r00002")
        assert "0.0001 GPU hours of the last 30 days are spent" in waiting.decision


def test_rows_that_cannot_be_read_any_more_do_not_keep_a_release_from_its_training(
    tmp_path: Path, trainees: Trainees
) -> None:
    with training(tmp_path, trainees) as trainer:
        first_champion(trainer, trainees, range(4))
        made = a_release(trainer.pipelines["p"], 2)
        made.shards.add(address="sha256:" + "0" * 64, rows=1)
        trainer.house.put(RELEASES, "p", made.id, made)
        trainees.next(2).succeed()
        job = trainer.job(TrainingJob.STATE_SUCCEEDED, "r00002")
        assert job.decision.startswith("the rows of release r00001 cannot be compared with")


def test_a_full_queue_refuses_another_job_and_what_was_answered_stands(
    tmp_path: Path, trainees: Trainees
) -> None:
    with training(tmp_path, trainees) as trainer:
        trainer.release()
        trainees.next(1)  # runs, and so takes no place in the queue

        def ask(number: int) -> TrainingJob:
            request = pb.CreateTrainingJobRequest(pipeline="p", request_id=f"r-{number}", release_id="r00001")
            job: TrainingJob = trainer.calls.CreateTrainingJob(request, timeout=10).job
            return job

        assert len({ask(number).id for number in range(4)}) == 4
        for _ in range(2):
            with pytest.raises(grpc.RpcError) as caught:
                ask(5)
            assert caught.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
            assert "4 training jobs of this pipeline wait already" in str(caught.value.details())
