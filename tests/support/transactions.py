"""Transactions of kafka-python alone, left open for as long as a test wants: those of a writer that died or sleeps."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from kafka import KafkaProducer, TopicPartition
from kafka.structs import ConsumerGroupMetadata, OffsetAndMetadata

from longstream.bus import Output, Partition

LONG_MS = 120_000
"""After this the broker would end the transaction by itself: later than any test waits."""


@contextmanager
def left_open(
    address: str,
    transactional_id: str,
    outputs: Sequence[Output],
    positions: Mapping[Partition, int] | None = None,
    group: str = "",
) -> Iterator[Any]:
    """A producer with a transaction that holds these outputs, and these positions of the group."""
    producer = KafkaProducer(
        bootstrap_servers=address, transactional_id=transactional_id, transaction_timeout_ms=LONG_MS
    )
    try:
        producer.init_transactions()
        producer.begin_transaction()
        for output in outputs:
            producer.send(output.topic, key=output.key, value=output.value, partition=output.partition)
        if positions:
            moved = {
                TopicPartition(partition.topic, partition.index): OffsetAndMetadata(offset, "", -1)
                for partition, offset in positions.items()
            }
            producer.send_offsets_to_transaction(moved, ConsumerGroupMetadata(group))
        producer.flush()
        yield producer
    finally:
        producer.close(timeout=1.0)
