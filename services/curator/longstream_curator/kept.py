"""What one partition keeps for one pipeline: the exact k-longest, the texts it needs, and what it has seen.

Everything here is restored from `curator-state`, the changelog that the worker commits with its position.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from longstream import pipeline as pipelines
from longstream.pipeline import Pipeline
from longstream.v1.records_pb2 import (
    ErasedExample,
    Example,
    KeptExample,
    PartitionMarks,
    PipelineRevision,
)
from longstream_curator.admission import Admission, Barred, rule_of
from longstream_curator.divisions import Divisions, Place, divided
from longstream_curator.length import Length, Metric, measure, metric
from longstream_curator.ranks import candidate_of, example_key, rank_record, slot_of
from longstream_curator.selection import Candidate, Change, Kind, Standing
from longstream_curator.split import HELD_OUT

MAX_SOURCES = 100
"""Sources counted by name; marks travel in one record, and a stream may have a source for each document."""
OTHER_SOURCES = "(others)"

Changed = tuple[str, KeptExample | ErasedExample | None]
"""An example id, and what is kept under it from now on; None: nothing."""


class _Held(NamedTuple):
    example: Example
    time_ms: int


class KeptSet:
    """What one partition keeps for one pipeline."""

    def __init__(self, revision: PipelineRevision, metrics: Callable[[Pipeline], Metric]) -> None:
        """metrics makes the pipeline's length metric; it may read a tokenizer's file."""
        self._metrics = metrics
        self.marks: PartitionMarks
        self._pipeline: Pipeline
        self._divisions: Divisions
        self._held: dict[str, _Held]
        self._slots: dict[str, ErasedExample]
        self._begin(PartitionMarks(), revision)

    @classmethod
    def restored(
        cls,
        marks: PartitionMarks,
        records: Iterable[KeptExample | ErasedExample],
        metrics: Callable[[Pipeline], Metric],
    ) -> KeptSet:
        """The set that wrote these records."""
        restored = cls(marks.revision, metrics)
        records = list(records)
        kept = [item for item in records if isinstance(item, KeptExample)]
        erased = [item for item in records if isinstance(item, ErasedExample)]
        restored._begin(divided(marks, kept), marks.revision)
        by_place: defaultdict[Place, list[Candidate]] = defaultdict(list)
        for item in kept:
            place = restored._place(item.stratum, item.time_ms)
            by_place[place].append(candidate_of(item, restored._pipeline.select.dedup))
            restored._held[item.example.id] = _Held(item.example, item.time_ms)
        slots: defaultdict[Place, list[Candidate]] = defaultdict(list)
        for slot in erased:
            if slot.HasField("rank"):
                place = restored._place(slot.stratum, slot.time_ms)
                slots[place].append(slot_of(slot))
                restored._slots[slot.example_id] = slot
        restored._divisions.restore(by_place, slots, (item.example_id for item in erased))
        return restored

    def __len__(self) -> int:
        return len(self._divisions)

    def offer(self, example: Example, arrived_ms: int = 0) -> list[Changed]:
        """Take an example into account; returns what changes in the kept set.

        arrived_ms: when it came, since 1970, as the log says: the same in every replay.
        """
        self.marks.seen += 1
        if self._divisions.erased(example.id):
            return self._drop("erased")
        time_ms = self._admission.time_ms(example, arrived_ms)
        found = self._admission.place(example, time_ms)
        if isinstance(found, Barred):
            return self._drop(found.reason)
        place, standing = found
        longest, expired = self._divisions.enter(place)
        gone = [self._gone(example_id) for example_id in expired]
        if longest is None:
            return gone + self._drop("late")
        length = measure(self._metric, example.response, longest.floor_at(standing))
        self._count(example, length.value)
        candidate = self._candidate(example, length, standing)
        barred = (
            self._admission.bars(example, length.value) if length.exact and longest.wants(candidate) else None
        )
        if barred is not None:
            return gone + self._drop(barred.reason)
        changes = self._divisions.offer(place, candidate)
        if changes[0].kind is Kind.ADDED:
            self._held[example.id] = _Held(example, time_ms)
        return gone + self._settled(place, changes)

    def erase(self, example_id: str) -> list[Changed]:
        """Keep nothing of it from now on, however often it comes again."""
        if example_id in self._slots:
            return []  # asked twice before a cut: its rank goes on to hold the slot
        held = self._held.pop(example_id, None)
        erased = ErasedExample(pipeline=self._pipeline.name, example_id=example_id)
        kept = self._divisions.erase(example_id)
        if kept is not None and held is not None:
            place, slot = kept
            erased.rank.CopyFrom(rank_record(slot.rank))
            erased.stratum, erased.time_ms = place.stratum, held.time_ms
            self._slots[example_id] = erased
        return [(example_id, erased)]

    def slots(self) -> list[ErasedExample]:
        """The erased that hold a slot, for a cut."""
        return [self._slots[name] for name in sorted(self._slots)]

    def release_slots(self) -> list[Changed]:
        """Free them, once a cut has taken them into account."""
        return [self._freed(example_id) for example_id in self._divisions.release_slots()]

    def switch(self, revision: PipelineRevision) -> list[Changed]:
        """Go on under another revision of the pipeline.

        What is kept is ranked anew; what was dropped under the old rule is gone, which the marks say.
        """
        pipeline = pipelines.of_revision(revision)
        if rule_of(pipeline) == rule_of(self._pipeline):
            self._pipeline = pipeline
            self.marks.revision.CopyFrom(revision)
            return []
        old = [self._held[candidate.id] for _, candidate in self._divisions.kept()]
        seen, begun_late = self.marks.seen, self.marks.begun_late or self.marks.seen > 0
        erased = self._divisions.refused
        # A slot belongs to the ranking that is given up.
        freed = [self._freed(example_id) for example_id in list(self._slots)]
        self._begin(PartitionMarks(begun_late=begun_late), revision)
        self._divisions.restore({}, {}, erased)
        changes: dict[str, KeptExample | ErasedExample | None] = {held.example.id: None for held in old}
        changes.update(freed)
        for held in old:
            changes.update(self.offer(held.example, held.time_ms))
        self.marks.seen = seen
        return list(changes.items())

    def kept(self) -> Iterator[KeptExample]:
        """What is kept: by strata and buckets of time, and in each the best rank first."""
        return (self._kept(place, candidate) for place, candidate in self._divisions.kept())

    def _begin(self, marks: PartitionMarks, revision: PipelineRevision) -> None:
        self.marks = marks
        self._pipeline = pipelines.of_revision(revision)
        self._metric = self._metrics(self._pipeline)
        self._admission = Admission(self._pipeline)
        self._divisions = Divisions(marks, self._admission.strata.places, self._admission.buckets)
        self._held = {}
        self._slots = {}
        self.marks.revision.CopyFrom(revision)
        self.marks.metric = self._metric.version

    def _place(self, stratum: str, time_ms: int) -> Place:
        return Place(stratum, 0 if stratum in HELD_OUT else self._admission.buckets.of(time_ms))

    def _count(self, example: Example, length: int) -> None:
        known = example.source in self.marks.sources or len(self.marks.sources) < MAX_SOURCES
        counts = self.marks.sources[example.source if known else OTHER_SOURCES]
        counts.seen += 1
        counts.length += length
        self.marks.lengths[str(1 << length.bit_length())] += 1

    def _drop(self, reason: str) -> list[Changed]:
        self.marks.dropped[reason] += 1
        return []

    def _freed(self, example_id: str) -> Changed:
        """An erased one has lost its slot, and is refused all the same."""
        del self._slots[example_id]
        return example_id, ErasedExample(pipeline=self._pipeline.name, example_id=example_id)

    def _gone(self, example_id: str) -> Changed:
        """The bucket of a kept example, or of a slot, is over."""
        if example_id in self._slots:
            return self._freed(example_id)
        del self._held[example_id]
        self.marks.dropped["expired"] += 1
        return example_id, None

    def _settled(self, place: Place, changes: Iterable[Change]) -> list[Changed]:
        settled: list[Changed] = []
        for change in changes:
            identifier = change.candidate.id
            if change.kind in {Kind.ADDED, Kind.UPDATED}:
                settled.append((identifier, self._kept(place, change.candidate)))
            elif change.kind is Kind.IGNORED:
                self.marks.dropped[change.reason] += 1
            elif identifier in self._slots:
                settled.append(self._freed(identifier))
            else:
                del self._held[identifier]
                settled.append((identifier, None))
                self.marks.dropped[change.kind.value] += 1
        return settled

    def _kept(self, place: Place, candidate: Candidate) -> KeptExample:
        held = self._held[candidate.id]
        return KeptExample(
            pipeline=self._pipeline.name,
            rank=rank_record(candidate.rank),
            example=held.example,
            had_duplicates=candidate.had_duplicates,
            stratum=place.stratum,
            time_ms=held.time_ms,
        )

    def _candidate(self, example: Example, length: Length, standing: Standing) -> Candidate:
        # What is shorter than all that are kept has no duplicate among them.
        dedup = self._pipeline.select.dedup if length.exact else "off"
        return Candidate(
            id=example.id,
            length=length.value,
            source_order=self._admission.source_order(example),
            source_index=example.source_index if example.HasField("source_index") else None,
            dedup_key=example_key(example, dedup),
            standing=standing,
        )


def pipeline_metric(pipeline: Pipeline, nltk_data: Path | None) -> Metric:
    """The length metric that a pipeline names."""
    tokenizer = Path(pipeline.select.tokenizer) if pipeline.select.tokenizer else None
    return metric(pipeline.select.metric, nltk_data=nltk_data, tokenizer=tokenizer)
