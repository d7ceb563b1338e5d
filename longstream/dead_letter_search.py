"""Finding dead letters: which ones are wanted, and reading them from the log a few at a time.

A dead letter may have the size of the largest record, so no more than a few are in memory at once.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from longstream.bus import Bus, Partition, Position, Record
from longstream.dead_letters import Letter
from longstream.errors import NotFound
from longstream.record_types import decoded, ids_in
from longstream.topics import DEAD_LETTERS, READERS

_BATCH = 32
_POLL_S = 0.25


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """Which letters are wanted; what is empty or None admits all."""

    topics: frozenset[str] = frozenset()
    reasons: frozenset[str] = frozenset()
    since_ms: int | None = None
    """First millisecond since 1970."""
    until_ms: int | None = None
    """The first one that is too late."""
    key: str = ""
    """Of the record, as `key_text` writes it."""
    identifier: str = ""
    """How an id begins that stands in the record."""
    text: str = ""
    """Part of the error's message, in capitals or not."""

    def admits(self, letter: Letter, record: Record) -> bool:
        """Whether the letter, read from this record, is wanted."""
        return (
            (not self.topics or letter.topic in self.topics)
            and (not self.reasons or letter.reason in self.reasons)
            and (self.since_ms is None or letter.time_ms >= self.since_ms)
            and (self.until_ms is None or letter.time_ms < self.until_ms)
            and (not self.key or key_text(letter.key) == self.key)
            and self.text.casefold() in letter.message.casefold()
            and (not self.identifier or self._names(letter, record))
        )

    def _names(self, letter: Letter, record: Record) -> bool:
        message = decoded(letter.topic, record.value, letter.message_type)
        return message is not None and any(name.startswith(self.identifier) for name in ids_in(message))


def key_text(key: bytes) -> str:
    """A key as text, the bytes that are none as \\xNN."""
    return key.decode(errors="backslashreplace")


def scan(bus: Bus, topics: Iterable[str] = READERS) -> Iterator[Record]:
    """The dead letters of these topics up to the present end, topic by topic, oldest first.

    A topic that has no dead letters yet is passed over.
    """
    for topic in topics:
        try:
            partitions = bus.partitions(topic + DEAD_LETTERS)
        except NotFound:
            continue
        yield from _read(bus, dict.fromkeys(partitions, 0))


def fetch(bus: Bus, wanted: Iterable[Position]) -> Iterator[Record]:
    """Those of the wanted letters that are still there, in the order of their places.

    Raises NotFound for a topic or partition that does not exist.
    """
    offsets: dict[Partition, set[int]] = {}
    for position in wanted:
        offsets.setdefault(position.partition, set()).add(position.offset)
    for partition in sorted(offsets):
        if partition not in bus.partitions(partition.topic):
            raise NotFound(f"there is no {partition}")
        left = offsets[partition]
        for record in _read(bus, {partition: min(left)}):
            if record.offset in left:
                yield record
                left.discard(record.offset)
            if not left or record.offset > max(left):
                break


def _read(bus: Bus, starts: Mapping[Partition, int]) -> Iterator[Record]:
    """Every record from there to the end of now; by position, since transactions leave gaps."""
    ends = bus.ends(starts)
    reader = bus.reader(starts, starts)
    try:
        while any(reader.position(partition) < end for partition, end in ends.items()):
            for record in reader.poll(_BATCH, _POLL_S):
                if record.offset < ends[record.partition]:
                    yield record
    finally:
        reader.close()
