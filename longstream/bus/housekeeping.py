"""Keeping the embedded log small: compaction of "compact" topics, retention of "delete" topics.

What is removed is decided from facts that only ever become truer (a later record of the same key, a group's
position, an age), so a crash between two steps, or two processes at once, can do no harm. Each step is a
short transaction, so that writers wait milliseconds.
"""

from __future__ import annotations

import logging
import sqlite3
import threading
import uuid
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import NamedTuple

from longstream.bus.embedded_log import offset_of, place_of
from longstream.bus.embedded_store import Store
from longstream.errors import SuiteError
from longstream.faults import crash_point

LOG = logging.getLogger(__name__)
CHUNK = 1_000
"""Records removed in one transaction."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """When to keep house, and how long what is superseded stays."""

    every_s: float = 30.0
    """Between two rounds."""
    superseded_grace_s: float = 600.0
    """For which a superseded record stays: a reader that follows closely sees every state."""
    tombstone_grace_s: float = 86_400.0
    """For which a tombstone stays: a reader that began before it still learns of the removal."""
    dirty_ratio: float = 0.5
    """New records per kept one that make a partition worth reading again: about two reads per record."""
    rescan_s: float = 3_600.0
    """After which a partition with anything left to remove is read again in any case."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Housekept:
    """Records removed by one round."""

    compacted: int = 0
    expired: int = 0


def housekeep(store: Store, policy: Policy, now_s: float) -> Housekept:
    """One round over all partitions. now_s: seconds since 1970."""
    with store.snapshot() as connection:
        partitions = connection.execute(
            "SELECT partition_id, cleanup FROM partitions JOIN topics USING (topic_id)"
        ).fetchall()
    compacted = sum(
        _compact(store, policy, now_s, number) for number, cleanup in partitions if cleanup == "compact"
    )
    expired = sum(_expire(store, now_s, number) for number, cleanup in partitions if cleanup == "delete")
    return Housekept(compacted=compacted, expired=expired)


def _expire(store: Store, now_s: float, partition_id: int) -> int:
    """Drop the log's beginning: what is older than the topic's retention and read by every group."""
    removed = 0
    while True:
        with store.snapshot() as connection:
            if _expired(connection, partition_id, now_s) is None:
                return removed
        with store.write() as connection:
            upto = _expired(connection, partition_id, now_s)
            if upto is None:
                return removed
            removed += connection.execute(
                "DELETE FROM records WHERE place >= ? AND place < ?", (place_of(partition_id, 0), upto)
            ).rowcount
            crash_point("bus.expire.deleted")
            connection.execute(
                "UPDATE partitions SET begins_at = ? WHERE partition_id = ?", (offset_of(upto), partition_id)
            )


def _expired(connection: sqlite3.Connection, partition_id: int, now_s: float) -> int | None:
    """Place up to which records may go, at most a chunk; None if none may."""
    begins_at, floor, retention_s = connection.execute(
        "SELECT begins_at, min(CASE WHEN leases.consumers IS NULL THEN partitions.next "
        "ELSE coalesce(positions.next, begins_at) END), retention_s "
        "FROM partitions JOIN topics USING (topic_id) LEFT JOIN leases USING (partition_id) "
        "LEFT JOIN positions USING (consumers, partition_id) WHERE partition_id = ?",
        (partition_id,),
    ).fetchone()
    oldest = connection.execute(
        "SELECT place, timestamp_ms FROM records WHERE place >= ? AND place < ? ORDER BY place LIMIT ?",
        (place_of(partition_id, begins_at), place_of(partition_id, floor), CHUNK),
    )
    upto = None
    for place, timestamp_ms in oldest:
        if timestamp_ms / 1000 + retention_s > now_s:
            break
        upto = place + 1
    return upto


def _compact(store: Store, policy: Policy, now_s: float, partition_id: int) -> int:
    """Remove what a later record of the same key has replaced, and old tombstones."""
    with store.snapshot() as connection:
        if not _worth_reading(connection, policy, now_s, partition_id):
            return 0
        end = connection.execute(
            "SELECT next FROM partitions WHERE partition_id = ?", (partition_id,)
        ).fetchone()[0]
    tally = _Tally()
    removed = 0
    with store.snapshot() as connection:
        doomed = _doomed(_by_key(connection, partition_id, end), policy, now_s, tally)
        while chunk := [(place,) for place in islice(doomed, CHUNK)]:
            with store.write() as writer:
                removed += writer.executemany("DELETE FROM records WHERE place = ?", chunk).rowcount
                crash_point("bus.compact.deleted")
    with store.write() as writer:
        writer.execute(
            "INSERT OR REPLACE INTO compactions VALUES (?, ?, ?, ?, ?)",
            (partition_id, end, tally.kept, tally.waiting, int(now_s * 1000)),
        )
    return removed


