"""An attempt that lives on beside its successor: models are written by the owner of the current attempt alone."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from pathlib import Path

from longstream.errors import Fenced
from longstream.topics import MODELS
from longstream.v1.records_pb2 import Model, TrainingJob
from longstream_trainer.launch import Attempt, Running
from tests.support.house import opened, soon
from tests.support.trainees import Trainee, Trainees, Trainer, started, step


@dataclass
class Sleeper(Trainee):
    """Has ended, and keeps its owner waiting for its exit code, as a machine that stands still would."""

    asked: threading.Event = field(default_factory=threading.Event)
    awake: threading.Event = field(default_factory=threading.Event)

    def exit_code(self) -> int | None:
        if self.code is not None:
            self.asked.set()
            assert self.awake.wait(60)
        return super().exit_code()


@dataclass
class Sleepers(Trainees):
    """Launches one sleeper."""

    def launch(self, attempt: Attempt) -> Running:
        sleeper = Sleeper(attempt)
        self.launched.append(sleeper)
        return sleeper


def test_a_model_whose_owner_was_replaced_while_it_was_finished_is_not_written(tmp_path: Path) -> None:
    mine, theirs = Sleepers(), Trainees()
    with opened(Trainer(tmp_path, mine)) as first:
        first.release()
        older = mine.next(1)
        assert isinstance(older, Sleeper)
        older.say(started(), step(1))
        older.succeed()
        assert older.asked.wait(20)
        with opened(Trainer(tmp_path, theirs)) as second:  # a newer self, under the same name
            newer = theirs.next(1)
            older.awake.set()
            assert isinstance(soon(first.worker.failed), Fenced)
            newer.say(started(resumed=1), step(2))
            newer.succeed()
            assert second.job(TrainingJob.STATE_SUCCEEDED).attempt == 2
            assert len(second.house.facts(MODELS, Model)) == 1
