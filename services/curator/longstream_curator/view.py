"""What `GetSelection` needs of the changelog: ranks and marks, without the texts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from longstream.bus import Record
from longstream.pipeline import Pipeline
from longstream.records import parse
from longstream.v1.records_pb2 import CuratorStateRecord, ErasedExample, PartitionMarks, Rank
from longstream_curator.ranks import example_key


@dataclass(frozen=True, slots=True)
class KeptRank:
    """A kept example's place, and how its sender calls it."""

    rank: Rank
    source: str
    external_id: str
    stratum: str
    key: str | None = None
    """What its duplicates share, where the pipeline has them count once."""


def kept_or_marks(
    record: Record, pipelines: Mapping[str, Pipeline]
) -> KeptRank | PartitionMarks | ErasedExample:
    """What a changelog record says, its texts left out."""
    state = parse(CuratorStateRecord, record)
    if state.HasField("erased"):
        return state.erased
    if state.HasField("marks"):
        return state.marks
    kept, example = state.kept, state.kept.example
    pipeline = pipelines.get(kept.pipeline)
    key = None if pipeline is None else example_key(example, pipeline.select.dedup)
    return KeptRank(kept.rank, example.source, example.external_id, kept.stratum, key)
