"""What the judge shows: comparisons by outcome, how much the order decides, promotions."""

from __future__ import annotations

from longstream.telemetry import Metrics
from longstream.v1.records_pb2 import Evaluation, Promotion

_OUTCOMES = {
    Promotion.OUTCOME_PROMOTED: "promoted",
    Promotion.OUTCOME_REFUSED: "refused",
    Promotion.OUTCOME_ROLLED_BACK: "rolled_back",
}


class JudgeMetrics:
    """Counters of comparisons and promotions, gauges of the last evaluation."""

    def __init__(self, metrics: Metrics) -> None:
        self._verdicts = metrics.counter(
            "judge_verdicts_total", "Comparisons in both orders, by outcome.", outcome=("read", "lost")
        )
        self._promotions = metrics.counter(
            "judge_promotions_total", "Decisions, by outcome.", outcome=_OUTCOMES.values()
        )
        self._flips = metrics.gauge(
            "judge_position_disagreement_ratio", "Share of the last evaluation's pairs that the order turned."
        )
        self._win_rate = metrics.gauge("judge_win_rate_ratio", "Win rate of the last evaluation.")
        self._bits = metrics.gauge(
            "judge_heldout_bits",
            "Bits per byte of held-out text in the last evaluation.",
            side=("candidate", "champion"),
        )
        self._calibrated = metrics.gauge(
            "judge_calibration_passed", "1 if the judge passed its last calibration, 0 if it abstained."
        )

    def decided(self, promotion: Promotion) -> None:
        """A model was promoted, refused or rolled back."""
        self._promotions.labels(outcome=_OUTCOMES[promotion.outcome]).inc()

    def evaluated(self, evaluation: Evaluation) -> None:
        """An evaluation is done."""
        self._verdicts.labels(outcome="read").inc(evaluation.win_rate.n)
        self._verdicts.labels(outcome="lost").inc(sum(evaluation.lost.values()))
        self._flips.labels().set(evaluation.flip_rate)
        self._win_rate.labels().set(evaluation.win_rate.mean)
        self._bits.labels(side="candidate").set(evaluation.candidate_bits_per_byte)
        self._bits.labels(side="champion").set(evaluation.champion_bits_per_byte)
        self._calibrated.labels().set(float(evaluation.calibration.passed))
