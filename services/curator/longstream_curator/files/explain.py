"""Why one record was kept or not: its length, which is counted whatever it ranks, beside the last that was kept."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

from longstream.data.shapes import Unusable, external_id
from longstream_curator.files.blocks import Block, fields_of
from longstream_curator.files.inputs import Source
from longstream_curator.files.longest import Chosen, Longest
from longstream_curator.length import Metric


class Explanation:
    """Looks out for the records of an id, which several inputs may have."""

    def __init__(self, wanted: str) -> None:
        self.wanted = wanted
        self._found: list[tuple[int, int, str]] = []

    def take(self, source: int, block: Block) -> None:
        """Look at a block."""
        for place, response, record in zip(block.places, block.responses, block.records, strict=True):
            with suppress(Unusable):
                if external_id(fields_of(record)) == self.wanted:
                    self._found.append((source, place, response))

    def lines(
        self, inputs: Sequence[Source], metric: Metric, longest: Longest, chosen: Sequence[Chosen]
    ) -> list[str]:
        """A sentence for each that was found, or one that says that none was."""
        ranks = {(one.source, one.place): one.rank for one in chosen}
        if not self._found:
            return [f"no record has the id {self.wanted!r}"]
        return [
            f"{inputs[source].path}, record {place}: "
            + _why(metric.count(response), ranks.get((source, place)), longest, len(chosen))
            for source, place, response in self._found
        ]


def _why(length: int, rank: int | None, longest: Longest, kept: int) -> str:
    if rank is not None:
        return f"kept, rank {rank:,} of {kept:,}, length {length:,}"
    if longest.max_length is not None and length > longest.max_length:
        return f"left out, its length {length:,} is over {longest.max_length:,}"
    if length > longest.cut_off:
        return f"left out for an equal that ranks before it, length {length:,}"
    if length == longest.cut_off:
        return f"not kept, length {length:,}: so is the last that is kept, which stands before it"
    return f"not kept, length {length:,}; the last that is kept has {longest.cut_off:,}"
