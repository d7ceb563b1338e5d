"""Which examples a pipeline ranks at all, and where: everything that can be said of an example alone."""

from __future__ import annotations

from dataclasses import dataclass

from longstream.pipeline import Pipeline
from longstream.v1.records_pb2 import Example
from longstream_curator.divisions import Place
from longstream_curator.order import order
from longstream_curator.screening.screens import Screening, Text
from longstream_curator.selection import Standing
from longstream_curator.split import held_out, part_of, sampled
from longstream_curator.strata import stratifier, value_of
from longstream_curator.window import Buckets


@dataclass(frozen=True, slots=True)
class Barred:
    """An example is not ranked. reason: of a closed set (`metrics.DROPS`)."""

    reason: str


def rule_of(pipeline: Pipeline) -> tuple[object, ...]:
    """All of a pipeline that decides what is kept: where it is equal, nothing has to be ranked anew."""
    on = pipeline.select.screens.on(pipeline.profile)
    prompts = pipeline.evaluate.questions if "contamination" in on else ()
    return pipeline.select, pipeline.split, pipeline.sources, on, prompts


class Admission:
    """A pipeline's rules for single examples."""

    def __init__(self, pipeline: Pipeline) -> None:
        select = pipeline.select
        self._select = select
        self._split = pipeline.split
        self._sources = {source: place for place, source in enumerate(pipeline.sources)}
        self._order = order(select.by, select.seed)
        self.strata = stratifier(pipeline)
        on = select.screens.on(pipeline.profile)
        self._screening = Screening(select.screens, on, pipeline.evaluate.questions)
        self.buckets = Buckets(select.window)

    def place(self, example: Example, time_ms: int) -> tuple[Place, Standing] | Barred:
        """Where it is ranked, and what ranks there before its length."""
        if self._sources and example.source not in self._sources:
            return Barred("source")
        by = self._select.strata.by if self._select.strata is not None else ""
        stratum = self.strata.stratum(value_of(example, by) if by else "")
        if stratum is None:
            return Barred("stratum")
        apart = held_out(part_of(self._split, example))
        if apart:
            return Place(apart, 0), sampled(self._split, example.id)
        standing = self._order(example.id, example.provenance.get(self._select.score))
        if standing is None:
            return Barred("no_score")
        return Place(stratum, self.buckets.of(time_ms)), standing

    def source_order(self, example: Example) -> int:
        """Its source's place in the pipeline file; those that are not listed share the last one."""
        return self._sources.get(example.source, len(self._sources))

    def time_ms(self, example: Example, arrived_ms: int) -> int:
        """Its time for a window: its own where the pipeline goes by that and it has one, but never after it came."""
        window = self._select.window
        if window is None or window.time == "arrival" or not example.HasField("time"):
            return arrived_ms
        return min(arrived_ms, example.time.ToMilliseconds())

    def bars(self, example: Example, length: int) -> Barred | None:
        """Why one of that exact length is left out, which would have a place otherwise."""
        longest = self._select.max_length
        if longest is not None and length > longest:
            return Barred("too_long")
        text = Text(example.response, example.instruction, example.input, example.source, example.licence)
        reason = self._screening.reason(text)
        return Barred(reason) if reason else None
