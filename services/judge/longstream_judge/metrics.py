"""What the judge shows: counters of comparisons and decisions, and gauges of the facts, read from the log's views.

The gauges are the same in every replica and after every restart, so a query takes their `max by (pipeline)`.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Literal

from longstream.fact_gauges import newest, seconds, waiting
from longstream.llm.types import Completion
from longstream.telemetry import Course, Metrics, Told, tell_fact
from longstream.v1.records_pb2 import Evaluation, Promotion
from longstream.view import View

_OUTCOMES = {
    Promotion.OUTCOME_PROMOTED: "promoted",
    Promotion.OUTCOME_REFUSED: "refused",
    Promotion.OUTCOME_ROLLED_BACK: "rolled_back",
}
_WAITS = {Evaluation.STATE_QUEUED: "queued", Evaluation.STATE_RUNNING: "running"}
_BOUNDS = ("mean", "low", "high")
_LATEST = {
    "judge_position_disagreement_ratio": "Share of the latest evaluation's pairs that the order turned.",
    "judge_calibration_passed": "1 if the judge passed the latest evaluation's calibration, 0 if it abstained.",
    "judge_calibration_accuracy_ratio": "Share of known-better answers that it preferred there.",
    "judge_calibration_slot_effect_logits": "How far the first place decided there, in logits; 0 is fair.",
    "judge_comparisons": "Comparisons of the latest evaluation that had a verdict.",
    "judge_lost_comparisons": "Comparisons of the latest evaluation without one.",
    "judge_error_level_ratio": "Chance that a model no better passed its test, as the gate allowed it.",
    "judge_spent_tokens": "Tokens that its models read and wrote.",
    "judge_evaluation_seconds": "From the latest evaluation's creation to its end.",
    "judge_evaluation_timestamp_seconds": "When the latest evaluation ended, since 1970.",
}
_INTERVALS = {
    "judge_win_rate_ratio": "Win rate of the latest evaluation's candidate, with its 95 % interval.",
    "judge_length_controlled_win_rate_ratio": "The same with the length of both answers set equal.",
    "judge_slot_effect_logits": "How far the first place decides, in logits; 0 is fair.",
}
_DRIFT = {
    "judge_drift_ratio": "Mean distance of the judge's preferences for known pairs from those that it had first.",
    "judge_drift_timestamp_seconds": "When that was last seen, since 1970.",
}
_REIGN = {
    "pipeline_champion_timestamp_seconds": "When the champion began to reign, since 1970.",
    "pipeline_decision_timestamp_seconds": "When a model was last promoted, refused or rolled back, since 1970.",
    "pipeline_promotions": "Models promoted since the pipeline began, rollbacks not deducted.",
}


class JudgeMetrics:
    """Counters of comparisons and decisions."""

    def __init__(self, metrics: Metrics, pipelines: Collection[str]) -> None:
        self._verdicts = metrics.counter(
            "judge_verdicts_total",
            "Comparisons in both orders, by outcome.",
            pipeline=pipelines,
            outcome=("read", "lost"),
        )
        self._promotions = metrics.counter(
            "judge_promotions_total",
            "Decisions, by outcome.",
            pipeline=pipelines,
            outcome=_OUTCOMES.values(),
        )
        self._compared = metrics.counter(
            "judge_compared_pairs_total",
            "Pairs that callers gave to be compared, by outcome.",
            outcome=("read", "lost", "failed"),
        )
        self._remembered = metrics.counter(
            "judge_remembered_replies_total", "Requests to a model whose replies were there already."
        )
        self._failures = metrics.counter(
            "judge_evaluations_failed_total", "Evaluations that were tried in vain.", pipeline=pipelines
        )

    def compared(self, outcome: Literal["read", "lost", "failed"]) -> None:
        """A pair of a caller was compared, or could not be."""
        self._compared.labels(outcome=outcome).inc()

    def remembered(self, completion: Completion) -> None:
        """A reply was there already."""
        del completion
        self._remembered.labels().inc()

    def decided(self, promotion: Promotion) -> None:
        """A model was promoted, refused or rolled back."""
        self._promotions.labels(pipeline=promotion.pipeline, outcome=_OUTCOMES[promotion.outcome]).inc()

    def evaluated(self, evaluation: Evaluation, promotion: Promotion) -> None:
        """An evaluation is done, and led to that decision."""
        pipeline = evaluation.pipeline
        self._verdicts.labels(pipeline=pipeline, outcome="read").inc(evaluation.win_rate.n)
        self._verdicts.labels(pipeline=pipeline, outcome="lost").inc(sum(evaluation.lost.values()))
        tell_fact(
            "evaluation",
            Course(
                evaluation.trace,
                evaluation.parent_trace,
                evaluation.create_time.ToNanoseconds(),
                evaluation.end_time.ToNanoseconds(),
            ),
            attributes={
                "longstream.pipeline": pipeline,
                "longstream.model_id": evaluation.model_id,
                "longstream.evaluation_id": evaluation.id,
                "longstream.outcome": _OUTCOMES[promotion.outcome],
                "longstream.win_rate": evaluation.win_rate.mean,
            },
        )

    def failed(self, pipeline: str) -> None:
        """A try of an evaluation has failed."""
        self._failures.labels(pipeline=pipeline).inc()


class JudgingFacts:
    """Gauges of evaluations and promotions as the log has them."""

    def __init__(self, evaluations: View[Evaluation], promotions: View[Promotion]) -> None:
        self._evaluations = evaluations
        self._promotions = promotions

    def show(self, metrics: Metrics, pipelines: Collection[str]) -> None:
        """Declare the gauges."""
        metrics.at_scrape(_LATEST, self._latest, pipeline=pipelines)
        metrics.at_scrape(_INTERVALS, self._intervals, pipeline=pipelines, bound=_BOUNDS)
        bits = {"judge_heldout_bits": "Bits per byte of held-out text in the latest evaluation."}
        metrics.at_scrape(bits, self._heldout, pipeline=pipelines, side=("candidate", "champion"))
        metrics.at_scrape(_DRIFT, self._drift, pipeline=pipelines)
        under_way = {"judge_open_evaluations": "Evaluations that wait or run."}
        metrics.at_scrape(under_way, self._open, pipeline=pipelines, state=_WAITS.values())
        metrics.at_scrape(_REIGN, self._reign, pipeline=pipelines)

    def _known(self) -> list[Evaluation]:
        return [evaluation for _, evaluation in self._evaluations.under("")]

    def _open(self) -> Told:
        return waiting(self._known(), _WAITS)

    def _done(self) -> dict[str, Evaluation]:
        """The evaluation of each pipeline that ended last."""
        done = (
            evaluation
            for evaluation in self._known()
            if evaluation.state == Evaluation.STATE_DONE and evaluation.kind != Evaluation.KIND_RECHECK
        )
        return newest(done, lambda evaluation: evaluation.end_time)

    def _drift(self) -> Told:
        """Of each pipeline's judge, as it was last seen: by an evaluation or a recheck."""
        seen = (one for one in self._known() if one.state == Evaluation.STATE_DONE and one.HasField("drift"))
        latest = newest(seen, lambda evaluation: evaluation.end_time)
        return {(pipeline,): (one.drift.mean, seconds(one.end_time)) for pipeline, one in latest.items()}

    def _latest(self) -> Told:
        return {
            (pipeline,): (
                done.flip_rate if done.HasField("win_rate") else None,
                float(done.calibration.passed),
                done.calibration.accuracy.mean if done.calibration.HasField("accuracy") else None,
                done.calibration.slot_effect_logits,
                done.win_rate.n,
                sum(done.lost.values()),
                done.plan.level if done.HasField("plan") else None,
                sum(one.prompt_tokens + one.completion_tokens for one in done.spent) if done.spent else None,
                seconds(done.end_time) - seconds(done.create_time),
                seconds(done.end_time),
            )
            for pipeline, done in self._done().items()
        }

    def _intervals(self) -> Told:
        told: Told = {}
        for pipeline, done in self._done().items():
            rate = done.win_rate if done.HasField("win_rate") else None
            fair = done.length_controlled if done.HasField("length_controlled") else None
            slot = done.slot_effect_logits if done.HasField("slot_effect_logits") else None
            for bound in _BOUNDS:
                told[pipeline, bound] = (
                    None if rate is None else getattr(rate, bound),
                    None if fair is None else getattr(fair, bound),
                    None if slot is None else getattr(slot, bound),
                )
        return told

    def _heldout(self) -> Told:
        told: Told = {}
        for pipeline, done in self._done().items():
            told[pipeline, "candidate"] = (done.candidate_bits_per_byte,)
            told[pipeline, "champion"] = (done.champion_bits_per_byte,)
        return told

    def _reign(self) -> Told:
        told: Told = {}
        decisions = sorted((item for _, item in self._promotions.under("")), key=lambda item: item.sequence)
        for pipeline in {decision.pipeline for decision in decisions}:
            own = [decision for decision in decisions if decision.pipeline == pipeline]
            changes = [decision for decision in own if decision.outcome != Promotion.OUTCOME_REFUSED]
            told[pipeline,] = (
                seconds(changes[-1].time) if changes and changes[-1].champion_id else None,
                seconds(own[-1].time),
                sum(decision.outcome == Promotion.OUTCOME_PROMOTED for decision in own),
            )
        return told
