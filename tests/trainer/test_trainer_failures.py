"""What becomes of a job when something fails: the recipe, the child, the disk, the model."""

from __future__ import annotations

import threading
from pathlib import Path

from longstream.errors import Corrupt, StorageFull
from longstream.storage import Address, open_storage
from longstream.storage.files import FileStorage
from longstream.topics import MODELS
from longstream.v1.records_pb2 import Model, TrainingJob
from longstream_trainer.report import ExitCode
from tests.support.house import opened, soon
from tests.support.trainees import Trainees, Trainer, a_pipeline, done, started, step


def test_a_recipe_that_is_wrong_fails_the_job_and_says_why(tmp_path: Path, trainees: Trainees) -> None:
    with opened(Trainer(tmp_path, trainees, {"p": a_pipeline(recipe={"rnak": 2})})) as trainer:
        trainer.release()
        job = trainer.job(TrainingJob.STATE_FAILED)
        assert "unknown recipe keys: rnak" in job.reason
        assert job.HasField("end_time")
        assert trainees.launched == []
        assert trainer.house.sample("trainer_jobs_total", pipeline="p", outcome="failed") == 1


def test_a_child_that_dies_is_started_again_up_to_the_limit(trainer: Trainer, trainees: Trainees) -> None:
    trainer.release()
    for number in (1, 2, 3):
        trainees.next(number).end(137)
    job = trainer.job(TrainingJob.STATE_FAILED)
    assert (job.attempt, job.reason) == (3, "the attempt ended with 137")
    assert len(trainees.launched) == 3
    assert trainer.house.facts(MODELS, Model) == []


def test_a_failure_that_no_retry_helps_ends_the_job_at_once(trainer: Trainer, trainees: Trainees) -> None:
    trainer.release()
    trainees.next(1).fail("diverged", retryable=False)
    job = trainer.job(TrainingJob.STATE_FAILED)
    assert (job.attempt, job.reason) == (1, "failed by diverged")
    assert trainer.events()[-1].failed.reason == "diverged"


def test_a_child_that_says_permanent_without_a_word_is_not_started_again(
    trainer: Trainer, trainees: Trainees
) -> None:
    trainer.release()
    trainees.next(1).end(ExitCode.PERMANENT)
    assert trainer.job(TrainingJob.STATE_FAILED).attempt == 1


def test_a_full_disk_uses_up_no_tries(trainer: Trainer, trainees: Trainees) -> None:
    trainer.release()
    for number in range(1, 6):
        trainees.next(number).fail("storage_full", retryable=True)
    trainees.next(6).succeed()
    assert trainer.job(TrainingJob.STATE_SUCCEEDED).attempt == 6


def test_rows_that_cannot_be_laid_out_for_want_of_space_are_waited_for(tmp_path: Path) -> None:
    trainees = Trainees(errors=[StorageFull("full")])
    with opened(Trainer(tmp_path, trainees)) as trainer:
        trainer.release()
        trainees.next(1).succeed()
        assert trainer.job(TrainingJob.STATE_SUCCEEDED).attempt == 1


def test_rows_that_are_damaged_fail_the_job(tmp_path: Path) -> None:
    with opened(Trainer(tmp_path, Trainees(errors=[Corrupt("shard is damaged")]))) as trainer:
        trainer.release()
        assert trainer.job(TrainingJob.STATE_FAILED).reason == "shard is damaged"


def test_a_child_that_says_done_and_leaves_nothing_fails_its_job_and_not_the_trainer(
    trainer: Trainer, trainees: Trainees, tmp_path: Path
) -> None:
    trainer.release(1)
    trainees.next(1).say(done(str(tmp_path / "nowhere")))
    trainees.next(1).end(ExitCode.DONE)
    assert "left no model" in trainer.job(TrainingJob.STATE_FAILED).reason
    trainer.release(2)
    trainees.next(2).succeed()
    trainer.job(TrainingJob.STATE_SUCCEEDED, "r00002")


class FullStorage(FileStorage):
    """Has no space for a model until it is given some."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.space = threading.Event()
        self.refused = 0

    def put_tree(self, folder: Path) -> Address:
        if not self.space.is_set():
            self.refused += 1
            raise StorageFull("no space left in the storage; nothing was written")
        return super().put_tree(folder)


def test_a_model_for_which_there_is_no_space_waits_and_is_then_stored_once(
    tmp_path: Path, trainees: Trainees
) -> None:
    open_storage((tmp_path / "objects").as_uri()).close()
    storage = FullStorage(tmp_path / "objects")
    with opened(Trainer(tmp_path, trainees, storage=storage)) as trainer:
        trainer.release()
        trainees.next(1).say(started(), step(1))
        trainees.next(1).succeed()
        soon(lambda: storage.refused >= 2)
        assert trainer.job(TrainingJob.STATE_RUNNING).attempt == 1
        storage.space.set()
        trainer.job(TrainingJob.STATE_SUCCEEDED)
        assert len(trainer.house.facts(MODELS, Model)) == 1
        assert [event.sequence for event in trainer.events()] == [1, 2, 3]
    assert len(trainees.launched) == 1
