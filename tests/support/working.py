"""A worker over any bus in the test's own process: a handler that does as told, and its metrics."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from prometheus_client import CollectorRegistry

from longstream.bus import Bus, Output, Partition, Reader, Record, Topic
from longstream.errors import SuiteError, Unavailable
from longstream.telemetry import Metrics
from longstream.worker import Consumption, Worker, WorkerOptions
from longstream.worker_metrics import WorkerMetrics

PATIENCE_S = 120.0
FAST = WorkerOptions(idle_poll_s=0.05, busy_poll_s=0.01, backoff_s=0.02, max_backoff_s=0.05)


@dataclass
class Told:
    """Copies records to `out`. A value in `held` waits for its gate, one in `away` fails for as long as it is there."""

    out: str
    held: dict[bytes, threading.Event] = field(default_factory=dict)
    away: set[bytes] = field(default_factory=set)
    owned: set[Partition] = field(default_factory=set)
    tries: Counter[bytes] = field(default_factory=Counter)
    restores: list[SuiteError] = field(default_factory=list)

    def gained(self, partition: Partition) -> None:
        if self.restores:
            raise self.restores.pop()
        self.owned.add(partition)

    def lost(self, partition: Partition) -> None:
        self.owned.discard(partition)

    def handle(self, record: Record) -> Sequence[Output]:
        value = record.value or b""
        assert record.partition in self.owned, "a record came before its partition was restored"
        self.tries[value] += 1
        if value in self.held:
            self.held[value].wait(PATIENCE_S)
        if value in self.away:
            raise Unavailable("the dependency is away")
        return [Output(topic=self.out, key=record.key, value=value)]

    def refuse(self, record: Record, error: SuiteError) -> Sequence[Output]:
        return ()

    def tick(self, partition: Partition) -> Sequence[Output]:
        return ()


@dataclass
class Shop:
    """Topics of a fresh name, and workers that copy one to the other."""

    bus: Bus
    name: str
    partitions: int = 2
    workers: list[Worker] = field(default_factory=list)
    reader: Reader | None = None
    read: list[bytes] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.source, self.target = f"{self.name}-in", f"{self.name}-out"
        for topic, partitions in ((self.source, self.partitions), (self.target, 1)):
            self.bus.create_topics([Topic(name=topic, partitions=partitions, cleanup="delete")])

    def handler(self) -> Told:
        return Told(self.target)

    def send(self, index: int, *values: bytes) -> None:
        self.bus.publish(
            [Output(topic=self.source, key=b"k", value=value, partition=index) for value in values]
        )

    def work(
        self, handler: Told, member: str = "member", options: WorkerOptions = FAST, bus: Bus | None = None
    ) -> Bench:
        """A worker that runs, with metrics of its own. bus: another opening of the log."""
        registry = CollectorRegistry()
        metrics = WorkerMetrics(Metrics("worker", registry), (self.source,))
        consumption = Consumption(
            group=f"{self.name}-group", topics=(self.source,), member=member, metrics=metrics
        )
        worker = Worker(bus or self.bus, consumption, handler, options)
        self.workers.append(worker)
        worker.start()
        return Bench(worker, registry)

    def copied(self) -> list[bytes]:
        """Values in the target so far, in the order of the log; one reader for all looks, since opening one is dear."""
        (partition,) = self.bus.partitions(self.target)
        if self.reader is None:
            self.reader = self.bus.reader([partition])
        end = self.bus.ends([partition])[partition]
        deadline = time.monotonic() + PATIENCE_S
        while self.reader.position(partition) < end:
            assert time.monotonic() < deadline, "the reader does not reach the end"
            self.read += [record.value or b"" for record in self.reader.poll(500, 0.1)]
        return list(self.read)


@dataclass(frozen=True)
class Bench:
    """A worker and what it tells."""

    worker: Worker
    registry: CollectorRegistry

    def told(self, metric: str) -> dict[int, float]:
        """The series of a metric by partition."""
        return {
            int(sample.labels["partition"]): sample.value
            for family in self.registry.collect()
            if family.name == metric
            for sample in family.samples
        }

    def records(self) -> dict[int, float]:
        return self.told("worker_lag_records")

    def seconds(self) -> dict[int, float]:
        return self.told("worker_oldest_unprocessed_seconds")

    def sample(self, name: str, **labels: str) -> float:
        return self.registry.get_sample_value(name, labels) or 0.0


@contextmanager
def opened(bus: Bus, name: str, partitions: int = 2) -> Iterator[Shop]:
    """A shop whose workers are stopped at the end."""
    shop = Shop(bus, name, partitions)
    try:
        yield shop
    finally:
        for worker in shop.workers:
            worker.stop()


def soon(fact: Callable[[], bool], timeout_s: float = PATIENCE_S) -> None:
    """Wait until it is so."""
    deadline = time.monotonic() + timeout_s
    while not fact():
        assert time.monotonic() < deadline, "it did not come true in time"
        time.sleep(0.02)
