"""A pipeline's kept set in one partition: the exact k-longest, the texts it needs, and what it has seen.

Everything here is restored from `curator-state`, the changelog that the worker commits with its position.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from longstream import pipeline as pipelines
from longstream.pipeline import Pipeline
from longstream.v1.records_pb2 import Example, KeptExample, PartitionMarks, PipelineRevision, Rank
from longstream_curator import selection
from longstream_curator.length import Metric, measure, metric
from longstream_curator.selection import Candidate, Change, Dedup, Kind, LongestK, Snapshot, dedup_key

MAX_SOURCES = 100
"""Sources counted by name; marks travel in one record, and a stream may have a source for each document."""
OTHER_SOURCES = "(others)"

Changed = tuple[str, KeptExample | None]
"""An example id, and what is kept under it from now on; None: nothing."""


class KeptSet:
    """What one partition keeps for one pipeline."""

    def __init__(self, revision: PipelineRevision, metrics: Callable[[Pipeline], Metric]) -> None:
        """metrics makes the pipeline's length metric; it may read a tokenizer's file."""
        self._metrics = metrics
        self.marks = PartitionMarks()
        self._bodies: dict[str, Example] = {}
        self._adopt(revision)
        self._longest = LongestK(self._m)

    @classmethod
    def restored(
        cls, marks: PartitionMarks, kept: Iterable[KeptExample], metrics: Callable[[Pipeline], Metric]
    ) -> KeptSet:
        """The set that wrote these records."""
        restored = cls(marks.revision, metrics)
        restored.marks = marks
        kept = list(kept)
        restored._bodies = {item.example.id: item.example for item in kept}
        candidates = tuple(candidate_of(item, restored._pipeline.select.dedup) for item in kept)
        mark = rank_of(marks.evicted) if marks.HasField("evicted") else None
        restored._longest = LongestK.restore(restored._m, Snapshot(kept=candidates, mark=mark))
        return restored

    def __len__(self) -> int:
        return len(self._longest)

    def offer(self, example: Example) -> list[Changed]:
        """Take an example into account; returns what changes in the kept set."""
        self.marks.seen += 1
        if example.source not in self._order and self._pipeline.sources:
            self.marks.dropped["source"] += 1
            return []
        length = measure(self._metric, example.response, self._longest.floor).value
        self._count(example, length)
        self._bodies.setdefault(example.id, example)
        changes = self._longest.offer(self._candidate(example, length))
        self._set_mark()
        return self._settled(changes)

    def switch(self, revision: PipelineRevision) -> list[Changed]:
        """Go on under another revision of the pipeline.

        What is kept is ranked anew; what was dropped under the old rule is gone, which the marks say.
        """
        select, sources = self._pipeline.select, self._pipeline.sources
        self._adopt(revision)
        if (self._pipeline.select, self._pipeline.sources) == (select, sources):
            return []
        old = [self._bodies[candidate.id] for candidate in self._longest.kept()]
        seen, begun_late = self.marks.seen, self.marks.begun_late or self.marks.seen > 0
        self.marks = PartitionMarks(revision=revision, metric=self._metric.version, begun_late=begun_late)
        self._longest, self._bodies = LongestK(self._m), {}
        changes: dict[str, KeptExample | None] = {example.id: None for example in old}
        for example in old:
            changes.update(self.offer(example))
        self.marks.seen = seen
        return list(changes.items())

    def kept(self) -> Iterator[KeptExample]:
        """What is kept, best rank first."""
        return (self._kept(candidate) for candidate in self._longest.kept())

    @property
    def _m(self) -> int:
        return self._pipeline.select.k + self._pipeline.select.reserve

    def _adopt(self, revision: PipelineRevision) -> None:
        self._pipeline = pipelines.of_revision(revision)
        self._metric = self._metrics(self._pipeline)
        self._order = {source: place for place, source in enumerate(self._pipeline.sources)}
        self.marks.revision.CopyFrom(revision)
        self.marks.metric = self._metric.version

    def _count(self, example: Example, length: int) -> None:
        known = example.source in self.marks.sources or len(self.marks.sources) < MAX_SOURCES
        counts = self.marks.sources[example.source if known else OTHER_SOURCES]
        counts.seen += 1
        counts.length += length
        self.marks.lengths[str(1 << length.bit_length())] += 1

    def _set_mark(self) -> None:
        if self._longest.mark is not None:
            self.marks.evicted.CopyFrom(rank_record(self._longest.mark))

    def _settled(self, changes: Iterable[Change]) -> list[Changed]:
        settled: list[Changed] = []
        for change in changes:
            identifier = change.candidate.id
            if change.kind in {Kind.ADDED, Kind.UPDATED}:
                settled.append((identifier, self._kept(change.candidate)))
            elif change.kind is not Kind.IGNORED:
                self._bodies.pop(identifier, None)
                settled.append((identifier, None))
                self.marks.dropped[change.kind.value] += 1
            else:
                self.marks.dropped[change.reason] += 1
                if identifier not in self._longest:
                    self._bodies.pop(identifier, None)
        return settled

    def _kept(self, candidate: Candidate) -> KeptExample:
        return KeptExample(
            pipeline=self._pipeline.name,
            rank=rank_record(candidate.rank),
            example=self._bodies[candidate.id],
            had_duplicates=candidate.had_duplicates,
        )

    def _candidate(self, example: Example, length: int) -> Candidate:
        order = self._order.get(example.source, len(self._order))
        rank = Rank(length=length, source_order=order, example_id=example.id)
        if example.HasField("source_index"):
            rank.source_index = example.source_index
        return candidate_of(KeptExample(rank=rank, example=example), self._pipeline.select.dedup)


def candidate_of(kept: KeptExample, dedup: Dedup) -> Candidate:
    """What ranking needs to know of a kept example."""
    example, rank = kept.example, kept.rank
    key = dedup_key(dedup, response=example.response, instruction=example.instruction, input=example.input)
    return Candidate(
        id=example.id,
        length=rank.length,
        source_order=rank.source_order,
        source_index=rank.source_index if rank.HasField("source_index") else None,
        dedup_key=key,
        had_duplicates=kept.had_duplicates,
    )


def pipeline_metric(pipeline: Pipeline, nltk_data: Path | None) -> Metric:
    """The length metric that a pipeline names."""
    tokenizer = Path(pipeline.select.tokenizer) if pipeline.select.tokenizer else None
    return metric(pipeline.select.metric, nltk_data=nltk_data, tokenizer=tokenizer)


def rank_record(rank: selection.Rank) -> Rank:
    """A rank as the record that travels."""
    return Rank(
        length=-rank.minus_length,
        source_order=rank.source_order,
        source_index=None if rank.without_index else rank.source_index,
        example_id=rank.id,
    )


def rank_of(record: Rank) -> selection.Rank:
    """The rank that a record holds."""
    given = record.HasField("source_index")
    return selection.Rank(
        -record.length, record.source_order, not given, record.source_index, record.example_id
    )
