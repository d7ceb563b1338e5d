"""The one loop that every service runs: poll, handle, commit.

Each partition has a window of records in flight, finished in any order and committed as the longest finished prefix,
together with what the handler's `tick` adds. A stateful handler runs in the loop's own thread, in order; a handler
that waits for an engine runs in a pool. An error that a retry can help is retried in place; one that it cannot goes
to the dead-letter topic in the same commit. A partition that is lost takes its work with it.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Protocol

from longstream.bus import Bus, Output, Partition, Polled, Record, Subscription
from longstream.dead_letters import dead_letter
from longstream.errors import ControlFailed, DeadlineExceeded, EngineDied, Fenced, SuiteError
from longstream.faults import crash_point
from longstream.telemetry import consumed, produced
from longstream.window import Prefix, Window
from longstream.worker_metrics import WorkerMetrics

_log = logging.getLogger(__name__)


class Handler(Protocol):
    """Records in, outputs out; the worker does the rest."""

    def gained(self, partition: Partition) -> None:
        """Restore the partition's state; its first record comes after this returns."""

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
    """Tries of a record that may itself be the cause of the failure."""
    backoff_s: float = 0.1
    """First wait before a retry; doubles."""
    max_backoff_s: float = 10.0
    idle_poll_s: float = 0.2
    """Longest wait for records; bounds how late a tick can be."""
    busy_poll_s: float = 0.01
    """The same while records are in flight."""
    fenced_grace_s: float = 60.0
    """How long a fenced partition may go unreported as lost before the worker gives up."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Consumption:
    """What a worker reads: a group's share of topics, under a name that survives a restart."""

    group: str
    topics: tuple[str, ...]
    member: str
    metrics: WorkerMetrics


class _Stopping(Exception):
    """The worker stops while a record waits for its retry; the record stays uncommitted."""


