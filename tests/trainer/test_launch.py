"""Attempts as real child processes: what they are given, what they tell, how they end."""

from __future__ import annotations

import json
import subprocess
import time
from pathlib import Path

import pytest

from longstream.errors import Corrupt, NotFound
from longstream.pipeline import Pipeline, parse
from longstream.storage import open_storage
from longstream.topics import RELEASES
from longstream.v1 import trainer_pb2 as pb
from longstream.v1.records_pb2 import TrainingJob
from longstream_trainer.launch import Attempt, ChildLauncher, ChildProcess, Running, checked_tree
from longstream_trainer.report import Event, ExitCode, Failed
from tests.support.house import opened, soon
from tests.support.trainees import Trainer, a_release
from tests.support.trainingjobs import RECIPE


class Noted:
    """Launches real children and remembers them."""

    outlive = False

    def __init__(self, inner: ChildLauncher) -> None:
        self._inner = inner
        self.children: list[ChildProcess] = []

    def launch(self, attempt: Attempt) -> Running:
        self.children.append(self._inner.launch(attempt))
        return self.children[-1]


def trains(base_model: str, **recipe: object) -> Pipeline:
    return parse(
        {
            "name": "p",
            "base_model": base_model,
            "train": {"recipe": {**RECIPE, **recipe}},
        }
    )


def trainer_with(folder: Path, pipeline: Pipeline, shards: list[Path]) -> tuple[Trainer, Noted]:
    storage = open_storage((folder / "objects").as_uri())
    launcher = Noted(ChildLauncher(storage))
    trainer = Trainer(folder, launcher, {"p": pipeline})
    release = a_release(pipeline)
    for path in shards:
        release.shards.add(address=storage.put_file(path), rows=1)
    trainer.house.put(RELEASES, "p", release.id, release)
    return trainer, launcher


def an_attempt(folder: Path, *shards: str) -> Attempt:
    return Attempt(pipeline="p", job_id="j", number=1, job={}, shards=shards, work_dir=folder / "work")


def running(process_id: int) -> bool:
    listed = subprocess.run(
        ["ps", "-o", "stat=", "-p", str(process_id)], capture_output=True, text=True, check=False
    )
    return bool(listed.stdout.strip()) and not listed.stdout.startswith("Z")


@pytest.mark.slow
def test_a_base_model_that_does_not_exist_fails_the_job_and_says_what_to_do(
    tmp_path: Path, shards: list[Path]
) -> None:
    missing = str(tmp_path / "no-such-model")
    trainer, launcher = trainer_with(tmp_path, trains(missing), shards)
    with opened(trainer):
        job = soon(lambda: next((j for _, j in trainer.jobs.under("") if j.reason), None), 90)
        assert job.state == TrainingJob.STATE_FAILED
        assert (job.attempt, len(launcher.children)) == (1, 1)
        assert missing in job.reason
        assert [event.failed.retryable for event in trainer.events()] == [False]


@pytest.mark.slow
def test_cancelling_ends_the_child_and_leaves_nothing_but_its_log(
    tmp_path: Path, base_model: Path, shards: list[Path]
) -> None:
    pipeline = trains(str(base_model), epochs=10_000)
    trainer, launcher = trainer_with(tmp_path, pipeline, shards)
    with opened(trainer):
        soon(lambda: any(event.HasField("step") for event in trainer.events()), 90)
        job = next(job for _, job in trainer.jobs.under(""))
        child = launcher.children[0].process_id
        assert running(child)
        request = pb.CancelTrainingJobRequest(pipeline="p", request_id="c", job_id=job.id)
        assert trainer.calls.CancelTrainingJob(request).job.state == TrainingJob.STATE_CANCELLED
        soon(lambda: not running(child), 60)
        folder = tmp_path / "work" / job.id
        soon(lambda: {path.name for path in folder.iterdir()} == {"child.log", "job.json"})
        assert trainer.job(TrainingJob.STATE_CANCELLED).step > 0


@pytest.mark.slow
def test_a_child_whose_job_is_wrong_says_so_and_ends_for_good(tmp_path: Path) -> None:
    job = tmp_path / "job.json"
    job.write_text(json.dumps({"base_model": "m", "shards": []}))
    child = ChildProcess(job)
    events: list[Event] = []
    deadline = time.monotonic() + 60
    while child.exit_code() is None and time.monotonic() < deadline:
        events.extend(child.events())
        time.sleep(0.05)
    assert child.exit_code() == ExitCode.PERMANENT
    assert len(events) == 1
    assert isinstance(events[0], Failed)
    assert "shards" in events[0].message
    assert (tmp_path / "child.log").read_text()


def test_a_shard_that_storage_does_not_hold_is_told_before_a_child_is_started(tmp_path: Path) -> None:
    launcher = ChildLauncher(open_storage((tmp_path / "objects").as_uri()))
    attempt = an_attempt(tmp_path, "sha256:" + "0" * 64)
    with pytest.raises(NotFound):
        launcher.launch(attempt)
    assert not (tmp_path / "work" / "job.json").exists()


def test_a_damaged_shard_is_told(tmp_path: Path) -> None:
    storage = open_storage((tmp_path / "objects").as_uri())
    address = storage.put(b"rows")
    (stored,) = (
        path for path in (tmp_path / "objects").rglob("*") if path.is_file() and path.suffix != ".type"
    )
    stored.chmod(0o644)
    stored.write_bytes(b"other")
    with pytest.raises(Corrupt):
        ChildLauncher(storage).launch(an_attempt(tmp_path, address))


def test_an_output_folder_that_is_missing_or_empty_is_no_model(tmp_path: Path) -> None:
    for folder in (tmp_path / "missing", tmp_path):
        with pytest.raises(Corrupt, match="left no model"):
            checked_tree(folder)
    (tmp_path / "adapter.safetensors").write_bytes(b"w")
    assert checked_tree(tmp_path) == tmp_path
