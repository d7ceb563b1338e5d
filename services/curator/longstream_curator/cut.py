"""An open release between its snapshots and its rows: what is still to be asked for, and what is settled.

The walk's outcome depends on the cut and on the rows committed, never on when either was read, so a restart rebuilds
this object from the snapshots, the number of places taken and the rows.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from longstream.ids import digest
from longstream.pipeline import Pipeline, canonical
from longstream.v1.records_pb2 import Example, Row, SelectedTask
from longstream_curator.gathering import Gathering, PartitionCut
from longstream_curator.release import Stratum
from longstream_curator.selection import Candidate
from longstream_curator.split import HELD_OUT
from longstream_curator.walks import Walks
from longstream_curator.writing_costs import WritingCosts

RowOf = Callable[[str], Row | None]
"""The committed row of an id, if there is one."""

CHUNK = 200
"""Tasks sent in one commit at most."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FinishedRow:
    """An accepted row: the example, its length, and what was written for it (None: nothing was)."""

    example: Example
    length: int
    stratum: str
    row_id: str
    written: Row | None


class OpenCut:
    """The walk of a pipeline's open release."""

    def __init__(
        self,
        pipeline: Pipeline,
        cuts: Sequence[PartitionCut],
        cut_ms: int,
        taken: Mapping[str, int],
        erased: Iterable[str] = (),
    ) -> None:
        """cut_ms: the barrier's time. taken: by stratum, places that were asked for before a restart.

        erased: ids that were erased since the barrier.
        """
        self._pipeline = pipeline
        self._task = canonical(pipeline.instruct.on(pipeline.profile).model_dump(mode="json"))
        self._refine = "" if pipeline.refine is None else canonical(pipeline.refine.model_dump(mode="json"))
        self._examples = {item.example.id: item.example for cut in cuts for item in cut.kept}
        self._rows: dict[str, Row] = {}
        self._waiting: dict[str, str] = {}  # example id -> row id
        self.refused: Counter[str] = Counter()
        self.costs = WritingCosts()
        self.marks = [cut.marks for cut in cuts]
        rankings = Gathering(pipeline, cuts, cut_ms).rankings
        self.dropped = rankings.dropped
        self._limits = rankings.limits
        self._walk = Walks(rankings.merged, rankings.limits, pipeline.select.rows, taken)
        for name, places in self._walk.taken.items():
            for candidate in rankings.merged[name].candidates[:places]:
                self._begin(candidate)
        for example_id in erased:
            self.exclude(example_id)

    def exclude(self, example_id: str) -> str:
        """Take an erased example out; the row that is still under way for it, or empty."""
        self._walk.exclude(example_id)
        self._rows.pop(example_id, None)
        return self._waiting.pop(example_id, "")

    @property
    def taken(self) -> dict[str, int]:
        """Places asked for so far, by stratum."""
        return self._walk.taken

    @property
    def wanted(self) -> int:
        """Rows that it will have, unless too many are refused."""
        return self._walk.wanted

    @property
    def settled(self) -> bool:
        """Whether every row is known."""
        return self._walk.settled

    @property
    def short(self) -> bool:
        """Whether the reserve ran out; where all are wanted, there is none."""
        return self._walk.short and self._pipeline.select.k != "all"

    @property
    def exact(self) -> bool:
        """Whether an exhaustive sort of everything before the barrier would have given the same rows."""
        return self._walk.exact and not any(marks.begun_late for marks in self.marks)

    @property
    def ready(self) -> int:
        """Accepted rows so far."""
        return self._walk.ready

    def advance(self, release_id: str, row_of: RowOf) -> list[SelectedTask]:
        """Take in the rows that have come; returns what must now be asked for, a chunk at most."""
        self._take_in(row_of)
        tasks: list[SelectedTask] = []
        while len(tasks) < CHUNK and (candidate := self._walk.next_needed()) is not None:
            row_id = self._begin(candidate)
            if candidate.id in self._waiting and row_of(row_id) is None:
                tasks.append(self._task_for(candidate, release_id, row_id))
            self._take_in(row_of, [candidate.id])
        return tasks

    def strata(self) -> list[Stratum]:
        """What each stratum may have, and has so far; what is held out among them."""
        rows = Counter(self._walk.stratum(one.id) for one in self._walk.accepted)
        return [
            Stratum(name=name, limit=limit, rows=rows[name]) for name, limit in sorted(self._limits.items())
        ]

    def rows(self) -> Iterator[FinishedRow]:
        """The accepted rows, best rank first."""
        for candidate in self._walk.accepted:
            yield FinishedRow(
                example=self._examples[candidate.id],
                length=candidate.length,
                stratum=self._walk.stratum(candidate.id),
                row_id=self._row_id(candidate.id),
                written=self._rows.get(candidate.id),
            )

    def _begin(self, candidate: Candidate) -> str:
        row_id = self._row_id(candidate.id)
        if not self._needs_work(candidate.id):
            self._walk.accept(candidate.id)
        else:
            self._waiting[candidate.id] = row_id
        return row_id

    def _take_in(self, row_of: RowOf, examples: Iterable[str] | None = None) -> None:
        for example_id in list(self._waiting if examples is None else examples):
            row = row_of(self._waiting[example_id]) if example_id in self._waiting else None
            if row is None:
                continue
            del self._waiting[example_id]
            self.costs.add(row)
            if row.refusal and self._examples[example_id].instruction:
                self._walk.accept(example_id)  # a pair is whole without its refinement
            elif row.refusal:
                self._walk.refuse(example_id)
                self.refused[row.refusal] += 1
            else:
                self._rows[example_id] = row
                self._walk.accept(example_id)

    def _needs_work(self, example_id: str) -> bool:
        return not self._examples[example_id].instruction or bool(self._refine_of(example_id))

    def _refine_of(self, example_id: str) -> str:
        """How its response is refined, as JSON; empty: not at all. What is held out measures, so it stays as it is."""
        refine = self._pipeline.refine
        kind = "pairs" if self._examples[example_id].instruction else "documents"
        if refine is None or refine.of not in {"all", kind} or self._walk.stratum(example_id) in HELD_OUT:
            return ""
        return self._refine

    def _row_id(self, example_id: str) -> str:
        refine = self._refine_of(example_id)
        return digest("row", example_id, self._task, *([refine] if refine else []))

    def _task_for(self, candidate: Candidate, release_id: str, row_id: str) -> SelectedTask:
        return SelectedTask(
            pipeline=self._pipeline.name,
            release_id=release_id,
            row_id=row_id,
            example=self._examples[candidate.id],
            task=self._task,
            refine=self._refine_of(candidate.id),
        )
