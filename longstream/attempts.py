"""Tries of records: each ends with outputs, a dead letter, or the time of the next try.

A wait between tries blocks nothing: the loop goes on, follows the group, and comes back when the time has come.
"""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Protocol

from longstream.bus import Output, Record
from longstream.dead_letters import dead_letter
from longstream.errors import ControlFailed, DeadlineExceeded, EngineDied, SuiteError
from longstream.telemetry import Span, TraceContext, consumed, produced, tell, tracing
from longstream.window import Flight, Window
from longstream.worker_metrics import WorkerMetrics

_log = logging.getLogger(__name__)


class Handling(Protocol):
    """The part of a handler that tries need."""

    def handle(self, record: Record) -> Sequence[Output]:
        """What the record causes."""

    def refuse(self, record: Record, error: SuiteError) -> Sequence[Output]:
        """What must be written beside the record's dead letter."""


@dataclass(frozen=True, slots=True)
class Backoff:
    """Waits between tries: the first, then twice as long each time, never over the longest."""

    first_s: float
    longest_s: float

    def wait_s(self, failures: int, share: float) -> float:
        """After that many failures, at least 1. share: 0 to 1, drawn anew each time.

        It spreads the upper half of the wait, so that a fleet does not come back to a dependency all at once.
        """
        whole = min(self.first_s * 2.0 ** min(failures - 1, 60), self.longest_s)
        return whole * (1.0 + share) / 2.0

    def drawn_s(self, failures: int) -> float:
        """The same with a drawn share."""
        return self.wait_s(failures, random.random())


class Attempts:
    """Tries records with a handler; any thread may call it."""

    def __init__(self, handler: Handling, backoff: Backoff, most: int, metrics: WorkerMetrics) -> None:
        """most: failures that the record itself may have caused, before it is given up."""
        self._handler = handler
        self._backoff = backoff
        self._most = most
        self._metrics = metrics

    def attempt(self, flight: Flight, *, last: bool) -> None:
        """Try once; then the flight is settled or has the time of its next try. last: there will be no next."""
        if not flight.tries:
            flight.begun_at = time.perf_counter()
        flight.tries += 1
        begun_ns = time.time_ns() if tracing() else 0
        try:
            with (work := consumed(flight.record)) as trace:
                outputs = self._outputs(flight, last)
                if outputs:
                    outputs = [produced(output) for output in outputs]
            if begun_ns:
                tell(_span(flight, trace, work.parent, begun_ns, done=outputs is not None))
            if outputs is not None:
                seconds = time.perf_counter() - flight.begun_at
                self._metrics.took(flight.record.partition.topic, seconds, trace)
            flight.outputs = outputs
        except BaseException as error:
            flight.error = error

    def _outputs(self, flight: Flight, last: bool) -> Sequence[Output] | None:
        record = flight.record
        try:
            if record.fault is not None:  # what stands in its value's place must not be handled
                raise record.fault
            outputs = self._handler.handle(record)
        except ControlFailed:
            raise
        except SuiteError as error:
            flight.suspected += may_be_the_cause(error)
            if not error.retryable or flight.suspected >= self._most:
                return self._dead_letter(flight, error)
            self._metrics.retried(record.partition.topic, error.reason)
            flight.given_up = last
            flight.due = time.monotonic() + self._backoff.drawn_s(flight.tries)
            return None
        except Exception:
            _log.exception("handler failed", extra={"record": f"{record.partition}@{record.offset}"})
            return self._dead_letter(flight, SuiteError("unexpected failure; the log has it"))
        return outputs

    def _dead_letter(self, flight: Flight, error: SuiteError) -> list[Output]:
        record = flight.record
        _log.warning(
            "dead letter",
            extra={
                "record": f"{record.partition}@{record.offset}",
                "reason": error.reason,
                "why": error.message,
            },
        )
        flight.dead = error.reason
        return [dead_letter(record, error, flight.tries), *self._handler.refuse(record, error)]


def _span(
    flight: Flight, context: TraceContext, parent: TraceContext | None, begun_ns: int, *, done: bool
) -> Span:
    partition = flight.record.partition
    return Span(
        name=f"{partition.topic} process",
        kind="consumer",
        context=context,
        parent=parent,
        begun_ns=begun_ns,
        ended_ns=time.time_ns(),
        attributes={
            "messaging.destination.name": partition.topic,
            "messaging.destination.partition.id": str(partition.index),
            "messaging.operation.type": "process",
            "longstream.offset": flight.record.offset,
            "longstream.try": flight.tries,
        },
        error=flight.dead or ("" if done else "tried again later"),
    )


@dataclass(frozen=True, slots=True)
class Ending:
    """How a worker is told to end. draining: finish what can be finished. stopping: begin nothing more."""

    draining: threading.Event = field(default_factory=threading.Event)
    stopping: threading.Event = field(default_factory=threading.Event)


class Tries:
    """Lets what is due in a window be tried: in order in the caller's thread, or in any order in a pool's threads."""

    def __init__(self, attempts: Attempts, ending: Ending, *, threads: int, turn_s: float) -> None:
        """threads: 0 for the caller's. turn_s: how long the caller is kept, in order."""
        self._attempts = attempts
        self._ending = ending
        self._turn_s = turn_s
        self._pool = ThreadPoolExecutor(threads, "handler") if threads else None

    def of(self, window: Window) -> None:
        """Begin what is due."""
        if self._pool is None:
            self._in_order(window)
            return
        for _ in range(len(window.todo)):
            flight = window.todo.popleft()
            if self._is_due(flight):
                self._pool.submit(self._in_pool, window, flight)
            else:
                window.todo.append(flight)

    def close(self) -> None:
        """Begin nothing more; what is being handled is not waited for."""
        if self._pool is not None:
            self._pool.shutdown(wait=False, cancel_futures=True)

    def _in_order(self, window: Window) -> None:
        until = time.monotonic() + self._turn_s
        while window.todo and not self._ending.stopping.is_set():
            flight = window.todo[0]
            if flight.given_up or not self._is_due(flight):
                break
            self._attempts.attempt(flight, last=self._ending.draining.is_set())
            if not flight.settled or flight.given_up or flight.error is not None:
                break
            window.todo.popleft()
            if time.monotonic() > until:
                break

    def _in_pool(self, window: Window, flight: Flight) -> None:
        if window.dropped or self._ending.stopping.is_set():
            return
        self._attempts.attempt(flight, last=self._ending.draining.is_set())
        if not flight.settled:
            window.todo.append(flight)

    def _is_due(self, flight: Flight) -> bool:
        return not flight.due or self._ending.draining.is_set() or flight.due <= time.monotonic()


def may_be_the_cause(error: SuiteError) -> bool:
    """Whether what was asked may have caused the failure itself, so that tries must be bounded."""
    return isinstance(error, EngineDied | DeadlineExceeded)
