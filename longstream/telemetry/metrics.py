"""Prometheus metrics that keep the naming rule, and the port where they are read.

The rule: `<service>_<thing>_<unit>[_total]`, base units (seconds, bytes, ratios of 0 to 1), no colons
(those are for recording rules), closed label sets: an id, a path or a text as a label would grow without
bound. A label value that was not declared is counted under `other`, so a surprise costs one series and not
the service.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Generic, Literal, TypeVar
from wsgiref.simple_server import WSGIServer

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, start_http_server
from prometheus_client.metrics import MetricWrapperBase

from longstream.telemetry.at_scrape import INDEX, AtScrape, Index, Look
from longstream.telemetry.trace import TraceContext

OTHER = "other"
_EXEMPLAR_EVERY_S = 1.0
SHARED_PREFIXES = ("grpc_server", "worker", "dlq", "engine", "pipeline", "longstream")
SECONDS = (0.001, 0.005, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0, 60.0, 300.0)

_NAME = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)+", re.ASCII)
_NOT_BASE = frozenset(
    ("ms", "msec", "millis", "milliseconds", "us", "microseconds", "ns", "nanoseconds", "minutes", "hours")
) | frozenset(
    ("days", "kb", "mb", "gb", "kib", "mib", "gib", "kilobytes", "megabytes", "gigabytes", "percent", "pct")
)
_HISTOGRAM_UNITS = frozenset(
    ("seconds", "bytes", "ratio", "tokens", "words", "characters", "records", "rows", "documents")
)
_MAX_SERIES = 1_000

M = TypeVar("M", bound=MetricWrapperBase)


class Family(Generic[M]):
    """A metric with closed labels; `labels(...)` gives the series to count in."""

    def __init__(self, metric: M, labels: Mapping[str, Iterable[str]]) -> None:
        self._metric = metric
        self._allowed = {name: frozenset(values) | {OTHER} for name, values in labels.items()}

    def labels(self, **values: str) -> M:
        """The series of these label values; an undeclared value is `other`. Raises ValueError for another
        label."""
        if not self._allowed and not values:
            return self._metric
        closed = {
            name: value if value in self._allowed.get(name, ()) else OTHER for name, value in values.items()
        }
        return self._metric.labels(**closed)


class Exemplars:
    """The trace id to observe a value with: at most one a second, since a series keeps only its latest.

    Not locked: two threads at the same moment may both get one, which harms nothing.
    """

    __slots__ = ("_due",)

    def __init__(self) -> None:
        self._due = 0.0

    def of(self, trace: TraceContext | None) -> dict[str, str] | None:
        """What `observe` takes as its exemplar now."""
        if trace is None or (now := time.monotonic()) < self._due:
            return None
        self._due = now + _EXEMPLAR_EVERY_S
        return {"trace_id": trace.trace_id}


@dataclass(frozen=True, slots=True)
class Declared:
    """A metric as its page names it."""

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    doc: str
    labels: tuple[str, ...]


class Metrics:
    """Declares a program's metrics in one registry.

    Programs pass `prometheus_client.REGISTRY`, where vLLM and the process collector have theirs; tests a
    fresh one.
    """

    def __init__(self, service: str, registry: CollectorRegistry) -> None:
        self.service = service
        self.registry = registry
        self.declared: list[Declared] = []

    def counter(self, name: str, doc: str, **labels: Iterable[str]) -> Family[Counter]:
        """A count that only grows; name ends in _total. Every declared series starts at 0, so that a rate
        sees it."""
        self._check(name, labels, total=True)
        closed = _tuples(labels)
        self.declared.append(Declared(name, "counter", doc, tuple(closed)))
        family = Family(Counter(name, doc, list(closed), registry=self.registry), closed)
        for values in product(*closed.values()):
            family.labels(**dict(zip(closed, values, strict=True)))
        return family

    def gauge(self, name: str, doc: str, **labels: Iterable[str]) -> Family[Gauge]:
        """A value that goes up and down."""
        self._check(name, labels, total=False)
        closed = _tuples(labels)
        self.declared.append(Declared(name, "gauge", doc, tuple(closed)))
        return Family(Gauge(name, doc, list(closed), registry=self.registry), closed)

    def histogram(
        self, name: str, doc: str, *, buckets: Sequence[float] = SECONDS, **labels: Iterable[str]
    ) -> Family[Histogram]:
        """A distribution; name ends in its unit. buckets: upper bounds, rising, in that unit."""
        self._check(name, labels, total=False)
        if name.rsplit("_", 1)[-1] not in _HISTOGRAM_UNITS:
            raise ValueError(f"{name}: a histogram's name ends in one of {sorted(_HISTOGRAM_UNITS)}")
        closed = _tuples(labels)
        self.declared.append(Declared(name, "histogram", doc, tuple(closed)))
        metric = Histogram(name, doc, list(closed), buckets=buckets, registry=self.registry)
        return Family(metric, closed)

    def at_scrape(self, docs: Mapping[str, str], look: Look, **labels: Iterable[str] | Index) -> None:
        """Gauges of the same labels whose values one look tells when they are read. docs: text by name.

        A label of INDEX takes whole numbers; a series that the look does not name is gone.
        """
        listed = {name: values for name, values in labels.items() if not isinstance(values, Index)}
        for name, doc in docs.items():
            self._check(name, listed, total=False)
            self.declared.append(Declared(name, "gauge", doc, tuple(labels)))
        closed = _tuples(listed)
        allowed = {name: frozenset(closed[name]) if name in closed else INDEX for name in labels}
        self.registry.register(AtScrape(docs, allowed, OTHER, look))

    def build_info(self, version: str, revision: str) -> None:
        """`<service>_build_info` is 1, with the running code's version and source revision as labels."""
        info = self.gauge(
            f"{self.service}_build_info", "The running code.", version=(version,), revision=(revision,)
        )
        info.labels(version=version, revision=revision).set(1)

    def _check(self, name: str, labels: Mapping[str, Iterable[str]], *, total: bool) -> None:
        prefixes = (self.service, *SHARED_PREFIXES)
        if not _NAME.fullmatch(name) or not name.startswith(tuple(f"{prefix}_" for prefix in prefixes)):
            raise ValueError(f"{name}: a metric is snake case and begins with one of {', '.join(prefixes)}")
        if name.endswith("_total") != total:
            raise ValueError(f"{name}: a counter ends in _total, and nothing else does")
        if wrong := _NOT_BASE.intersection(name.split("_")):
            raise ValueError(f"{name}: {min(wrong)} is no base unit; use seconds, bytes or a ratio of 0 to 1")
        if unclosed := [label for label, values in labels.items() if isinstance(values, str)]:
            raise ValueError(f"{name}: label {unclosed[0]} needs its values listed")


