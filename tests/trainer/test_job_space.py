"""What a job leaves on disk: kept while an attempt may need it, given back when it has ended."""

from __future__ import annotations

from pathlib import Path

import pytest

from longstream.v1 import trainer_pb2 as pb
from longstream.v1.records_pb2 import TrainingJob
from tests.support.house import opened, soon
from tests.support.trainees import Trainee, Trainees, Trainer, started


def left_of(trainer: Trainer, job: TrainingJob) -> set[str]:
    """What lies in a job's folder."""
    folder = trainer.house.folder / "work" / job.id
    return {path.name for path in folder.iterdir()} if folder.exists() else set()


def use(trainee: Trainee) -> None:
    """Leave files as a real child does."""
    for name in ("work", "shards"):
        (trainee.attempt.work_dir / name).mkdir(parents=True)
    (trainee.attempt.work_dir / "child.log").write_text("told")


@pytest.mark.parametrize("ending", ["success", "failure", "cancel"])
def test_the_space_of_a_job_that_has_ended_is_given_back_and_its_log_kept(
    trainer: Trainer, trainees: Trainees, ending: str
) -> None:
    trainer.release()
    use(trainees.next(1))
    job = trainer.job(TrainingJob.STATE_RUNNING)
    assert left_of(trainer, job) == {"work", "shards", "child.log"}
    if ending == "success":
        trainees.next(1).succeed()
    elif ending == "failure":
        trainees.next(1).fail("diverged", retryable=False)
    else:
        request = pb.CancelTrainingJobRequest(pipeline="p", request_id="c", job_id=job.id)
        trainer.calls.CancelTrainingJob(request)
    soon(lambda: left_of(trainer, job) == {"child.log"})


def test_space_that_a_crash_left_behind_is_given_back_in_the_next_life(tmp_path: Path) -> None:
    trainees = Trainees()
    with opened(Trainer(tmp_path, trainees)) as trainer:
        trainer.release()
        trainees.next(1).succeed()
        job = trainer.job(TrainingJob.STATE_SUCCEEDED)
        soon(lambda: left_of(trainer, job) == set())
    use(trainees.next(1))
    with opened(Trainer(tmp_path, trainees)) as trainer:
        soon(lambda: left_of(trainer, job) == {"child.log"})


def test_a_job_that_is_tried_again_keeps_what_it_has(trainer: Trainer, trainees: Trainees) -> None:
    trainer.release()
    use(trainees.next(1))
    trainees.next(1).end(137)
    trainees.next(2).say(started())
    soon(lambda: len(trainer.events()) == 1)
    assert "work" in left_of(trainer, trainer.job(TrainingJob.STATE_RUNNING))
