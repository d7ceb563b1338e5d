"""Comparisons for other teams: pairs come in, verdicts go out, by the engine that judges the pipeline's own models."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from longstream.errors import InvalidInput, SuiteError
from longstream.llm.types import LanguageModel
from longstream.streaming import Stream
from longstream.v1 import judge_pb2 as pb
from longstream_judge.comparison import Pair
from longstream_judge.metrics import JudgeMetrics
from longstream_judge.ways import compared, way_named


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparer:
    """in_flight: pairs of one call that are asked about at once."""

    model: LanguageModel
    metrics: JudgeMetrics
    in_flight: int = 32

    def answers(
        self, requests: Iterable[pb.ComparePairsRequest], time_left_s: Callable[[], float]
    ) -> Iterator[pb.ComparePairsResponse]:
        """Each pair's verdict, as soon as it is there. time_left_s: of the call."""

        def answer(request: pb.ComparePairsRequest) -> pb.ComparePairsResponse:
            return self._compared(request, time_left_s())

        return Stream(answer, self._failed, self.in_flight).answers(requests)

    def _compared(self, request: pb.ComparePairsRequest, timeout_s: float) -> pb.ComparePairsResponse:
        if not request.question.strip():
            raise InvalidInput("question must be set", field="question")
        way = way_named(request.way or "soft")
        pair = Pair(
            id=request.request_id,
            question=request.question,
            candidate=request.candidate,
            champion=request.baseline,
            reference=request.reference,
            rubric=request.rubric,
        )
        found = compared(way, self.model, pair, timeout_s)
        self.metrics.compared("lost" if found.preference is None else "read")
        who = self.model.identity
        return pb.ComparePairsResponse(
            request_id=request.request_id,
            comparison=pb.PairComparison(
                preference=found.preference,
                forward=found.forward,
                swapped=found.swapped,
                slot_effect_logits=found.slot_effect_logits,
                lost=found.failure,
                said=[text for text in found.said if text],
                engine=who.engine,
                model=who.model,
                model_revision=who.revision,
                prompt_revision=way.revision,
            ),
        )

    def _failed(self, request: pb.ComparePairsRequest, error: SuiteError) -> pb.ComparePairsResponse:
        self.metrics.compared("failed")
        failure = pb.CompareFailure(
            code=error.code, reason=error.reason, message=error.message, field=error.field or ""
        )
        return pb.ComparePairsResponse(request_id=request.request_id, failure=failure)
