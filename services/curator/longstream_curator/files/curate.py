"""A whole run over files: every block to the selection, and to what it is compared with."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from longstream.commands.rejections import Rejections
from longstream_curator.files.account import Account
from longstream_curator.files.baselines import Baseline
from longstream_curator.files.blocks import Block
from longstream_curator.files.explain import Explanation
from longstream_curator.files.inputs import Source
from longstream_curator.files.longest import Chosen, Longest
from longstream_curator.files.progress import Progress
from longstream_curator.length import Metric


@dataclass(slots=True, kw_only=True)
class Curation:
    """What a run is asked for, and what it has found so far."""

    longest: Longest
    baselines: Sequence[Baseline] = ()
    explanation: Explanation | None = None
    rejections: Rejections = field(default_factory=Rejections)

    def take(self, number: int, source: Source, block: Block) -> None:
        """Look at a block of the input with that number."""
        self.longest.take(number, block)
        for other in (*self.baselines, self.explanation):
            if other is not None:
                other.take(number, block)
        for item in block.rejected:
            self.rejections.unusable(source.path, item)

    def account(
        self, inputs: Sequence[Source], metric: Metric, chosen: Sequence[Chosen], seconds: float
    ) -> Account:
        """What came of it."""
        places = {(one.source, one.place) for one in chosen}
        explained = self.explanation.lines(inputs, metric, self.longest, chosen) if self.explanation else []
        return Account(
            metric=metric.version,
            seen=self.longest.seen,
            kept=Counter(inputs[one.source].path for one in chosen),
            inputs=[source.path for source in inputs],
            lengths=[one.length for one in chosen],
            counted=self.longest.counted,
            too_long=self.longest.too_long,
            duplicates=self.longest.duplicates,
            rejections=self.rejections,
            overlaps=[baseline.overlap(places, metric) for baseline in self.baselines],
            explained=explained,
            seconds=seconds,
        )


def curate(inputs: Sequence[Source], name: str, curation: Curation, progress: Progress) -> None:
    """Read every input to its end. name: the field to rank by, or empty.

    Raises InvalidInput for a file that is not what its ending says.
    """
    for number, source in enumerate(inputs):
        for block in source.blocks(name, progress.at):
            curation.take(number, source, block)
            progress.records = curation.longest.seen
            del block  # it would be held until there is another
        progress.next_input()
