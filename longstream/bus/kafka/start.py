"""Where a member begins to read: at its group's position, and at the log's beginning only if the group was never there.

A cluster forgets the positions of a group that had no member for seven days. To begin anew then would do all work once
more beside the state that the first time has left. So a group without a position is taken for a new one only if nothing
shows that it was here before: records that were dropped, which happens only below its position, or state of its own.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

from kafka import KafkaConsumer, TopicPartition

from longstream.bus import Topic
from longstream.bus.kafka.positions import position_now
from longstream.bus.kafka.wire import CALL_TIMEOUT_S, Cluster, partition_of
from longstream.errors import Corrupt, Unavailable

_CALL_MS = int(CALL_TIMEOUT_S * 1000)
_STEP_MS = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Beginning:
    """A partition that a group's member is to read, and what the log holds of it: from begins_at to before end."""

    group: str
    name: TopicPartition
    begins_at: int
    end: int
    topic: Topic | None
    """As code says it; None where no program has prepared it."""


def start_of(cluster: Cluster, consumer: KafkaConsumer, at: Beginning) -> int:
    """The offset to read from. consumer: the member's. Raises Corrupt for a position that is lost or has no record."""
    position = position_now(consumer, at.name)
    if position is None:
        _check_new(cluster, consumer, at)
        return at.begins_at
    if not at.begins_at <= position <= at.end:
        raise Corrupt(
            f"group {at.group} has read {partition_of(at.name)} up to {position}, but the log holds "
            f"{at.begins_at} to {at.end}: bring back the log that fits, or {_how(at)}"
        )
    return position


def _check_new(cluster: Cluster, consumer: KafkaConsumer, at: Beginning) -> None:
    """Raise Corrupt if the group was here before."""
    if at.topic is None or at.topic.read_by != at.group:
        return
    if at.begins_at > 0:
        raise _lost(at, f"records before {at.begins_at} are gone, and only what it has read is dropped")
    for name in _states(consumer, at, at.topic):
        if _holds_records(cluster, name):
            raise _lost(at, f"{partition_of(name)} holds what its commits have written")


def _states(consumer: KafkaConsumer, at: Beginning, topic: Topic) -> list[TopicPartition]:
    """Partitions that hold records only if the group has lost its position."""
    if not topic.state:
        return []
    if topic.state_by_number:
        return [TopicPartition(topic.state, at.name.partition)]
    beside = [TopicPartition(topic.name, number) for number in range(topic.partitions)]
    if any(position_now(consumer, name) is not None for name in beside):
        return []  # a partition to which nothing has come yet
    return [
        TopicPartition(topic.state, number) for number in consumer.partitions_for_topic(topic.state) or ()
    ]


def _holds_records(cluster: Cluster, name: TopicPartition) -> bool:
    """Whether a committed record lies there; what was aborted takes offsets too."""
    consumer: Any = cluster.consumer()
    try:
        consumer.assign([name])
        consumer.seek_to_beginning(name)
        end = consumer.end_offsets([name], timeout_ms=_CALL_MS)[name]
        deadline = time.monotonic() + CALL_TIMEOUT_S
        while consumer.position(name, timeout_ms=_CALL_MS) < end:
            if consumer.poll(timeout_ms=_STEP_MS, max_records=1):
                return True
            if time.monotonic() > deadline:
                raise Unavailable(f"{partition_of(name)} cannot be read to its end; try again")
        return False
    finally:
        consumer.close(autocommit=False, timeout_ms=1_000)


def _lost(at: Beginning, why: str) -> Corrupt:
    return Corrupt(
        f"group {at.group} has no position in {partition_of(at.name)} but was there: {why}. A cluster forgets "
        f"positions after seven idle days (offsets.retention.minutes); {_how(at)}"
    )


def _how(at: Beginning) -> str:
    return (
        f"set it: kafka-consumer-groups.sh --reset-offsets --group {at.group} --topic "
        f"{at.name.topic}:{at.name.partition} --execute, with --to-offset N for where it was, or --to-earliest to have "
        f"all that is left handled once more"
    )