def _worth_reading(connection: sqlite3.Connection, policy: Policy, now_s: float, partition_id: int) -> bool:
    end, cleaned_to, kept, waiting, scanned_ms = connection.execute(
        "SELECT next, coalesce(cleaned_to, 0), coalesce(kept, 0), coalesce(waiting, 0), "
        "coalesce(scanned_ms, 0) FROM partitions LEFT JOIN compactions USING (partition_id) "
        "WHERE partition_id = ?",
        (partition_id,),
    ).fetchone()
    dirty: int = end - cleaned_to
    overdue = now_s * 1000 >= scanned_ms + policy.rescan_s * 1000
    return bool(dirty > policy.dirty_ratio * kept or (overdue and dirty + waiting > 0))


@dataclass(slots=True)
class _Tally:
    """Records that stay after a round, and those among them that wait for their grace to end."""

    kept: int = 0
    waiting: int = 0


class _Entry(NamedTuple):
    """A record without its body."""

    place: int
    key: bytes
    timestamp_ms: int
    tombstone: bool


def _by_key(connection: sqlite3.Connection, partition_id: int, end: int) -> Iterator[_Entry]:
    """A partition's records sorted by key and offset; SQLite sorts, and spills to disk if it must."""
    rows = connection.execute(
        "SELECT place, key, timestamp_ms, value IS NULL FROM records WHERE place >= ? AND place < ? "
        "ORDER BY key, place",
        (place_of(partition_id, 0), place_of(partition_id, end)),
    )
    return (_Entry(place, key, at_ms, bool(tombstone)) for place, key, at_ms, tombstone in rows)


def _doomed(entries: Iterable[_Entry], policy: Policy, now_s: float, tally: _Tally) -> Iterator[int]:
    """Places to remove. A tombstone goes only after all that it covers, so a crash never revives a value."""
    covers_something = False
    for entry, later in _with_next(entries):
        superseded = later is not None and later.key == entry.key
        if later is not None and superseded:
            due = later.timestamp_ms / 1000 + policy.superseded_grace_s <= now_s
        else:
            old = entry.timestamp_ms / 1000 + policy.tombstone_grace_s <= now_s
            due = entry.tombstone and old and not covers_something
        if due:
            yield entry.place
        else:
            tally.kept += 1
            tally.waiting += superseded or entry.tombstone
        covers_something = superseded and (covers_something or not due)


def _with_next(entries: Iterable[_Entry]) -> Iterator[tuple[_Entry, _Entry | None]]:
    coming = iter(entries)
    entry = next(coming, None)
    while entry is not None:
        following = next(coming, None)
        yield entry, following
        entry = following


class Housekeeper:
    """A thread that keeps house; of several processes one does the work at a time."""

    def __init__(self, store: Store, policy: Policy, clock: Callable[[], float]) -> None:
        """clock: seconds since 1970."""
        self._store = store
        self._policy = policy
        self._clock = clock
        self._name = uuid.uuid4().hex
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="housekeeping", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End after the round in hand."""
        self._closing.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._closing.wait(self._policy.every_s):
            try:
                if self._is_ours():
                    done = housekeep(self._store, self._policy, self._clock())
                    if done != Housekept():
                        LOG.info("removed %d superseded and %d expired records", done.compacted, done.expired)
            except SuiteError as error:
                LOG.warning("housekeeping failed and is tried again later: %s", error.message)

    def _is_ours(self) -> bool:
        """Take or keep the one lease on the work; one of the far future is a clock's step, and void."""
        now_ms, long_ms = int(self._clock() * 1000), int(self._policy.every_s * 3000)
        with self._store.write() as connection:
            return (
                connection.execute(
                    "INSERT INTO chores VALUES ('housekeeping', ?1, ?2 + ?3) ON CONFLICT (name) DO UPDATE "
                    "SET holder = ?1, until_ms = ?2 + ?3 "
                    "WHERE holder = ?1 OR until_ms < ?2 OR until_ms > ?2 + 2 * ?3",
                    (self._name, now_ms, long_ms),
                ).rowcount
                == 1
            )
