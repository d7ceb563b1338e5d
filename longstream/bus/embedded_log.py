"""Records in the embedded log: topics, appending, reading from many partitions fairly.

All functions work inside a transaction that the caller opened: appends in one that writes, reads in one
snapshot.
"""

from __future__ import annotations

import sqlite3
import struct
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from longstream.bus import MAX_RECORD_BYTES, Headers, Output, Partition, Position, Record, Topic, TopicChange
from longstream.bus.embedded_store import Damaged
from longstream.bus.partitioner import partition_for
from longstream.errors import InvalidInput, NotFound, Refused, TooLarge

OFFSET_BITS = 40
_OFFSET_MASK = (1 << OFFSET_BITS) - 1


class Home(NamedTuple):
    """A partition and its number in the file."""

    partition: Partition
    id: int


class Bounds(NamedTuple):
    """Where a partition's log starts and ends, in offsets."""

    begins_at: int
    next: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetched:
    """Records, and for each partition the offset up to which everything was handed out."""

    records: list[Record]
    positions: dict[Partition, int]


def place_of(partition_id: int, offset: int) -> int:
    """The primary key of a record."""
    return partition_id << OFFSET_BITS | offset


def offset_of(place: int) -> int:
    """The offset in a primary key."""
    return place & _OFFSET_MASK


def marks(values: Sequence[object]) -> str:
    """Placeholders for an SQL list of these values."""
    return ",".join("?" * len(values))


def encode_headers(headers: Headers) -> bytes | None:
    """Each header as length and bytes of its name and of its value; None if there are none."""
    if not headers:
        return None
    parts: list[bytes] = []
    for name, value in headers:
        raw = name.encode()
        parts += (struct.pack("<II", len(raw), len(value)), raw, value)
    return b"".join(parts)


def decode_headers(data: bytes | None) -> Headers:
    """The inverse of `encode_headers`. Raises Damaged for what that never wrote."""
    headers: list[tuple[str, bytes]] = []
    at = 0
    try:
        while data is not None and at < len(data):
            name_bytes, value_bytes = struct.unpack_from("<II", data, at)
            at += 8
            headers.append(
                (data[at : at + name_bytes].decode(), data[at + name_bytes : at + name_bytes + value_bytes])
            )
            at += name_bytes + value_bytes
    except (struct.error, UnicodeDecodeError, TypeError) as error:
        raise Damaged(f"headers cannot be read: {error}") from error
    return tuple(headers)


def create_topics(connection: sqlite3.Connection, topics: Iterable[Topic]) -> None:
    """Do all `topic_changes`. Raises Refused for those that must not be done."""
    topics = tuple(topics)
    changes = topic_changes(connection, topics)
    if refused := [f"{change.topic} {change.text}" for change in changes if change.kind == "refuse"]:
        raise Refused(
            f"{', '.join(refused)}; neither can change, since keys and kept state would no longer be found: "
            f"keep them, or use a new log"
        )
    kinds = {change.topic: change.kind for change in changes}
    for topic in topics:
        if kinds.get(topic.name) == "create":
            _create(connection, topic)
        elif kinds.get(topic.name) == "alter":
            connection.execute(
                "UPDATE topics SET retention_s = ? WHERE name = ?", (topic.retention_s, topic.name)
            )


def topic_changes(connection: sqlite3.Connection, topics: Iterable[Topic]) -> list[TopicChange]:
    """What makes the topics what they should be."""
    found = {
        name: (partitions, cleanup, retention_s)
        for name, partitions, cleanup, retention_s in connection.execute(
            "SELECT name, partitions, cleanup, retention_s FROM topics"
        )
    }
    changes = (_change(topic, found.get(topic.name)) for topic in topics)
    return [change for change in changes if change is not None]


def _change(topic: Topic, found: tuple[int, str, float] | None) -> TopicChange | None:
    if topic.partitions < 1:
        raise InvalidInput(f"topic {topic.name} needs at least one partition", field="partitions")
    if found is None:
        text = f"{topic.partitions} partitions, {topic.cleanup}"
        return TopicChange(topic=topic.name, kind="create", text=text)
    if found[:2] != (topic.partitions, topic.cleanup):
        text = (
            f"has {found[0]} partitions and clean-up {found[1]}, not {topic.partitions} and {topic.cleanup}"
        )
        return TopicChange(topic=topic.name, kind="refuse", text=text)
    if found[2] != topic.retention_s:
        text = f"retention {topic.retention_s:g} s instead of {found[2]:g} s"
        return TopicChange(topic=topic.name, kind="alter", text=text)
    return None


def _create(connection: sqlite3.Connection, topic: Topic) -> None:
    topic_id = connection.execute(
        "INSERT INTO topics (name, partitions, cleanup, retention_s) VALUES (?, ?, ?, ?)",
        (topic.name, topic.partitions, topic.cleanup, topic.retention_s),
    ).lastrowid
    connection.executemany(
        "INSERT INTO partitions (topic_id, number) VALUES (?, ?)",
        [(topic_id, number) for number in range(topic.partitions)],
    )


