"""A worker whose commits are refused or not taken, over a real embedded log: work is dropped, or written as it was."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from longstream.bus import Bus, Output, Partition, Record, Topic
from longstream.bus.embedded import EmbeddedBus
from longstream.bus.opening import open_bus
from longstream.errors import Corrupt, Fenced, SuiteError, Unavailable
from longstream.telemetry import Metrics
from longstream.view import read_to_end
from longstream.worker import Consumption, Worker, WorkerOptions
from longstream.worker_metrics import WorkerMetrics
from tests.support.buses import copies, ends_of, gain, take
from tests.support.house import opened, soon

IN, OUT = "in", "out"
HERE = Partition(IN, 0)
FAST = WorkerOptions(idle_poll_s=0.02, busy_poll_s=0.005, backoff_s=0.01, max_backoff_s=0.02)


@dataclass
class Copying:
    """Writes each record on, and each act once; stops at `hold` for as long as a test wants."""

    acts: list[bytes] = field(default_factory=list)
    handled: list[bytes] = field(default_factory=list)
    arrived: threading.Event = field(default_factory=threading.Event)
    hold: threading.Event = field(default_factory=threading.Event)
    at: str = ""

    def gained(self, partition: Partition) -> None:
        """Nothing to restore."""

    def lost(self, partition: Partition) -> None:
        """Nothing to drop."""

    def handle(self, record: Record) -> Sequence[Output]:
        self.handled.append(record.key)
        self._stop("handle")
        return [Output(topic=OUT, key=record.key, value=record.value)]

    def refuse(self, record: Record, error: SuiteError) -> Sequence[Output]:
        raise AssertionError("nothing here dies")

    def tick(self, partition: Partition) -> Sequence[Output]:
        if not self.acts:
            return []
        acts, self.acts = self.acts, []
        self._stop("tick")
        return [Output(topic=OUT, key=act, value=b"act") for act in acts]

    def _stop(self, where: str) -> None:
        if self.at == where:
            self.at = ""
            self.arrived.set()
            assert self.hold.wait(60)


class Reluctant:
    """A bus whose subscriptions do not take their next commits."""

    def __init__(self, bus: Bus, refusals: int) -> None:
        self._bus = bus
        self.refusals = refusals

    def subscribe(self, group: str, topics: Sequence[str], member: str) -> Any:
        inner = self._bus.subscribe(group, topics, member)
        real = inner.commit

        def commit(outputs: Sequence[Output], positions: Mapping[Partition, int]) -> None:
            if self.refusals:
                self.refusals -= 1
                raise Unavailable("the log was away; nothing was written")
            real(outputs, positions)

        inner.commit = commit  # type: ignore[method-assign]
        return inner


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "log.sqlite"


@pytest.fixture
def bus(log: Path) -> Iterator[EmbeddedBus]:
    with EmbeddedBus(log) as bus:
        bus.create_topics(Topic(name=name, partitions=1, cleanup="delete") for name in (IN, OUT, f"{IN}.dlq"))
        yield bus


class Running:
    """A worker under a handler, until the block ends."""

    def __init__(self, bus: Any, handler: Copying, member: str = "m") -> None:
        metrics = WorkerMetrics(Metrics("worker", CollectorRegistry()), (IN,))
        consumption = Consumption(group="g", topics=(IN,), member=member, metrics=metrics)
        self.handler = handler
        self.worker = Worker(bus, consumption, handler, FAST)
        self.worker.start()

    def close(self) -> None:
        self.handler.hold.set()
        self.worker.stop()


def send(bus: Bus, *keys: bytes) -> None:
    bus.publish([Output(topic=IN, key=key, value=b"v") for key in keys])


def written(bus: Bus) -> list[bytes]:
    return [record.key for record in read_to_end(bus, bus.partitions(OUT))]


@pytest.mark.parametrize("caused_by", ["handle", "tick"])
def test_a_worker_that_was_replaced_writes_nothing_more_and_stops(
    bus: EmbeddedBus, log: Path, caused_by: str
) -> None:
    """Neither what a record caused, nor an act that none caused."""
    first = Copying(at=caused_by)
    if caused_by == "handle":
        send(bus, b"work")
    else:
        first.acts.append(b"work")
    with opened(Running(bus, first)) as older, open_bus(f"sqlite:{log}") as elsewhere:
        assert first.arrived.wait(20)
        second = Copying(acts=[] if caused_by == "handle" else [b"work"])
        with opened(Running(elsewhere, second)):
            soon(lambda: written(bus) == [b"work"])
            first.hold.set()
            assert isinstance(soon(older.worker.failed), Fenced)
            assert written(bus) == [b"work"]


def test_work_of_a_partition_that_was_taken_away_is_dropped_and_the_worker_lives_on(
    bus: EmbeddedBus, log: Path
) -> None:
    send(bus, b"1")
    handler = Copying(at="handle")
    with opened(Running(bus, handler, "sleeper")) as running:
        assert handler.arrived.wait(20)
        with closing(sqlite3.connect(log, isolation_level=None, timeout=10.0)) as connection:
            connection.execute("DELETE FROM members WHERE name = 'sleeper'")  # put out for silence
        other = bus.subscribe("g", [IN], "other")
        gain(other, 1)
        records = take(other, 1)
        other.commit(copies(records, OUT), ends_of(records))
        handler.hold.set()
        other.close()
        send(bus, b"2")
        soon(lambda: written(bus) == [b"1", b"2"])
        assert running.worker.failed() is None


def test_what_a_commit_could_not_write_is_written_by_the_next_as_it_was(bus: EmbeddedBus) -> None:
    send(bus, b"1", b"2")
    handler = Copying(acts=[b"act"])
    with opened(Running(Reluctant(bus, refusals=3), handler)):
        soon(lambda: sorted(written(bus)) == [b"1", b"2", b"act"])
        assert handler.handled == [b"1", b"2"]


def test_a_position_that_the_log_no_longer_has_stops_the_worker_which_says_how_to_go_on(
    bus: EmbeddedBus, log: Path
) -> None:
    send(bus, b"1", b"2", b"3")
    member = bus.subscribe("g", [IN], "m")
    gain(member, 1)
    member.commit([], {HERE: 1})
    member.close()
    with closing(sqlite3.connect(log, isolation_level=None, timeout=10.0)) as connection:
        connection.execute("UPDATE partitions SET begins_at = 2")
    with opened(Running(bus, Copying())) as running:
        error = soon(running.worker.failed)
        assert isinstance(error, Corrupt)
        assert "bring back the log" in error.message
        assert written(bus) == []
