"""Promote, refuse or abstain: the one place where evidence becomes a decision, with reasons in plain words.

Nothing is promoted by default. A judge that failed its calibration abstains, and the gate then refuses. The
gate itself abstains where the evidence is too thin to say anything; the champion stays then too, and more
prompts or documents may settle it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Literal

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError

from longstream.errors import InvalidInput
from longstream_judge.calibration import Calibration, CalibrationLimits
from longstream_judge.guards import Finding, FindingName, GuardLimits
from longstream_judge.heldout import HeldoutChange
from longstream_judge.intervals import Interval
from longstream_judge.winrate import WinRate

Outcome = Literal["promote", "refuse", "abstain"]
_Share = Annotated[float, Field(ge=0, le=1)]
_Amount = Annotated[float, Field(ge=0, allow_inf_nan=False)]
_Count = Annotated[int, Field(ge=1)]

BLOCKING: tuple[FindingName, ...] = (
    "constant_answers",
    "near_constant_answers",
    "prompt_markup",
    "empty_answers",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """By what a challenger is promoted. The pipeline file's `evaluate.gate` sets it by name."""

    __pydantic_config__ = ConfigDict(extra="forbid")  # of the nested limits too

    decide_by: Literal["judge", "heldout_bits_per_byte"] = "judge"
    min_win_rate: _Share = 0.5
    """The lower bound of the win rate must be above it."""
    length_controlled: bool = True
    """Whether that of the rate with length set equal must be, too; where it cannot be told, the gate abstains."""
    min_instructions: _Count = 20
    """Instructions with a verdict in both orders; fewer decide nothing."""
    max_lost_share: _Share = 0.1
    """Share of comparisons without a verdict."""
    max_slot_effect_logits: _Amount = 2.0
    """Mean slot effect over the evaluation's own pairs, in either direction."""
    blocking_findings: tuple[FindingName, ...] = BLOCKING
    """Findings about the answers that forbid a promotion by the judge; bits per byte cannot be pleased."""
    min_gain_bits_per_byte: _Amount = 0.0
    """The upper bound of the change must be below minus this."""
    min_documents: _Count = 8
    """Held-out documents scored by both models; fewer decide nothing."""
    max_lost_mass: _Share = 0.99
    """Share of probability beyond the verdict's two labels above which an order says nothing."""
    calibration: CalibrationLimits = field(default_factory=CalibrationLimits)
    guards: GuardLimits = field(default_factory=GuardLimits)

    @classmethod
    def from_mapping(cls, values: Mapping[str, object]) -> Policy:
        """The defaults with some overridden. Raises InvalidInput for an unknown name or a wrong value."""
        try:
            return TypeAdapter(cls).validate_python(dict(values))
        except ValidationError as error:
            wrong = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
            raise InvalidInput(f"gate policy: {wrong}", field="evaluate.gate") from None


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What an evaluation found; None for what was not measured."""

    win_rate: WinRate | None = None
    calibration: Calibration | None = None
    heldout: HeldoutChange | None = None
    findings: tuple[Finding, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What becomes of the challenger; refuse and abstain both leave the champion where it is.

    reasons: at least one sentence; what decided comes first, what only deserves to be known follows.
    """

    outcome: Outcome
    reasons: tuple[str, ...]


def decide(policy: Policy, evidence: Evidence) -> Verdict:
    """Apply the policy. Everything that stands against a promotion is told, not only the first thing."""
    verdict = (_by_judge if policy.decide_by == "judge" else _by_heldout)(policy, evidence)
    said = " ".join(verdict.reasons)
    notes = [finding.message for finding in evidence.findings if finding.message not in said]
    notes += _length_note(evidence)
    return Verdict(outcome=verdict.outcome, reasons=(*verdict.reasons, *(f"noted: {n}" for n in notes)))


