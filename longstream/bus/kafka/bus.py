"""Kafka as a `Bus`: topics as code, readers of committed records, publishing in one act."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Self

from kafka import KafkaConsumer

from longstream.bus import Output, Partition, Position, Record, Topic, TopicChange
from longstream.bus.kafka.expiry import Expiry
from longstream.bus.kafka.membership import Membership
from longstream.bus.kafka.positions import position_now
from longstream.bus.kafka.subscription import KafkaSubscription
from longstream.bus.kafka.topics import apply, changes, described
from longstream.bus.kafka.transactions import OUTBID, Transactions, Undecided, where
from longstream.bus.kafka.wire import (
    CALL_TIMEOUT_S,
    Cluster,
    check_size,
    records_of,
    topic_partition,
    translated,
)
from longstream.bus.partitioner import partition_for
from longstream.errors import InvalidInput, NotFound, Refused, Unavailable
from longstream.faults import crash_point

_CALL_MS = int(CALL_TIMEOUT_S * 1000)
_STEP_MS = 200


class KafkaBus:
    """Implements `Bus` on a Kafka cluster. Any thread may call any method; not to be used across a fork."""

    def __init__(
        self,
        cluster: Cluster,
        *,
        session_timeout_s: float = 10.0,
        housekeeping: bool = False,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """session_timeout_s: silence after which a group shares out a member's partitions. housekeeping: drop what
        this process's groups have read and is older than its topic's retention. Raises Unavailable."""
        if session_timeout_s <= 0:
            raise InvalidInput("session_timeout_s must be above 0", field="session_timeout_s")
        self._cluster = cluster
        self._session_s = session_timeout_s
        self._lock = threading.Lock()
        self._publishing = threading.Lock()
        self._open: set[KafkaSubscription | KafkaReader] = set()
        self._counts: dict[str, int] = {}
        self._prepared: tuple[Topic, ...] = ()
        self._reading: set[str] = set()
        self._groups: dict[str, KafkaConsumer] = {}
        self._publisher = Transactions(cluster, f"publish/{uuid.uuid4().hex}")
        # It looks at ends, and those lie behind open transactions: what is being written counts as there.
        self._looker = cluster.consumer(committed_only=False)
        self._expiry = Expiry(cluster, self._read_here, clock) if housekeeping else None

    def create_topics(self, topics: Iterable[Topic]) -> None:
        """See `Bus.create_topics`."""
        with self._cluster.administrating() as admin:
            apply(admin, topics)

    def topic_changes(self, topics: Iterable[Topic]) -> list[TopicChange]:
        """See `Bus.topic_changes`."""
        with self._cluster.administrating() as admin:
            return changes(admin, topics)

    def prepare_topics(self, topics: Iterable[Topic]) -> None:
        """See `Bus.prepare_topics`. Needs no right to see or change settings."""
        topics = tuple(topics)
        missing = [topic.name for topic in topics if not self._count(topic.name)]
        if missing:
            with self._cluster.administrating() as admin:
                list(described(admin, missing))  # raises if they may only not be seen
            raise Unavailable(
                f"the cluster has no topics {', '.join(missing)}; `longstream topics apply` creates them"
            )
        for topic in topics:
            if (count := self._count(topic.name)) != topic.partitions:
                raise Refused(
                    f"topic {topic.name} has {count} partitions and this program was told {topic.partitions}; "
                    f"tell all programs of a suite what `longstream topics apply` was told"
                )
        self._prepared = topics

    def partitions(self, topic: str) -> tuple[Partition, ...]:
        """See `Bus.partitions`."""
        if not (count := self._count(topic)):
            raise NotFound(f"there is no topic {topic!r}; `longstream topics apply` creates the suite's")
        return tuple(Partition(topic, index) for index in range(count))

    def publish(self, outputs: Sequence[Output]) -> list[Position]:
        """See `Bus.publish`. Unavailable may here mean that the outcome is not known: readers tell doubles by id."""
        completed = self._complete(outputs)
        if not completed:
            return []
        with self._publishing, translated():
            crash_point("kafka.publish.before")
            try:
                written = where(self._publisher.act(completed, None))
            except (Undecided, *OUTBID) as error:
                raise Unavailable(
                    "Kafka did not confirm in time; it may have been written, send it again"
                ) from error
            crash_point("kafka.publish.after")
            return written

    def subscribe(self, group: str, topics: Sequence[str], member: str) -> KafkaSubscription:
        """See `Bus.subscribe`."""
        if not (group and topics and member):
            raise InvalidInput("a subscription needs a group, at least one topic and the member's name")
        counts = {topic: len(self.partitions(topic)) for topic in topics}
        membership = Membership(
            group=group,
            topics=counts,
            member=member,
            session_s=self._session_s,
            known={topic.name: topic for topic in self._prepared},
        )
        subscription = KafkaSubscription(self._cluster, membership, self._complete, self._forget)
        with self._lock:
            self._open.add(subscription)
            self._reading.add(group)
        return subscription

    def reader(
        self, partitions: Iterable[Partition], start: Mapping[Partition, int] | None = None
    ) -> KafkaReader:
        """See `Bus.reader`."""
        partitions = tuple(partitions)
        for topic in {partition.topic for partition in partitions}:
            self.partitions(topic)
        reader = KafkaReader(self._cluster, partitions, start or {}, self._forget)
        with self._lock:
            self._open.add(reader)
        return reader

    def ends(self, partitions: Iterable[Partition]) -> dict[Partition, int]:
        """See `Bus.ends`."""
        names = {topic_partition(partition): partition for partition in partitions}
        for topic in {partition.topic for partition in names.values()}:
            self.partitions(topic)
        with self._lock, translated():
            found = self._looker.end_offsets(list(names), timeout_ms=_CALL_MS)
        return {partition: int(found[name]) for name, partition in names.items()}

    def committed(self, group: str, partition: Partition) -> int | None:
        """See `Bus.committed`."""
        with self._lock, translated():
            if group not in self._groups:
                self._groups[group] = self._cluster.consumer(group_id=group)
            return position_now(self._groups[group], topic_partition(partition))

    def close(self) -> None:
        """See `Bus.close`."""
        if self._expiry is not None:
            self._expiry.close()
        with self._lock:
            opened = list(self._open)
        for part in opened:
            part.close()
        with self._publishing:
            self._publisher.close()
        with self._lock:
            for consumer in (self._looker, *self._groups.values()):
                consumer.close(autocommit=False, timeout_ms=1_000)
            self._groups.clear()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def _complete(self, outputs: Sequence[Output]) -> list[Output]:
        """The outputs with their partitions. Raises for one that cannot be written, before any is."""
        counts = {topic: len(self.partitions(topic)) for topic in {output.topic for output in outputs}}
        return [_placed(output, counts[output.topic]) for output in outputs]

    def _count(self, topic: str) -> int:
        """How many partitions the topic has; 0 if there is none."""
        with self._lock, translated():
            if topic not in self._counts:
                if not (found := self._looker.partitions_for_topic(topic)):
                    return 0
                self._counts[topic] = len(found)
            return self._counts[topic]

    def _read_here(self) -> list[Topic]:
        return [topic for topic in self._prepared if topic.read_by in self._reading]

    def _forget(self, part: KafkaSubscription | KafkaReader) -> None:
        with self._lock:
            self._open.discard(part)


def _placed(output: Output, partitions: int) -> Output:
    """The output with its partition. Raises if it is too large, or names a partition that its topic lacks."""
    check_size(output)
    if output.partition is None:
        topic, key, value, _, headers = output  # `_replace` takes twice as long
        return Output(topic, key, value, partition_for(key, partitions), headers)
    if not 0 <= output.partition < partitions:
        raise InvalidInput(f"topic {output.topic} has no partition {output.partition}", field="partition")
    return output


class KafkaReader:
    """Implements `Reader`; used by one thread at a time."""

    def __init__(
        self,
        cluster: Cluster,
        partitions: Sequence[Partition],
        start: Mapping[Partition, int],
        on_close: Callable[[KafkaReader], None],
    ) -> None:
        self._on_close = on_close
        self._closing = threading.Event()
        self._using = threading.Lock()
        self._positions = dict.fromkeys(partitions, 0)
        self._consumer = cluster.consumer()
        with translated():
            names = {topic_partition(partition): partition for partition in partitions}
            self._consumer.assign(list(names))
            begins = self._consumer.beginning_offsets(list(names), timeout_ms=_CALL_MS) if names else {}
            for name, partition in names.items():
                self._positions[partition] = max(int(begins[name]), start.get(partition, 0))
                self._consumer.seek(name, self._positions[partition])

    def poll(self, max_records: int, timeout_s: float) -> list[Record]:
        """See `Reader.poll`."""
        if max_records < 1:
            raise InvalidInput(f"max_records must be at least 1, not {max_records}", field="max_records")
        deadline = time.monotonic() + timeout_s
        while not self._closing.is_set():
            wait_ms = min(_STEP_MS, max(0, int((deadline - time.monotonic()) * 1000)))
            with self._using, translated():
                if self._closing.is_set():
                    break
                records = records_of(self._consumer.poll(timeout_ms=wait_ms, max_records=max_records))
                for partition in self._positions:
                    self._positions[partition] = int(self._consumer.position(topic_partition(partition)) or 0)
            if records or time.monotonic() >= deadline:
                return records
        return []

    def position(self, partition: Partition) -> int:
        """See `Reader.position`."""
        return self._positions[partition]

    def close(self) -> None:
        """See `Reader.close`."""
        if self._closing.is_set():
            return
        self._closing.set()
        with self._using:
            self._consumer.close(autocommit=False, timeout_ms=1_000)
        self._on_close(self)
