"""What the curator counts: submissions by outcome, changes of the kept sets, releases."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from longstream.telemetry import Metrics
from longstream.worker_metrics import error_reasons
from longstream_curator.kept import Changed


class CuratorMetrics:
    """Counters of the curator."""

    def __init__(self, metrics: Metrics, pipelines: Collection[str], partitions: int) -> None:
        self._rejected = metrics.counter(
            "curator_submissions_rejected_total",
            "Submitted items refused, by reason.",
            reason=error_reasons(),
        )
        self._accepted = metrics.counter(
            "curator_submissions_accepted_total", "Submitted items made durable."
        )
        self._kept = metrics.gauge(
            "curator_kept_records",
            "Examples in the kept set.",
            pipeline=pipelines,
            partition=[str(index) for index in range(partitions)],
        )
        self._offered = metrics.counter(
            "curator_examples_total", "Examples offered to a pipeline's selection."
        )
        self._evicted = metrics.counter("curator_evicted_total", "Examples that left a kept set.")
        self._releases = metrics.counter(
            "curator_releases_total", "Releases that became final.", pipeline=pipelines
        )

    def rejected(self, reason: str) -> None:
        """A submitted item was refused."""
        self._rejected.labels(reason=reason).inc()

    def accepted(self, items: int) -> None:
        """Submitted items are durable."""
        self._accepted.labels().inc(items)

    def offered(self, changes: Iterable[Changed]) -> None:
        """An example was offered."""
        self._offered.labels().inc()
        self._evicted.labels().inc(sum(1 for _, kept in changes if kept is None))

    def kept(self, pipeline: str, partition: int, records: int) -> None:
        """The size of a kept set."""
        self._kept.labels(pipeline=pipeline, partition=str(partition)).set(records)

    def released(self, pipeline: str) -> None:
        """A release is final."""
        self._releases.labels(pipeline=pipeline).inc()