def _by_judge(policy: Policy, evidence: Evidence) -> Verdict:
    if evidence.calibration is None or not evidence.calibration.passed:
        why = evidence.calibration.reason if evidence.calibration else "it was not calibrated"
        return Verdict(
            outcome="refuse", reasons=(f"the judge abstains: {why}", "nothing is promoted by default")
        )
    measured = evidence.win_rate
    lost = _lost(measured.lost) if measured else "nothing was compared"
    if measured is None or measured.rate is None or measured.rate.n < policy.min_instructions:
        count = measured.rate.n if measured and measured.rate else 0
        return _thin(f"{count} instructions have a verdict, {policy.min_instructions} are needed; {lost}")
    if measured.lost_share > policy.max_lost_share:
        return _thin(f"{_percent(measured.lost_share)} of the comparisons are without a verdict; {lost}")
    against = [
        *_length_objection(policy, measured),
        *_slot_objection(policy, measured),
        *_finding_objections(policy, evidence),
    ]
    rate = measured.rate
    said = f"win rate {_interval(rate)} over {rate.n} instructions"
    if rate.low <= policy.min_win_rate:
        against.insert(0, f"{said}: the lower bound is not above {_percent(policy.min_win_rate)}")
    if against:
        return Verdict(outcome="refuse", reasons=tuple(against))
    if policy.length_controlled and measured.controlled is None:
        return _thin(
            "the challenger's answers are longer, or shorter, nearly everywhere: length and quality cannot be told "
            "apart; raise evaluate.anchors"
            if measured.entangled
            else "so few instructions do not tell what length does to the judge"
        )
    if policy.length_controlled and measured.controlled is not None:
        said += f", with length set equal {_interval(measured.controlled)}"
    return Verdict(
        outcome="promote", reasons=(f"{said}: the lower bound is above {_percent(policy.min_win_rate)}",)
    )


def _by_heldout(policy: Policy, evidence: Evidence) -> Verdict:
    measured = evidence.heldout
    if measured is None or measured.change.n < policy.min_documents:
        count = measured.change.n if measured else 0
        return _thin(f"{count} held-out documents were scored by both, {policy.min_documents} are needed")
    if measured.lost_share > policy.max_lost_share:
        return _thin(f"{_percent(measured.lost_share)} of the held-out documents could not be scored by both")
    change, bound = measured.change, 0.0 - policy.min_gain_bits_per_byte
    said = (
        f"held-out bits per byte {measured.candidate:.4f} against {measured.champion:.4f}, change "
        f"{change.mean:+.4f}, {100 * change.confidence:.0f} % interval {change.low:+.4f} to "
        f"{change.high:+.4f} over {change.n} documents"
    )
    better = change.high < bound
    return Verdict(
        outcome="promote" if better else "refuse",
        reasons=(
            f"{said}: the upper bound is {'' if better else 'not '}below {bound:+.4f}",
            *_aside(evidence),
        ),
    )


def _thin(reason: str) -> Verdict:
    return Verdict(outcome="abstain", reasons=(reason, "nothing is promoted by default"))


def _length_objection(policy: Policy, measured: WinRate) -> list[str]:
    controlled = measured.controlled
    if not policy.length_controlled or controlled is None or controlled.low > policy.min_win_rate:
        return []
    bound = _percent(policy.min_win_rate)
    return [
        f"with length set equal the win rate is {_interval(controlled)}: the lower bound is not above {bound}"
    ]


def _slot_objection(policy: Policy, measured: WinRate) -> list[str]:
    slot = measured.slot_effect_logits
    if slot is None or abs(slot.mean) <= policy.max_slot_effect_logits:
        return []
    limit = policy.max_slot_effect_logits
    return [f"the slot moves the judge by {slot.mean:+.2f} logits; at most {limit:.2f} are allowed"]


def _finding_objections(policy: Policy, evidence: Evidence) -> list[str]:
    return [finding.message for finding in evidence.findings if finding.name in policy.blocking_findings]


def _aside(evidence: Evidence) -> list[str]:
    """What the judge would say, where it does not decide."""
    if evidence.calibration is not None and not evidence.calibration.passed:
        return [f"noted: the judge, which does not decide here, abstains: {evidence.calibration.reason}"]
    if evidence.win_rate is not None and evidence.win_rate.rate is not None:
        return [f"noted: the judge, which does not decide here, says {_percent(evidence.win_rate.rate.mean)}"]
    return []


def _length_note(evidence: Evidence) -> list[str]:
    length = evidence.win_rate.length if evidence.win_rate else None
    if length is None or length.longer is None or length.shorter is None:
        return []
    return [
        f"the judge gives {_percent(length.longer.mean)} where the challenger's answer is the longer one and "
        f"{_percent(length.shorter.mean)} where it is the shorter one"
    ]


def _lost(lost: Mapping[str, int]) -> str:
    return "lost: " + (", ".join(f"{reason} {count}" for reason, count in lost.items()) or "none")


def _interval(rate: Interval) -> str:
    return (
        f"{_percent(rate.mean)}, {100 * rate.confidence:.0f} % interval {_percent(rate.low)} to "
        f"{_percent(rate.high)}"
    )


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"
