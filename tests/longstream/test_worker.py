"""The worker's loop over a real embedded log."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from longstream.bus import Bus, Output, Partition, Record, Topic
from longstream.bus.opening import open_bus
from longstream.errors import ControlFailed, EngineDied, InvalidInput, SuiteError, Unavailable
from longstream.telemetry import Metrics
from longstream.view import read_to_end
from longstream.worker import Consumption, Worker, WorkerOptions
from longstream.worker_metrics import WorkerMetrics

IN, OUT, DEAD = "in", "out", "in.dlq"
FAST = WorkerOptions(idle_poll_s=0.02, busy_poll_s=0.005, backoff_s=0.01, max_backoff_s=0.02)


@dataclass
class Upper:
    """Writes what it reads in capitals; raises what `trouble` says for a value, once for each entry."""

    trouble: dict[bytes, list[Exception]] = field(default_factory=dict)
    hold: dict[bytes, threading.Event] = field(default_factory=dict)
    acts: list[Output] = field(default_factory=list)
    owned: set[Partition] = field(default_factory=set)

    def gained(self, partition: Partition) -> None:
        self.owned.add(partition)

    def lost(self, partition: Partition) -> None:
        self.owned.discard(partition)

    def handle(self, record: Record) -> Sequence[Output]:
        assert record.value is not None
        if record.value in self.hold:
            self.hold[record.value].wait(10)
        if self.trouble.get(record.value):
            raise self.trouble[record.value].pop(0)
        return [Output(topic=OUT, key=record.key, value=record.value.upper())]

    def refuse(self, record: Record, error: SuiteError) -> Sequence[Output]:
        return [Output(topic=OUT, key=record.key, value=b"refused: " + error.reason.encode())]

    def tick(self, partition: Partition) -> Sequence[Output]:
        acts, self.acts = self.acts, []
        return acts


@pytest.fixture
def bus(tmp_path: Path) -> Iterator[Bus]:
    bus = open_bus(f"sqlite:{tmp_path / 'log.sqlite'}")
    bus.create_topics(Topic(name=name, partitions=1, cleanup="delete") for name in (IN, OUT, DEAD))
    yield bus
    bus.close()


Start = Callable[..., Worker]


@pytest.fixture
def start(bus: Bus) -> Iterator[Start]:
    workers: list[Worker] = []

    def starting(handler: Upper, options: WorkerOptions = FAST) -> Worker:
        metrics = WorkerMetrics(Metrics("worker", CollectorRegistry()), (IN,))
        workers.append(
            Worker(bus, Consumption(group="g", topics=(IN,), member="m", metrics=metrics), handler, options)
        )
        workers[-1].start()
        return workers[-1]

    yield starting
    for worker in workers:
        worker.stop()


def send(bus: Bus, *values: bytes) -> None:
    bus.publish([Output(topic=IN, key=b"k", value=value) for value in values])


def values(bus: Bus, topic: str) -> list[bytes | None]:
    return [record.value for record in read_to_end(bus, bus.partitions(topic))]


def eventually(fact: Callable[[], bool], timeout_s: float = 10.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not fact():
        assert time.monotonic() < deadline, "it did not come true in time"
        time.sleep(0.01)


def test_outputs_and_positions_are_committed_in_order(bus: Bus, start: Start) -> None:
    send(bus, b"a", b"b", b"c")
    start(Upper())
    eventually(lambda: values(bus, OUT) == [b"A", b"B", b"C"])
    assert bus.committed("g", Partition(IN, 0)) == 3


def test_a_pool_finishes_in_any_order_and_commits_the_finished_prefix(bus: Bus, start: Start) -> None:
    gate = threading.Event()
    handler = Upper(hold={b"slow": gate})
    send(bus, b"slow", b"quick", b"next")
    start(handler, WorkerOptions(threads=2, idle_poll_s=0.02, busy_poll_s=0.005))
    time.sleep(0.2)
    assert values(bus, OUT) == []
    assert bus.committed("g", Partition(IN, 0)) in {None, 0}
    gate.set()
    eventually(lambda: values(bus, OUT) == [b"SLOW", b"QUICK", b"NEXT"])


def test_a_full_window_takes_no_more_until_it_has_room(bus: Bus, start: Start) -> None:
    gate = threading.Event()
    send(bus, b"slow", *(b"%d" % n for n in range(50)))
    start(
        Upper(hold={b"slow": gate}), WorkerOptions(threads=2, window=5, idle_poll_s=0.02, busy_poll_s=0.005)
    )
    time.sleep(0.2)
    gate.set()
    eventually(lambda: len(values(bus, OUT)) == 51)


def test_what_a_retry_cannot_help_goes_to_the_dead_letters_with_why_and_whence(
    bus: Bus, start: Start
) -> None:
    send(bus, b"bad", b"good")
    start(Upper(trouble={b"bad": [InvalidInput("cannot be read")]}))
    eventually(lambda: values(bus, OUT) == [b"refused: invalid_input", b"GOOD"])
    dead = list(read_to_end(bus, bus.partitions(DEAD)))
    assert [record.value for record in dead] == [b"bad"]
    assert dead[0].header("x-error-reason") == b"invalid_input"
    assert dead[0].header("x-origin") == b"in/0@0"


def test_an_unexpected_failure_is_a_dead_letter_and_not_the_end(bus: Bus, start: Start) -> None:
    send(bus, b"bad", b"good")
    worker = start(Upper(trouble={b"bad": [KeyError("defect")]}))
    eventually(lambda: values(bus, OUT) == [b"refused: internal", b"GOOD"])
    assert worker.failed() is None


def test_a_dependency_that_is_away_is_waited_for_however_long(bus: Bus, start: Start) -> None:
    away: list[Exception] = [Unavailable("not yet") for _ in range(10)]
    send(bus, b"a")
    start(Upper(trouble={b"a": away}))
    eventually(lambda: values(bus, OUT) == [b"A"])
    assert values(bus, DEAD) == []


def test_a_record_that_keeps_killing_the_engine_is_given_up_after_three_tries(bus: Bus, start: Start) -> None:
    deadly: list[Exception] = [EngineDied("died") for _ in range(10)]
    send(bus, b"a", b"b")
    start(Upper(trouble={b"a": deadly}))
    eventually(lambda: values(bus, OUT) == [b"refused: engine_died", b"B"])
    assert len(deadly) == 7


def test_a_control_record_that_cannot_be_applied_stops_the_worker(bus: Bus, start: Start) -> None:
    send(bus, b"control", b"after")
    worker = start(Upper(trouble={b"control": [ControlFailed("cannot cut")]}))
    eventually(lambda: worker.failed() is not None)
    assert isinstance(worker.failed(), ControlFailed)
    assert values(bus, OUT) == values(bus, DEAD) == []
    assert bus.committed("g", Partition(IN, 0)) in {None, 0}


def test_an_act_that_no_record_caused_is_committed_too(bus: Bus, start: Start) -> None:
    handler = Upper()
    start(handler)
    eventually(lambda: bool(handler.owned))
    handler.acts = [Output(topic=OUT, key=b"k", value=b"act")]
    eventually(lambda: values(bus, OUT) == [b"act"])


def test_draining_commits_what_is_in_flight(bus: Bus, start: Start) -> None:
    gate = threading.Event()
    send(bus, b"slow")
    worker = start(Upper(hold={b"slow": gate}), WorkerOptions(threads=1, idle_poll_s=0.02, busy_poll_s=0.005))
    time.sleep(0.2)
    threading.Timer(0.1, gate.set).start()
    worker.drain(10)
    assert values(bus, OUT) == [b"SLOW"]


def test_a_worker_that_returns_under_its_name_goes_on_where_it_was(bus: Bus, start: Start) -> None:
    send(bus, b"a")
    first = start(Upper())
    eventually(lambda: values(bus, OUT) == [b"A"])
    first.stop()
    send(bus, b"b")
    start(Upper())
    eventually(lambda: values(bus, OUT) == [b"A", b"B"])
