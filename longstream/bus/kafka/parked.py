"""A way around a fault of kafka-python 3.0.12, by which a partition that was paused may never be read again."""

from __future__ import annotations

from kafka import KafkaConsumer


def take_back_parked(consumer: KafkaConsumer) -> None:
    """To be called before each poll: let it go on with what it had fetched of a partition that has been resumed.

    The fetcher parks such records while the partition rests, and fetches no more of it until they are used. It takes
    them back only if no other partition's are in line, and mistakes those that are used up for some that are not.
    """
    fetcher = consumer._fetcher
    if not fetcher._next_partition_records:
        fetcher._next_partition_records = None
