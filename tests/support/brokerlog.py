"""A broker's log as kafka-python alone sees it: no rule of the suite can hide what lies there."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

from google.protobuf.message import Message
from kafka import KafkaConsumer, TopicPartition
from kafka.errors import KafkaError

from tests.support.logfile import Line

M = TypeVar("M", bound=Message)

READ_S = 300.0
"""A reader of committed records waits for open transactions, which the broker ends in time."""


class BrokerLog:
    """Answers as LogFile does, from a broker; what was not committed is not there."""

    def __init__(self, address: str, *, settled: bool = False) -> None:
        """settled: nobody writes any more, so what was read once is not read again."""
        self._address = address
        self._kept: dict[str, list[Line]] | None = {} if settled else None

    def read(self, topic: str, *, committed_only: bool = True) -> list[Any]:
        """kafka-python's own records, by partition and offset."""
        with self._consumer(isolation_level="read_uncommitted") as consumer:
            names = _partitions(consumer, topic)
            ends = consumer.end_offsets(names)  # behind open transactions too: their outcome is waited for
        level = "read_committed" if committed_only else "read_uncommitted"
        with self._consumer(isolation_level=level) as consumer:
            consumer.assign(names)
            consumer.seek_to_beginning(*names)
            found: list[Any] = []
            deadline = time.monotonic() + READ_S
            while any(consumer.position(name) < end for name, end in ends.items()):
                assert time.monotonic() < deadline, f"{topic} cannot be read to its end: an open transaction"
                for batch in consumer.poll(timeout_ms=200).values():
                    found += batch
        places = Counter((record.partition, record.offset) for record in found)
        twice = [place for place, times in places.items() if times > 1]
        assert not twice, (
            f"the reader, not the log: kafka-python handed out {len(twice)} of {topic} twice: {twice[:5]}"
        )
        return sorted(found, key=lambda record: (record.partition, record.offset))

    def lines(self, topic: str) -> list[Line]:
        """Every record of the topic, by partition and offset."""
        if self._kept is not None and topic in self._kept:
            return self._kept[topic]
        found = [Line(one.partition, one.offset, one.key or b"", one.value) for one in self.read(topic)]
        if self._kept is not None:
            self._kept[topic] = found
        return found

    def messages(self, topic: str, kind: type[M]) -> list[M]:
        """Every record of the topic as a message."""
        return [kind.FromString(line.value) for line in self.lines(topic) if line.value is not None]

    def net(self, topic: str) -> dict[tuple[int, bytes], bytes]:
        """By partition and key: the last value, where that is no tombstone."""
        last = {(line.partition, line.key): line.value for line in self.lines(topic)}
        return {place: value for place, value in last.items() if value is not None}

    def topics(self) -> list[str]:
        with self._consumer() as consumer:
            return sorted(name for name in consumer.topics() if not name.startswith("__"))

    def ends(self, topic: str) -> dict[int, int]:
        """By partition: the offset behind the last record. What ends a transaction takes offsets too, but is none."""
        return {line.partition: line.offset + 1 for line in self.lines(topic)}

    def gaps(self, topic: str) -> list[str]:
        """Offsets that are there twice; those that are missing tell nothing here."""
        count = Counter((line.partition, line.offset) for line in self.lines(topic))
        return [f"{topic} holds {place} {times} times" for place, times in count.items() if times > 1]

    def positions(self, topic: str, group: str) -> dict[int, int]:
        """By partition: what the group has committed."""
        with self._consumer(group_id=group) as consumer:
            found = {name.partition: consumer.committed(name) for name in _partitions(consumer, topic)}
        return {number: int(offset) for number, offset in found.items() if offset is not None}

    def done(self, topic: str, group: str) -> bool:
        """Whether the group has committed all that there is."""
        positions = self.positions(topic, group)
        return all(positions.get(number, 0) >= end for number, end in self.ends(topic).items())

    @contextmanager
    def _consumer(self, **options: Any) -> Iterator[KafkaConsumer]:
        given = {"isolation_level": "read_committed", "enable_auto_commit": False, **options}
        consumer = self._connected(auto_offset_reset="earliest", **given)
        try:
            yield consumer
        finally:
            consumer.close(autocommit=False)

    def _connected(self, **options: Any) -> KafkaConsumer:
        """A consumer, tried for until there is one: a broker on a busy machine may be slow to answer."""
        deadline = time.monotonic() + READ_S
        while True:
            try:
                return KafkaConsumer(bootstrap_servers=self._address, **options)
            except KafkaError:
                if time.monotonic() > deadline:
                    raise


def _partitions(consumer: KafkaConsumer, topic: str) -> Sequence[TopicPartition]:
    return [TopicPartition(topic, number) for number in sorted(consumer.partitions_for_topic(topic) or ())]
