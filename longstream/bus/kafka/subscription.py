"""A member's share of a Kafka group: cooperative, static, fenced by the group's own metadata.

Ownership is what `poll` has told and the group has not taken back. A commit takes the group metadata first and looks at
ownership second: if the partition was handed on meanwhile, either the look finds it gone or the broker finds the
metadata old. A thread keeps the membership alive while the caller is busy, with everything paused.
"""

from __future__ import annotations

import logging
import threading
import time
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from kafka import TopicPartition
from kafka import errors as kafka_errors

from longstream.bus import Output, Partition, Polled
from longstream.bus.kafka.assignor import SameNumberAssignor
from longstream.bus.kafka.backlog import Backlog
from longstream.bus.kafka.membership import Membership
from longstream.bus.kafka.ownership import Ownership
from longstream.bus.kafka.parked import hand_back, take_back_parked
from longstream.bus.kafka.positions import committed_now, position_or_beginning
from longstream.bus.kafka.refusal import Refusal
from longstream.bus.kafka.roll import present_member_id, strike_off
from longstream.bus.kafka.rollcall import RollCall
from longstream.bus.kafka.start import Beginning, start_of
from longstream.bus.kafka.transactions import OUTBID, REPLACED, STALE, Offsets, Transactions, Undecided
from longstream.bus.kafka.wire import (
    CALL_TIMEOUT_S,
    Cluster,
    partition_of,
    records_of,
    topic_partition,
    translated,
)
from longstream.errors import Corrupt, Fenced, InvalidInput, SuiteError, Unavailable
from longstream.faults import crash_point

_log = logging.getLogger(__name__)
_IDLE_S = 0.3
_STEP_S = 0.2
_CLOSE_MS = 5_000
_BEATS_PER_SESSION = 5
_REBALANCE_S = 60.0
_REJOIN_S = 2 * _REBALANCE_S
_CALL_MS = int(CALL_TIMEOUT_S * 1000)
_RESOLVE_EVERY_S = 0.5


