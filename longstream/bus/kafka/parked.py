"""Records that were fetched and not handed out.

One of the two is a way around a fault of kafka-python 3.0.12, by which a partition that was paused may never be read
again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from kafka import KafkaConsumer, TopicPartition


def take_back_parked(consumer: KafkaConsumer) -> None:
    """To be called before each poll: let it go on with what it had fetched of a partition that has been resumed.

    The fetcher parks such records while the partition rests, and fetches no more of it until they are used. It takes
    them back only if no other partition's are in line, and mistakes those that are used up for some that are not.
    """
    fetcher = consumer._fetcher
    if not fetcher._next_partition_records:
        fetcher._next_partition_records = None


def hand_back(consumer: KafkaConsumer, batches: Mapping[TopicPartition, Sequence[Any]]) -> None:
    """Let what a poll returned come again, of the partitions that are still the consumer's."""
    for name, batch in batches.items():
        if name in consumer.assignment():
            consumer.seek(name, batch[0].offset)
