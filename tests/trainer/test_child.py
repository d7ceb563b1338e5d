"""The child as its parent sees it: a real process, its events, its exit code, and what it leaves on disk."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

import pytest

from longstream.errors import InvalidInput, NotFound
from longstream_trainer.child import EventWriter, failure
from longstream_trainer.job import read_job
from longstream_trainer.report import Checkpoint, Done, Event, ExitCode, Failed, Started, Step, decode_event
from longstream_trainer.run import fine_tune
from tests.support.trainingjobs import write_job

ROOT = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.slow


class Child:
    """A training child with both ends of its pipes in our hands."""

    def __init__(self, job: Path, preexec: Callable[[], None] | None = None) -> None:
        path = os.pathsep.join([str(ROOT), str(ROOT / "services" / "trainer")])
        self.process = subprocess.Popen(
            [sys.executable, "-m", "longstream_trainer.child", str(job)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": path},
            preexec_fn=preexec,  # noqa: PLW1509  # the limit must hold from the child's first write
        )

    def events(self) -> Iterator[Event]:
        """What it reports, to its end."""
        stream: IO[bytes] | None = self.process.stdout
        assert stream is not None
        return map(decode_event, stream)

    def until_step(self, step: int) -> None:
        for event in self.events():
            if isinstance(event, Step) and event.step == step:
                return
        raise AssertionError(f"it ended before step {step}: {self.errors()}")

    def finish(self) -> tuple[list[Event], int]:
        """All further events, and the exit code."""
        events = list(self.events())
        return events, self.process.wait(60)

    def hang_up(self) -> None:
        """Do what the system does for a parent that dies: close its ends of the pipes."""
        for stream in (self.process.stdin, self.process.stdout):
            assert stream is not None
            stream.close()
        self.process.stdin = self.process.stdout = None

    def errors(self) -> str:
        assert self.process.stderr is not None
        return self.process.stderr.read().decode()


@pytest.fixture
def start() -> Iterator[Callable[..., Child]]:
    children: list[Child] = []

    def start_child(job: Path, preexec: Callable[[], None] | None = None) -> Child:
        children.append(Child(job, preexec))
        return children[-1]

    yield start_child
    for child in children:
        child.process.kill()
        child.process.communicate()


@pytest.fixture
def long_job(tmp_path: Path, base_model: Path, shards: list[Path]) -> Callable[[str], Path]:
    """Jobs of a thousand short steps: long enough to be met at work."""

    def job(name: str, **recipe: Any) -> Path:
        return write_job(
            tmp_path / name, base_model, shards, **{"epochs": 200, "batch_examples": 2, **recipe}
        )

    return job


def test_a_child_reports_starts_steps_checkpoints_and_its_model(
    tmp_path: Path, base_model: Path, shards: list[Path], start: Callable[..., Child]
) -> None:
    events, code = start(write_job(tmp_path, base_model, shards)).finish()
    assert code == ExitCode.DONE
    assert [type(event) for event in events] == [Started, *[Step, Step, Checkpoint] * 3, Done]
    assert (tmp_path / "output" / "adapter_model.safetensors").is_file()


def test_killed_and_stopped_attempts_end_with_the_undisturbed_runs_bits(
    long_job: Callable[..., Path], start: Callable[..., Child]
) -> None:
    disturbed, whole = (long_job(name, epochs=8, checkpoint_every_steps=5) for name in ("disturbed", "whole"))
    for step, number, code in (
        (11, signal.SIGKILL, -signal.SIGKILL),
        (23, signal.SIGTERM, ExitCode.STOPPED),
    ):
        child = start(disturbed)
        child.until_step(step)
        child.process.send_signal(number)
        assert child.finish()[1] == code
    events, code = start(disturbed).finish()
    assert code == ExitCode.DONE
    assert isinstance(events[0], Started)
    assert events[0].resumed_from_step >= 23
    fine_tune(read_job(whole), lambda event: None, lambda: None)
    models = [job.parent / "output" / "adapter_model.safetensors" for job in (disturbed, whole)]
    assert models[0].read_bytes() == models[1].read_bytes()


def test_a_child_whose_parent_is_gone_saves_and_ends(
    long_job: Callable[..., Path], start: Callable[..., Child]
) -> None:
    job = long_job("orphan", checkpoint_every_steps=0)
    child = start(job)
    child.until_step(5)
    child.hang_up()
    assert child.process.wait(60) == ExitCode.STOPPED
    [saved] = (job.parent / "work" / "checkpoints").iterdir()
    assert json.loads((saved / "state.json").read_text())["step"] >= 5
    assert not (job.parent / "output").exists()


def test_a_full_disk_is_told_as_retryable_and_leaves_no_half_checkpoint(
    long_job: Callable[..., Path], start: Callable[..., Child]
) -> None:
    """A limit on a file's size stands for the disk: writing the optimizer's state fails half way."""
    job = long_job("full", checkpoint_every_steps=3, rank=16)

    def little_space() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))

    events, code = start(job, little_space).finish()
    assert code == ExitCode.FAILED
    assert isinstance(events[-1], Failed)
    assert (events[-1].reason, events[-1].retryable) == ("storage_full", True)
    assert list((job.parent / "work" / "checkpoints").iterdir()) == []
    # With space again, the next attempt does the work.
    child = start(job)
    child.until_step(4)


def test_a_bad_recipe_is_permanent_and_told_by_name(
    tmp_path: Path, base_model: Path, shards: list[Path], start: Callable[..., Child]
) -> None:
    events, code = start(write_job(tmp_path, base_model, shards, lr=1)).finish()
    assert code == ExitCode.PERMANENT
    [failed] = events
    assert isinstance(failed, Failed)
    assert (failed.reason, failed.retryable) == ("invalid_input", False)
    assert "unknown recipe keys: lr" in failed.message


def test_a_base_model_that_is_not_there_is_permanent(
    tmp_path: Path, shards: list[Path], start: Callable[..., Child]
) -> None:
    events, code = start(write_job(tmp_path, tmp_path / "no-model", shards)).finish()
    assert code == ExitCode.PERMANENT
    [failed] = events
    assert isinstance(failed, Failed)
    assert "no-model" in failed.message


@pytest.mark.parametrize(
    "values",
    [
        [],
        {"gpus": 8},
        {"shards": "one.parquet"},
        {"shards": []},
        {"base_model": ""},
        {"work_dir": None},
        {"recipe": []},
        {"machines": {"count": 2, "here": 2, "first": "one:1"}},
        {"machines": {"count": 2, "here": 1, "first": "one"}},
        {"machines": {"number": 2}},
        {"machines": {"count": True}},
    ],
)
def test_a_job_file_of_another_shape_is_refused(tmp_path: Path, values: Any) -> None:
    good = {"base_model": "b", "shards": ["s"], "work_dir": "w", "output_dir": "o", "recipe": {}}
    path = tmp_path / "job.json"
    path.write_text(json.dumps(good))
    assert read_job(path).base_model == "b"
    path.write_text(json.dumps({**good, **values} if isinstance(values, dict) else values))
    with pytest.raises(InvalidInput):
        read_job(path)
    path.write_text("{")
    with pytest.raises(InvalidInput, match="not JSON"):
        read_job(path)
    with pytest.raises(NotFound):
        read_job(tmp_path / "none.json")


def test_unforeseen_errors_and_lack_of_memory_may_be_retried() -> None:
    assert failure(ZeroDivisionError("x")) == Failed(
        reason="internal", message="ZeroDivisionError: x", retryable=True
    )
    assert failure(MemoryError()).reason == "out_of_memory"
    assert failure(MemoryError()).retryable


def test_a_reader_that_went_away_stops_the_run_without_an_error() -> None:
    reader, writer = os.pipe()
    stopping = threading.Event()
    with suppress(BrokenPipeError), os.fdopen(writer, "w") as stream:
        report = EventWriter(stream, stopping)
        report(Checkpoint(step=1, path="p"))
        assert decode_event(os.read(reader, 1_000)) == Checkpoint(step=1, path="p")
        assert not stopping.is_set()
        os.close(reader)
        report(Checkpoint(step=2, path="p"))
        assert stopping.is_set()
        report(Checkpoint(step=3, path="p"))
