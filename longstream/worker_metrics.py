"""What a worker counts: records by outcome, time to handle, dead letters and retries by reason."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from time import perf_counter

from prometheus_client import Counter, Gauge, Histogram

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


@dataclass(frozen=True, slots=True, kw_only=True)
class _Series:
    """What every record of a topic moves; looked up once, since the lookup costs more than the counting."""

    handled: Counter
    seconds: Histogram
    in_flight: Gauge


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
        self._known = {topic: self._look_up(topic) for topic in topics}

    @contextmanager
    def timed(self, topic: str) -> Iterator[None]:
        """Time the handling of a record."""
        series, start = self._series(topic), perf_counter()
        series.in_flight.inc()
        try:
            yield
        finally:
            series.seconds.observe(perf_counter() - start)

    def handled(self, topic: str) -> None:
        """A record has its outputs."""
        self._series(topic).handled.inc()

    def dead(self, topic: str, reason: str) -> None:
        """A record goes to the dead letters."""
        self._records.labels(topic=topic, outcome="dead_lettered").inc()
        self._dead.labels(topic=topic, reason=reason).inc()

    def retried(self, topic: str, reason: str) -> None:
        """A try failed; another follows."""
        self._retries.labels(topic=topic, reason=reason).inc()

    def left(self, topic: str, records: int) -> None:
        """Records are no longer in flight: committed, or lost with their partition."""
        self._series(topic).in_flight.dec(records)

    def _series(self, topic: str) -> _Series:
        return self._known.get(topic) or self._look_up(topic)

    def _look_up(self, topic: str) -> _Series:
        return _Series(
            handled=self._records.labels(topic=topic, outcome="handled"),
            seconds=self._seconds.labels(topic=topic),
            in_flight=self._in_flight.labels(topic=topic),
        )
