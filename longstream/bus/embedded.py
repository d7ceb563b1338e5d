"""The embedded log: a bus in one SQLite file, for the processes and threads of one machine, no broker.

See docs/decisions/0006-embedded-log.md for why it is built so.
"""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Self

from longstream.bus import Output, Partition, Position, Record, Topic, TopicChange
from longstream.bus import embedded_group as groups
from longstream.bus.embedded_log import Catalog, append, bounds, create_topics, fetch, topic_changes
from longstream.bus.embedded_store import Store, View
from longstream.bus.embedded_subscription import EmbeddedSubscription, Log
from longstream.bus.housekeeping import Housekeeper, Housekept, Policy, housekeep
from longstream.errors import InvalidInput
from longstream.faults import crash_point


class EmbeddedBus:
    """Implements `Bus` on one SQLite file. Any thread may call any method; not to be used across a fork."""

    def __init__(
        self,
        path: Path,
        *,
        session_timeout_s: float = 10.0,
        housekeeping: bool = False,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Open or create the log.

        session_timeout_s: silence after which a group puts a member out. housekeeping: keep house from this
        process. clock: seconds since 1970, for records' timestamps and the age of what is cleaned up; nothing
        else uses it.
        Raises Corrupt, Refused, StorageFull or Unavailable if the file cannot be used.
        """
        if session_timeout_s <= 0:
            raise InvalidInput("session_timeout_s must be above 0", field="session_timeout_s")
        self._log = Log(store=Store(path), catalog=Catalog(), clock=clock)
        self._session_s = session_timeout_s
        self._lock = threading.Lock()
        self._open: set[EmbeddedSubscription] = set()
        self._housekeeper = Housekeeper(self._log.store, Policy(), clock) if housekeeping else None

    def create_topics(self, topics: Iterable[Topic]) -> None:
        """See `Bus.create_topics`."""
        with self._log.store.write() as connection:
            create_topics(connection, topics)

    def topic_changes(self, topics: Iterable[Topic]) -> list[TopicChange]:
        """See `Bus.topic_changes`."""
        with self._log.store.snapshot() as connection:
            return topic_changes(connection, topics)

    def prepare_topics(self, topics: Iterable[Topic]) -> None:
        """See `Bus.prepare_topics`."""
        self.create_topics(topics)

    def partitions(self, topic: str) -> tuple[Partition, ...]:
        """See `Bus.partitions`."""
        with self._log.store.snapshot() as connection:
            return tuple(home.partition for home in self._log.catalog.homes(connection, topic))

    def publish(self, outputs: Sequence[Output]) -> list[Position]:
        """See `Bus.publish`."""
        crash_point("bus.publish.before")
        with self._log.store.write() as connection:
            written = append(connection, self._log.catalog, outputs, int(self._log.clock() * 1000))
            crash_point("bus.publish.written")
        crash_point("bus.publish.after")
        return written

    def subscribe(self, group: str, topics: Sequence[str], member: str) -> EmbeddedSubscription:
        """See `Bus.subscribe`."""
        if not (group and topics and member):
            raise InvalidInput("a subscription needs a group, at least one topic and the member's name")
        life = groups.Member(
            group=group,
            name=member,
            incarnation=uuid.uuid4().hex,
            topics=tuple(topics),
            session_s=self._session_s,
        )
        subscription = EmbeddedSubscription(self._log, life, self._forget)
        with self._lock:
            self._open.add(subscription)
        return subscription

    def reader(
        self, partitions: Iterable[Partition], start: Mapping[Partition, int] | None = None
    ) -> EmbeddedReader:
        """See `Bus.reader`."""
        return EmbeddedReader(self._log, tuple(partitions), start or {})

    def ends(self, partitions: Iterable[Partition]) -> dict[Partition, int]:
        """See `Bus.ends`."""
        with self._log.store.snapshot() as connection:
            ids = {partition: self._log.catalog.id(connection, partition) for partition in partitions}
            found = bounds(connection, list(ids.values()))
        return {partition: found[number].next for partition, number in ids.items()}

    def committed(self, group: str, partition: Partition) -> int | None:
        """See `Bus.committed`."""
        with self._log.store.snapshot() as connection:
            return groups.committed(connection, group, self._log.catalog.id(connection, partition))

    def housekeep(self, now_s: float, policy: Policy | None = None) -> Housekept:
        """Compact topics and drop expired records now, as the thread of a housekeeping bus does by itself.

        now_s: seconds since 1970, against which ages are taken.
        """
        return housekeep(self._log.store, policy or Policy(), now_s)

    def close(self) -> None:
        """See `Bus.close`."""
        if self._housekeeper is not None:
            self._housekeeper.close()
        with self._lock:
            subscriptions = list(self._open)
        for subscription in subscriptions:
            subscription.close()
        self._log.store.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def _forget(self, subscription: EmbeddedSubscription) -> None:
        with self._lock:
            self._open.discard(subscription)


class EmbeddedReader:
    """Implements `Reader`; used by one thread at a time."""

    def __init__(self, log: Log, partitions: Sequence[Partition], start: Mapping[Partition, int]) -> None:
        """Begin at `start`, or at a partition's beginning. Raises NotFound for an unknown partition."""
        self._log = log
        self._closing = threading.Event()
        self._turn = 0
        with log.store.snapshot() as connection:
            ids = {partition: log.catalog.id(connection, partition) for partition in partitions}
            found = bounds(connection, list(ids.values()))
        self._next = {p: max(start.get(p, 0), found[number].begins_at) for p, number in ids.items()}

    def poll(self, max_records: int, timeout_s: float) -> list[Record]:
        """See `Reader.poll`."""
        if max_records < 1:
            raise InvalidInput(f"max_records must be at least 1, not {max_records}", field="max_records")
        deadline = time.monotonic() + timeout_s
        with self._log.store.view() as view:
            while not self._closing.is_set():
                version = view.version()
                records = self._fetch(view, max_records)
                if records or not view.wait_for_change(version, deadline, self._closing):
                    return records
        return []

    def position(self, partition: Partition) -> int:
        """See `Reader.position`."""
        return self._next[partition]

    def close(self) -> None:
        """See `Reader.close`."""
        self._closing.set()

    def _fetch(self, view: View, max_records: int) -> list[Record]:
        order = list(self._next)
        self._turn = (self._turn + 1) % max(1, len(order))
        turned = order[self._turn :] + order[: self._turn]
        with view.snapshot() as connection:
            fetched = fetch(connection, self._log.catalog, {p: self._next[p] for p in turned}, max_records)
        self._next.update(fetched.positions)
        return fetched.records
