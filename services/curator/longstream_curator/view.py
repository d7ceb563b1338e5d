"""What `GetSelection` needs of the changelog: ranks and marks, without the texts."""

from __future__ import annotations

from dataclasses import dataclass

from longstream.bus import Record
from longstream.records import parse
from longstream.v1.records_pb2 import CuratorStateRecord, PartitionMarks, Rank


@dataclass(frozen=True, slots=True)
class KeptRank:
    """A kept example's place, and how its sender calls it."""

    rank: Rank
    source: str
    external_id: str
    stratum: str


def kept_or_marks(record: Record) -> KeptRank | PartitionMarks:
    """What a changelog record says, its texts left out."""
    state = parse(CuratorStateRecord, record)
    if state.HasField("marks"):
        return state.marks
    kept = state.kept
    return KeptRank(kept.rank, kept.example.source, kept.example.external_id, kept.stratum)
