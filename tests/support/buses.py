"""Short words for what tests do with a bus: wait for partitions, take records, copy a topic to another."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise

from longstream.bus import Bus, Output, Partition, Polled, Record, Subscription

PATIENCE_S = 20.0


def numbered(topic: str, count: int, first: int = 0) -> list[Output]:
    """Outputs whose key and value tell their number."""
    return [Output(topic=topic, key=b"%06d" % n, value=b"value %d" % n) for n in range(first, first + count)]


def gain(subscription: Subscription, count: int) -> set[Partition]:
    """Poll until `count` partitions have been gained in all; returns them."""
    gained: set[Partition] = set()
    deadline = time.monotonic() + PATIENCE_S
    while len(gained) < count:
        assert time.monotonic() < deadline, f"gained only {sorted(gained)}"
        polled = subscription.poll(1, 0.1)
        assert not polled.records, "records came before the partitions"
        gained = (gained | polled.gained) - polled.lost
    return gained


def change(subscription: Subscription) -> Polled:
    """Poll until something is gained or lost, passing over records."""
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        polled = subscription.poll(100, 0.1)
        if polled.gained or polled.lost:
            return polled
    raise AssertionError("no partition came or went")


def take(subscription: Subscription, count: int, max_records: int = 100) -> list[Record]:
    """Poll until `count` records have come; fails if more come or too few."""
    records: list[Record] = []
    deadline = time.monotonic() + PATIENCE_S
    while len(records) < count:
        assert time.monotonic() < deadline, f"only {len(records)} of {count} records came"
        records += subscription.poll(max_records, 0.1).records
    assert len(records) == count
    return records


def ends_of(records: Iterable[Record]) -> dict[Partition, int]:
    """The positions that say these records are done."""
    positions: dict[Partition, int] = {}
    for record in records:
        positions[record.partition] = max(positions.get(record.partition, 0), record.offset + 1)
    return positions


def copies(records: Iterable[Record], topic: str) -> list[Output]:
    """The records as outputs for another topic."""
    return [Output(topic=topic, key=record.key, value=record.value) for record in records]


def contents(bus: Bus, topic: str, start: Mapping[Partition, int] | None = None) -> list[Record]:
    """All committed records of a topic, by a reader of its own that goes on until it has reached the ends."""
    partitions = bus.partitions(topic)
    ends = bus.ends(partitions)
    reader = bus.reader(partitions, start)
    records: list[Record] = []
    deadline = time.monotonic() + PATIENCE_S
    while any(reader.position(partition) < end for partition, end in ends.items()):
        assert time.monotonic() < deadline, "the reader does not reach the ends"
        records += reader.poll(500, 0.1)
    reader.close()
    return records


def keys(records: Iterable[Record | Output]) -> list[bytes]:
    """The keys, sorted."""
    return sorted(record.key for record in records)


def per_partition(records: Iterable[Record]) -> dict[Partition, list[Record]]:
    """The records of each partition, in the order in which they came."""
    found: dict[Partition, list[Record]] = {}
    for record in records:
        found.setdefault(record.partition, []).append(record)
    return found


def offsets_grow(records: Sequence[Record]) -> bool:
    """Whether the records of each partition came in the order of their offsets, none twice."""
    return all(
        all(before.offset < after.offset for before, after in pairwise(run))
        for run in per_partition(records).values()
    )
