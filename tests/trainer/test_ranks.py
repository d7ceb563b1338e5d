"""Two processes make the model that one makes: the same loss at every step, and each example's own noise in each."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file

from longstream_trainer.job import read_job
from longstream_trainer.ranks import Ranks
from longstream_trainer.report import Checkpoint, Done, Event, ExitCode, Started, Step, decode_event
from longstream_trainer.run import fine_tune
from tests.support.together import one_killed, together
from tests.support.trainingjobs import write_job

RECIPE: dict[str, Any] = {"micro_batch": 1, "max_tokens": 100, "over_length": "drop"}
"""Rows so short that a step has several groups, for two processes to share."""


def start(job: Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "longstream_trainer.child", str(job)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        stdin=subprocess.PIPE,
    )


def child(job: Path) -> tuple[int, list[Event]]:
    """The child's exit code and events."""
    process = start(job)
    assert process.stdout is not None
    events = [decode_event(line) for line in process.stdout]
    return process.wait(timeout=120), events


def with_processes(job: Path, count: int) -> Path:
    values = json.loads(job.read_text())
    job.write_text(json.dumps({**values, "processes": count}))
    return job


def losses(events: list[Event]) -> list[float]:
    return [event.loss for event in events if isinstance(event, Step)]


@pytest.fixture
def job_of(tmp_path: Path, base_model: Path, shards: list[Path]) -> Callable[..., Path]:
    def job(name: str, processes: int, **recipe: Any) -> Path:
        return with_processes(
            write_job(tmp_path / name, base_model, shards, **{**RECIPE, **recipe}), processes
        )

    return job


@pytest.mark.slow
@pytest.mark.parametrize(
    ("method", "sharding"), [("lora", "none"), ("full", "none"), ("full", "fsdp"), ("lora", "fsdp")]
)
def test_two_processes_make_the_model_that_one_makes(
    job_of: Callable[..., Path], tmp_path: Path, method: str, sharding: str
) -> None:
    """Under noise, with AdamW's moments and clipping; stopped half way, and gone on with."""
    alone: list[Event] = []
    alone.append(fine_tune(read_job(job_of("one", 1, method=method)), alone.append, lambda: None))
    two = job_of("two", 2, method=method, sharding=sharding)
    stopped = together(two, 2, tmp_path / "stopped", stop_after=4)
    assert [told.stopped for told in stopped] == [True, True]
    finished = together(two, 2, tmp_path / "finished")
    first, rest = stopped[0].events, finished[0].events
    started, done = rest[0], rest[-1]
    assert isinstance(started, Started)
    assert started.resumed_from_step == len(losses(first)) > 0
    assert losses(first) + losses(rest) == pytest.approx(losses(alone), rel=1e-4)
    assert alphas(first + rest) == pytest.approx(alphas(alone), rel=1e-5)
    assert isinstance(done, Done)
    expected = next(event for event in alone if isinstance(event, Done))
    assert done.bits_per_byte == pytest.approx(expected.bits_per_byte, rel=1e-3)
    one, other = (weights(tmp_path / name / "output") for name in ("one", "two"))
    assert one.keys() == other.keys()
    for name, weight in one.items():
        torch.testing.assert_close(other[name], weight, rtol=1e-3, atol=1e-3)
    for told in finished:
        assert len({length for length, _ in told.noise}) > 1
        shares = [share for _, share in told.noise]
        assert max(shares) <= 1 + 1e-3
        # The largest of 64 uniform numbers is far from none.
        assert min(shares) > 0.5


def alphas(events: list[Event]) -> list[float | None]:
    return [event.neftune_effective_alpha for event in events if isinstance(event, Step)]


def weights(folder: Path) -> dict[str, torch.Tensor]:
    [file] = folder.glob("*.safetensors")
    return load_file(file)


@pytest.mark.slow
@pytest.mark.kills
def test_where_one_of_several_dies_the_others_do_not_wait_and_the_next_attempt_goes_on(
    job_of: Callable[..., Path], tmp_path: Path
) -> None:
    job = job_of("fallen", 2)
    codes = one_killed(job, 2, tmp_path / "out", 4)
    assert codes[1] == -signal.SIGKILL
    assert codes[0] not in {0, None}
    started = together(job, 2, tmp_path / "out")[0].events[0]
    assert isinstance(started, Started)
    assert started.resumed_from_step > 0


@pytest.mark.skipif(
    not os.environ.get("SOAK"), reason="SOAK=1: whole programs, which import torch five times"
)
@pytest.mark.slow
@pytest.mark.kills
def test_where_one_of_several_dies_the_others_end_and_the_next_attempt_goes_on(
    job_of: Callable[..., Path],
) -> None:
    job = job_of("killed", 2, epochs=6)
    process = start(job)
    assert process.stdout is not None
    for line in process.stdout:
        if isinstance(decode_event(line), Checkpoint):
            break
    children = subprocess.run(
        ["pgrep", "-P", str(process.pid)], capture_output=True, text=True, check=True
    ).stdout.split()
    assert len(children) == 2
    os.kill(int(children[1]), signal.SIGKILL)
    process.stdout.read()
    assert process.wait(timeout=120) not in {ExitCode.DONE, ExitCode.PERMANENT}
    deadline = time.monotonic() + 10
    while any(Path(f"/proc/{pid}").exists() for pid in children) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not any(Path(f"/proc/{pid}").exists() for pid in children)
    code, events = child(job)
    assert code == ExitCode.DONE
    assert isinstance(events[0], Started)
    assert events[0].resumed_from_step > 0


@given(st.lists(st.integers(1, 100), min_size=1, max_size=30), st.integers(1, 6))
def test_groups_are_shared_out_each_once_and_evenly(sizes: list[int], world: int) -> None:
    groups = [[number] for number in range(len(sizes))]
    shares = [Ranks(rank=rank, world=world).share(groups, sizes) for rank in range(world)]
    counted = [group[0] for share in shares for group, counts in share if counts]
    assert sorted(counted) == list(range(len(sizes)))
    assert len({len(share) for share in shares}) == 1
    loads = [sum(sizes[group[0]] for group, counts in share if counts) for share in shares]
    assert max(loads) - min(loads) <= max(sizes)


def test_one_process_needs_nobody() -> None:
    alone = Ranks()
    told = torch.ones(2)
    assert alone.add_up(told) is told
    alone.wait()
    alone.add_up_gradients([])
    assert alone.first
