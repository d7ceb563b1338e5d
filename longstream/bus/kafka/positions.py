"""A group's positions as they are now, around a fault of kafka-python 3.0.12, which may tell an old one."""

from __future__ import annotations

from kafka import KafkaConsumer, TopicPartition
from kafka.structs import OffsetAndMetadata

from longstream.bus.kafka.wire import CALL_TIMEOUT_S

_CALL_MS = int(CALL_TIMEOUT_S * 1000)


def committed_now(consumer: KafkaConsumer, name: TopicPartition) -> OffsetAndMetadata | None:
    """What the consumer's group has committed, as of this call. Raises kafka-python's errors.

    A question that ran out of time is kept by the client, with whatever the answer turns out to be, and the next one
    for the same partitions gets that answer: a member whose poll was too short for it would read on, when the partition
    comes back to it an hour later, where the group was then, and do all since then once more. So nothing asked before
    counts.
    """
    consumer._coordinator._offset_fetch_futures.clear()
    return consumer.committed(name, metadata=True, timeout_ms=_CALL_MS)


def position_now(consumer: KafkaConsumer, name: TopicPartition) -> int | None:
    """The offset alone; None where the group has none."""
    found = committed_now(consumer, name)
    return None if found is None else int(found.offset)


def position_or_beginning(consumer: KafkaConsumer, name: TopicPartition) -> int:
    """The offset, or where the log begins if the group has none."""
    position = position_now(consumer, name)
    return (
        int(consumer.beginning_offsets([name], timeout_ms=_CALL_MS)[name]) if position is None else position
    )
