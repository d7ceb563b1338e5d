"""The one loop that every service runs: poll, handle, commit.

Each partition has a window of records in flight, finished in any order. The longest finished prefixes of all of them,
with what the handler's `tick` adds, are written as one act. A stateful handler runs in the loop's own thread, in order;
one that waits for an engine runs in a pool. An error that a retry can help is retried in place while the loop goes on;
one that it cannot goes to the dead-letter topic in the same act. A partition that is lost takes its work with it.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import groupby
from operator import attrgetter
from typing import Protocol

from longstream.attempts import Attempts, Backoff, Ending, Tries
from longstream.bus import Bus, Output, Partition, Polled, Record, Subscription
from longstream.errors import Fenced, SuiteError, Unavailable
from longstream.faults import crash_point
from longstream.lag import Lag, LagWatch
from longstream.restores import Restores
from longstream.telemetry import produced
from longstream.window import Prefix, Window
from longstream.worker_metrics import WorkerMetrics

_log = logging.getLogger(__name__)
_LOOK_EVERY_S = 1.0
_PARTITION = attrgetter("partition")
_STOP_S = 3.0
"""How long a stop waits before it ends what waits for a broker."""


class Handler(Protocol):
    """Records in, outputs out; the worker does the rest."""

    def gained(self, partition: Partition) -> None:
        """Restore the partition's state; its first record comes after this returns.

        Called again after an error that a retry can help.
        """

    def lost(self, partition: Partition) -> None:
        """Drop the partition's state and work."""

    def handle(self, record: Record) -> Sequence[Output]:
        """What the record causes. May raise only before it changes state.

        A SuiteError goes to the dead letters, unless a retry can help. ControlFailed stops the worker.
        """

    def refuse(self, record: Record, error: SuiteError) -> Sequence[Output]:
        """What must be written beside the record's dead letter."""

    def tick(self, partition: Partition) -> Sequence[Output]:
        """What is to be done that no record caused; also called before each commit of the partition."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerOptions:
    """How a worker works. The defaults suit a stateful handler."""

    threads: int = 0
    """0: handle in the loop's thread and in order; more: that many records at once, in any order."""
    window: int = 512
    """Records in flight per partition; a full partition is paused."""
    attempts: int = 3
    """Tries of a record that may itself be the cause of their failure; others are not counted."""
    backoff_s: float = 0.1
    """First wait before a retry; doubles, and half of each wait is drawn."""
    max_backoff_s: float = 10.0
    """Longest wait before a retry."""
    idle_poll_s: float = 0.2
    """Longest wait for records; bounds how late a tick can be."""
    busy_poll_s: float = 0.01
    """The same while records are in flight."""
    turn_s: float = 1.0
    """Longest time in the handler, in order, before what is finished is committed and the group is heard."""
    fenced_grace_s: float = 60.0
    """How long a fenced partition may go unreported as lost before the worker gives up."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Consumption:
    """What a worker reads: a group's share of topics, under a name that survives a restart."""

    group: str
    topics: tuple[str, ...]
    member: str
    metrics: WorkerMetrics
    clock: Callable[[], float] = time.time
    """Seconds since 1970, for the age of records."""


class _Stopping(Exception):
    """The worker stops while something waits for its retry; it stays uncommitted."""


