"""The loops that benchmarks/kafka_worker.py sets against each other: the suite's worker, and bare kafka-python."""

from __future__ import annotations

import itertools
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from kafka.structs import OffsetAndMetadata
from prometheus_client import CollectorRegistry

from longstream.bus import Bus, Output, Partition, Record, Topic
from longstream.bus.kafka.bus import KafkaBus
from longstream.bus.kafka.wire import Cluster
from longstream.errors import SuiteError
from longstream.telemetry import Metrics
from longstream.worker import Consumption, Worker, WorkerOptions
from longstream.worker_metrics import WorkerMetrics

PARTITIONS = 4
_FILL = 512
_PATIENCE_S = 300.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A broker with a filled topic to read and one to write."""

    cluster: Cluster
    bus: KafkaBus
    source: str
    target: str

    @classmethod
    @contextmanager
    def on(cls, cluster: Cluster, values: Sequence[bytes]) -> Iterator[Place]:
        """Topics of fresh names."""
        with KafkaBus(cluster) as bus:
            source, target = fill(bus, values)
            yield cls(cluster=cluster, bus=bus, source=source, target=target)

    def producer(self, **settings: Any) -> KafkaProducer:
        """kafka-python's, with what the suite tunes for speed: the same compression, back-off and batch size."""
        ours = self.cluster.producer("settings")
        named = ("compression_type", "retry_backoff_ms", "batch_size", "max_request_size")
        tuned = {name: ours.config[name] for name in named}
        ours.close()
        return KafkaProducer(
            bootstrap_servers=list(self.cluster.servers), acks="all", **{**tuned, **settings}
        )

    def consumer(self) -> KafkaConsumer:
        """A consumer of committed records in a group of its own, which has its partitions."""
        consumer = self.cluster.consumer(group_id=f"bare-{uuid.uuid4().hex}", group_instance_id="member")
        consumer.subscribe(topics=[self.source])
        return consumer


def fill(bus: Bus, values: Sequence[bytes]) -> tuple[str, str]:
    """Names of a topic with these records, and of an empty one."""
    run = uuid.uuid4().hex[:8]
    source, target = f"in-{run}", f"out-{run}"
    bus.create_topics(Topic(name=name, partitions=PARTITIONS, cleanup="delete") for name in (source, target))
    outputs = [Output(topic=source, key=b"%032d" % n, value=value) for n, value in enumerate(values)]
    for first in range(0, len(outputs), _FILL):
        bus.publish(outputs[first : first + _FILL])
    return source, target


class Copy:
    """A stateless handler that writes what it reads; it notes when the first record came."""

    def __init__(self, target: str) -> None:
        self.began: float | None = None
        self._target = target

    def gained(self, partition: Partition) -> None:
        """There is no state."""

    def lost(self, partition: Partition) -> None:
        """There is no state."""

    def handle(self, record: Record) -> Sequence[Output]:
        """One record in, one out."""
        self.began = self.began or time.perf_counter()
        return [Output(topic=self._target, key=record.key, value=record.value)]

    def refuse(self, record: Record, error: SuiteError) -> Sequence[Output]:
        """Nothing is ever refused here."""
        raise error

    def tick(self, partition: Partition) -> Sequence[Output]:
        """Nothing comes of itself."""
        return ()


class _Counting(WorkerMetrics):
    """Notes when the last of so many records was committed."""

    def __init__(self, topic: str, count: int) -> None:
        super().__init__(Metrics("benchmark", CollectorRegistry()), [topic])
        self.done = threading.Event()
        self.ended = 0.0
        self._missing = count

    def committed(self, topic: str, records: int, dead: Sequence[str]) -> None:
        """See `WorkerMetrics`."""
        super().committed(topic, records, dead)
        self._missing -= records
        if self._missing == 0:
            self.ended = time.perf_counter()
            self.done.set()


def worker_rate(bus: Bus, source: str, target: str, count: int, batch: int) -> float:
    """Records a second of the suite's worker, from the first record to the last commit."""
    metrics, handler = _Counting(source, count), Copy(target)
    consumption = Consumption(
        group=f"worker-{uuid.uuid4().hex}", topics=(source,), member="member", metrics=metrics
    )
    worker = Worker(bus, consumption, handler, WorkerOptions(window=batch))
    worker.start()
    try:
        if not metrics.done.wait(_PATIENCE_S):
            raise SystemExit(f"the worker did not finish: {worker.failed()!r}")
    finally:
        worker.stop()
    assert handler.began is not None
    return count / (metrics.ended - handler.began)


