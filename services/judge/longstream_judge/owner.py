"""The owner of a pipeline's championship: which models are evaluated, who is promoted, who is rolled back.

An evaluation is RUNNING in the log before its thread starts. All that it finds (comparisons, figures,
decision) is written in one commit at its end, so a crash leaves either nothing or everything, and it is simply
run again. A promotion names the champion that the challenger met: if another one reigns by then, it is refused.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Event

from longstream.attempts import may_be_the_cause
from longstream.bus import Bus, Output, Partition, Record
from longstream.errors import InvalidInput, Refused, SuiteError, Unavailable
from longstream.faults import crash_point
from longstream.ids import digest
from longstream.owned import OwnedFacts
from longstream.owner import Owner, answer
from longstream.pipeline import Pipeline
from longstream.records import now, parse
from longstream.storage import Storage
from longstream.telemetry import begin_fact, parse_traceparent, trace
from longstream.topics import EVALUATIONS, JUDGING_STATE, PROMOTIONS, VERDICTS, PipelineTopics
from longstream.v1.records_pb2 import (
    Evaluation,
    JudgingCommand,
    Model,
    OwnerState,
    Promotion,
    Release,
    RollBack,
)
from longstream.view import CATCH_UP_S, View
from longstream_judge import comparison, facts
from longstream_judge.asking import Progress
from longstream_judge.contest import Engines, contestants, remembered, spec_for
from longstream_judge.evaluation import evaluate
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
    storage: Storage
    models: View[Model]
    releases: View[Release]
    engines: Engines
    cache_dir: Path
    metrics: JudgeMetrics
    max_attempts: int
    """Tries of an evaluation that may itself be the cause of its failure."""
    retry_s: float = 5.0
    """Wait before the second try; doubles with each, up to 32 times."""


@dataclass(slots=True)
class _Running:
    """The evaluation under way in this process."""

    evaluation: Evaluation
    run: EvaluationRun | None = None
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
        self._parts.models.catch_up(CATCH_UP_S)
        self._parts.releases.catch_up(CATCH_UP_S)
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
        """Queue an evaluation, or roll the champion back."""
        command = parse(JudgingCommand, record)
        outputs: list[Output] = []
        if command.WhichOneof("command") == "evaluate":
            answer(state, command, lambda: self._create(command, outputs))
        elif command.WhichOneof("command") == "roll_back":
            answer(state, command, lambda: self._roll_back(command.pipeline, command.roll_back, outputs))
        else:
            raise InvalidInput("a judging command must evaluate or roll back")
        return outputs

    def act(self, state: OwnerState, pipeline: Pipeline, outputs: list[Output]) -> None:
        """Queue what new models ask for, then take the pipeline's work a step further."""
        del state
        if pipeline.evaluate.on_model:
            for _, model in self._parts.models.under(f"{pipeline.name}/"):
                if self._evaluations.get(pipeline.name, _evaluation_id(model, "model")) is None:
                    outputs.append(self._put(_queued(model, "model")))
        if self._running is None:
            self._take_next(pipeline, outputs)
        elif self._running.evaluation.pipeline == pipeline.name:
            self._advance(self._running, outputs)

    def _create(self, command: JudgingCommand, outputs: list[Output]) -> str:
        key = f"{command.pipeline}/{command.evaluate.model_id}"
        model = self._parts.models.get(key)
        if model is None:
            self._parts.models.catch_up(CATCH_UP_S)  # the caller may have seen more than this view
            model = self._parts.models.get(key)
        if model is None:
            raise Refused(f"there is no model {command.evaluate.model_id} yet", field="model_id")
        evaluation = _queued(model, f"request {command.request_id}")
        if (
            self._evaluations.get(command.pipeline, evaluation.id) is None
        ):  # else its request is long forgotten
            outputs.append(self._put(evaluation))
        return evaluation.id

    def _roll_back(self, pipeline: str, asked: RollBack, outputs: list[Output]) -> str:
        champion = self._champion(pipeline)
        if champion != asked.expected_champion_id:
            raise Refused(
                f"the champion is {champion or 'the base model'} by now", field="expected_champion_id"
            )
        if not champion:
            raise Refused("the base model reigns; there is nothing to go back to")
        promotion = self._decision(pipeline, Promotion.OUTCOME_ROLLED_BACK, champion)
        promotion.champion_id = self._before(pipeline, champion)
        promotion.reasons.append(asked.reason or "rolled back by a caller")
        outputs.append(self._decide(promotion))
        return promotion.id

    def _before(self, pipeline: str, champion: str) -> str:
        """Whom the champion replaced: a model that fell itself does not come back by another one's fall."""
        line = [""]
        for decision in self._decisions(pipeline):
            if decision.outcome == Promotion.OUTCOME_PROMOTED:
                line.append(decision.model_id)
            elif decision.outcome == Promotion.OUTCOME_ROLLED_BACK:
                line = [model for model in line if model != decision.model_id]
        return [model for model in line if model != champion][-1]

    def _take_next(self, pipeline: Pipeline, outputs: list[Output]) -> None:
        for evaluation in sorted(self._evaluations.of(pipeline.name), key=_age):
            if evaluation.state in {Evaluation.STATE_QUEUED, Evaluation.STATE_RUNNING}:
                evaluation.state, evaluation.attempt = Evaluation.STATE_RUNNING, evaluation.attempt + 1
                evaluation.champion_id = self._champion(pipeline.name)
                outputs.append(self._put(evaluation))
                self._running = _Running(evaluation)
                return

    def _advance(self, running: _Running, outputs: list[Output]) -> None:
        if running.run is None:  # that it runs is in the log by now
            running.run = EvaluationRun(lambda progress, stop: self._work(running.evaluation, progress, stop))
        elif not running.run.ended:
            self._show(running, running.run.stage, outputs)
        else:
            self._finish(running.evaluation, running.run, outputs)
            self._running = None

    def _work(self, evaluation: Evaluation, progress: Progress, stop: Event) -> EvaluationResult:
        parts, prefix = self._parts, f"{evaluation.pipeline}/"
        candidate = parts.models.get(prefix + evaluation.model_id)
        champion = parts.models.get(prefix + evaluation.champion_id) if evaluation.champion_id else None
        release = parts.releases.get(prefix + candidate.release_id) if candidate is not None else None
        if candidate is None or release is None or (evaluation.champion_id and champion is None):
            raise Unavailable(
                "the model that is evaluated, its release or the champion is not known here yet"
            )
        spec = spec_for(candidate, release, parts.storage)
        with (
            trace(parse_traceparent(evaluation.trace)),
            contestants(parts.engines, parts.storage, parts.cache_dir, candidate, champion) as models,
        ):
            return evaluate(spec, remembered(models, parts.engines, evaluation.id), progress, stop)

    def _show(self, running: _Running, stage: Stage, outputs: list[Output]) -> None:
        if stage == running.shown or time.monotonic() - running.shown_at < _SHOW_EVERY_S:
            return
        running.shown, running.shown_at = stage, time.monotonic()
        evaluation = running.evaluation
        evaluation.stage, evaluation.stage_done, evaluation.stage_total = stage.name, stage.done, stage.total
        outputs.append(self._put(evaluation))

    def _finish(self, evaluation: Evaluation, run: EvaluationRun, outputs: list[Output]) -> None:
        if run.result is None:
            self._retry_or_fail(evaluation, run.error, outputs)
            return
        result = run.result
        table = facts.table(evaluation, result.compared, result.anchors)
        address = self._parts.storage.put(table, facts.MEDIA_TYPE)
        crash_point("judge.verdicts.stored")
        facts.fill(evaluation, result, comparison.prompt_revision())
        evaluation.verdicts_address = address
        for verdict in facts.verdicts(evaluation, result.compared):
            value = verdict.SerializeToString(deterministic=True)
            outputs.append(self._layout.output(VERDICTS, evaluation.pipeline, "", value))
        promotion = self._outcome(evaluation, result)
        evaluation.promotion_id = promotion.id
        evaluation.state, evaluation.reason = Evaluation.STATE_DONE, ""
        evaluation.end_time.CopyFrom(now())
        outputs.extend((self._decide(promotion), self._put(evaluation)))
        self._parts.metrics.evaluated(evaluation, promotion)

    def _outcome(self, evaluation: Evaluation, result: EvaluationResult) -> Promotion:
        promotion = self._decision(evaluation.pipeline, Promotion.OUTCOME_REFUSED, evaluation.model_id)
        promotion.expected_champion_id = evaluation.champion_id
        promotion.evaluation_id = evaluation.id
        champion = self._champion(evaluation.pipeline)
        if champion != evaluation.champion_id:
            promotion.reasons.append(f"the champion changed meanwhile: {champion or 'the base model'} reigns")
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
        decisions = self._decisions(pipeline)
        return decisions[-1].champion_id if decisions else ""

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


def _age(evaluation: Evaluation) -> tuple[int, str]:
    return evaluation.create_time.ToNanoseconds(), evaluation.id


def _evaluation_id(model: Model, asked_by: str) -> str:
    return digest("evaluation", model.pipeline, model.id, asked_by)


def _queued(model: Model, asked_by: str) -> Evaluation:
    own_trace, parent_trace = begin_fact(model.trace)
    return Evaluation(
        pipeline=model.pipeline,
        id=_evaluation_id(model, asked_by),
        state=Evaluation.STATE_QUEUED,
        model_id=model.id,
        create_time=now(),
        trace=own_trace,
        parent_trace=parent_trace,
    )