class Worker:
    """Runs a handler over a subscription in a thread of its own."""

    def __init__(self, bus: Bus, consumption: Consumption, handler: Handler, options: WorkerOptions) -> None:
        self._bus = bus
        self._consumption = consumption
        self._handler = handler
        self._options = options
        self._metrics = consumption.metrics
        self._backoff = Backoff(options.backoff_s, options.max_backoff_s)
        self._lags = LagWatch(consumption.clock)
        self._look_at = 0.0
        self._subscription: Subscription | None = None
        self._windows: dict[Partition, Window] = {}
        self._restores = Restores(handler.gained, self._backoff, consumption.metrics)
        self._fenced: dict[Partition, float] = {}
        self._paused: set[Partition] = set()
        self._failed_polls = 0
        self._ending = Ending()
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name=f"worker-{consumption.group}", daemon=True)
        attempts = Attempts(handler, self._backoff, options.attempts, consumption.metrics)
        self._tries = Tries(attempts, self._ending, threads=options.threads, turn_s=options.turn_s)

    def start(self) -> None:
        """Join the group and begin."""
        self._thread.start()

    def drain(self, timeout_s: float) -> None:
        """Take no new records; commit what finishes within timeout_s; leave the group.

        What waits for a retry is tried once more at once; if that fails too, it is left uncommitted.
        """
        self._ending.draining.set()
        self._thread.join(timeout_s)
        self.stop()

    def stop(self) -> None:
        """Stop now; what is in flight is left uncommitted and read again later."""
        self._ending.draining.set()
        self._ending.stopping.set()
        if self._thread.ident is None:
            return
        self._thread.join(_STOP_S)
        if self._thread.is_alive() and (subscription := self._subscription) is not None:
            subscription.close()  # ends a commit that asks an absent broker for its outcome
        self._thread.join()

    def failed(self) -> BaseException | None:
        """Why the worker has ended by itself, if it has."""
        return self._error

    @property
    def ready(self) -> bool:
        """Whether the loop runs."""
        return self._thread.is_alive() and self._error is None

    def lag(self) -> Mapping[Partition, Lag]:
        """How late it is in each partition in hand, at this moment; for any thread. Raises Unavailable."""
        subscription = self._subscription
        if subscription is None:
            return {}
        # What is handed out between these two looks counts twice; the other way round it would not count.
        behind = subscription.behind()
        return self._lags.look(behind, {p: window.in_hand() for p, window in self._windows.copy().items()})

    def _run(self) -> None:
        try:
            self._subscription = subscription = self._bus.subscribe(
                self._consumption.group, self._consumption.topics, self._consumption.member
            )
            try:
                with self._metrics.lags(self.lag):
                    self._loop(subscription)
            finally:
                self._subscription = None
                subscription.close()
        except _Stopping:
            pass
        except BaseException as error:
            self._error = error
            _log.error("worker stopped", extra={"group": self._consumption.group}, exc_info=True)
        finally:
            for partition in list(self._windows):
                self._forget(partition)
            self._tries.close()

    def _loop(self, subscription: Subscription) -> None:
        while not self._ending.stopping.is_set():
            ending = self._ending.draining.is_set() and not any(w.working() for w in self._windows.values())
            if not ending:
                self._take(subscription)
            for window in self._windows.values():
                self._tries.of(window)
            if self._ending.stopping.is_set():
                break
            self._commit_finished(subscription)
            if ending:
                break
            self._balance(subscription)
            self._look()

    def _take(self, subscription: Subscription) -> None:
        polled = self._poll(subscription)
        self._follow_ownership(subscription, polled)
        for partition, records in groupby(polled.records, _PARTITION):
            window = self._windows.get(partition)
            if window is not None:  # else fenced: the group has not told yet
                self._metrics.taken(partition.topic, window.take(records))
        if polled.records:
            crash_point("worker.poll.after")

    def _poll(self, subscription: Subscription) -> Polled:
        if self._ending.draining.is_set():
            subscription.pause(self._windows)
        try:
            polled = subscription.poll(self._options.window, self._patience_s())
        except SuiteError as error:
            if not error.retryable:
                raise
            self._failed_polls += 1
            _log.warning("poll waits", extra={"group": self._consumption.group, "reason": error.reason})
            self._wait(self._consumption.topics[0], error, self._failed_polls)
            return Polled()
        self._failed_polls = 0
        return polled

    def _patience_s(self) -> float:
        """How long a poll may wait: short while something is being handled, else until the next retry at most."""
        now = time.monotonic()
        busy = [window.rest_s(now) for window in self._windows.values() if len(window)]
        rests = [*busy, *self._restores.rests_s(now)]
        longest_s = self._options.idle_poll_s
        return max(self._options.busy_poll_s, min(rests)) if rests and min(rests) < longest_s else longest_s

    def _wait(self, topic: str, error: SuiteError, failures: int) -> None:
        """Count a failure that a retry can help, and wait; a drain ends the wait. Raises _Stopping."""
        self._metrics.retried(topic, error.reason)
        ending = self._ending
        (ending.stopping if ending.draining.is_set() else ending.draining).wait(
            self._backoff.drawn_s(failures)
        )
        if ending.stopping.is_set():
            raise _Stopping

    def _follow_ownership(self, subscription: Subscription, polled: Polled) -> None:
        for partition in polled.lost:
            self._drop(partition)
            self._fenced.pop(partition, None)
        for partition in polled.gained:
            self._drop(partition)
            self._fenced.pop(partition, None)
            self._restores.begin(partition)
        for partition, position in self._restores.restored(subscription):
            self._windows[partition] = Window(position)
        stuck = [str(p) for p, deadline in self._fenced.items() if time.monotonic() > deadline]
        if stuck:
            raise Fenced(f"fenced from {', '.join(stuck)}, which the group still says is ours")

    def _drop(self, partition: Partition) -> None:
        self._restores.drop(partition)
        self._paused.discard(partition)
        if self._forget(partition):
            self._handler.lost(partition)

    def _forget(self, partition: Partition) -> bool:
        window = self._windows.pop(partition, None)
        if window is None:
            return False
        window.drop()
        self._metrics.lost(partition.topic, len(window))
        return True

    def _commit_finished(self, subscription: Subscription) -> None:
        """Write what is finished in all partitions as one act: its price is round trips, whatever it holds."""
        due: dict[Partition, Prefix] = {}
        failed: BaseException | None = None
        for partition, window in self._windows.items():
            try:
                prefix = window.finished()
                acts = [produced(output) for output in self._handler.tick(partition)]
            except BaseException as error:  # it undoes no other partition's work
                failed = error
                continue
            if prefix.records or acts:
                due[partition] = replace(prefix, outputs=[*prefix.outputs, *acts])
        self._commit(subscription, due)
        if failed is not None:
            raise failed

    def _commit(self, subscription: Subscription, due: Mapping[Partition, Prefix]) -> None:
        """Write the prefixes; a partition that is not ours any more is dropped."""
        if not due:
            return
        crash_point("worker.commit.before")
        if self._written(subscription, due):
            crash_point("worker.commit.after")
            for partition, prefix in due.items():
                self._windows[partition].committed(prefix)
                self._metrics.committed(partition.topic, prefix.records, prefix.dead)
        elif len(due) > 1:  # nothing was written, and not all of them need have gone
            for partition, prefix in due.items():
                self._commit(subscription, {partition: prefix})
        else:
            [partition] = due
            _log.warning("fenced", extra={"partition": str(partition)})
            self._fenced[partition] = time.monotonic() + self._options.fenced_grace_s
            self._drop(partition)

    def _written(self, subscription: Subscription, due: Mapping[Partition, Prefix]) -> bool:
        """Commit, waiting for as long as the log is full or away. False: fenced."""
        outputs = [output for prefix in due.values() for output in prefix.outputs]
        positions = {partition: prefix.position for partition, prefix in due.items()}
        failures, begun = 0, time.perf_counter()
        while True:
            try:
                subscription.commit(outputs, positions)
                seconds = time.perf_counter() - begun
                self._metrics.wrote(self._consumption.topics[0], outputs, seconds)
                return True
            except Fenced:
                return False
            except SuiteError as error:
                if not error.retryable:
                    raise
                failures += 1
                _log.warning(
                    "commit waits", extra={"topics": self._consumption.topics, "reason": error.reason}
                )
                self._wait(next(iter(due)).topic, error, failures)

    def _balance(self, subscription: Subscription) -> None:
        """Pause what is full or not restored yet, resume what has room again: the membership stays alive."""
        full = {p for p, window in self._windows.items() if len(window) >= self._options.window}
        resting = full | self._restores.waiting()
        if resting == self._paused:
            return
        subscription.pause(resting - self._paused)
        subscription.resume(self._paused - resting)
        self._paused = resting

    def _look(self) -> None:
        """Take note of what is worked off, so that a scrape need not guess since when the rest waits."""
        if time.monotonic() < self._look_at:
            return
        self._look_at = time.monotonic() + _LOOK_EVERY_S
        with suppress(Unavailable):
            self.lag()
