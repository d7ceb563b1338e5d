"""The bus: topics of records, and one act that writes outputs and input positions together.

The contract that every bus keeps (tests/longstream/bus/test_bus_contract.py runs the same facts against
each):

- `commit(outputs, positions)` is all or nothing, also under kill -9: either every output can be read and
  every position has moved, or neither. Readers never see an output of a commit that did not finish.
- A commit by a worker that has lost one of the partitions raises `Fenced` and writes nothing. Work of the
  lost partition is dropped; the next poll names it. Work of the others may be committed again without a new
  poll.
- Records of a partition keep their order; an offset is never used twice; a compacted topic keeps at least the
  last record of each key.
- A group's partitions are shared out among its live members; a member that returns under its old name takes
  its former place at once and shuts its older self out.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, Protocol, Self

from longstream.errors import SuiteError

Headers = tuple[tuple[str, bytes], ...]

MAX_RECORD_BYTES = 1024 * 1024
"""Key, value and headers of one record together; a larger body goes to storage, by address."""


@dataclass(frozen=True, slots=True, order=True)
class Partition:
    """One ordered log of a topic."""

    topic: str
    index: int

    def __str__(self) -> str:
        return f"{self.topic}/{self.index}"


@dataclass(frozen=True, slots=True)
class Position:
    """A place in a partition: the offset of a record, or of the next one to come."""

    partition: Partition
    offset: int


class Record(NamedTuple):
    """What a reader gets: raw bytes, parsed by the handler and by nobody before it."""

    # A named tuple, as Output is: every record of every worker is made and passed on, and a frozen dataclass takes
    # two to three times as long to make.

    partition: Partition
    offset: int
    key: bytes
    value: bytes | None
    headers: Headers
    timestamp_ms: int
    fault: SuiteError | None = None
    """Why the value could not be brought from storage; then it is not what was written, and must not be parsed."""

    def header(self, name: str) -> bytes | None:
        """The first header of that name, or None."""
        for key, value in self.headers:
            if key == name:
                return value
        return None


class Output(NamedTuple):
    """A record to be written. partition None: by the key's murmur2 hash, as every Kafka client chooses."""

    topic: str
    key: bytes
    value: bytes | None
    partition: int | None = None
    headers: Headers = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Polled:
    """One answer of `Subscription.poll`. While gained or lost name a partition, records is empty.

    gained: partitions this member owns from now on; restore their state before the next poll.
    lost: partitions it owns no longer; drop their work, it cannot be committed.
    """

    records: Sequence[Record] = ()
    gained: frozenset[Partition] = frozenset()
    lost: frozenset[Partition] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Topic:
    """A topic as code. cleanup "compact" keeps each key's last record; "delete" drops after retention_s."""

    name: str
    partitions: int
    cleanup: Literal["compact", "delete"]
    retention_s: float = 7 * 86_400.0
    read_by: str = ""
    """Group that must have read a record before it is dropped, however old it is; empty: age alone decides."""
    state: str = ""
    """Topic that the commits of `read_by` write to. Where it holds records, that group has been here."""
    state_by_number: bool = True
    """Whether what is committed for a partition goes to the state's partition of the same number; else to any."""
    copies: int = 0
    """Of each partition on a cluster's brokers; 0: three, or as many as there are brokers. The embedded log has one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TopicChange:
    """What `create_topics` would do to a topic, or why it refuses. "note": what it leaves to people."""

    topic: str
    kind: Literal["create", "alter", "note", "refuse"]
    text: str


class Subscription(Protocol):
    """A member's share of a consumer group."""

    def poll(self, max_records: int, timeout_s: float) -> Polled:
        """Next records in offset order per partition, or a change of ownership; empty after timeout_s.

        Records already handed out do not come again, committed or not, until the partition is gained anew.
        max_records: at least 1, shared evenly by the partitions that have records. A new group starts at the
        log's beginning. To be called often enough that others need not wait for a partition they are to get;
        a long handler does not end the membership.
        Raises Corrupt if a committed position lies outside the log, or was lost by a cluster that forgets them,
        Fenced if a newer self has taken the member's name: then this one must stop.
        """

    def pause(self, partitions: Iterable[Partition]) -> None:
        """Keep the partitions but hand out none of their records until `resume` or until gained anew."""

    def resume(self, partitions: Iterable[Partition]) -> None:
        """Hand out the partitions' records again."""

    def committed(self, partition: Partition) -> int:
        """Offset of the first record not yet committed by the group; the log's start for a new group."""

    def behind(self) -> Mapping[Partition, int]:
        """How far the log of each partition in hand reaches beyond what was handed out, in offsets.

        0 if all was handed out; otherwise at least the number of records that were not, since gaps are counted until
        they are passed over (what compaction took away, what ends a transaction), as is what is just being written.
        A paused partition's number grows as well. Any thread may ask at any time: the answer is at most about two
        seconds old and waits neither for a commit nor for a broker. Empty once closed.
        Raises Unavailable if a log in this process's own file cannot be read.
        """

    def commit(self, outputs: Sequence[Output], positions: Mapping[Partition, int]) -> None:
        """Write outputs and the next offsets to read, all of it or none.

        At least one position is given, and it may repeat the present one: an act that no record caused still
        proves its ownership so. outputs may be empty.
        Raises Fenced if one of the partitions is not this member's any more, or if its position moved under
        it; InvalidInput for a position that goes back or beyond the log's end, TooLarge for a record over
        MAX_RECORD_BYTES, NotFound for an unknown topic; StorageFull if there is no space; Unavailable if the
        log cannot be reached. After each of them nothing was written.
        """

    def close(self) -> None:
        """Leave the group at once, so that others need not wait for a time-out."""


