"""How far each partition reaches beyond what was handed out: noted by whoever has the consumer in hand, read by anyone.

A consumer's position passes over what ends a transaction and over what was aborted, so a partition that is worked off
shows 0; the answers to its fetches tell the log's end. A partition that is paused is not fetched: its end is asked for.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Any

from kafka import KafkaConsumer, TopicPartition
from kafka import errors as kafka_errors

from longstream.bus import Partition
from longstream.bus.kafka.wire import topic_partition

_NOTE_EVERY_S = 0.2
"""Each note costs a poll about a thirtieth of what a small batch takes."""
_ASK_EVERY_S = 1.0
_ASK_AGAIN_S = 5.0
"""After a broker that did not answer: each question may cost the caller _ASK_MS."""
_ASK_MS = 1_000


class Backlog:
    """Notes and their reading. Only `behind` may be called beside the others."""

    def __init__(self, consumer: KafkaConsumer) -> None:
        self._consumer = consumer
        self._ends: dict[TopicPartition, int] = {}
        self._behind: dict[Partition, int] = {}
        self._note_at = 0.0
        self._ask_at = 0.0

    def behind(self, partitions: Iterable[Partition]) -> dict[Partition, int]:
        """What was last noted of the partitions that were begun."""
        noted = self._behind
        return {partition: noted[partition] for partition in partitions if partition in noted}

    def begin(self, partition: Partition, start: int, end: int) -> None:
        """A partition has come: it is read from `start` on."""
        self._ends[topic_partition(partition)] = end
        self._behind[partition] = max(0, end - start)

    def ask(self, resting: Iterable[Partition]) -> None:
        """Ask for the ends of partitions that are not fetched, at most once a second."""
        names = [topic_partition(partition) for partition in resting]
        if not names or time.monotonic() < self._ask_at:
            return
        try:
            self._ends.update(self._consumer.end_offsets(names, timeout_ms=_ASK_MS))
            self._ask_at = time.monotonic() + _ASK_EVERY_S
        except kafka_errors.KafkaError:
            self._ask_at = time.monotonic() + _ASK_AGAIN_S

    def note(self, partitions: Iterable[Partition]) -> None:
        """Take down how things stand, without asking the broker, some times a second."""
        if time.monotonic() < self._note_at:
            return
        self._note_at = time.monotonic() + _NOTE_EVERY_S
        for partition in partitions:
            name = topic_partition(partition)
            try:
                place: Any = self._consumer.position(name, timeout_ms=0)
                told: Any = self._consumer.highwater(name)
            except (kafka_errors.KafkaError, KeyError):  # the group is just taking it back
                continue
            if place is not None:
                end = max(self._ends.get(name, 0), int(told or 0))
                self._behind[partition] = max(0, end - int(place))
