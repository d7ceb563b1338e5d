"""Waits between tries are bounded and spread; a try ends in outputs, a dead letter or the time of the next."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry

from longstream.attempts import Attempts, Backoff
from longstream.bus import Output, Partition, Record
from longstream.errors import (
    ControlFailed,
    DeadlineExceeded,
    EngineDied,
    InvalidInput,
    SuiteError,
    Unavailable,
)
from longstream.telemetry import Metrics
from longstream.window import Flight
from longstream.worker_metrics import WorkerMetrics

RECORD = Record(Partition("in", 0), 7, b"k", b"v", (), 0)


@dataclass
class Troubled:
    """Raises what it is given, one error a try, then writes the record."""

    troubles: list[Exception] = field(default_factory=list)

    def handle(self, record: Record) -> Sequence[Output]:
        if self.troubles:
            raise self.troubles.pop(0)
        return [Output(topic="out", key=record.key, value=record.value)]

    def refuse(self, record: Record, error: SuiteError) -> Sequence[Output]:
        return [Output(topic="out", key=record.key, value=error.reason.encode())]


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


def attempts(registry: CollectorRegistry, *troubles: Exception, wait_s: float = 60.0) -> Attempts:
    metrics = WorkerMetrics(Metrics("worker", registry), ("in",))
    return Attempts(Troubled(list(troubles)), Backoff(wait_s, wait_s), 3, metrics)


@given(
    first_s=st.floats(0.001, 10.0),
    factor=st.floats(1.0, 1000.0),
    failures=st.integers(1, 10_000),
    share=st.floats(0.0, 1.0),
)
def test_a_wait_doubles_is_never_over_the_longest_and_half_of_it_is_drawn(
    first_s: float, factor: float, failures: int, share: float
) -> None:
    backoff = Backoff(first_s, first_s * factor)
    whole = min(first_s * 2.0 ** min(failures - 1, 1000), first_s * factor)
    wait_s = backoff.wait_s(failures, share)
    assert whole / 2 <= wait_s <= whole <= first_s * factor
    assert backoff.wait_s(failures, 0.0) == pytest.approx(whole / 2)
    assert backoff.wait_s(failures, 1.0) == pytest.approx(whole)


def test_waits_of_a_fleet_differ() -> None:
    assert len({Backoff(0.1, 10.0).drawn_s(5) for _ in range(50)}) > 10


def test_what_a_retry_can_help_gets_the_time_of_its_next_try_and_is_counted_by_reason(
    registry: CollectorRegistry,
) -> None:
    flight = Flight(RECORD)
    trying = attempts(registry, Unavailable("away"), Unavailable("away"), DeadlineExceeded("slow"))
    for tries in (1, 2, 3):  # the third is the first that the record may have caused
        before = time.monotonic()
        trying.attempt(flight, last=False)
        assert not flight.settled
        assert (flight.tries, flight.outputs, flight.error) == (tries, None, None)
        assert before + 30.0 <= flight.due <= time.monotonic() + 60.0
    trying.attempt(flight, last=False)
    assert flight.outputs is not None
    assert [output.value for output in flight.outputs] == [b"v"]
    counted = {
        reason: registry.get_sample_value("worker_retries_total", {"topic": "in", "reason": reason})
        for reason in ("unavailable", "deadline_exceeded", "engine_died")
    }
    assert counted == {"unavailable": 2.0, "deadline_exceeded": 1.0, "engine_died": 0.0}
    assert registry.get_sample_value("worker_handle_seconds_count", {"topic": "in"}) == 1.0


def test_the_last_try_of_a_draining_worker_leaves_the_record_for_the_next_life(
    registry: CollectorRegistry,
) -> None:
    flight = Flight(RECORD)
    attempts(registry, Unavailable("away")).attempt(flight, last=True)
    assert flight.given_up
    assert (flight.outputs, flight.error) == (None, None)


def test_tries_of_what_may_be_the_cause_are_bounded(registry: CollectorRegistry) -> None:
    flight = Flight(RECORD)
    trying = attempts(registry, *[EngineDied("died") for _ in range(5)])
    for _ in range(3):
        assert not flight.settled
        trying.attempt(flight, last=False)
    assert flight.outputs is not None
    assert [output.topic for output in flight.outputs] == ["in.dlq", "out"]
    assert dict(flight.outputs[0].headers)["x-attempt"] == b"3"


def test_a_dependency_that_was_away_for_long_costs_a_record_none_of_its_tries(
    registry: CollectorRegistry,
) -> None:
    away: list[Exception] = [Unavailable("loading") for _ in range(20)]
    flight = Flight(RECORD)
    trying = attempts(registry, *away, EngineDied("died"), EngineDied("died"))
    while not flight.settled:
        trying.attempt(flight, last=False)
    assert flight.outputs is not None
    assert [output.topic for output in flight.outputs] == ["out"]


def test_what_a_retry_cannot_help_is_a_dead_letter_at_once_even_in_a_last_try(
    registry: CollectorRegistry,
) -> None:
    flight = Flight(RECORD)
    attempts(registry, InvalidInput("bad")).attempt(flight, last=True)
    assert flight.outputs is not None
    assert not flight.given_up


def test_what_must_stop_the_worker_is_kept_for_the_loop(registry: CollectorRegistry) -> None:
    flight = Flight(RECORD)
    attempts(registry, ControlFailed("cannot cut")).attempt(flight, last=False)
    assert isinstance(flight.error, ControlFailed)
    assert flight.settled
