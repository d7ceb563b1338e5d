"""The k longest of files: every response is looked at, and few are counted.

A block's responses are taken longest in characters first, so that the running k-th longest rises at once and the rest
falls below it by a bound (`length.py`), whatever the order of the file. What is kept does not depend on that order.
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass

from longstream_curator.files.blocks import Block, Record, fields_of
from longstream_curator.length import Metric, measure
from longstream_curator.selection import Candidate, Dedup, Kind, LongestK, dedup_key

ALL = sys.maxsize
"""A k that leaves nothing out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """A record that is kept. rank: from 1, longest first; source, place: the input and where it stood there."""

    rank: int
    length: int
    source: int
    place: int
    record: Record


class Longest:
    """The running selection over all inputs."""

    def __init__(self, metric: Metric, k: int, dedup: Dedup = "off", max_length: int | None = None) -> None:
        """max_length: what is longer is left out and counted, so that training cuts nothing."""
        self._metric = metric
        self._dedup: Dedup = dedup
        self.max_length = max_length
        self._selection = LongestK(k)
        self._records: dict[str, Record] = {}
        self.seen = 0
        self.counted = 0
        """Responses whose exact length was needed."""
        self.too_long = 0
        self.duplicates = 0
        """Of those that were counted, which gave way to an equal one."""

    @property
    def cut_off(self) -> int:
        """The length of the last that is kept, once there are k; 0 before."""
        return self._selection.floor

    def take(self, source: int, block: Block) -> None:
        """Look at a block of the input with that number; inputs and blocks may come in any order."""
        self.seen += len(block.responses)
        sizes = list(map(len, block.responses))
        for at in sorted(range(len(sizes)), key=sizes.__getitem__, reverse=True):
            length = measure(self._metric, block.responses[at], self._selection.floor)
            if length.exact:
                self._offer(source, block, at, length.value)

    def chosen(self) -> list[Chosen]:
        """What is kept, longest first."""
        return [
            Chosen(
                rank=rank,
                length=candidate.length,
                source=candidate.source_order,
                place=candidate.source_index or 0,
                record=self._records[candidate.id],
            )
            for rank, candidate in enumerate(self._selection.kept(), 1)
        ]

    def _offer(self, source: int, block: Block, at: int, length: int) -> None:
        self.counted += 1
        if self.max_length is not None and length > self.max_length:
            self.too_long += 1
            return
        candidate = Candidate(
            id=f"{source}/{block.places[at]}",
            length=length,
            source_order=source,
            source_index=block.places[at],
            dedup_key=self._key(block, at),
        )
        for change in self._selection.offer(candidate):
            self.duplicates += change.reason == "duplicate" or change.kind is Kind.REPLACED
            if change.candidate.id not in self._selection:
                self._records.pop(change.candidate.id, None)
        if candidate.id in self._selection:
            self._records[candidate.id] = block.records[at]

    def _key(self, block: Block, at: int) -> str | None:
        if self._dedup != "pair":
            return dedup_key(self._dedup, response=block.responses[at])
        fields = fields_of(block.records[at])
        asked = [fields.get(name) for name in ("instruction", "input", "conversations")]
        return dedup_key("pair", response=block.responses[at], instruction=json.dumps(asked, default=str))
