"""Where an example stands, why it is not kept, and which releases and models hold it. Nothing is decided here.

Of what is not kept nothing is stored, so that memory does not grow with the stream; whoever has the text can ask why it
is not kept, and the pipeline's rules are applied to it once more.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

from longstream.data.releases import release_rows
from longstream.errors import InvalidInput
from longstream.pipeline import Pipeline
from longstream.selecting import ALL_ROWS
from longstream.storage import Storage
from longstream.v1 import curator_pb2 as pb
from longstream.v1.records_pb2 import ErasedExample, Example, Model, OwnerState, PartitionMarks, Release
from longstream.view import View
from longstream_curator.admission import Admission, Barred
from longstream_curator.length import Metric
from longstream_curator.ranks import example_key, rank_of, rank_record
from longstream_curator.selection import Candidate
from longstream_curator.split import HELD_OUT
from longstream_curator.strata import Stratifier, stratifier
from longstream_curator.submission import example_of
from longstream_curator.view import KeptRank

Answer = pb.ExplainResponse


@dataclass(frozen=True, slots=True, kw_only=True)
class CuratorViews:
    """What the calls read."""

    releases: View[Release]
    states: View[OwnerState]
    """Each pipeline's OwnerState: which revision is in force."""
    kept: View[KeptRank | PartitionMarks | ErasedExample]
    """The changelog: ranks under `pipeline/example id`, one PartitionMarks a partition under `pipeline#...`."""
    models: View[Model]


class Inquiry:
    """Answers about single examples."""

    def __init__(
        self,
        views: CuratorViews,
        pipelines: Mapping[str, Pipeline],
        storage: Storage,
        make_metric: Callable[[Pipeline], Metric],
    ) -> None:
        self.views = views
        self.pipelines = pipelines
        self._storage = storage
        self._make_metric = make_metric
        self._rules: dict[str, Rules] = {}

    def example_id(self, request: pb.ExplainRequest | pb.EraseDocumentRequest) -> str:
        """The example that a request names. Raises InvalidInput if it names none."""
        example = self._example(request)
        name = request.example_id if example is None else example.id
        if not name:
            raise InvalidInput(
                "name the example: example_id, or the document or pair as submitted", field="example_id"
            )
        return name

    def best(self, pipeline: str) -> list[KeptRank]:
        """The first places of each stratum over all partitions, best rank first."""
        strata = self._strata(pipeline)
        return [
            fact
            for fact, place in self._placed(pipeline)
            if fact.stratum not in HELD_OUT and place <= strata.places(fact.stratum)
        ]

    def explain(self, request: pb.ExplainRequest) -> Answer:
        """Where an example stands in a pipeline."""
        name, pipeline = self.example_id(request), request.pipeline
        fact = self.views.kept.get(f"{pipeline}/{name}")
        if isinstance(fact, ErasedExample):
            answer = Answer(outcome=Answer.OUTCOME_ERASED, reason="erased", message="it was erased")
        elif isinstance(fact, KeptRank):
            answer = self._explain_kept(pipeline, fact)
        else:
            answer = self._explain_absent(pipeline, self._example(request))
        answer.example_id = name
        answer.held_by.extend(self.held_by(pipeline, name))
        return answer

    def held_by(self, pipeline: str, example_id: str) -> Iterator[pb.HeldBy]:
        """The final releases that hold an example, oldest first, each with its models. Reads a column of each."""
        models = [model for _, model in self.views.models.under(f"{pipeline}/")]
        for _, release in sorted(self.views.releases.under(f"{pipeline}/")):
            row = self._row(release, example_id)
            if row:
                made = [model.id for model in models if model.release_id == release.id]
                yield pb.HeldBy(pipeline=pipeline, release_id=release.id, row=row, model_ids=made)

    def _example(self, request: pb.ExplainRequest | pb.EraseDocumentRequest) -> Example | None:
        which = request.WhichOneof("which")
        return None if which in {None, "example_id"} else example_of(getattr(request, str(which)))

    def _placed(self, pipeline: str) -> Iterator[tuple[KeptRank, int]]:
        """What all partitions keep, best rank first, each with its place in its stratum."""
        facts = [fact for _, fact in self.views.kept.under(f"{pipeline}/") if isinstance(fact, KeptRank)]
        places: dict[str, int] = {}
        for fact in sorted(facts, key=lambda fact: rank_of(fact.rank)):
            places[fact.stratum] = places.get(fact.stratum, 0) + 1
            yield fact, places[fact.stratum]

    def _strata(self, pipeline: str) -> Stratifier:
        return stratifier(self.pipelines[pipeline])

    def _explain_kept(self, pipeline: str, fact: KeptRank) -> Answer:
        place = next(
            (at for one, at in self._placed(pipeline) if one.rank.example_id == fact.rank.example_id), 0
        )
        strata = self._strata(pipeline)
        most = strata.most(fact.stratum)
        of = "" if most >= ALL_ROWS else f" of {most:,}"
        outcome, message = Answer.OUTCOME_SELECTED, f"place {place:,}{of}"
        if fact.stratum in HELD_OUT:
            outcome = Answer.OUTCOME_HELD_OUT
        if place > most:
            outcome, message = Answer.OUTCOME_RESERVE, f"place {place:,}, in the reserve"
        if place > strata.places(fact.stratum):
            outcome, message = Answer.OUTCOME_NOT_KEPT, f"place {place:,}, kept by its partition alone"
        return Answer(outcome=outcome, message=message, rank=fact.rank, place=place, stratum=fact.stratum)

    def _explain_absent(self, pipeline: str, example: Example | None) -> Answer:
        if example is None:
            return Answer(
                outcome=Answer.OUTCOME_UNKNOWN,
                message="nothing is kept under that id; give the text to learn why",
            )
        if pipeline not in self._rules:
            named = self.pipelines[pipeline]
            self._rules[pipeline] = Rules(Admission(named), named, self._make_metric)
        return self._rules[pipeline].why_not(example, [fact for fact, _ in self._placed(pipeline)])

    def _row(self, release: Release, example_id: str) -> int:
        """The example's row in a final release, from 1; 0 if it has none."""
        rows = release_rows(self._storage, release, ("rank", "example_id"))
        return next((int(row["rank"]) for row in rows if row["example_id"] == example_id), 0)


