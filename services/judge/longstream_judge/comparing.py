"""Comparisons for other teams: pairs come in, verdicts go out, by the judges of the pipeline's own models."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from longstream.errors import InvalidInput, SuiteError
from longstream.llm.types import LanguageModel
from longstream.streaming import Stream
from longstream.v1 import judge_pb2 as pb
from longstream_judge.comparison import TIE, Comparison, Pair, lost
from longstream_judge.metrics import JudgeMetrics
from longstream_judge.panel import combined
from longstream_judge.ways import Way, way_named


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparer:
    """judges: all say what they think of each pair. in_flight: pairs of one call that are asked about at once."""

    judges: tuple[LanguageModel, ...]
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
        said = [] if pair.identical else self._asked(way, pair, timeout_s)
        found = combined(said) if said else TIE
        self.metrics.compared("lost" if found.preference is None else "read")
        who = self.judges[0].identity
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
                judges=map(_told, self.judges, said),
            ),
        )

    def _asked(self, way: Way, pair: Pair, timeout_s: float) -> list[Comparison]:
        """What each judge says. One that cannot take the pair has no verdict; raises if that holds for all of them.

        What a retry may mend is raised: else a verdict would depend on who was up at the time.
        """
        ends = time.monotonic() + timeout_s
        said: list[Comparison] = []
        failures: list[SuiteError] = []
        for judge in self.judges:
            try:
                said.append(way.compare(judge, pair, max(0.0, ends - time.monotonic())))
            except SuiteError as error:
                if error.retryable:
                    raise
                failures.append(error)
                said.append(lost(f"judge_{error.reason}"))
        if len(failures) == len(said):
            raise failures[0]
        return said

    def _failed(self, request: pb.ComparePairsRequest, error: SuiteError) -> pb.ComparePairsResponse:
        self.metrics.compared("failed")
        failure = pb.CompareFailure(
            code=error.code, reason=error.reason, message=error.message, field=error.field or ""
        )
        return pb.ComparePairsResponse(request_id=request.request_id, failure=failure)


def _told(judge: LanguageModel, said: Comparison) -> pb.JudgeVerdict:
    who = judge.identity
    return pb.JudgeVerdict(
        engine=who.engine,
        model=who.model,
        model_revision=who.revision,
        preference=said.preference,
        forward=said.forward,
        swapped=said.swapped,
        lost=said.failure,
    )
