"""The kept sets of all partitions at a barrier, gathered into one ranking for each stratum, and what each may have."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from longstream.pipeline import Pipeline
from longstream.selecting import Select
from longstream.v1.records_pb2 import ErasedExample, KeptExample, PartitionMarks
from longstream_curator.divisions import divided
from longstream_curator.rankings import Near, Rankings
from longstream_curator.ranks import candidate_of, rank_of, slot_of
from longstream_curator.selection import Candidate, Rank, Snapshot, better
from longstream_curator.split import HELD_OUT
from longstream_curator.strata import WHOLE, stratifier
from longstream_curator.walk import merge
from longstream_curator.window import Buckets


@dataclass(frozen=True, slots=True, kw_only=True)
class PartitionCut:
    """What one partition kept at the barrier."""

    kept: Sequence[KeptExample]
    marks: PartitionMarks
    erased: Sequence[ErasedExample] = ()
    """Those that hold a slot."""


class Gathering:
    """What a release is chosen from."""

    def __init__(self, pipeline: Pipeline, cuts: Sequence[PartitionCut], cut_ms: int) -> None:
        """cut_ms: the barrier's time, at which the pipeline's window ends."""
        select = pipeline.select
        self._dedup = select.dedup
        self._buckets = Buckets(select.window)
        self._first = self._buckets.first(_by_bucket(cuts), cut_ms)
        self._seen = Counter({WHOLE: 0} if select.strata is None else {})
        snapshots: defaultdict[str, list[Snapshot]] = defaultdict(list)
        for cut in cuts:
            for stratum, snapshot in self._snapshots(cut):
                snapshots[stratum].append(snapshot)
        strata = stratifier(pipeline)
        merged = {name: merge(snapshots[name], strata.places(name)) for name in sorted(self._seen)}
        self.rankings = Rankings(merged, self._seen, strata, _near_of(select, cuts))

    def _snapshots(self, cut: PartitionCut) -> Iterable[tuple[str, Snapshot]]:
        marks: dict[str, Rank | None] = {}
        for one in divided(cut.marks, cut.kept).divisions:
            if self._inside(one.stratum, one.bucket):
                self._seen[one.stratum] += one.seen
                evicted = rank_of(one.evicted) if one.HasField("evicted") else None
                marks[one.stratum] = better(marks.get(one.stratum), evicted)
        kept: defaultdict[str, list[Candidate]] = defaultdict(list)
        for item in cut.kept:
            if self._inside(item.stratum, self._buckets.of(item.time_ms)):
                kept[item.stratum].append(candidate_of(item, self._dedup))
        slots: defaultdict[str, list[Candidate]] = defaultdict(list)
        for slot in cut.erased:
            if self._inside(slot.stratum, self._buckets.of(slot.time_ms)):
                slots[slot.stratum].append(slot_of(slot))
        return [
            (name, Snapshot(kept=tuple(kept[name]), erased_slots=tuple(slots[name]), mark=mark))
            for name, mark in marks.items()
        ]

    def _inside(self, stratum: str, bucket: int) -> bool:
        return self._first is None or stratum in HELD_OUT or bucket >= self._first


def _near_of(select: Select, cuts: Iterable[PartitionCut]) -> Near | None:
    if select.near_duplicates is None:
        return None
    texts = {item.example.id: item.example.response for cut in cuts for item in cut.kept}
    return Near(select.near_duplicates, texts.__getitem__)


def _by_bucket(cuts: Iterable[PartitionCut]) -> Counter[int]:
    seen = Counter[int]()
    for cut in cuts:
        for one in divided(cut.marks, cut.kept).divisions:
            if one.stratum not in HELD_OUT:
                seen[one.bucket] += one.seen
    return seen
