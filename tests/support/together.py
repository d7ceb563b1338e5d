"""Several processes that make one model, started quickly: torch is imported once and they are forked from that."""

from __future__ import annotations

import json
import math
import multiprocessing
import os
import signal
import socket
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from torch import Tensor

from longstream_trainer import neftune
from longstream_trainer.job import Job, Stopped, read_job
from longstream_trainer.ranks import joined
from longstream_trainer.report import Event, decode_event, encode_event
from longstream_trainer.run import fine_tune


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What a process tells. noise: length of each token's example, and its largest noise as a share of the bound."""

    stopped: bool
    events: list[Event]
    noise: list[tuple[int, float]]


def killed(job: Path, out: Path, after: int) -> None:
    """Run one process over a job, which dies by SIGKILL after so many checks."""
    process = _context().Process(target=_one, args=(0, (1, 0), job, out, -after))
    process.start()
    process.join(120)
    assert process.exitcode == -signal.SIGKILL


def one_killed(job: Path, world: int, out: Path, after: int) -> list[int | None]:
    """Run so many processes, of which the last dies by SIGKILL after so many checks; returns how each ended."""
    ranks = _started(job, world, out, {world - 1: -after})
    return [rank.exitcode for rank in ranks]


def _context() -> Any:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.support.together"])
    return context


def together(job: Path, world: int, out: Path, stop_after: int | None = None) -> list[Told]:
    """Run so many processes over a job; the first is told to stop after so many checks."""
    ranks = _started(job, world, out, {} if stop_after is None else {0: stop_after})
    assert [rank.exitcode for rank in ranks] == [0] * world
    return [_read(out / f"{rank}.json") for rank in range(world)]


def _started(job: Path, world: int, out: Path, after: dict[int, int]) -> list[Any]:
    """Processes that have ended. after: checks until a process stops, or below 0 until it is killed."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    out.mkdir(parents=True, exist_ok=True)
    ranks = [
        _context().Process(target=_one, args=(rank, (world, port), job, out, after.get(rank)))
        for rank in range(world)
    ]
    for rank in ranks:
        rank.start()
    for rank in ranks:
        rank.join(120)
    return ranks


def _read(path: Path) -> Told:
    values = json.loads(path.read_text())
    return Told(
        stopped=values["stopped"],
        events=[decode_event(line) for line in values["events"]],
        noise=[(length, share) for length, share in values["noise"]],
    )


def _one(rank: int, where: tuple[int, int], job: Path, out: Path, after: int | None) -> None:
    told = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": where[0], "MASTER_PORT": where[1]}
    os.environ.update({name: str(value) for name, value in told.items()}, MASTER_ADDR="127.0.0.1")
    noise: list[tuple[int, float]] = []
    neftune.Neftune._noisy = _watched(neftune.Neftune._noisy, noise)  # type: ignore[method-assign]
    events: list[str] = []
    stopped = False
    with joined() as ranks:
        try:
            done = fine_tune(
                _at(read_job(job), rank, out),
                lambda event: events.append(encode_event(event)),
                _stopping(after),
                ranks,
            )
            events.append(encode_event(done))
        except Stopped:
            stopped = True
    (out / f"{rank}.json").write_text(json.dumps({"stopped": stopped, "events": events, "noise": noise}))


def _at(job: Job, rank: int, out: Path) -> Job:
    """As on machines of their own: only the first process has the folder where checkpoints are."""
    return replace(job, work_dir=out / f"machine-{rank}", output_dir=out / "none") if rank else job


def _stopping(after: int | None) -> Callable[[], None]:
    """after: checks until it stops; below 0, until it is killed."""
    left = None if after is None else iter(range(abs(after)))

    def check() -> None:
        if left is None or after is None or next(left, None) is not None:
            return
        if after < 0:
            os.kill(os.getpid(), signal.SIGKILL)
        raise Stopped

    return check


def _watched(method: Any, noise: list[tuple[int, float]]) -> Any:
    def call(self: Any, embedded: Tensor, lengths: Tensor, *rest: Any) -> Tensor:
        noisy: Tensor = method(self, embedded, lengths, *rest)
        largest = (noisy - embedded).detach().abs().amax(dim=-1).flatten().tolist()
        for length, one in zip(lengths.flatten().tolist(), largest, strict=True):
            noise.append((length, one / (self._alpha / math.sqrt(max(length, 1) * embedded.shape[-1]))))
        return noisy

    return call
