"""A whole run over files: every block to the selection, and to what it is compared with."""

from __future__ import annotations

import gc
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from longstream.commands.rejections import Rejections
from longstream.data.shapes import response_of
from longstream_curator.files.account import Account
from longstream_curator.files.baselines import lengths, overlaps
from longstream_curator.files.blocks import Block, fields_of
from longstream_curator.files.explain import Explanation
from longstream_curator.files.inputs import Source
from longstream_curator.files.longest import Chosen, Longest, Selected
from longstream_curator.files.progress import Progress
from longstream_curator.files.shards import Shard


@dataclass(slots=True, kw_only=True)
class Curation:
    """What a run is asked for, and what it has found so far.

    name: the field to rank by, or empty. baselines: other selections to compare with, by name.
    """

    longest: Longest
    name: str = ""
    baselines: Mapping[str, Longest] = field(default_factory=dict)
    explanation: Explanation | None = None
    rejections: Rejections = field(default_factory=Rejections)

    def take(self, number: int, source: Source, block: Block) -> None:
        """Look at a block of the input with that number."""
        self.longest.take(number, block)
        for other in (*self.baselines.values(), self.explanation):
            if other is not None:
                other.take(number, block)
        for item in block.rejected:
            self.rejections.unusable(source.path, item)

    def account(self, inputs: Sequence[Source], selected: Selected, seconds: float) -> Account:
        """What came of it."""
        others = [(name, other.selected()) for name, other in self.baselines.items()]
        measured = {name: [self._length(one) for one in other.chosen] for name, other in others}
        explained = self.explanation.lines(inputs, self.longest, selected) if self.explanation else []
        return Account(
            metric=self.longest.rule.metric.version,
            seen=self.longest.seen,
            kept=Counter(inputs[one.source].path for one in selected.chosen),
            strata=Counter(one.stratum for one in selected.chosen) if self.longest.rule.strata else Counter(),
            held_out=Counter(one.part for one in selected.held_out),
            inputs=[source.path for source in inputs],
            lengths=[one.length for one in selected.chosen],
            counted=self.longest.counted,
            exact=selected.exact,
            short=selected.short,
            left_out=selected.left_out,
            rejections=self.rejections,
            compared=[lengths(name, found) for name, found in measured.items()],
            compared_lengths=measured,
            overlaps=overlaps([("these", selected), *others]),
            explained=explained,
            seconds=seconds,
        )

    def _length(self, chosen: Chosen) -> int:
        """In the run's metric, which a baseline may not have been chosen by."""
        return self.longest.rule.metric.count(response_of(fields_of(chosen.record), self.name))


def curate(
    inputs: Sequence[Source], curation: Curation, progress: Progress, shard: Shard | None = None
) -> None:
    """Read every input to its end, or every one of a shard.

    Raises InvalidInput for a file that is not what its ending says.
    """
    gc.freeze()  # what the imports have left stays, and is not looked through again and again meanwhile
    try:
        for number, source in enumerate(inputs):
            if shard is not None and not shard.has(number):
                continue
            for block in source.blocks(curation.name, progress.at):
                curation.take(number, source, block)
                progress.records = curation.longest.seen
                del block  # it would be held until there is another
            progress.next_input()
    finally:
        gc.unfreeze()