class Rules:
    """A pipeline's rules, applied to an example that is not kept."""

    def __init__(
        self, admission: Admission, pipeline: Pipeline, make_metric: Callable[[Pipeline], Metric]
    ) -> None:
        self._admission = admission
        self._pipeline = pipeline
        self._make_metric = make_metric

    @cached_property
    def _metric(self) -> Metric:
        return self._make_metric(self._pipeline)

    def why_not(self, example: Example, kept: list[KeptRank]) -> Answer:
        """The reason, by the rules in their order; kept: best rank first."""
        # By its own time, where it has one; else when it came is not known any more, and no window is asked.
        found = self._admission.place(example, 0)
        if isinstance(found, Barred):
            return _not_kept(found.reason, _BARRED[found.reason])
        place, standing = found
        if place.stratum in HELD_OUT:
            return Answer(
                outcome=Answer.OUTCOME_HELD_OUT,
                message="its source is held out for ever; it is not in the sample that releases hold",
                stratum=place.stratum,
            )
        candidate = Candidate(
            id=example.id,
            length=self._metric.count(example.response),
            source_order=self._admission.source_order(example),
            source_index=example.source_index if example.HasField("source_index") else None,
            standing=standing,
        )
        answer = self._by_rank(candidate, example, [fact for fact in kept if fact.stratum == place.stratum])
        answer.rank.CopyFrom(rank_record(candidate.rank))
        answer.stratum = place.stratum
        return answer

    def _by_rank(self, candidate: Candidate, example: Example, kept: list[KeptRank]) -> Answer:
        barred = self._admission.bars(example, candidate.length)
        if barred is not None:
            return _not_kept(
                barred.reason, _BARRED.get(barred.reason, f"the screen {barred.reason} keeps it out")
            )
        key = example_key(example, self._pipeline.select.dedup)
        if key is not None and any(key == fact.key for fact in kept):
            return _not_kept("duplicate", "it equals one that is kept")
        better = sum(rank_of(fact.rank) < candidate.rank for fact in kept)
        if better < len(kept):
            return _not_kept(
                "",
                f"{better:,} rank before it: it would be kept if it came now, and has not come, or "
                "its time in the window is over",
            )
        if self._pipeline.select.by != "length":
            return _not_kept("too_short", f"its draw or score is too low: {better:,} rank before it")
        last = f", the last with length {kept[-1].rank.length:,}" if kept else ""
        return _not_kept("too_short", f"its length is {candidate.length:,}; {better:,} rank before it{last}")


_BARRED = {
    "source": "the pipeline does not list its source",
    "stratum": "its stratum has no share",
    "no_score": "its provenance holds no number to rank by",
    "too_long": "it is longer than select.max_length",
}


def _not_kept(reason: str, message: str) -> Answer:
    return Answer(outcome=Answer.OUTCOME_NOT_KEPT, reason=reason, message=message)
