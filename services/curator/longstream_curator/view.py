"""What `GetSelection` needs of the changelog: ranks and marks, without the texts."""

from __future__ import annotations

from dataclasses import dataclass

from longstream.bus import Record
from longstream.records import parse
from longstream.v1.records_pb2 import CuratorStateRecord, ErasedExample, PartitionMarks, Rank
from longstream_curator.ranks import example_key
from longstream_curator.selection import Dedup

_MODES: tuple[Dedup, ...] = ("response", "pair")


@dataclass(frozen=True, slots=True)
class KeptRank:
    """A kept example's place, and how its sender calls it."""

    rank: Rank
    source: str
    external_id: str
    stratum: str
    keys: tuple[str, ...] = ()
    """What its duplicates would share, by response and by pair."""


def kept_or_marks(record: Record) -> KeptRank | PartitionMarks | ErasedExample:
    """What a changelog record says, its texts left out."""
    state = parse(CuratorStateRecord, record)
    if state.HasField("erased"):
        return state.erased
    if state.HasField("marks"):
        return state.marks
    kept = state.kept
    example = kept.example
    keys = tuple(key for mode in _MODES if (key := example_key(example, mode)) is not None)
    return KeptRank(kept.rank, example.source, example.external_id, kept.stratum, keys)
