"""Ranks as they travel, and as the selection compares them."""

from __future__ import annotations

from longstream.v1.records_pb2 import ErasedExample, Example, KeptExample, Rank
from longstream_curator import selection
from longstream_curator.selection import Candidate, Dedup, Standing, dedup_key


def candidate_of(kept: KeptExample, dedup: Dedup) -> Candidate:
    """What ranking needs to know of a kept example."""
    example, rank = kept.example, kept.rank
    return Candidate(
        id=example.id,
        length=rank.length,
        source_order=rank.source_order,
        source_index=rank.source_index if rank.HasField("source_index") else None,
        dedup_key=example_key(example, dedup),
        had_duplicates=kept.had_duplicates,
        standing=Standing(rank.score, rank.draw),
    )


def slot_of(erased: ErasedExample) -> Candidate:
    """What ranking needs to know of an erased example that holds a slot."""
    rank = erased.rank
    return Candidate(
        id=erased.example_id,
        length=rank.length,
        source_order=rank.source_order,
        source_index=rank.source_index if rank.HasField("source_index") else None,
        standing=Standing(rank.score, rank.draw),
    )


def example_key(example: Example, mode: Dedup) -> str | None:
    """What the example's duplicates share under that mode."""
    return dedup_key(mode, response=example.response, instruction=example.instruction, input=example.input)


def rank_record(rank: selection.Rank) -> Rank:
    """A rank as the record that travels."""
    return Rank(
        length=-rank.minus_length,
        source_order=rank.source_order,
        source_index=None if rank.without_index else rank.source_index,
        example_id=rank.id,
        score=-rank.minus_score,
        draw=rank.draw,
    )


def rank_of(record: Rank) -> selection.Rank:
    """The rank that a record holds."""
    given = record.HasField("source_index")
    return selection.Rank(
        -record.score,
        record.draw,
        -record.length,
        record.source_order,
        not given,
        record.source_index,
        record.example_id,
    )
