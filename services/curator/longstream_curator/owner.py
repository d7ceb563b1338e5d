"""The owner of a pipeline's releases: puts it in force, opens cuts, gathers rows, makes releases final.

Handler of `curation`. What it decides is a function of the control records and of the rows committed; what it
knows is in `curation-state` and `releases`, written with every position.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from longstream import pipeline as pipelines
from longstream.bus import Bus, Output, Partition, Record
from longstream.errors import InvalidInput, Refused
from longstream.faults import crash_point
from longstream.ids import digest
from longstream.owned import OwnedFacts
from longstream.owner import Owner, answer
from longstream.pipeline import Pipeline
from longstream.records import parse, timestamp
from longstream.storage import Storage
from longstream.telemetry import begin_fact, traced_by
from longstream.topics import (
    CURATION_STATE,
    EXAMPLES,
    RELEASE_HEADER,
    RELEASES,
    ROW_HEADER,
    ROWS,
    SELECTED,
    PipelineTopics,
    pipeline_key,
)
from longstream.v1.records_pb2 import (
    Barrier,
    CurationRecord,
    Erase,
    ExamplesRecord,
    OwnerState,
    PartitionSnapshot,
    Release,
    Row,
    SelectedTask,
)
from longstream.view import CATCH_UP_S, View
from longstream_curator import snapshot
from longstream_curator.cut import OpenCut
from longstream_curator.finish import finish
from longstream_curator.gathering import PartitionCut
from longstream_curator.length import Metric
from longstream_curator.metrics import CuratorMetrics
from longstream_curator.strata import WHOLE


@dataclass(frozen=True, slots=True, kw_only=True)
class CurationParts:
    """What the owner works with."""

    bus: Bus
    storage: Storage
    rows: View[Row]
    make_metric: Callable[[Pipeline], Metric]
    metrics: CuratorMetrics


class CurationOwner(Owner):
    """Decides on releases, one open at a time per pipeline."""

    def __init__(self, layout: PipelineTopics, running: Mapping[str, Pipeline], parts: CurationParts) -> None:
        super().__init__(OwnedFacts(parts.bus, CURATION_STATE, OwnerState, layout), layout, running)
        self._parts = parts
        self._releases = OwnedFacts(parts.bus, RELEASES, Release, layout)
        self._revisions = {name: pipeline.revision() for name, pipeline in running.items()}
        self._partitions = parts.bus.partitions(EXAMPLES)
        self._cuts: dict[str, OpenCut] = {}
        self._read: dict[str, int] = {}

    def gained(self, partition: Partition) -> None:
        """Restore states and releases; open cuts are rebuilt from their snapshots when they are next needed.

        The rows that the former owner knew must be known: an id that has its row is never asked for again.
        """
        super().gained(partition)
        self._parts.rows.catch_up(CATCH_UP_S)
        self._releases.gained(partition)

    def lost(self, partition: Partition) -> None:
        """Forget them."""
        super().lost(partition)
        self._releases.lost(partition)
        for name in [name for name in self._cuts if self._layout.partition(name) == partition.index]:
            del self._cuts[name]

    def apply(self, state: OwnerState, record: Record) -> Sequence[Output]:
        """Open a cut, take a partition's snapshot, or note its progress."""
        event = parse(CurationRecord, record)
        outputs: list[Output] = []
        match event.WhichOneof("event"):
            case "cut":
                answer(state, event, lambda: self._open(state, "caller", record.timestamp_ms, outputs))
            case "erase":
                answer(state, event, lambda: self._erase(state, event.erase.example_id, outputs))
            case "snapshot":
                self._arrive(state, event.snapshot)
            case "progress":
                state.curation.seen[event.progress.partition] = event.progress.seen
            case _:
                raise InvalidInput("a curation record holds a cut, an erasure, a snapshot or progress")
        return outputs

    def act(self, state: OwnerState, pipeline: Pipeline, outputs: list[Output]) -> None:
        """Put the pipeline's file in force, cut when it is time, take the open release a step further."""
        self._drop_late_rows(state, outputs)
        if not state.curation.open_release_id:
            self._put_in_force(state, pipeline, outputs)
            self._cut_if_due(state, pipeline, outputs)
        else:
            self._advance(state, outputs)

    def _put_in_force(self, state: OwnerState, pipeline: Pipeline, outputs: list[Output]) -> None:
        revision = self._revisions[pipeline.name]
        if state.curation.revision.revision == revision.revision:
            return
        state.curation.revision.CopyFrom(revision)
        outputs.extend(self._to_all_partitions(ExamplesRecord(revision=revision)))

    def _cut_if_due(self, state: OwnerState, pipeline: Pipeline, outputs: list[Output]) -> None:
        curation, cut = state.curation, pipeline.cut
        new = sum(curation.seen.values()) - curation.seen_at_cut
        now_ms = time.time_ns() // 1_000_000
        waited_s = now_ms / 1_000 - curation.cut_time.ToMilliseconds() / 1_000
        if cut.every_examples is not None and new >= cut.every_examples:
            self._open(state, "every_examples", now_ms, outputs)
        elif cut.every_s is not None and new > 0 and waited_s >= cut.every_s:
            self._open(state, "every_s", now_ms, outputs)

    def _open(self, state: OwnerState, asked_by: str, now_ms: int, outputs: list[Output]) -> str:
        """Write the barrier and the open release; returns the release's id."""
        curation = state.curation
        if not curation.revision.revision:
            raise Refused("the pipeline is not in force yet; try again in a moment")
        if curation.open_release_id:
            raise Refused(f"release {curation.open_release_id} is still open; wait until it is final")
        curation.releases += 1
        revision = curation.revision
        made_of = digest("release", revision.pipeline, revision.revision, curation.releases)
        release = Release(
            pipeline=revision.pipeline,
            id=f"r{curation.releases:05d}-{made_of[:8]}",
            state=Release.STATE_OPEN,
            parent_id=curation.last_final_id,
            revision=revision,
            cut_time=timestamp(now_ms),
            asked_by=asked_by,
        )
        release.trace, release.parent_trace = begin_fact()
        curation.open_release_id = release.id
        curation.seen_at_cut = sum(curation.seen.values())
        curation.cut_time.CopyFrom(release.cut_time)
        del curation.snapshots[:]
        curation.sent = 0
        curation.sent_by_stratum.clear()
        del curation.erased[:]
        barrier = Barrier(
            pipeline=release.pipeline,
            release_id=release.id,
            revision=revision.revision,
            time=release.cut_time,
        )
        outputs.extend(self._to_all_partitions(ExamplesRecord(barrier=barrier)))
        outputs.append(self._put(release))
        return release.id

    def _erase(self, state: OwnerState, example_id: str, outputs: list[Output]) -> str:
        """Take an example out of the open release, of the rows, and by every partition out of what is kept."""
        curation = state.curation
        if not curation.revision.revision:
            raise Refused("the pipeline is not in force yet; try again in a moment")
        release = self._releases.get(state.pipeline, curation.open_release_id)
        if release is not None and len(curation.snapshots) == len(self._partitions):
            # First of all, since it may have to read the snapshots, which can fail.
            under_way = self._cut(state, release).exclude(example_id)
            if under_way:
                curation.erased_rows[under_way] = example_id
            self._read[state.pipeline] = -1
        if curation.open_release_id:
            curation.erased.append(example_id)
        erase = Erase(pipeline=state.pipeline, example_id=example_id)
        outputs.extend(self._to_all_partitions(ExamplesRecord(erase=erase)))
        for key, row in self._parts.rows.under(f"{state.pipeline}/"):
            if row.example_id == example_id:
                outputs.append(self._without_row(key))
        return example_id

    def _drop_late_rows(self, state: OwnerState, outputs: list[Output]) -> None:
        """Rows that were under way for what was erased meanwhile."""
        waiting = state.curation.erased_rows
        for row_id in list(waiting):
            key = f"{state.pipeline}/{row_id}"
            if self._parts.rows.get(key) is not None:
                outputs.append(self._without_row(key))
                del waiting[row_id]

    def _without_row(self, key: str) -> Output:
        partition = self._layout.partition(key.partition("/")[0])
        return Output(topic=ROWS, key=key.encode(), value=None, partition=partition)

    def _arrive(self, state: OwnerState, arrived: PartitionSnapshot) -> None:
        curation = state.curation
        known = {item.partition for item in curation.snapshots}
        if arrived.release_id == curation.open_release_id and arrived.partition not in known:
            curation.snapshots.append(arrived)

    def _advance(self, state: OwnerState, outputs: list[Output]) -> None:
        curation = state.curation
        if len(curation.snapshots) < len(self._partitions):
            return
        release = self._releases.get(state.pipeline, curation.open_release_id)
        if release is None:
            raise InvalidInput(f"the open release {curation.open_release_id} is not in {RELEASES}")
        cut = self._cut(state, release)
        version = self._parts.rows.version
        if version == self._read[state.pipeline] and not cut.settled:
            return
        prefix = f"{state.pipeline}/"
        tasks = cut.advance(release.id, lambda row_id: self._parts.rows.get(prefix + row_id))
        curation.sent_by_stratum.update(cut.taken)
        curation.sent = sum(cut.taken.values())
        outputs.extend(_sent(task) for task in tasks)
        if not tasks:
            self._read[state.pipeline] = version
        if cut.settled:
            self._finish(state, release, cut)
            outputs.append(self._put(release))
        elif _shown(release, cut):
            outputs.append(self._put(release))

    def _cut(self, state: OwnerState, release: Release) -> OpenCut:
        """The open release's walk, whose snapshots have all arrived."""
        cut = self._cuts.get(state.pipeline)
        if cut is None:
            cut = self._cuts[state.pipeline] = self._rebuilt(state, release)
            self._read[state.pipeline] = -1
        return cut

    def _rebuilt(self, state: OwnerState, release: Release) -> OpenCut:
        cuts = [
            self._partition_cut(state.pipeline, arrived)
            for arrived in sorted(state.curation.snapshots, key=lambda arrived: arrived.partition)
        ]
        # A state of an earlier version has the sum alone, and was written for one stratum.
        taken = state.curation.sent_by_stratum or {WHOLE: state.curation.sent}
        pipeline, cut_ms = pipelines.of_revision(release.revision), release.cut_time.ToMilliseconds()
        return OpenCut(pipeline, cuts, cut_ms, taken, state.curation.erased)

    def _partition_cut(self, pipeline: str, arrived: PartitionSnapshot) -> PartitionCut:
        with self._parts.storage.open(arrived.address) as file:
            kept = snapshot.decode(file, pipeline)
        return PartitionCut(kept=kept, marks=arrived.marks, erased=arrived.erased)

    def _finish(self, state: OwnerState, release: Release, cut: OpenCut) -> None:
        _shown(release, cut)
        metric = self._parts.make_metric(pipelines.of_revision(release.revision)).version
        finish(release, cut, metric, self._parts.storage)
        crash_point("curator.release.stored")
        release.state = Release.STATE_FINAL
        state.curation.last_final_id = release.id
        state.curation.open_release_id = ""
        del state.curation.snapshots[:]
        del self._cuts[state.pipeline]
        self._parts.metrics.released(release, (row.example.trace for row in cut.rows()))

    def _to_all_partitions(self, fact: ExamplesRecord) -> list[Output]:
        value = fact.SerializeToString(deterministic=True)
        return [
            Output(topic=EXAMPLES, key=b"", value=value, partition=partition.index)
            for partition in self._partitions
        ]

    def _put(self, release: Release) -> Output:
        return self._releases.put(release.pipeline, release.id, release)


def _sent(task: SelectedTask) -> Output:
    return Output(
        topic=SELECTED,
        key=task.example.id.encode(),
        value=task.SerializeToString(deterministic=True),
        headers=(
            *traced_by(task.example.trace),
            (ROW_HEADER, pipeline_key(task.pipeline, task.row_id)),
            (RELEASE_HEADER, task.release_id.encode()),
        ),
    )


def _shown(release: Release, cut: OpenCut) -> bool:
    """Show the cut's progress in the release; whether that changes it."""
    before = release.SerializeToString(deterministic=True)
    release.state = Release.STATE_INSTRUCTING
    release.rows_wanted, release.rows_ready = cut.wanted, cut.ready
    release.refused.clear()
    release.refused.update(cut.refused)
    return release.SerializeToString(deterministic=True) != before