class Worker:
    """Runs a handler over a subscription in a thread of its own."""

    def __init__(self, bus: Bus, consumption: Consumption, handler: Handler, options: WorkerOptions) -> None:
        self._bus = bus
        self._consumption = consumption
        self._handler = handler
        self._options = options
        self._metrics = consumption.metrics
        self._windows: dict[Partition, Window] = {}
        self._fenced: dict[Partition, float] = {}
        self._paused: set[Partition] = set()
        self._stopping = threading.Event()
        self._draining = threading.Event()
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name=f"worker-{consumption.group}", daemon=True)
        self._pool = ThreadPoolExecutor(options.threads, "handler") if options.threads else None

    def start(self) -> None:
        """Join the group and begin."""
        self._thread.start()

    def drain(self, timeout_s: float) -> None:
        """Take no new records; commit what finishes within timeout_s; leave the group."""
        self._draining.set()
        self._thread.join(timeout_s)
        self.stop()

    def stop(self) -> None:
        """Stop now; what is in flight is left uncommitted and read again later."""
        self._draining.set()
        self._stopping.set()
        if self._thread.ident is not None:
            self._thread.join()

    def failed(self) -> BaseException | None:
        """Why the worker has ended by itself, if it has."""
        return self._error

    @property
    def ready(self) -> bool:
        """Whether the loop runs."""
        return self._thread.is_alive() and self._error is None

    def _run(self) -> None:
        try:
            subscription = self._bus.subscribe(
                self._consumption.group, self._consumption.topics, self._consumption.member
            )
            try:
                self._loop(subscription)
            finally:
                subscription.close()
        except BaseException as error:
            self._error = error
            _log.error("worker stopped", extra={"group": self._consumption.group}, exc_info=True)
        finally:
            if self._pool is not None:
                self._pool.shutdown(wait=False, cancel_futures=True)

    def _loop(self, subscription: Subscription) -> None:
        while not self._stopping.is_set():
            if self._draining.is_set() and not any(map(len, self._windows.values())):
                break
            polled = self._poll(subscription)
            self._follow_ownership(subscription, polled)
            for record in polled.records:
                self._begin(record)
            if polled.records:
                crash_point("worker.poll.after")
            for partition in list(self._windows):
                self._commit_finished(subscription, partition)
            self._balance(subscription)

    def _poll(self, subscription: Subscription) -> Polled:
        in_flight = any(map(len, self._windows.values()))
        if self._draining.is_set():
            subscription.pause(self._windows)
        timeout_s = self._options.busy_poll_s if in_flight else self._options.idle_poll_s
        return subscription.poll(self._options.window, timeout_s)

    def _follow_ownership(self, subscription: Subscription, polled: Polled) -> None:
        for partition in polled.lost:
            self._drop(partition)
            self._fenced.pop(partition, None)
        for partition in polled.gained:
            if partition in self._windows:
                self._drop(partition)
            self._fenced.pop(partition, None)
            self._handler.gained(partition)
            self._windows[partition] = Window(subscription.committed(partition))
        stuck = [str(p) for p, deadline in self._fenced.items() if time.monotonic() > deadline]
        if stuck:
            raise Fenced(f"fenced from {', '.join(stuck)}, which the group still says is ours")

    def _drop(self, partition: Partition) -> None:
        window = self._windows.pop(partition, None)
        if window is not None:
            self._metrics.left(partition.topic, len(window))
            self._paused.discard(partition)
            self._handler.lost(partition)

    def _begin(self, record: Record) -> None:
        window = self._windows.get(record.partition)
        if window is None:  # fenced: the group has not told yet
            return
        if self._pool is not None:
            window.add(record, self._pool.submit(self._handle, record))
            return
        outcome: Future[Sequence[Output]] = Future()
        try:
            outcome.set_result(self._handle(record))
        except BaseException as error:
            outcome.set_exception(error)
        window.add(record, outcome)

    def _handle(self, record: Record) -> Sequence[Output]:
        with consumed(record), self._metrics.timed(record.partition.topic):
            outputs = self._attempt(record)
            return [produced(output) for output in outputs]

    def _attempt(self, record: Record) -> Sequence[Output]:
        attempt, wait_s = 1, self._options.backoff_s
        while True:
            try:
                outputs = self._handler.handle(record)
            except ControlFailed:
                raise
            except SuiteError as error:
                if not error.retryable or (may_be_the_cause(error) and attempt >= self._options.attempts):
                    return self._dead_letter(record, error, attempt)
                self._metrics.retried(record.partition.topic, error.reason)
            except Exception:
                _log.exception("handler failed", extra={"record": f"{record.partition}@{record.offset}"})
                return self._dead_letter(record, SuiteError("unexpected failure; the log has it"), attempt)
            else:
                self._metrics.handled(record.partition.topic)
                return outputs
            if self._stopping.wait(wait_s):
                raise _Stopping
            attempt, wait_s = attempt + 1, min(wait_s * 2, self._options.max_backoff_s)

    def _dead_letter(self, record: Record, error: SuiteError, attempt: int) -> list[Output]:
        _log.warning(
            "dead letter",
            extra={
                "record": f"{record.partition}@{record.offset}",
                "reason": error.reason,
                "why": error.message,
            },
        )
        self._metrics.dead(record.partition.topic, error.reason)
        return [dead_letter(record, error, attempt), *self._handler.refuse(record, error)]

    def _commit_finished(self, subscription: Subscription, partition: Partition) -> None:
        window = self._windows[partition]
        prefix = window.finished()
        acts = [produced(output) for output in self._handler.tick(partition)]
        if not prefix.records and not acts:
            return
        crash_point("worker.commit.before")
        if self._commit(
            subscription, partition, Prefix([*prefix.outputs, *acts], prefix.position, prefix.records)
        ):
            crash_point("worker.commit.after")
            window.committed(prefix)
            self._metrics.left(partition.topic, prefix.records)

    def _commit(self, subscription: Subscription, partition: Partition, prefix: Prefix) -> bool:
        """Write the prefix, waiting for as long as the log is full or away. False: the partition is not ours."""
        wait_s = self._options.backoff_s
        while True:
            try:
                subscription.commit(prefix.outputs, {partition: prefix.position})
                return True
            except Fenced:
                _log.warning("fenced", extra={"partition": str(partition)})
                self._fenced[partition] = time.monotonic() + self._options.fenced_grace_s
                self._drop(partition)
                return False
            except SuiteError as error:
                if not error.retryable:
                    raise
                self._metrics.retried(partition.topic, error.reason)
                _log.warning("commit waits", extra={"partition": str(partition), "reason": error.reason})
            if self._stopping.wait(wait_s):
                raise _Stopping
            wait_s = min(wait_s * 2, self._options.max_backoff_s)

    def _balance(self, subscription: Subscription) -> None:
        """Pause what is full, resume what has room again: the others go on, and the membership stays alive."""
        full = {p for p, window in self._windows.items() if len(window) >= self._options.window}
        subscription.pause(full - self._paused)
        subscription.resume(self._paused - full)
        self._paused = full


def may_be_the_cause(error: SuiteError) -> bool:
    """Whether what was asked may have caused the failure itself, so that tries must be bounded."""
    return isinstance(error, EngineDied | DeadlineExceeded)
