"""The judge's calls: commands to the owner, and views of what it has decided.

In: evaluations, promotions and rollbacks, which the port sends to `judging`. Out: what the views know of `evaluations`,
`promotions` and `models`. Where an id is empty that could name a champion, the base model is meant.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

import grpc

from longstream.errors import InvalidInput, NotFound
from longstream.owner import CommandPort
from longstream.paging import page
from longstream.pipeline import must_run
from longstream.server import time_left_s
from longstream.v1 import judge_pb2 as pb
from longstream.v1.judge_pb2_grpc import JudgeServiceServicer
from longstream.v1.records_pb2 import (
    EvaluateModel,
    Evaluation,
    JudgingCommand,
    Model,
    Promote,
    Promotion,
    RollBack,
)
from longstream.view import View
from longstream_judge import leaderboard
from longstream_judge.comparing import Comparer

_ENDED = frozenset({Evaluation.STATE_DONE, Evaluation.STATE_FAILED})
_WATCH_S = 5.0
_HISTORY = 100
"""Decisions that come with a champion, at most."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgeViews:
    """What the calls read."""

    evaluations: View[Evaluation]
    promotions: View[Promotion]
    models: View[Model]


class JudgeService(JudgeServiceServicer):
    """Servicer of JudgeService; any replica answers for every pipeline."""

    def __init__(
        self, port: CommandPort, views: JudgeViews, pipelines: frozenset[str], comparer: Comparer
    ) -> None:
        """pipelines: the names of those that this service runs."""
        self._comparer = comparer
        self._port = port
        self._views = views
        self._pipelines = pipelines

    def CreateEvaluation(
        self, request: pb.CreateEvaluationRequest, context: grpc.ServicerContext
    ) -> pb.CreateEvaluationResponse:
        """Queue an evaluation of a model against whoever reigns when it starts.

        Raises InvalidInput, NotFound for the pipeline, Refused for a model that is not there.
        """
        if not request.model_id:
            raise InvalidInput("model_id must be set", field="model_id")
        command = JudgingCommand(evaluate=EvaluateModel(model_id=request.model_id))
        evaluation_id = self._send(request, command, context)
        key = f"{request.pipeline}/{evaluation_id}"
        # The answer came by the view of states; that of evaluations may be behind it.
        self._views.evaluations.catch_up(time_left_s(context))
        evaluation = self._views.evaluations.wait(lambda view: view.get(key), time_left_s(context))
        return pb.CreateEvaluationResponse(evaluation=evaluation)

    def GetEvaluation(
        self, request: pb.GetEvaluationRequest, context: grpc.ServicerContext
    ) -> pb.GetEvaluationResponse:
        """An evaluation as it stands, with the decision once there is one. Raises NotFound."""
        evaluation = self._evaluation(request.pipeline, request.evaluation_id)
        promotion = None
        if evaluation.promotion_id:  # committed with the evaluation; its view may only be a moment behind
            key = f"{request.pipeline}/{evaluation.promotion_id}"
            promotion = self._views.promotions.wait(lambda view: view.get(key), time_left_s(context))
        return pb.GetEvaluationResponse(evaluation=evaluation, promotion=promotion)

    def ListEvaluations(
        self, request: pb.ListEvaluationsRequest, context: grpc.ServicerContext
    ) -> pb.ListEvaluationsResponse:
        """A pipeline's evaluations, newest first."""
        del context
        must_run(request.pipeline, self._pipelines)
        evaluations = [evaluation for _, evaluation in self._views.evaluations.under(f"{request.pipeline}/")]
        evaluations.sort(key=lambda item: (item.create_time.ToNanoseconds(), item.id), reverse=True)
        chosen, token = page(
            evaluations,
            lambda evaluation: evaluation.id,
            listing=f"evaluations/{request.pipeline}",
            size=request.page_size,
            token=request.page_token,
        )
        return pb.ListEvaluationsResponse(evaluations=chosen, next_page_token=token)

    def WatchEvaluation(
        self, request: pb.WatchEvaluationRequest, context: grpc.ServicerContext
    ) -> Iterator[pb.WatchEvaluationResponse]:
        """The evaluation as it stands, and each change of it until it has ended. Raises NotFound."""
        told: Evaluation | None = None
        while context.is_active():
            version = self._views.evaluations.version  # before the reading: a change during it ends the wait
            evaluation = self._evaluation(request.pipeline, request.evaluation_id)
            if evaluation != told:
                told = evaluation
                yield pb.WatchEvaluationResponse(evaluation=evaluation)
            if evaluation.state in _ENDED:
                return
            self._views.evaluations.wait_change(version, _WATCH_S)

    def GetChampion(
        self, request: pb.GetChampionRequest, context: grpc.ServicerContext
    ) -> pb.GetChampionResponse:
        """Who reigns (nobody: the base model), and the decisions that led there, newest first."""
        must_run(request.pipeline, self._pipelines)
        decisions = [promotion for _, promotion in self._views.promotions.under(f"{request.pipeline}/")]
        decisions.sort(key=lambda promotion: promotion.sequence, reverse=True)
        # Every decision, a refusal too, names who reigns after it.
        champion_id = decisions[0].champion_id if decisions else ""
        champion = None
        if champion_id:  # a model is known before it is judged; only this view of it may be behind
            key = f"{request.pipeline}/{champion_id}"
            champion = self._views.models.wait(lambda view: view.get(key), time_left_s(context))
        return pb.GetChampionResponse(champion=champion, history=decisions[:_HISTORY])

    def Rollback(self, request: pb.RollbackRequest, context: grpc.ServicerContext) -> pb.RollbackResponse:
        """Put the champion's predecessor back. Raises Refused if another champion reigns than expected."""
        roll_back = RollBack(expected_champion_id=request.expected_champion_id, reason=request.reason)
        promotion_id = self._send(request, JudgingCommand(roll_back=roll_back), context)
        return pb.RollbackResponse(promotion=self._decided(request.pipeline, promotion_id, context))

    def Promote(self, request: pb.PromoteRequest, context: grpc.ServicerContext) -> pb.PromoteResponse:
        """Put a model on the throne by hand. Raises Refused as Rollback does, and for a model that is not there."""
        if not request.model_id:
            raise InvalidInput("model_id must be set", field="model_id")
        promote = Promote(
            model_id=request.model_id,
            expected_champion_id=request.expected_champion_id,
            reason=request.reason,
        )
        promotion_id = self._send(request, JudgingCommand(promote=promote), context)
        return pb.PromoteResponse(promotion=self._decided(request.pipeline, promotion_id, context))

    def GetLeaderboard(
        self, request: pb.GetLeaderboardRequest, context: grpc.ServicerContext
    ) -> pb.GetLeaderboardResponse:
        """Every model that was evaluated, strongest first."""
        del context
        must_run(request.pipeline, self._pipelines)
        prefix = f"{request.pipeline}/"
        evaluations = [evaluation for _, evaluation in self._views.evaluations.under(prefix)]
        decisions = [promotion for _, promotion in self._views.promotions.under(prefix)]
        return leaderboard.of(evaluations, sorted(decisions, key=lambda promotion: promotion.sequence))

    def ComparePairs(
        self, requests: Iterator[pb.ComparePairsRequest], context: grpc.ServicerContext
    ) -> Iterator[pb.ComparePairsResponse]:
        """Compare pairs in both orders, so many at once as keep the engine full."""
        return self._comparer.answers(requests, partial(time_left_s, context))

    def _evaluation(self, pipeline: str, evaluation_id: str) -> Evaluation:
        must_run(pipeline, self._pipelines)
        evaluation = self._views.evaluations.get(f"{pipeline}/{evaluation_id}")
        if evaluation is None:
            raise NotFound(f"pipeline {pipeline} has no such evaluation", field="evaluation_id")
        return evaluation

    def _decided(self, pipeline: str, promotion_id: str, context: grpc.ServicerContext) -> Promotion:
        """A decision that the owner says it made; the view of promotions may be behind that of states."""
        self._views.promotions.catch_up(time_left_s(context))
        return self._views.promotions.wait(
            lambda view: view.get(f"{pipeline}/{promotion_id}"), time_left_s(context)
        )

    def _send(
        self,
        request: pb.CreateEvaluationRequest | pb.PromoteRequest | pb.RollbackRequest,
        command: JudgingCommand,
        context: grpc.ServicerContext,
    ) -> str:
        """Have the owner apply the command; returns the id of the evaluation or promotion that it made."""
        must_run(request.pipeline, self._pipelines)
        command.pipeline, command.request_id = request.pipeline, request.request_id
        return self._port.send(command, time_left_s(context))
