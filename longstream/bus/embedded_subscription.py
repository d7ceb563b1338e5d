"""A member's share of a group in the embedded log: poll, commit in one transaction, heartbeat.

The commit is the act on which everything rests: `BEGIN IMMEDIATE`, check the lease's epoch and the previous
position of every partition, insert the outputs, move the positions, `COMMIT`. Crash points lie in each gap.
"""

from __future__ import annotations

import logging
import sqlite3
import threading
import time
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from longstream.bus import Output, Partition, Polled
from longstream.bus import embedded_group as groups
from longstream.bus.assignment import Watch
from longstream.bus.embedded_log import Catalog, append, bounds, fetch
from longstream.bus.embedded_store import Store, View
from longstream.errors import Corrupt, Fenced, InvalidInput, SuiteError
from longstream.faults import crash_point

LOG = logging.getLogger(__name__)
BEATS_PER_SESSION = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Log:
    """What subscriptions and readers share: the file, its partitions' numbers, seconds since 1970."""

    store: Store
    catalog: Catalog
    clock: Callable[[], float]


@dataclass(slots=True)
class _Held:
    """A partition in hand: its lease's epoch, the group's position as last known, and what is read next."""

    epoch: int
    committed: int | None
    next: int


class EmbeddedSubscription:
    """Implements `Subscription`; one thread polls, commits may come from others."""

    def __init__(
        self, log: Log, member: groups.Member, on_close: Callable[[EmbeddedSubscription], None]
    ) -> None:
        """Join the group. on_close: told once when this subscription has been closed."""
        self._log = log
        self._member = member
        self._on_close = on_close
        self._held: dict[Partition, _Held] = {}
        self._dropped: set[Partition] = set()
        self._paused: set[Partition] = set()
        self._turn = 0
        self._lock = threading.RLock()
        self._closing = threading.Event()
        self._join()
        self._beating = threading.Thread(target=self._beat, name=f"heartbeat-{member.name}", daemon=True)
        self._beating.start()

    def poll(self, max_records: int, timeout_s: float) -> Polled:
        """See `Subscription.poll`."""
        if max_records < 1:
            raise InvalidInput(f"max_records must be at least 1, not {max_records}", field="max_records")
        if self._closing.is_set():
            return Polled()
        deadline = time.monotonic() + timeout_s
        with self._log.store.view() as view:
            while not self._closing.is_set():
                version = view.version()
                with self._lock:
                    polled = self._change(view) or self._records(view, max_records)
                if polled is not None:
                    return polled
                if not view.wait_for_change(version, deadline, self._closing):
                    break
        return Polled()

    def pause(self, partitions: Iterable[Partition]) -> None:
        """See `Subscription.pause`."""
        with self._lock:
            self._paused.update(partitions)

    def resume(self, partitions: Iterable[Partition]) -> None:
        """See `Subscription.resume`."""
        with self._lock:
            self._paused.difference_update(partitions)

    def committed(self, partition: Partition) -> int:
        """See `Subscription.committed`."""
        with self._log.store.snapshot() as connection:
            number = self._log.catalog.id(connection, partition)
            position = groups.committed(connection, self._member.group, number)
            return bounds(connection, [number])[number].begins_at if position is None else position

    def behind(self) -> Mapping[Partition, int]:
        """See `Subscription.behind`."""
        # Without the lock, which a commit holds for as long as it waits for the file; a copy of a dict is one step.
        held = {} if self._closing.is_set() else self._held.copy()
        with self._log.store.snapshot() as connection:
            numbers = {partition: self._log.catalog.id(connection, partition) for partition in held}
            ends = bounds(connection, list(numbers.values()))
        return {p: max(0, ends[number].next - held[p].next) for p, number in numbers.items()}

    def commit(self, outputs: Sequence[Output], positions: Mapping[Partition, int]) -> None:
        """See `Subscription.commit`."""
        if not positions:
            raise InvalidInput(
                "a commit names at least one position, which proves ownership", field="positions"
            )
        with self._lock:
            crash_point("bus.commit.before")
            with self._log.store.write() as connection:
                crash_point("bus.commit.begun")
                numbers = {partition: self._log.catalog.id(connection, partition) for partition in positions}
                self._check(
                    groups.standings(connection, self._member.group, list(numbers.values())),
                    numbers,
                    positions,
                )
                append(connection, self._log.catalog, outputs, int(self._log.clock() * 1000))
                crash_point("bus.commit.outputs_written")
                groups.move(connection, self._member.group, {numbers[p]: at for p, at in positions.items()})
                crash_point("bus.commit.positions_moved")
            crash_point("bus.commit.after")
            for partition, offset in positions.items():
                self._held[partition].committed = offset

    def close(self) -> None:
        """See `Subscription.close`."""
        if self._closing.is_set():
            return
        self._closing.set()
        self._beating.join()
        try:
            with self._lock, self._log.store.write() as connection:
                groups.leave(connection, self._member)
        except SuiteError as error:
            LOG.warning("left group %s without telling: %s", self._member.group, error.message)
        finally:
            self._on_close(self)

    def _join(self, *, returning: bool = False) -> None:
        with self._log.store.write() as connection:
            for topic in self._member.topics:
                self._log.catalog.homes(connection, topic)
            crash_point("bus.join.begun")
            if not returning:
                groups.join(connection, self._member)
            elif not groups.rejoin(connection, self._member):
                raise self._replaced()
            crash_point("bus.join.shared_out")
        crash_point("bus.join.after")

    def _check(
        self,
        standings: Mapping[int, groups.Standing],
        numbers: Mapping[Partition, int],
        positions: Mapping[Partition, int],
    ) -> None:
        """Raise unless every position is in this member's lease and where the member knows it to be."""
        lost = []
        for partition, number in numbers.items():
            held, found = self._held.get(partition), standings.get(number)
            mine = (self._member.name, held.epoch, held.committed) if held else None
            if found is None or (found.owner, found.epoch, found.committed) != mine:
                lost.append(partition)
            else:
                groups.check_range(partition, found, positions[partition])
        if lost:
            self._drop(lost)
            raise Fenced(
                f"member {self._member.name} of group {self._member.group} does not own "
                f"{', '.join(map(str, sorted(lost)))} any more; drop that work and poll"
            )

    def _drop(self, lost: Iterable[Partition]) -> None:
        for partition in lost:
            self._paused.discard(partition)
            if self._held.pop(partition, None) is not None:
                self._dropped.add(partition)

    def _change(self, view: View) -> Polled | None:
        """What came or went since the last poll; losses first, since a partition may be both."""
        with view.snapshot() as connection:
            present = groups.incarnation_of(connection, self._member.group, self._member.name)
            leases = groups.leases_of(connection, self._member.group, self._member.name)
        if present is not None and present != self._member.incarnation:
            raise self._replaced()
        mine = {} if present is None else {p: lease for p, lease in leases.items() if not lease.leaving}
        self._drop([p for p, held in self._held.items() if p not in mine or mine[p].epoch != held.epoch])
        if present is None:
            self._rejoin()
        elif len(mine) < len(leases):
            with self._log.store.write() as writer:
                groups.release(writer, self._member)
        if self._dropped:
            lost, self._dropped = frozenset(self._dropped), set()
            return Polled(lost=lost)
        return self._gain(view, {p: lease for p, lease in mine.items() if p not in self._held})

    def _replaced(self) -> Fenced:
        return Fenced(
            f"another process has joined group {self._member.group} as {self._member.name}; stop this one"
        )

    def _rejoin(self) -> None:
        """Come back after having been put out for silence."""
        LOG.warning("%s is not a member of %s any more and joins anew", self._member.name, self._member.group)
        self._member = replace(self._member, incarnation=uuid.uuid4().hex)
        self._join(returning=True)

    def _gain(self, view: View, leases: Mapping[Partition, groups.Lease]) -> Polled | None:
        if not leases:
            return None
        with view.snapshot() as connection:
            gained = {p: self._take_up(connection, p, lease.epoch) for p, lease in leases.items()}
        self._held.update(gained)
        return Polled(gained=frozenset(gained))

    def _take_up(self, connection: sqlite3.Connection, partition: Partition, epoch: int) -> _Held:
        number = self._log.catalog.id(connection, partition)
        position = groups.committed(connection, self._member.group, number)
        begins_at, end = bounds(connection, [number])[number]
        if position is None:
            return _Held(epoch, None, begins_at)
        if not begins_at <= position <= end:
            raise Corrupt(
                f"group {self._member.group} has read {partition} up to {position}, but the log holds "
                f"{begins_at} to {end}: bring back the log that fits, or start anew under another group name"
            )
        return _Held(epoch, position, position)

    def _records(self, view: View, max_records: int) -> Polled | None:
        """Records of the partitions in hand; each poll begins with another one."""
        ready = [partition for partition in sorted(self._held) if partition not in self._paused]
        if not ready:
            return None
        self._turn = (self._turn + 1) % len(ready)
        turned = ready[self._turn :] + ready[: self._turn]
        with view.snapshot() as connection:
            fetched = fetch(
                connection, self._log.catalog, {p: self._held[p].next for p in turned}, max_records
            )
        for partition, offset in fetched.positions.items():
            self._held[partition].next = offset
        return Polled(records=fetched.records) if fetched.records else None

    def _beat(self) -> None:
        """Show life to the others and put out the silent, until the subscription is closed."""
        interval_s = self._member.session_s / BEATS_PER_SESSION
        watch = Watch(interval_s)
        while not self._closing.wait(interval_s):
            try:
                self._beat_once(watch)
            except SuiteError as error:
                # Whoever cannot write cannot be put out by others either: all write to the same file.
                LOG.warning("heartbeat of %s failed: %s", self._member.name, error.message)

    def _beat_once(self, watch: Watch) -> None:
        with self._log.store.write() as connection:
            groups.beat(connection, self._member)
            present = {beat.incarnation: beat for beat in groups.beats(connection, self._member.group)}
        counts = {incarnation: beat.raised for incarnation, beat in present.items()}
        silent = watch.look(counts, {incarnation: beat.session_s for incarnation, beat in present.items()})
        others = [present[incarnation] for incarnation in silent if incarnation != self._member.incarnation]
        if others:
            with self._log.store.write() as connection:
                groups.expel(connection, self._member.group, others)
