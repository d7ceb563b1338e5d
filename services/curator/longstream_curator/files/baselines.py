"""Other selections from the same records, and how any two overlap: what the paper compares its own with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

from longstream_curator.files.longest import Selected

Place = tuple[int, int]
"""Number of the source, and the record's place there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lengths:
    """A selection's lengths, in the units of the run's metric, whatever it was chosen by."""

    name: str
    records: int
    shortest: int
    mean: float
    longest: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Overlap:
    """Records that are in both of two selections."""

    one: str
    other: str
    shared: int


def lengths(name: str, found: Sequence[int]) -> Lengths:
    """Of one selection."""
    return Lengths(
        name=name,
        records=len(found),
        shortest=min(found, default=0),
        mean=sum(found) / max(1, len(found)),
        longest=max(found, default=0),
    )


def overlaps(selections: Sequence[tuple[str, Selected]]) -> list[Overlap]:
    """Of every two."""
    places = [(name, {(one.source, one.place) for one in its.chosen}) for name, its in selections]
    return [
        Overlap(one=one, other=other, shared=len(of_one & of_other))
        for (one, of_one), (other, of_other) in combinations(places, 2)
    ]
