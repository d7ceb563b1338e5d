"""Which final releases are worth a training: those with enough new rows, not too often, within a budget of GPU hours.

Every decision is a fact with its reason: the job of a release is queued, waits, or is skipped. A job that waits is
looked at again until it is queued, or a newer release takes its place.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path

import pyarrow.parquet as pq

from longstream.errors import InvalidInput, SuiteError
from longstream.fact_gauges import seconds
from longstream.owned import OwnedFacts
from longstream.pipeline import Pipeline
from longstream.storage import Storage
from longstream.v1.records_pb2 import Model, Promotion, Release, TrainingJob
from longstream.view import View
from longstream_trainer import jobs

_HOUR_S = 3_600.0
_KEPT_RELEASES = 16


class Policy:
    """The `retrain` section of pipelines, applied to what the log says."""

    def __init__(
        self, releases: View[Release], models: View[Model], promotions: View[Promotion], storage: Storage
    ) -> None:
        self._releases = releases
        self._models = models
        self._promotions = promotions
        self._storage = storage
        self._rows = lru_cache(maxsize=_KEPT_RELEASES)(self._read)

    def due(
        self, pipeline: Pipeline, known: OwnedFacts[TrainingJob]
    ) -> Iterator[tuple[TrainingJob, TrainingJob.State, str]]:
        """Each job of a final release on which something is decided now: the state that it gets, and why.

        known: the jobs so far. Raises Unavailable while storage is away.
        """
        releases = [release for _, release in self._releases.under(f"{pipeline.name}/")]
        for release in releases:
            if release.state != Release.STATE_FINAL or release.rows_ready == 0:
                continue
            job = known.get(pipeline.name, jobs.job_id(release, "release"))
            if job is None:
                yield self._first(pipeline, release, known)
            elif job.state == TrainingJob.STATE_WAITING:
                yield from self._again(pipeline, release, job, (releases, known))

    def _first(
        self, pipeline: Pipeline, release: Release, known: OwnedFacts[TrainingJob]
    ) -> tuple[TrainingJob, TrainingJob.State, str]:
        try:
            job = jobs.queued(release, "release", asdict(jobs.recipe_of(release, "")))
        except InvalidInput as error:
            return jobs.queued(release, "release", {}), TrainingJob.STATE_FAILED, error.message
        state, job.decision = self._decided(pipeline, release, known.of(pipeline.name))
        return job, state, job.decision

    def _again(
        self,
        pipeline: Pipeline,
        release: Release,
        job: TrainingJob,
        among: tuple[list[Release], OwnedFacts[TrainingJob]],
    ) -> Iterator[tuple[TrainingJob, TrainingJob.State, str]]:
        releases, known = among
        after = newer(releases, release)
        if after is not None:
            job.decision = f"release {after.id} came while this one waited"
            yield job, TrainingJob.STATE_SKIPPED, job.decision
            return
        state, why = self._decided(pipeline, release, known.of(pipeline.name))
        if state != TrainingJob.STATE_WAITING:
            job.decision = why
            yield job, state, why

    def _decided(
        self, pipeline: Pipeline, release: Release, others: list[TrainingJob]
    ) -> tuple[TrainingJob.State, str]:
        enough, words = self._changed(pipeline, release)
        if not enough:
            return TrainingJob.STATE_SKIPPED, words
        now_s = datetime.now(UTC).timestamp()
        waits = _too_soon(pipeline, others, now_s) or _over_budget(pipeline, others, now_s)
        if waits:
            return TrainingJob.STATE_WAITING, f"{words}; {waits}"
        return TrainingJob.STATE_QUEUED, words

    def _changed(self, pipeline: Pipeline, release: Release) -> tuple[bool, str]:
        wanted = pipeline.train.retrain.changed
        before = self._champions_release(pipeline.name)
        if before is None:
            return True, "there is no champion yet"
        if wanted == 0:
            return True, "every release is trained on"
        try:
            rows, known = self._rows(_addresses(release)), self._rows(_addresses(before))
        except SuiteError as error:
            if error.retryable:
                raise
            return True, f"the rows of release {before.id} cannot be compared with: {error.message}"
        share = len(rows - known) / max(1, len(rows))
        words = f"{share:.0%} of {len(rows):,} rows are new to the champion's release {before.id}"
        return share >= wanted, f"{words}, {wanted:.0%} are wanted"

    def _champions_release(self, pipeline: str) -> Release | None:
        decided = [fact for _, fact in self._promotions.under(f"{pipeline}/")]
        latest = max(decided, key=lambda fact: fact.sequence, default=None)
        if latest is None or not latest.champion_id:
            return None
        model = self._models.get(f"{pipeline}/{latest.champion_id}")
        return None if model is None else self._releases.get(f"{pipeline}/{model.release_id}")

    def _read(self, addresses: tuple[str, ...]) -> frozenset[str]:
        """Ids of the rows that are trained on."""
        found: set[str] = set()
        with tempfile.TemporaryDirectory(prefix="longstream-rows-") as folder:
            for number, address in enumerate(addresses):
                path = self._storage.fetch(address, Path(folder) / f"{number}.parquet")
                table = pq.read_table(path, columns=["row_id", "split"])
                pairs = zip(table["row_id"].to_pylist(), table["split"].to_pylist(), strict=True)
                found.update(row_id for row_id, split in pairs if split == "train")
        return frozenset(found)


def _addresses(release: Release) -> tuple[str, ...]:
    return tuple(shard.address for shard in release.shards)


def _too_soon(pipeline: Pipeline, others: list[TrainingJob], now_s: float) -> str:
    begun = [job.start_time for job in others if job.HasField("start_time")]
    begun += [
        job.create_time for job in others if job.state == TrainingJob.STATE_QUEUED
    ]  # will, at any moment
    last_s = max(map(seconds, begun), default=None)
    every_s = pipeline.train.retrain.every_s
    if last_s is None or now_s >= last_s + every_s:
        return ""
    until = datetime.fromtimestamp(last_s + every_s, UTC)
    return f"the last one began less than {every_s:,.0f} s ago: waits until {until:%Y-%m-%d %H:%M:%S} UTC"


def _over_budget(pipeline: Pipeline, others: list[TrainingJob], now_s: float) -> str:
    policy = pipeline.train.retrain
    if policy.gpu_hours is None:
        return ""
    spent = sum(gpu_seconds(job, now_s, policy.gpu_days * 24 * _HOUR_S) for job in others) / _HOUR_S
    if spent < policy.gpu_hours:
        return ""
    told = f"{spent:,.2f} of {policy.gpu_hours:g} GPU hours of the last {policy.gpu_days:g} days are spent"
    return f"{told}: waits until some are past"


def gpu_seconds(job: TrainingJob, now_s: float, within_s: float = float("inf")) -> float:
    """What a job has held of GPUs within the time before now, from its first beginning on, its waits included."""
    if not job.gpus or not job.HasField("start_time"):
        return 0.0
    end_s = seconds(job.end_time) if job.HasField("end_time") else now_s
    return job.gpus * max(0.0, end_s - max(seconds(job.start_time), now_s - within_s))


def newer(releases: Iterable[Release], than: Release) -> Release | None:
    """A final release that was cut after that one."""
    return next(
        (
            one
            for one in releases
            if one.state == Release.STATE_FINAL
            and one.rows_ready
            and one.cut_time.ToNanoseconds() > than.cut_time.ToNanoseconds()
        ),
        None,
    )