class Reader(Protocol):
    """Reads partitions for itself, outside any group; sees committed records only."""

    def poll(self, max_records: int, timeout_s: float) -> list[Record]:
        """Next records; empty after timeout_s."""

    def position(self, partition: Partition) -> int:
        """Offset up to which everything has been handed out (gaps left by compaction included)."""

    def close(self) -> None:
        """Free what the reader holds."""


class Bus(Protocol):
    """A log of topics."""

    def create_topics(self, topics: Iterable[Topic]) -> None:
        """Create what is missing; a new retention is taken over. Safe to run again.

        Raises Refused, having changed nothing, if a topic exists with another number of partitions or another
        clean-up: keys and kept state would no longer be found.
        """

    def topic_changes(self, topics: Iterable[Topic]) -> list[TopicChange]:
        """What `create_topics` would do, in the order of the topics; empty if all is as it should be."""

    def prepare_topics(self, topics: Iterable[Topic]) -> None:
        """At a program's start: a log of our own gets what is missing, by `create_topics`. A cluster is somebody's
        to administer (`longstream topics apply`): there a missing topic is Unavailable and one with other
        partitions Refused.
        """

    def partitions(self, topic: str) -> tuple[Partition, ...]:
        """The topic's partitions in order. Raises NotFound for a topic that was never created."""

    def publish(self, outputs: Sequence[Output]) -> list[Position]:
        """Write outputs in one act that no input caused; durable when it returns. Raises as `commit` does.

        Only Unavailable may, over a broker, mean that the outcome is not known: the outputs carry ids.
        """

    def subscribe(self, group: str, topics: Sequence[str], member: str) -> Subscription:
        """Join the group under a name that stays after a restart. Raises NotFound for an unknown topic."""

    def reader(self, partitions: Iterable[Partition], start: Mapping[Partition, int] | None = None) -> Reader:
        """Read from the given offsets; a partition without one is read from its beginning.

        An offset below the log's start reads from the start.
        """

    def ends(self, partitions: Iterable[Partition]) -> dict[Partition, int]:
        """For each partition the offset that the next record will get."""

    def committed(self, group: str, partition: Partition) -> int | None:
        """The group's committed offset, or None if it has never committed there."""

    def close(self) -> None:
        """Leave all groups and close every connection of this bus."""

    def __enter__(self) -> Self:
        """The bus itself, closed at the end of the block."""

    def __exit__(self, *exc_info: object) -> None:
        """Close."""