class MetricsServer:
    """`/metrics` on a port of its own, so that a scrape never waits behind calls. A component of `App`."""

    def __init__(self, registry: CollectorRegistry, *, host: str, port: int) -> None:
        self._registry = registry
        self._host = host
        self._port = port
        self._running: tuple[WSGIServer, threading.Thread] | None = None

    @property
    def port(self) -> int:
        """The port that is open; before `start` the one asked for, 0 meaning any."""
        return self._running[0].server_port if self._running is not None else self._port

    @property
    def ready(self) -> bool:
        """Whether it answers."""
        return self._running is not None and self._running[1].is_alive()

    def start(self) -> None:
        """Open the port. Raises OSError if it is taken."""
        self._running = start_http_server(self._port, addr=self._host, registry=self._registry)

    def drain(self, timeout_s: float) -> None:
        """Nothing to wait for: the last scrape comes while others drain."""

    def stop(self) -> None:
        """Close the port and end the thread."""
        if self._running is not None:
            server, thread = self._running
            self._running = None
            server.shutdown()
            server.server_close()
            thread.join()

    def failed(self) -> BaseException | None:
        """Always None: a program goes on without its metrics."""
        return None


def _tuples(labels: Mapping[str, Iterable[str]]) -> dict[str, tuple[str, ...]]:
    closed = {name: tuple(values) for name, values in labels.items()}
    series = 1
    for values in closed.values():
        series *= len(values) + 1
    if series > _MAX_SERIES:
        raise ValueError(f"{series} series are too many for one metric")
    return closed
