"""The judge's calls, as a part of the client."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

from longstream.calls import PAGE_SIZE, Patience, ask, exchange, follow, fresh_id, pages
from longstream.v1 import judge_pb2
from longstream.v1.records_pb2 import Evaluation, Promotion

R = TypeVar("R")
_FEW = 10


class JudgeCalls:
    """What a client asks the judge; the client brings the stub and its patience."""

    _judge: Any
    _patience: Patience

    def create_evaluation(self, pipeline: str, model_id: str, request_id: str = "") -> Evaluation:
        """Queue a comparison of the model with the champion."""
        request = judge_pb2.CreateEvaluationRequest(
            pipeline=pipeline, request_id=request_id or fresh_id(), model_id=model_id
        )
        return self._ask(self._judge.CreateEvaluation, request, judge_pb2.CreateEvaluationResponse).evaluation

    def get_evaluation(self, pipeline: str, evaluation_id: str) -> judge_pb2.GetEvaluationResponse:
        """An evaluation, and its promotion or refusal once that is decided."""
        request = judge_pb2.GetEvaluationRequest(pipeline=pipeline, evaluation_id=evaluation_id)
        return self._ask(self._judge.GetEvaluation, request, judge_pb2.GetEvaluationResponse)

    def list_evaluations(self, pipeline: str, page_size: int = PAGE_SIZE) -> Iterator[Evaluation]:
        """Every evaluation, newest first, fetched page by page as they are read."""

        def page(token: str) -> judge_pb2.ListEvaluationsResponse:
            request = judge_pb2.ListEvaluationsRequest(
                pipeline=pipeline, page_size=page_size, page_token=token
            )
            return self._ask(self._judge.ListEvaluations, request, judge_pb2.ListEvaluationsResponse)

        return (evaluation for part in pages(page) for evaluation in part.evaluations)

    def newest_evaluation(self, pipeline: str) -> Evaluation | None:
        """The newest one of a model; rechecks of the judge are passed over."""
        listed = self.list_evaluations(pipeline, _FEW)
        return next((one for one in listed if one.kind != Evaluation.KIND_RECHECK), None)

    def watch_evaluation(
        self, pipeline: str, evaluation_id: str, timeout_s: float | None = None
    ) -> Iterator[Evaluation]:
        """The evaluation as it stands and each change of it, until it has ended. Raises NotFound, DeadlineExceeded."""
        request = judge_pb2.WatchEvaluationRequest(pipeline=pipeline, evaluation_id=evaluation_id)
        told: Evaluation | None = None

        def opened(stream_s: float) -> Any:
            return self._judge.WatchEvaluation(request, timeout=stream_s)

        for message in follow(opened, self._patience, timeout_s, ends=True):
            # A stream that was opened anew begins with what was told before.
            if message.evaluation != told:
                told = message.evaluation
                yield message.evaluation

    def champion(self, pipeline: str) -> judge_pb2.GetChampionResponse:
        """Who reigns (no champion set: the base model) and the decisions that led there, newest first."""
        request = judge_pb2.GetChampionRequest(pipeline=pipeline)
        return self._ask(self._judge.GetChampion, request, judge_pb2.GetChampionResponse)

    def rollback(
        self, pipeline: str, expected_champion_id: str, reason: str, request_id: str = ""
    ) -> Promotion:
        """Put the champion's predecessor back. Raises Refused if another one than expected reigns by now."""
        request = judge_pb2.RollbackRequest(
            pipeline=pipeline,
            request_id=request_id or fresh_id(),
            expected_champion_id=expected_champion_id,
            reason=reason,
        )
        return self._ask(self._judge.Rollback, request, judge_pb2.RollbackResponse).promotion

    def promote(
        self,
        pipeline: str,
        model_id: str,
        expected_champion_id: str,
        reason: str,
        request_id: str = "",
    ) -> Promotion:
        """Put a model on the throne by hand. Raises Refused if another one than expected (empty: the base model)
        reigns by now."""
        request = judge_pb2.PromoteRequest(
            pipeline=pipeline,
            request_id=request_id or fresh_id(),
            model_id=model_id,
            expected_champion_id=expected_champion_id,
            reason=reason,
        )
        return self._ask(self._judge.Promote, request, judge_pb2.PromoteResponse).promotion

    def leaderboard(self, pipeline: str) -> judge_pb2.GetLeaderboardResponse:
        """Every model that was evaluated, strongest first."""
        request = judge_pb2.GetLeaderboardRequest(pipeline=pipeline)
        return self._ask(self._judge.GetLeaderboard, request, judge_pb2.GetLeaderboardResponse)

    def compare_pairs(
        self, requests: Iterable[judge_pb2.ComparePairsRequest], timeout_s: float
    ) -> Iterator[judge_pb2.ComparePairsResponse]:
        """The judge's verdicts on pairs of answers, each as soon as it is there, under the caller's own ids.

        timeout_s: of the whole stream. Closing the iterator gives up what has not begun.
        """
        return exchange(self._judge.ComparePairs, requests, timeout_s)

    def _ask(self, method: Callable[..., Any], request: object, answer: type[R]) -> R:
        return ask(method, request, answer, self._patience.call_s)
