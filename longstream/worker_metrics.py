"""What a worker counts: records by outcome, time to handle, dead letters and retries by reason, and its lag."""

from __future__ import annotations

import collections
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from prometheus_client import Counter, Gauge, Histogram

from longstream.bus import Output, Partition
from longstream.errors import SuiteError, Unavailable
from longstream.lag import Lag
from longstream.telemetry import INDEX, Exemplars, Metrics, TraceContext
from longstream.topics import Layout
from longstream.topics import topics as all_topics

_LAGS = {
    "worker_lag_records": "Records in the log that are not committed yet, in hand or not.",
    "worker_oldest_unprocessed_seconds": "Age of the oldest of them; 0 if there is none.",
}
_OUTCOMES = ("handled", "dead_lettered")
_WRITTEN = tuple(topic.name for topic in all_topics(Layout()))


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
    dead: Counter
    seconds: Histogram
    in_flight: Gauge
    exemplars: Exemplars


class WorkerMetrics:
    """Counters of one program's workers, shared by all of them."""

    def __init__(self, metrics: Metrics, topics: Sequence[str]) -> None:
        reasons = error_reasons()
        self._records = metrics.counter(
            "worker_records_total", "Records committed, by outcome.", topic=topics, outcome=_OUTCOMES
        )
        self._seconds = metrics.histogram(
            "worker_handle_seconds",
            "From a record's first try to its outputs, retries included.",
            topic=topics,
        )
        self._dead = metrics.counter(
            "dlq_records_total", "Dead letters by reason.", topic=topics, reason=reasons
        )
        self._commit_seconds = metrics.histogram(
            "worker_commit_seconds", "One commit of outputs and positions, waiting included.", topic=topics
        )
        self._outputs = metrics.counter(
            "worker_outputs_total", "Records written, by the topic they went to.", topic=_WRITTEN
        )
        self._retries = metrics.counter(
            "worker_retries_total", "Tries that failed and were repeated.", topic=topics, reason=reasons
        )
        self._in_flight = metrics.gauge(
            "worker_in_flight_records", "Records taken, not committed.", topic=topics
        )
        self._sources: tuple[Callable[[], Mapping[Partition, Lag]], ...] = ()
        self._sources_lock = threading.Lock()
        metrics.at_scrape(_LAGS, self._look, topic=topics, partition=INDEX)
        self._known = {topic: self._look_up(topic) for topic in topics}

    @contextmanager
    def lags(self, source: Callable[[], Mapping[Partition, Lag]]) -> Iterator[None]:
        """Show the lags of a worker inside the block, as they are when they are read."""
        with self._sources_lock:
            self._sources = (*self._sources, source)
        try:
            yield
        finally:
            with self._sources_lock:
                self._sources = tuple(other for other in self._sources if other != source)

    def taken(self, topic: str, records: int) -> None:
        """Records are in flight."""
        self._series(topic).in_flight.inc(records)

    def took(self, topic: str, seconds: float, trace: TraceContext) -> None:
        """From a record's first try to its outputs, for that trace."""
        series = self._series(topic)
        series.seconds.observe(seconds, series.exemplars.of(trace))

    def retried(self, topic: str, reason: str) -> None:
        """A try failed; another follows."""
        self._retries.labels(topic=topic, reason=reason).inc()

    def committed(self, topic: str, records: int, dead: Sequence[str]) -> None:
        """Records are written off. dead: the reason of each that went to the dead letters."""
        series = self._series(topic)
        series.handled.inc(records - len(dead))
        series.dead.inc(len(dead))
        series.in_flight.dec(records)
        for reason in dead:
            self._dead.labels(topic=topic, reason=reason).inc()

    def wrote(self, topic: str, outputs: Iterable[Output], seconds: float) -> None:
        """The worker of that topic has committed these outputs."""
        self._commit_seconds.labels(topic=topic).observe(seconds)
        for written, count in collections.Counter(output.topic for output in outputs).items():
            self._outputs.labels(topic=written).inc(count)

    def lost(self, topic: str, records: int) -> None:
        """Records in flight went with their partition."""
        self._series(topic).in_flight.dec(records)

    def _look(self) -> dict[tuple[str | int, ...], tuple[float, float]]:
        """The lags by topic and partition; of two workers on one partition, the later one's."""
        found: dict[tuple[str | int, ...], tuple[float, float]] = {}
        for source in self._sources:
            with suppress(Unavailable):  # then nobody knows, and a series would be a guess
                for partition, lag in source().items():
                    place = (partition.topic, partition.index)
                    before = found.get(place, (0.0, 0.0))
                    found[place] = (max(before[0], lag.records), max(before[1], lag.oldest_s))
        return found

    def _series(self, topic: str) -> _Series:
        return self._known.get(topic) or self._look_up(topic)

    def _look_up(self, topic: str) -> _Series:
        return _Series(
            handled=self._records.labels(topic=topic, outcome="handled"),
            dead=self._records.labels(topic=topic, outcome="dead_lettered"),
            seconds=self._seconds.labels(topic=topic),
            in_flight=self._in_flight.labels(topic=topic),
            exemplars=Exemplars(),
        )
