"""A bus that takes values of any size: large ones go to storage and come back whole, on whichever log it stands.

While the storage is away, what was taken from the log waits here and is tried again with the next poll: nothing is
skipped, other partitions go on, and so does the membership. How much lies in memory is bounded: a reader gets so many
bytes of bodies at once, a subscription so many that are not committed.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from typing import Self

from longstream.bodies import ABOVE_BYTES, Bodies, body_bytes
from longstream.bus import (
    Bus,
    Output,
    Partition,
    Polled,
    Position,
    Reader,
    Record,
    Subscription,
    Topic,
    TopicChange,
)
from longstream.errors import SuiteError
from longstream.storage import Storage

IN_HAND_BYTES = 64 * 1024 * 1024
"""Bodies in memory at once per subscription or reader; one that is larger comes alone."""


class BodiesBus:
    """Implements `Bus` over another one."""

    def __init__(
        self,
        log: Bus,
        storage: Storage,
        *,
        above_bytes: int = ABOVE_BYTES,
        in_hand_bytes: int = IN_HAND_BYTES,
    ) -> None:
        """log: closed with this bus; storage: left open. above_bytes: a longer value goes to storage."""
        self.log = log
        self._bodies = Bodies(storage, above_bytes)
        self._in_hand_bytes = in_hand_bytes

    def create_topics(self, topics: Iterable[Topic]) -> None:
        """See `Bus.create_topics`."""
        self.log.create_topics(topics)

    def topic_changes(self, topics: Iterable[Topic]) -> list[TopicChange]:
        """See `Bus.topic_changes`."""
        return self.log.topic_changes(topics)

    def prepare_topics(self, topics: Iterable[Topic]) -> None:
        """See `Bus.prepare_topics`."""
        self.log.prepare_topics(topics)

    def partitions(self, topic: str) -> tuple[Partition, ...]:
        """See `Bus.partitions`."""
        return self.log.partitions(topic)

    def publish(self, outputs: Sequence[Output]) -> list[Position]:
        """See `Bus.publish`. Also raises StorageFull and Unavailable for the storage, with nothing written."""
        return self.log.publish(self._bodies.sent_ahead(outputs))

    def subscribe(self, group: str, topics: Sequence[str], member: str) -> BodiesSubscription:
        """See `Bus.subscribe`."""
        inner = self.log.subscribe(group, topics, member)
        return BodiesSubscription(inner, self._bodies, self._in_hand_bytes)

    def reader(
        self, partitions: Iterable[Partition], start: Mapping[Partition, int] | None = None
    ) -> BodiesReader:
        """See `Bus.reader`."""
        return BodiesReader(self.log.reader(partitions, start), self._bodies, self._in_hand_bytes)

    def ends(self, partitions: Iterable[Partition]) -> dict[Partition, int]:
        """See `Bus.ends`."""
        return self.log.ends(partitions)

    def committed(self, group: str, partition: Partition) -> int | None:
        """See `Bus.committed`."""
        return self.log.committed(group, partition)

    def close(self) -> None:
        """See `Bus.close`."""
        self.log.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()


class BodiesSubscription:
    """Implements `Subscription`. A partition whose records wait here is held back in the log meanwhile."""

    def __init__(self, inner: Subscription, bodies: Bodies, in_hand_bytes: int) -> None:
        self._inner = inner
        self._bodies = bodies
        self._in_hand = _InHand(in_hand_bytes)
        self._waiting: dict[Partition, deque[Record]] = {}
        self._spans: dict[Partition, int] = {}
        self._paused: set[Partition] = set()
        self._held_back: set[Partition] = set()
        self._closed = False

    def poll(self, max_records: int, timeout_s: float) -> Polled:
        """See `Subscription.poll`. Raises Unavailable if there is nothing else and the storage is away."""
        self._hold_back()
        polled = self._inner.poll(max_records, 0.0 if self._ready() else timeout_s)
        for partition in polled.gained | polled.lost:
            self._forget(partition)
        for record in polled.records:
            self._waiting.setdefault(record.partition, deque()).append(record)
        try:
            changed = polled.gained or polled.lost
            records = () if changed or self._closed else self._take(max_records)
        finally:
            self._spans = {p: queue[-1].offset + 1 - queue[0].offset for p, queue in self._waiting.items()}
        return Polled(records=records or (), gained=polled.gained, lost=polled.lost)

    def pause(self, partitions: Iterable[Partition]) -> None:
        """See `Subscription.pause`."""
        partitions = tuple(partitions)
        self._paused.update(partitions)
        self._inner.pause(partitions)

    def resume(self, partitions: Iterable[Partition]) -> None:
        """See `Subscription.resume`."""
        partitions = tuple(partitions)
        self._paused.difference_update(partitions)
        self._inner.resume(partition for partition in partitions if partition not in self._held_back)

    def committed(self, partition: Partition) -> int:
        """See `Subscription.committed`."""
        return self._inner.committed(partition)

    def behind(self) -> Mapping[Partition, int]:
        """See `Subscription.behind`."""
        waiting = self._spans
        return {p: count + waiting.get(p, 0) for p, count in self._inner.behind().items()}

    def commit(self, outputs: Sequence[Output], positions: Mapping[Partition, int]) -> None:
        """See `Subscription.commit`. Also raises StorageFull and Unavailable for the storage, with nothing written."""
        self._inner.commit(self._bodies.sent_ahead(outputs), positions)
        self._in_hand.committed(positions)

    def close(self) -> None:
        """See `Subscription.close`. Another thread may be polling."""
        self._closed = True
        self._inner.close()

    def _hold_back(self) -> None:
        waiting = set(self._waiting)
        self._inner.pause(waiting - self._held_back)
        self._inner.resume(self._held_back - waiting - self._paused)
        self._held_back = waiting

    def _forget(self, partition: Partition) -> None:
        """It was lost, or begins anew: what waited comes again to whoever owns it."""
        self._waiting.pop(partition, None)
        self._held_back.discard(partition)
        self._paused.discard(partition)
        self._in_hand.forget(partition)

    def _ready(self) -> list[Partition]:
        """Partitions whose next record waits here and may be handed out."""
        return [
            partition
            for partition, queue in self._waiting.items()
            if partition not in self._paused and self._in_hand.has_room(body_bytes(queue[0]))
        ]

    def _take(self, max_records: int) -> list[Record]:
        """Records that wait, in turn from each partition; raises what the storage raised if there are none."""
        records: list[Record] = []
        away: SuiteError | None = None
        turns = deque(self._ready())
        while turns and len(records) < max_records:
            partition = turns.popleft()
            queue = self._waiting.pop(partition)
            self._waiting[partition] = queue  # last in line for the next poll
            size = body_bytes(queue[0])
            if size and (away is not None or not self._in_hand.has_room(size)):
                continue
            try:
                record = self._bodies.whole(queue[0])
            except SuiteError as error:
                if not error.retryable:
                    raise
                away = error
                continue
            queue.popleft()
            self._in_hand.add(record, size)
            records.append(record)
            if queue:
                turns.append(partition)
            else:
                del self._waiting[partition]
        if away is not None and not records:
            raise away
        return records


class BodiesReader:
    """Implements `Reader`."""

    def __init__(self, inner: Reader, bodies: Bodies, poll_bytes: int) -> None:
        self._inner = inner
        self._bodies = bodies
        self._poll_bytes = poll_bytes
        self._waiting: deque[Record] = deque()

    def poll(self, max_records: int, timeout_s: float) -> list[Record]:
        """See `Reader.poll`. Raises Unavailable while the storage is away; the next poll goes on from there."""
        if not self._waiting:
            self._waiting.extend(self._inner.poll(max_records, timeout_s))
        records: list[Record] = []
        room = self._poll_bytes
        while self._waiting and len(records) < max_records:
            size = body_bytes(self._waiting[0])
            if records and size > room:
                break
            try:
                records.append(self._bodies.whole(self._waiting[0]))
            except SuiteError as error:
                if not error.retryable or not records:
                    raise
                break
            self._waiting.popleft()
            room -= size
        return records

    def position(self, partition: Partition) -> int:
        """See `Reader.position`."""
        waiting = (record.offset for record in self._waiting if record.partition == partition)
        return next(waiting, self._inner.position(partition))

    def close(self) -> None:
        """See `Reader.close`."""
        self._waiting.clear()
        self._inner.close()


class _InHand:
    """Bytes of bodies that were handed out and are not committed. Commits may come from another thread."""

    def __init__(self, limit_bytes: int) -> None:
        self._limit_bytes = limit_bytes
        self._lock = threading.Lock()
        self._sizes: dict[Partition, deque[tuple[int, int]]] = {}
        self._bytes = 0

    def has_room(self, size: int) -> bool:
        """Whether so much more may be handed out; always if nothing is in hand, so that all goes on."""
        with self._lock:
            return not size or not self._bytes or self._bytes + size <= self._limit_bytes

    def add(self, record: Record, size: int) -> None:
        """It was handed out."""
        if size:
            with self._lock:
                self._sizes.setdefault(record.partition, deque()).append((record.offset, size))
                self._bytes += size

    def committed(self, positions: Mapping[Partition, int]) -> None:
        """What lies before these offsets is done with."""
        with self._lock:
            for partition, position in positions.items():
                sizes = self._sizes.get(partition, deque())
                while sizes and sizes[0][0] < position:
                    self._bytes -= sizes.popleft()[1]

    def forget(self, partition: Partition) -> None:
        """It is another's now, or begins anew."""
        with self._lock:
            self._bytes -= sum(size for _, size in self._sizes.pop(partition, ()))