class KafkaSubscription:
    """Implements `Subscription`; one thread polls, commits may come from others."""

    def __init__(
        self,
        cluster: Cluster,
        membership: Membership,
        check: Callable[[Sequence[Output]], list[Output]],
        on_close: Callable[[KafkaSubscription], None],
    ) -> None:
        """Join the group with the first poll. check: raises for outputs that cannot be written, else completes them."""
        self._cluster = cluster
        self._who = membership
        self._check = check
        self._on_close = on_close
        self._lock = threading.RLock()
        self._closing = threading.Event()
        self._paused: set[Partition] = set()
        self._replaced = False
        self._refusal: Refusal | None = None
        self._roll_call = RollCall(cluster, membership)
        self._polled_at = time.monotonic()
        self._ownership = Ownership()
        # Two slots of one name shut each other out, as two members do.
        self._transactions = Transactions(cluster, f"{membership.group}/{membership.member}")
        self._assignor = SameNumberAssignor(membership.topics)
        self._consumer = cluster.consumer(
            group_id=membership.group,
            group_instance_id=membership.member,
            partition_assignment_strategy=[self._assignor],
            auto_offset_reset="none",  # a position outside the log is an error, not a reason to skip or repeat
            session_timeout_ms=int(membership.session_s * 1000),
            heartbeat_interval_ms=max(1, int(membership.session_s * 1000 / _BEATS_PER_SESSION)),
            max_poll_interval_ms=max(int(_REBALANCE_S * 1000), int(membership.session_s * 1000)),
        )
        self._backlog = Backlog(self._consumer)
        self._consumer.subscribe(topics=list(membership.topics), listener=self._ownership)
        self._keeper = threading.Thread(target=self._keep, name=f"member-{membership.member}", daemon=True)
        self._keeper.start()

    def poll(self, max_records: int, timeout_s: float) -> Polled:
        """See `Subscription.poll`."""
        if max_records < 1:
            raise InvalidInput(f"max_records must be at least 1, not {max_records}", field="max_records")
        deadline = time.monotonic() + timeout_s
        while not self._closing.is_set():
            with self._lock:
                self._polled_at = time.monotonic()
                polled = self._step(max_records, min(_STEP_S, max(0.0, deadline - time.monotonic())))
                self._polled_at = time.monotonic()
            if polled is not None:
                return polled
            if time.monotonic() >= deadline:
                break
        return Polled()

    def pause(self, partitions: Iterable[Partition]) -> None:
        """See `Subscription.pause`."""
        with self._lock:
            self._paused.update(partitions)
            self._apply_pauses()

    def resume(self, partitions: Iterable[Partition]) -> None:
        """See `Subscription.resume`."""
        with self._lock:
            self._paused.difference_update(partitions)
            self._apply_pauses()

    def committed(self, partition: Partition) -> int:
        """See `Subscription.committed`."""
        position = self._ownership.held().get(partition)
        if position is not None:
            return position
        with self._lock, translated():
            return position_or_beginning(self._consumer, topic_partition(partition))

    def behind(self) -> Mapping[Partition, int]:
        """See `Subscription.behind`."""
        return {} if self._closing.is_set() else self._backlog.behind(self._ownership.held())

    def commit(self, outputs: Sequence[Output], positions: Mapping[Partition, int]) -> None:
        """See `Subscription.commit`."""
        if not positions:
            raise InvalidInput(
                "a commit names at least one position, which proves ownership", field="positions"
            )
        with self._lock:
            crash_point("kafka.commit.before")
            metadata = self._consumer.group_metadata()  # first; see the module's docstring
            self._check_positions(positions)
            offsets = Offsets(
                positions={topic_partition(partition): offset for partition, offset in positions.items()},
                mark=uuid.uuid4().hex,
                group=metadata,
            )
            self._act(self._check(outputs), offsets)
            crash_point("kafka.commit.after")
            self._ownership.moved(positions)

    def close(self) -> None:
        """See `Subscription.close`."""
        if self._closing.is_set():
            return
        self._closing.set()
        self._keeper.join()
        with self._lock:
            self._transactions.close()
            try:
                self._leave()
            except (SuiteError, kafka_errors.KafkaError) as error:
                _log.warning("left the group without telling", extra={"why": type(error).__name__})
            finally:
                self._on_close(self)

    def _step(self, max_records: int, timeout_s: float) -> Polled | None:
        in_doubt = self._refusal is not None
        if self._replaced or self._roll_call.replaced(self._consumer.group_metadata, in_doubt):
            raise self._shut_out()
        if self._roll_call.left_over():
            self._assignor.ask_anew(self._consumer)
        if self._refusal is not None:
            if self._refusal.stands(self._consumer.group_metadata()):
                return self._only_polled(self._refusal, timeout_s)
            self._refusal = None
            self._apply_pauses()
        if (polled := self._change()) is not None:
            return polled
        self._backlog.ask(self._ownership.held().keys() & self._paused)
        batches = self._fetch(timeout_s, max_records)
        if not self._ownership.changed:
            self._backlog.note(self._ownership.held())
            records = records_of(batches)
            return Polled(records=records) if records else None
        hand_back(self._consumer, batches)  # they come again: a change is told before any record
        return self._change()

    def _only_polled(self, refusal: Refusal, timeout_s: float) -> Polled | None:
        self._consumer.pause(*self._consumer.assignment())
        hand_back(self._consumer, self._fetch(timeout_s, 1))
        if refusal.for_good:
            raise self._shut_out()
        return Polled(lost=went) if (went := self._ownership.went()) else None

    def _fetch(self, timeout_s: float, max_records: int) -> Mapping[TopicPartition, Sequence[Any]]:
        take_back_parked(self._consumer)
        try:
            batches: Mapping[TopicPartition, Sequence[Any]] = self._consumer.poll(
                timeout_ms=int(timeout_s * 1000), max_records=max_records
            )
            return batches
        except kafka_errors.NoOffsetForPartitionError:
            return {}  # a partition that nobody has committed; `_change` begins it
        except REPLACED:
            raise self._shut_out() from None
        except kafka_errors.OffsetOutOfRangeError as error:
            raise Corrupt(
                f"group {self._who.group} has a position outside the log ({error}): bring back the log that fits, or "
                f"start again to be told what else helps"
            ) from error
        except kafka_errors.KafkaError as error:
            with translated():
                raise error from None

    def _change(self) -> Polled | None:
        if went := self._ownership.went():
            self._paused -= went
            return Polled(lost=went)
        came = self._ownership.came()
        if not came:
            return None
        with translated():
            self._transactions.open()  # before any state is restored: it ends what a former holder left open
            names = {topic_partition(partition): partition for partition in sorted(came)}
            begins = self._consumer.beginning_offsets(list(names), timeout_ms=_CALL_MS)
            ends = self._consumer.end_offsets(list(names), timeout_ms=_CALL_MS)
            starts = {name: self._begin(name, int(begins[name]), int(ends[name])) for name in names}
            for name, partition in names.items():  # all or none: what is taken up must be told
                self._backlog.begin(partition, starts[name], int(ends[name]))
                self._ownership.take_up(partition, starts[name])
        self._apply_pauses()
        return Polled(gained=came & self._ownership.held().keys())

    def _begin(self, name: TopicPartition, begins_at: int, end: int) -> int:
        """Let reading start at the group's position; returns it."""
        known = self._who.known.get(name.topic)
        at = Beginning(group=self._who.group, name=name, begins_at=begins_at, end=end, topic=known)
        start = start_of(self._cluster, self._consumer, at)
        if name in self._consumer.assignment():
            self._consumer.seek(name, start)
        return start

    def _check_positions(self, positions: Mapping[Partition, int]) -> None:
        if self._replaced:
            raise self._shut_out()
        held = self._ownership.held()
        lost = [partition for partition in positions if partition not in held]
        if lost:
            raise Fenced(
                f"member {self._who.member} of group {self._who.group} does not own "
                f"{', '.join(map(str, sorted(lost)))} any more; drop that work and poll"
            )
        for partition, offset in positions.items():
            if offset < held[partition]:
                raise InvalidInput(f"{partition} cannot go back to {offset}", field="positions")
            if offset > held[partition] and offset > self._read_up_to(partition):
                raise InvalidInput(f"position {offset} lies beyond the end of {partition}", field="positions")

    def _read_up_to(self, partition: Partition) -> int:
        with translated():
            return int(self._consumer.position(topic_partition(partition), timeout_ms=_CALL_MS) or 0)

    def _act(self, outputs: Sequence[Output], offsets: Offsets) -> None:
        try:
            self._transactions.act(outputs, offsets)
        except (Undecided, *OUTBID) as error:
            if self._took_place(offsets) and isinstance(error, Undecided):
                return
            raise Unavailable("Kafka did not take the commit; it may be tried again") from error
        except STALE as error:
            raise self._moved_on(offsets, type(error).__name__) from error
        except REPLACED:
            raise self._shut_out() from None
        except kafka_errors.KafkaError as error:
            with translated():
                raise error from None

    def _took_place(self, offsets: Offsets) -> bool:
        """Whether a commit that failed did take place; asked until the broker can tell. Raises Fenced.

        Only a member asks: taking the transactional id over would shut out whoever has replaced this one.
        """
        while not self._closing.is_set():
            try:
                member_id = present_member_id(self._cluster, self._who.group, self._who.member)
                if member_id == offsets.group.member_id:
                    return self._marked(offsets)
                break
            except (SuiteError, kafka_errors.KafkaError) as error:
                _log.warning("a commit's outcome is not known yet", extra={"why": type(error).__name__})
            self._closing.wait(_RESOLVE_EVERY_S)
        else:
            raise Unavailable("closing while a commit's outcome is not known; the next life reads it")
        if member_id is None:  # put out for silence, not replaced: the work is lost, the member may return
            raise self._moved_on(offsets, "put out")
        raise self._shut_out()

    def _marked(self, offsets: Offsets) -> bool:
        """Whether the group's positions carry the commit's mark, once what was open is ended."""
        with translated():
            self._transactions.open()
            found = committed_now(self._consumer, next(iter(offsets.positions)))
            return found is not None and found.metadata == offsets.mark

    def _moved_on(self, offsets: Offsets, why: str) -> Fenced:
        """The group has moved on: begin anew what is still assigned, let go of the rest."""
        self._refusal = Refusal(offsets.group, _REJOIN_S)
        assigned = self._consumer.assignment()
        self._ownership.come_again(partition_of(name) for name in offsets.positions if name in assigned)
        self._ownership.let_go(partition_of(name) for name in offsets.positions if name not in assigned)
        return Fenced(f"group {self._who.group} has moved on ({why}); drop that work and poll")

    def _leave(self) -> None:
        member_id = self._consumer.group_metadata().member_id
        self._consumer.close(autocommit=False, timeout_ms=_CLOSE_MS)
        if member_id and not self._replaced:
            strike_off(self._cluster, self._who.group, self._who.member, member_id)

    def _apply_pauses(self) -> None:
        assigned = {partition_of(name): name for name in self._consumer.assignment()}
        paused = set(self._consumer.paused())
        self._consumer.pause(*(n for p, n in assigned.items() if p in self._paused and n not in paused))
        self._consumer.resume(*(n for p, n in assigned.items() if p not in self._paused and n in paused))

    def _shut_out(self) -> Fenced:
        self._replaced = True
        return Fenced(
            f"{self._who.member} has no place in {self._who.group} any more: another process has joined under its "
            f"name, or it could not join again; stop this one"
        )

    def _keep(self) -> None:
        """Take part in the group's affairs while the caller is busy, until closed."""
        while not self._closing.wait(_IDLE_S):
            if time.monotonic() - self._polled_at < _IDLE_S or not self._lock.acquire(blocking=False):
                continue
            try:
                self._consumer.pause(*self._consumer.assignment())
                came = self._fetch(0.05, 1)  # during this very call, which the pause was too late for
                hand_back(self._consumer, came)
                self._apply_pauses()
                self._backlog.ask(self._ownership.held())
                self._backlog.note(self._ownership.held())
            except (SuiteError, kafka_errors.KafkaError) as error:
                _log.warning("membership could not be looked after", extra={"why": type(error).__name__})
            finally:
                self._lock.release()
