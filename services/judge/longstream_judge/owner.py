"""The owner of a pipeline's championship: which models are evaluated, who is promoted, who is rolled back.

An evaluation is RUNNING in the log before its thread starts. All that it finds (comparisons, figures,
decision) is written in one commit at its end, so a crash leaves either nothing or everything, and it is simply
run again. A promotion names the champion that the challenger met: if another one reigns by then, it is refused.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from longstream.attempts import may_be_the_cause
from longstream.bus import Bus, Output, Partition, Record
from longstream.errors import InvalidInput, Refused, SuiteError
from longstream.faults import crash_point
from longstream.ids import digest
from longstream.owned import OwnedFacts
from longstream.owner import Owner, answer
from longstream.pipeline import Pipeline
from longstream.records import now, parse
from longstream.topics import EVALUATIONS, JUDGING_STATE, PROMOTIONS, VERDICTS, PipelineTopics
from longstream.v1.records_pb2 import (
    Evaluation,
    JudgingCommand,
    Model,
    OwnerState,
    Promote,
    Promotion,
    RollBack,
)
from longstream.view import CATCH_UP_S
from longstream_judge import canaries, facts, queueing, reign
from longstream_judge.conducting import Conducted, Means, conduct, recheck
from longstream_judge.contest import Before
from longstream_judge.metrics import JudgeMetrics
from longstream_judge.run import EvaluationRun, Stage
from longstream_judge.spec import EvaluationResult

_log = logging.getLogger(__name__)

_SHOW_EVERY_S = 1.0
_STOP_S = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgeParts:
    """What the owner works with."""

    bus: Bus
    means: Means
    metrics: JudgeMetrics
    max_attempts: int
    """Tries of an evaluation that may itself be the cause of its failure."""
    retry_s: float = 5.0
    """Wait before the second try; doubles with each, up to 32 times."""


@dataclass(slots=True)
class _Running:
    """The evaluation under way in this process."""

    evaluation: Evaluation
    before: Before
    run: EvaluationRun[Conducted] | None = None
    shown: Stage | None = None
    shown_at: float = 0.0


class JudgingOwner(Owner):
    """Handler of `judging`. One evaluation at a time runs in each judge process."""

    def __init__(self, layout: PipelineTopics, pipelines: Mapping[str, Pipeline], parts: JudgeParts) -> None:
        super().__init__(OwnedFacts(parts.bus, JUDGING_STATE, OwnerState, layout), layout, pipelines)
        self._parts = parts
        self._evaluations = OwnedFacts(parts.bus, EVALUATIONS, Evaluation, layout)
        self._promotions = OwnedFacts(parts.bus, PROMOTIONS, Promotion, layout)
        self._running: _Running | None = None

    def gained(self, partition: Partition) -> None:
        """Restore states, evaluations and promotions; a running evaluation is started again by `act`."""
        super().gained(partition)
        self._parts.means.models.catch_up(CATCH_UP_S)
        self._parts.means.releases.catch_up(CATCH_UP_S)
        self._evaluations.gained(partition)
        self._promotions.gained(partition)

    def lost(self, partition: Partition) -> None:
        """Drop an evaluation whose pipeline is somebody else's now."""
        super().lost(partition)
        self._evaluations.lost(partition)
        self._promotions.lost(partition)
        running = self._running
        if running is not None and self._layout.partition(running.evaluation.pipeline) == partition.index:
            self.close()

    def close(self) -> None:
        """Stop the evaluation; it stays RUNNING and is run again by the next owner."""
        running, self._running = self._running, None
        if running is not None and running.run is not None:
            running.run.stop()
            running.run.join(_STOP_S)

    def apply(self, state: OwnerState, record: Record) -> Sequence[Output]:
        """Queue an evaluation, promote a model by hand, or roll the champion back."""
        command = parse(JudgingCommand, record)
        outputs: list[Output] = []
        if command.WhichOneof("command") == "evaluate":
            answer(state, command, lambda: self._create(command, outputs))
        elif command.WhichOneof("command") == "promote":
            answer(state, command, lambda: self._promote(command.pipeline, command.promote, outputs))
        elif command.WhichOneof("command") == "roll_back":
            answer(state, command, lambda: self._roll_back(command.pipeline, command.roll_back, outputs))
        else:
            raise InvalidInput("a judging command must evaluate, promote or roll back")
        return outputs

    def act(self, state: OwnerState, pipeline: Pipeline, outputs: list[Output]) -> None:
        """Queue what new models ask for, then take the pipeline's work a step further."""
        del state
        if pipeline.evaluate.on_model:
            for _, model in self._parts.means.models.under(f"{pipeline.name}/"):
                if self._evaluations.get(pipeline.name, queueing.name_of(model, "model")) is None:
                    outputs.append(self._put(queueing.queued(model, "model")))
        if pipeline.evaluate.recheck_s is not None:
            self._recheck(pipeline.name, pipeline.evaluate.recheck_s, outputs)
        if self._running is None:
            self._take_next(pipeline, outputs)
        elif self._running.evaluation.pipeline == pipeline.name:
            self._advance(self._running, pipeline, outputs)

    def _recheck(self, pipeline: str, every_s: float, outputs: list[Output]) -> None:
        """Queue a recheck once nothing was judged for so long; not before there are pairs to be seen again."""
        known = list(self._evaluations.of(pipeline))
        if queueing.recheck_due(known, every_s) and self._before(pipeline).canaries_address:
            outputs.append(self._put(queueing.recheck(pipeline, known)))

    def _create(self, command: JudgingCommand, outputs: list[Output]) -> str:
        model = self._model(command.pipeline, command.evaluate.model_id)
        evaluation = queueing.queued(model, f"request {command.request_id}")
        if (
            self._evaluations.get(command.pipeline, evaluation.id) is None
        ):  # else its request is long forgotten
            outputs.append(self._put(evaluation))
        return evaluation.id

    def _model(self, pipeline: str, model_id: str) -> Model:
        models = self._parts.means.models
        model = models.get(f"{pipeline}/{model_id}")
        if model is None:
            models.catch_up(CATCH_UP_S)  # the caller may have seen more than this view
            model = models.get(f"{pipeline}/{model_id}")
        if model is None:
            raise Refused(f"there is no model {model_id} yet", field="model_id")
        return model

    def _promote(self, pipeline: str, asked: Promote, outputs: list[Output]) -> str:
        champion = self._champion(pipeline)
        if champion != asked.expected_champion_id:
            raise Refused(
                f"the champion is {champion or 'the base model'} by now", field="expected_champion_id"
            )
        if asked.model_id == champion:
            raise Refused("that model reigns already", field="model_id")
        model = self._model(pipeline, asked.model_id)
        promotion = self._decision(pipeline, Promotion.OUTCOME_PROMOTED, model.id)
        promotion.champion_id, promotion.by_hand = model.id, True
        promotion.reasons.append(f"by hand: {asked.reason or 'no reason was given'}")
        outputs.append(self._decide(promotion))
        return promotion.id

    def _roll_back(self, pipeline: str, asked: RollBack, outputs: list[Output]) -> str:
        champion = self._champion(pipeline)
        if champion != asked.expected_champion_id:
            raise Refused(
                f"the champion is {champion or 'the base model'} by now", field="expected_champion_id"
            )
        if not champion:
            raise Refused("the base model reigns; there is nothing to go back to")
        promotion = self._decision(pipeline, Promotion.OUTCOME_ROLLED_BACK, champion)
        promotion.champion_id = reign.predecessor(self._decisions(pipeline))
        promotion.reasons.append(asked.reason or "rolled back by a caller")
        outputs.append(self._decide(promotion))
        return promotion.id

    def _before(self, pipeline: str) -> Before:
        """What earlier evaluations leave to the next one."""
        done = [item for item in self._evaluations.of(pipeline) if item.state == Evaluation.STATE_DONE]
        done.sort(key=lambda item: item.end_time.ToNanoseconds())
        rates = [item.win_rate for item in done if item.HasField("win_rate") and item.win_rate.error]
        handed = [item for item in done if item.canaries_address]
        return Before(
            tests=reign.tests(self._decisions(pipeline)),
            spread=rates[-1].error * math.sqrt(rates[-1].n) if rates else None,
            canaries_key=handed[-1].canaries_key if handed else "",
            canaries_address=handed[-1].canaries_address if handed else "",
        )

    def _take_next(self, pipeline: Pipeline, outputs: list[Output]) -> None:
        for evaluation in sorted(self._evaluations.of(pipeline.name), key=queueing.age):
            if evaluation.state in queueing.OPEN:
                evaluation.state, evaluation.attempt = Evaluation.STATE_RUNNING, evaluation.attempt + 1
                if evaluation.kind != Evaluation.KIND_RECHECK:
                    evaluation.champion_id = self._champion(pipeline.name)
                outputs.append(self._put(evaluation))
                self._running = _Running(evaluation, self._before(pipeline.name))
                return

    def _advance(self, running: _Running, pipeline: Pipeline, outputs: list[Output]) -> None:
        if running.run is None:  # that it runs is in the log by now
            means, asked, before = self._parts.means, running.evaluation, running.before
            if asked.kind == Evaluation.KIND_RECHECK:
                running.run = EvaluationRun(partial(recheck, means, pipeline, before))
            else:
                running.run = EvaluationRun(partial(conduct, means, asked, before))
        elif not running.run.ended:
            self._show(running, running.run.stage, outputs)
        else:
            self._finish(running.evaluation, running.run, outputs)
            self._running = None

    def _show(self, running: _Running, stage: Stage, outputs: list[Output]) -> None:
        if stage == running.shown or time.monotonic() - running.shown_at < _SHOW_EVERY_S:
            return
        running.shown, running.shown_at = stage, time.monotonic()
        evaluation = running.evaluation
        evaluation.stage, evaluation.stage_done, evaluation.stage_total = stage.name, stage.done, stage.total
        if running.run is not None and running.run.plan is not None:
            facts.fill_plan(evaluation, running.run.plan)
        outputs.append(self._put(evaluation))

    def _finish(self, evaluation: Evaluation, run: EvaluationRun[Conducted], outputs: list[Output]) -> None:
        conducted = run.result
        if conducted is None:
            self._retry_or_fail(evaluation, run.error, outputs)
            return
        seen_again = self._stored_canaries(conducted)
        verdicts = self._stored_verdicts(evaluation, conducted)
        crash_point("judge.verdicts.stored")
        # Nothing fails from here on, so that nothing is written down twice.
        facts.fill_conducted(evaluation, conducted)
        evaluation.canaries_address, evaluation.verdicts_address = seen_again, verdicts
        if conducted.result is not None:
            self._told(evaluation, conducted.result, outputs)
        evaluation.state, evaluation.reason = Evaluation.STATE_DONE, ""
        evaluation.end_time.CopyFrom(now())
        outputs.append(self._put(evaluation))

    def _stored_verdicts(self, evaluation: Evaluation, conducted: Conducted) -> str:
        result = conducted.result
        if result is None:
            return ""
        table = facts.table(evaluation, result.compared, result.anchors)
        return str(self._parts.means.storage.put(table, facts.MEDIA_TYPE))

    def _stored_canaries(self, conducted: Conducted) -> str:
        if conducted.canaries_address or not conducted.canaries:
            return conducted.canaries_address
        return str(self._parts.means.storage.put(canaries.table(conducted.canaries), facts.MEDIA_TYPE))

    def _told(self, evaluation: Evaluation, result: EvaluationResult, outputs: list[Output]) -> None:
        """Write down every comparison, and what becomes of the model."""
        facts.fill(evaluation, result)
        for verdict in facts.verdicts(evaluation, result.compared):
            value = verdict.SerializeToString(deterministic=True)
            outputs.append(self._layout.output(VERDICTS, evaluation.pipeline, "", value))
        promotion = self._outcome(evaluation, result)
        evaluation.promotion_id = promotion.id
        outputs.append(self._decide(promotion))
        self._parts.metrics.evaluated(evaluation, promotion)

    def _outcome(self, evaluation: Evaluation, result: EvaluationResult) -> Promotion:
        promotion = self._decision(evaluation.pipeline, Promotion.OUTCOME_REFUSED, evaluation.model_id)
        promotion.expected_champion_id = evaluation.champion_id
        promotion.evaluation_id = evaluation.id
        promotion.error_level = result.plan.level if result.verdict.tested else 0.0
        decisions = self._decisions(evaluation.pipeline)
        champion = reign.champion(decisions)
        if champion != evaluation.champion_id:
            promotion.reasons.append(f"the champion changed meanwhile: {champion or 'the base model'} reigns")
        elif evaluation.model_id in reign.fallen(decisions):
            promotion.reasons.append("it was rolled back: only a promotion by hand brings it back")
        elif result.verdict.outcome == "promote":
            promotion.outcome, promotion.champion_id = Promotion.OUTCOME_PROMOTED, evaluation.model_id
        promotion.reasons.extend(result.verdict.reasons)
        return promotion

    def _retry_or_fail(self, evaluation: Evaluation, error: Exception | None, outputs: list[Output]) -> None:
        why = error.message if isinstance(error, SuiteError) else "unexpected failure; the log has it"
        self._parts.metrics.failed(evaluation.pipeline)
        _log.error("evaluation failed", extra={"evaluation": evaluation.id, "why": why}, exc_info=error)
        if _again(error, evaluation.attempt < self._parts.max_attempts):
            evaluation.state = Evaluation.STATE_QUEUED
            self._rest(evaluation.pipeline, self._parts.retry_s * 2 ** min(evaluation.attempt - 1, 5))
        else:
            evaluation.state = Evaluation.STATE_FAILED
            evaluation.end_time.CopyFrom(now())
        evaluation.reason = why
        outputs.append(self._put(evaluation))

    def _champion(self, pipeline: str) -> str:
        return reign.champion(self._decisions(pipeline))

    def _decisions(self, pipeline: str) -> list[Promotion]:
        return sorted(self._promotions.of(pipeline), key=lambda promotion: promotion.sequence)

    def _decision(self, pipeline: str, outcome: Promotion.Outcome, model_id: str) -> Promotion:
        sequence = len(self._promotions.of(pipeline)) + 1
        champion = self._champion(pipeline)
        return Promotion(
            pipeline=pipeline,
            id=digest("promotion", pipeline, sequence, model_id),
            sequence=sequence,
            outcome=outcome,
            model_id=model_id,
            expected_champion_id=champion,
            champion_id=champion,
            time=now(),
        )

    def _decide(self, promotion: Promotion) -> Output:
        self._parts.metrics.decided(promotion)
        return self._promotions.put(promotion.pipeline, promotion.id, promotion)

    def _put(self, evaluation: Evaluation) -> Output:
        return self._evaluations.put(evaluation.pipeline, evaluation.id, evaluation)


def _again(error: Exception | None, tries_left: bool) -> bool:
    """Whether another try can help: without end where the cause lies outside (an engine away)."""
    if isinstance(error, SuiteError):
        return error.retryable and (tries_left or not may_be_the_cause(error))
    return tries_left