def bare_transactions(place: Place, count: int, batch: int) -> float:
    """Records a second of the bare loop with a transaction for each poll."""
    producer = place.producer(transactional_id=f"bare-{uuid.uuid4().hex}")
    producer.init_transactions()

    def commit(consumer: KafkaConsumer, batches: Mapping[TopicPartition, Sequence[Any]]) -> None:
        producer.begin_transaction()
        _send(producer, place.target, batches)
        producer.send_offsets_to_transaction(_offsets(batches), consumer.group_metadata())
        producer.commit_transaction()

    return _loop(place, producer, commit, count, batch)


def bare_loop(place: Place, count: int, batch: int) -> float:
    """Records a second of the bare loop that flushes and then commits offsets: at least once."""
    producer = place.producer()

    def commit(consumer: KafkaConsumer, batches: Mapping[TopicPartition, Sequence[Any]]) -> None:
        _send(producer, place.target, batches)
        producer.flush()
        consumer.commit(_offsets(batches))

    return _loop(place, producer, commit, count, batch)


def _loop(
    place: Place,
    producer: KafkaProducer,
    commit: Callable[[KafkaConsumer, Mapping[TopicPartition, Sequence[Any]]], None],
    count: int,
    batch: int,
) -> float:
    consumer, done, began = place.consumer(), 0, 0.0
    try:
        while done < count:
            batches = consumer.poll(timeout_ms=1_000, max_records=batch)
            if batches:
                began = began or time.perf_counter()
                commit(consumer, batches)
                done += sum(map(len, batches.values()))
        return count / (time.perf_counter() - began)
    finally:
        consumer.close(autocommit=False)
        producer.close()


def _send(producer: KafkaProducer, topic: str, batches: Mapping[TopicPartition, Sequence[Any]]) -> None:
    for message in itertools.chain.from_iterable(batches.values()):
        producer.send(topic, key=message.key, value=message.value)


def _offsets(batches: Mapping[TopicPartition, Sequence[Any]]) -> dict[TopicPartition, OffsetAndMetadata]:
    return {name: OffsetAndMetadata(batch[-1].offset + 1, "", -1) for name, batch in batches.items()}


def producer_alone(place: Place, values: Sequence[bytes]) -> float:
    """Records a second that the broker takes from one kafka-python producer which only sends."""
    producer = place.producer()
    producer.partitions_for(place.target)
    began = time.perf_counter()
    for n, value in enumerate(values):
        producer.send(place.target, key=b"%032d" % n, value=value)
    producer.flush()
    rate = len(values) / (time.perf_counter() - began)
    producer.close()
    return rate


@contextmanager
def our_commit(place: Place) -> Iterator[Callable[[list[bytes]], None]]:
    """A commit of the suite's subscription: these values and one position."""
    subscription = place.bus.subscribe(f"commit-{uuid.uuid4().hex}", [place.source], "member")
    gained: frozenset[Partition] = frozenset()
    while not gained:
        gained = subscription.poll(1, 1.0).gained
    partition = min(gained)
    subscription.pause(gained)

    def commit(values: list[bytes]) -> None:
        outputs = [
            Output(topic=place.target, key=b"%032d" % n, value=value) for n, value in enumerate(values)
        ]
        subscription.commit(outputs, {partition: 0})

    try:
        yield commit
    finally:
        subscription.close()


@contextmanager
def bare_commit(place: Place) -> Iterator[Callable[[list[bytes]], None]]:
    """A bare transaction of the same."""
    consumer = place.consumer()
    while not consumer.assignment():
        consumer.poll(timeout_ms=100, max_records=1)
    name = min(consumer.assignment())
    consumer.pause(*consumer.assignment())
    producer = place.producer(transactional_id=f"bare-{uuid.uuid4().hex}")
    producer.init_transactions()

    def commit(values: list[bytes]) -> None:
        producer.begin_transaction()
        for n, value in enumerate(values):
            producer.send(place.target, key=b"%032d" % n, value=value)
        producer.send_offsets_to_transaction({name: OffsetAndMetadata(0, "", -1)}, consumer.group_metadata())
        producer.commit_transaction()

    try:
        yield commit
    finally:
        consumer.close(autocommit=False)
        producer.close()
