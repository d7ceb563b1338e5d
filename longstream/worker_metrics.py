"""What a worker counts: records by outcome, time to handle, dead letters and retries by reason."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from time import perf_counter

from longstream.errors import SuiteError
from longstream.telemetry import Metrics

_OUTCOMES = ("handled", "dead_lettered")


def error_reasons() -> tuple[str, ...]:
    """The reason of every error of the suite that is known by now: the closed set of labels."""

    def below(cls: type[SuiteError]) -> Iterator[str]:
        yield cls.reason
        for child in cls.__subclasses__():
            yield from below(child)

    return tuple(sorted(set(below(SuiteError))))


class WorkerMetrics:
    """Counters of one program's workers, shared by all of them."""

    def __init__(self, metrics: Metrics, topics: Sequence[str]) -> None:
        reasons = error_reasons()
        self._records = metrics.counter(
            "worker_records_total", "Records worked off, by outcome.", topic=topics, outcome=_OUTCOMES
        )
        self._seconds = metrics.histogram(
            "worker_handle_seconds", "From taking a record to its outputs, retries included.", topic=topics
        )
        self._dead = metrics.counter(
            "dlq_records_total", "Dead letters by reason.", topic=topics, reason=reasons
        )
        self._retries = metrics.counter(
            "worker_retries_total", "Tries that failed and were repeated.", topic=topics, reason=reasons
        )
        self._in_flight = metrics.gauge(
            "worker_in_flight_records", "Records begun, not committed.", topic=topics
        )

    @contextmanager
    def timed(self, topic: str) -> Iterator[None]:
        """Time the handling of a record."""
        start = perf_counter()
        self._in_flight.labels(topic=topic).inc()
        try:
            yield
        finally:
            self._seconds.labels(topic=topic).observe(perf_counter() - start)

    def handled(self, topic: str) -> None:
        """A record has its outputs."""
        self._records.labels(topic=topic, outcome="handled").inc()

    def dead(self, topic: str, reason: str) -> None:
        """A record goes to the dead letters."""
        self._records.labels(topic=topic, outcome="dead_lettered").inc()
        self._dead.labels(topic=topic, reason=reason).inc()

    def retried(self, topic: str, reason: str) -> None:
        """A try failed; another follows."""
        self._retries.labels(topic=topic, reason=reason).inc()

    def left(self, topic: str, records: int) -> None:
        """Records are no longer in flight: committed, or lost with their partition."""
        self._in_flight.labels(topic=topic).dec(records)
