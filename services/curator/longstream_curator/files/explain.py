"""Why one record was kept or not: its length, which is counted whatever it ranks, beside the last that was kept."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

from longstream.data.shapes import Unusable, external_id
from longstream_curator.files.account import WHY
from longstream_curator.files.blocks import Block, Record, fields_of
from longstream_curator.files.inputs import Source
from longstream_curator.files.longest import Longest, Selected
from longstream_curator.files.placing import Waiting
from longstream_curator.split import HELD_OUT


class Explanation:
    """Looks out for the records of an id, which several inputs may have."""

    def __init__(self, wanted: str) -> None:
        self.wanted = wanted
        self._found: list[tuple[int, int, str, Record]] = []

    def take(self, source: int, block: Block) -> None:
        """Look at a block."""
        for place, response, record in zip(block.places, block.responses, block.records, strict=True):
            with suppress(Unusable):
                if external_id(fields_of(record)) == self.wanted:
                    self._found.append((source, place, response, record))

    def lines(self, inputs: Sequence[Source], longest: Longest, selected: Selected) -> list[str]:
        """A sentence for each that was found, or one that says that none was."""
        ranks = {(one.source, one.place): one.rank for one in selected.chosen}
        if not self._found:
            return [f"no record has the id {self.wanted!r}"]
        return [
            f"{inputs[source].path}, record {place}: "
            + (
                f"kept, rank {rank:,} of {len(selected.chosen):,}, length {longest.rule.metric.count(response):,}"
                if (rank := ranks.get((source, place))) is not None
                else _why_not(Waiting(0, source, place, response, record), longest, selected)
            )
            for source, place, response, record in self._found
        ]


def _why_not(one: Waiting, longest: Longest, selected: Selected) -> str:
    rule, length = longest.rule, longest.rule.metric.count(one.response)
    placed = longest.placing.of(one)
    if isinstance(placed, str):
        return f"left out, {WHY[placed]}"
    if part := HELD_OUT.get(placed.stratum):
        here = any((it.source, it.place) == (one.source, one.place) for it in selected.held_out)
        return (
            f"held out for {part}, {'in' if here else 'not in'} the sample that is written, length {length:,}"
        )
    if rule.max_length is not None and length > rule.max_length:
        return f"left out, its length {length:,} is over {rule.max_length:,}"
    reason = longest.reason(one.response, one.record)
    if reason:
        return f"left out by the screen {reason}, length {length:,}"
    if rule.by != "length":
        what = "draw" if rule.by == "random" else "score, or its draw among equals,"
        return f"not kept: its {what} ranks too low"
    return _too_short(length, placed.stratum, selected)


def _too_short(length: int, stratum: str, selected: Selected) -> str:
    last = min((one.length for one in selected.chosen if one.stratum == stratum), default=0)
    of = f" of {stratum}" if stratum else ""
    if length > last:
        return f"left out for an equal or nearly equal one that ranks before it, length {length:,}"
    if length == last:
        return f"not kept, length {length:,}: so is the last that is kept{of}, which stands before it"
    return f"not kept, length {length:,}; the last that is kept{of} has {last:,}"
