"""Selections to compare with: a random one, and by a score, as AlpaGasus and the paper's own baselines."""

from __future__ import annotations

import heapq
import random
from dataclasses import dataclass

from longstream.errors import InvalidInput
from longstream_curator.files.blocks import Block, Record, fields_of
from longstream_curator.length import Metric

Place = tuple[int, int]
"""Number of the source, and the record's place there."""


@dataclass(frozen=True, slots=True)
class Overlap:
    """How a baseline's k compare with those that were chosen. shared: records that are in both."""

    name: str
    records: int
    shared: int
    shortest: int
    mean: float
    longest: int


class Baseline:
    """k records by a uniform draw; with a field, those of the highest score, where equals are drawn.

    The draw is seeded and goes by the records in their order, so that it is the same in every run.
    """

    def __init__(self, name: str, k: int, seed: int, field: str = "") -> None:
        self.name = name
        self._k = k
        self._field = field
        self._draw = random.Random(seed)
        self._kept: list[tuple[float, float, Place, str]] = []

    def take(self, source: int, block: Block) -> None:
        """Look at a block. Raises InvalidInput for a record without a number in the score's field."""
        for response, place, record in zip(block.responses, block.places, block.records, strict=True):
            entry = (self._score(record, place), self._draw.random(), (source, place), response)
            if len(self._kept) < self._k:
                heapq.heappush(self._kept, entry)
            elif entry > self._kept[0]:
                heapq.heapreplace(self._kept, entry)

    def overlap(self, chosen: set[Place], metric: Metric) -> Overlap:
        """Measure what was drawn."""
        lengths = [metric.count(response) for *_, response in self._kept]
        return Overlap(
            name=self.name,
            records=len(lengths),
            shared=sum(place in chosen for *_, place, _ in self._kept),
            shortest=min(lengths, default=0),
            mean=sum(lengths) / max(1, len(lengths)),
            longest=max(lengths, default=0),
        )

    def _score(self, record: Record, place: int) -> float:
        if not self._field:
            return 0.0
        value = fields_of(record).get(self._field)
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise InvalidInput(
                f"record {place} has no number in {self._field!r}; name another field: --compare score=FIELD"
            )
        return float(value)
