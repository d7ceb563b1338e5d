"""What the curator shows: counters of submissions, examples and releases, and gauges of kept sets and releases.

A kept set is shown by the replica that holds its partition; gauges of releases are the same in every replica.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Collection, Iterable
from typing import NamedTuple

from longstream.fact_gauges import newest, seconds
from longstream.selecting import SCREENS
from longstream.telemetry import INDEX, Course, Metrics, Told, tell_fact
from longstream.v1.records_pb2 import PartitionMarks, Release
from longstream.view import View
from longstream.worker_metrics import error_reasons
from longstream_curator.kept import Changed

DROPS = (
    *("source", "stratum", "no_score", "late", "too_long", "too_short", "duplicate", "known", "erased"),
    *("replaced", "evicted", "expired"),
    *SCREENS,
)
"""Why an example that was read is not in the kept set."""
_KEPT = {
    "curator_kept_records": "Examples in the kept set.",
    "curator_seen_records": "Examples that the kept set was chosen from so far.",
}
_RELEASED = {
    "pipeline_release_timestamp_seconds": "When the newest final release was cut, since 1970.",
    "curator_release_exact": "1 if that release equals an exhaustive sort of what stood before its cut.",
    "curator_release_short": "1 if that release has fewer rows than were wanted.",
}


class Standing(NamedTuple):
    """A pipeline's kept set in one partition."""

    pipeline: str
    partition: int
    kept: int
    marks: PartitionMarks


class CuratorMetrics:
    """Counters of the curator."""

    def __init__(self, metrics: Metrics, pipelines: Collection[str]) -> None:
        self._rejected = metrics.counter(
            "curator_submissions_rejected_total",
            "Submitted items refused, by reason.",
            reason=error_reasons(),
        )
        self._accepted = metrics.counter(
            "curator_submissions_accepted_total", "Submitted items made durable."
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

    def released(self, release: Release, traces: Iterable[str]) -> None:
        """A release is final. traces: of the submissions of its rows, "" for one that was not traced."""
        self._releases.labels(pipeline=release.pipeline).inc()
        tell_fact(
            "release",
            Course(release.trace, release.parent_trace, release.cut_time.ToNanoseconds(), time.time_ns()),
            attributes={
                "longstream.pipeline": release.pipeline,
                "longstream.release_id": release.id,
                "longstream.rows": release.rows_ready,
            },
            links=traces,
        )


class CurationFacts:
    """Gauges of kept sets and releases, looked up at each scrape."""

    def __init__(self, standings: Callable[[], Collection[Standing]], releases: View[Release]) -> None:
        """standings: the kept sets that this process holds."""
        self._standings = standings
        self._releases = releases

    def show(self, metrics: Metrics, pipelines: Collection[str]) -> None:
        """Declare the gauges."""
        metrics.at_scrape(_KEPT, self._kept, pipeline=pipelines, partition=INDEX)
        dropped = {
            "curator_dropped_records": "Examples of the partitions held here that are not kept, by reason."
        }
        metrics.at_scrape(dropped, self._dropped, pipeline=pipelines, reason=DROPS)
        metrics.at_scrape(_RELEASED, self._released, pipeline=pipelines)
        rows = {"curator_release_rows": "Rows of the newest release, final or under way."}
        metrics.at_scrape(rows, self._rows, pipeline=pipelines, rows=("wanted", "ready", "refused"))
        under_way = {
            "curator_open_cut_timestamp_seconds": "When the cut that is under way began, since 1970."
        }
        metrics.at_scrape(under_way, self._under_way, pipeline=pipelines)

    def _kept(self) -> Told:
        return {(held.pipeline, held.partition): (held.kept, held.marks.seen) for held in self._standings()}

    def _dropped(self) -> Told:
        dropped: Counter[tuple[str | int, ...]] = Counter()
        for held in self._standings():
            for reason in DROPS:
                dropped[held.pipeline, reason] += held.marks.dropped.get(reason, 0)
        return {labels: (count,) for labels, count in dropped.items()}

    def _newest(self, *, final: bool) -> dict[str, Release]:
        known = (release for _, release in self._releases.under(""))
        wanted = (release for release in known if not final or release.state == Release.STATE_FINAL)
        return newest(wanted, lambda release: release.cut_time)

    def _released(self) -> Told:
        return {
            (pipeline,): (seconds(release.cut_time), float(release.exact), float(release.short))
            for pipeline, release in self._newest(final=True).items()
        }

    def _rows(self) -> Told:
        told: Told = {}
        for pipeline, release in self._newest(final=False).items():
            told[pipeline, "wanted"] = (release.rows_wanted,)
            told[pipeline, "ready"] = (release.rows_ready,)
            told[pipeline, "refused"] = (sum(release.refused.values()),)
        return told

    def _under_way(self) -> Told:
        return {
            (pipeline,): (seconds(release.cut_time),)
            for pipeline, release in self._newest(final=False).items()
            if release.state != Release.STATE_FINAL
        }