class Catalog:
    """Numbers of topics' partitions, remembered since they never change."""

    def __init__(self) -> None:
        self._homes: dict[str, tuple[Home, ...]] = {}

    def homes(self, connection: sqlite3.Connection, topic: str) -> tuple[Home, ...]:
        """The topic's partitions by index, each with its id. Raises NotFound."""
        known = self._homes.get(topic)
        if known is not None:
            return known
        rows = connection.execute(
            "SELECT number, partition_id FROM partitions JOIN topics USING (topic_id) "
            "WHERE name = ? ORDER BY number",
            (topic,),
        ).fetchall()
        if not rows:
            raise NotFound(f"no topic {topic!r} in this log; create it first")
        self._homes[topic] = tuple(
            Home(Partition(topic, number), partition_id) for number, partition_id in rows
        )
        return self._homes[topic]

    def id(self, connection: sqlite3.Connection, partition: Partition) -> int:
        """The id of a partition. Raises NotFound, also for an index that the topic does not have."""
        homes = self.homes(connection, partition.topic)
        if not 0 <= partition.index < len(homes):
            raise NotFound(
                f"topic {partition.topic!r} has {len(homes)} partitions, none is {partition.index}"
            )
        return homes[partition.index].id

    def home_of(self, connection: sqlite3.Connection, output: Output) -> Home:
        """Where an output goes. Raises InvalidInput for an index that the topic does not have."""
        homes = self.homes(connection, output.topic)
        if output.partition is None:
            return homes[partition_for(output.key, len(homes))]
        if not 0 <= output.partition < len(homes):
            raise InvalidInput(
                f"topic {output.topic!r} has no partition {output.partition}", field="partition"
            )
        return homes[output.partition]


def bounds(connection: sqlite3.Connection, numbers: Sequence[int]) -> dict[int, Bounds]:
    """Start and end of the partitions of these ids."""
    rows = connection.execute(
        f"SELECT partition_id, begins_at, next FROM partitions WHERE partition_id IN ({marks(numbers)})",
        tuple(numbers),
    )
    return {number: Bounds(begins_at, next_offset) for number, begins_at, next_offset in rows}


def append(
    connection: sqlite3.Connection, catalog: Catalog, outputs: Sequence[Output], timestamp_ms: int
) -> list[Position]:
    """Write outputs at the ends of their partitions; returns where each lies, in their order."""
    homes = [catalog.home_of(connection, output) for output in outputs]
    ends = {
        number: bound.next for number, bound in bounds(connection, list({home.id for home in homes})).items()
    }
    positions: list[Position] = []
    rows: list[tuple[int, int, bytes, bytes | None, bytes | None]] = []
    for output, (partition, number) in zip(outputs, homes, strict=True):
        offset = ends[number]
        ends[number] = offset + 1
        positions.append(Position(partition, offset))
        rows.append((place_of(number, offset), timestamp_ms, output.key, _headers_of(output), output.value))
    connection.executemany("INSERT INTO records VALUES (?, ?, ?, ?, ?)", rows)
    connection.executemany(
        "UPDATE partitions SET next = ? WHERE partition_id = ?", [(n, i) for i, n in ends.items()]
    )
    return positions


def _headers_of(output: Output) -> bytes | None:
    headers = encode_headers(output.headers)
    size = len(output.key) + len(output.value or b"") + len(headers or b"")
    if size > MAX_RECORD_BYTES:
        raise TooLarge(
            f"a record for {output.topic} has {size} bytes, over the limit of {MAX_RECORD_BYTES}; put its "
            f"body into storage and send the address"
        )
    return headers


def fair_shares(available: Sequence[int], total: int) -> list[int]:
    """Split `total` as evenly as what each partition has available allows; the first get the odd ones."""
    shares = [0] * len(available)
    hungry = list(range(len(available)))
    while total > 0 and hungry:
        each = max(1, total // len(hungry))
        for index in hungry:
            given = min(each, available[index] - shares[index], total)
            shares[index] += given
            total -= given
        hungry = [index for index in hungry if shares[index] < available[index]]
    return shares


def fetch(
    connection: sqlite3.Connection, catalog: Catalog, positions: Mapping[Partition, int], max_records: int
) -> Fetched:
    """Up to max_records from the given offsets on, in offset order per partition and in the mapping's order.

    A position moves over what compaction or retention took away. Partitions share max_records evenly.
    """
    ids = {partition: catalog.id(connection, partition) for partition in positions}
    limits = bounds(connection, list(ids.values()))
    starts = {p: max(at, limits[ids[p]].begins_at) for p, at in positions.items() if at < limits[ids[p]].next}
    shares = fair_shares([limits[ids[p]].next - at for p, at in starts.items()], max_records)
    records: list[Record] = []
    moved: dict[Partition, int] = {}
    for (partition, at), share in zip(starts.items(), shares, strict=True):
        end = limits[ids[partition]].next
        found = _read(
            connection, partition, (place_of(ids[partition], at), place_of(ids[partition], end)), share
        )
        records += found
        moved[partition] = end if len(found) < share else found[-1].offset + 1 if found else at
    return Fetched(records=records, positions=moved)


def _read(
    connection: sqlite3.Connection, partition: Partition, places: tuple[int, int], limit: int
) -> list[Record]:
    rows = connection.execute(
        "SELECT place, key, value, headers, timestamp_ms FROM records "
        "WHERE place >= ? AND place < ? ORDER BY place LIMIT ?",
        (*places, limit),
    )
    return [
        Record(partition, place & _OFFSET_MASK, key, value, decode_headers(headers), timestamp_ms)
        for place, key, value, headers, timestamp_ms in rows
    ]
