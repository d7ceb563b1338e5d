"""Promote, refuse or abstain: the one place where evidence becomes a decision, with reasons in plain words.

Nothing is promoted by default. A judge that failed its calibration abstains, and the gate then refuses. The
gate itself abstains where the evidence is too thin to say anything; the champion stays then too, and more
prompts or documents may settle it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from longstream_judge.calibration import Calibration
from longstream_judge.guards import Finding
from longstream_judge.heldout import HeldoutChange
from longstream_judge.intervals import Interval
from longstream_judge.policy import Policy
from longstream_judge.spending import conditional_power
from longstream_judge.winrate import WinRate

Outcome = Literal["promote", "refuse", "abstain"]
_SLICE_LEVEL = 0.05
"""Of a slice's bound. That all slices must hold makes a promotion rarer, never likelier; nothing need be shared out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What an evaluation found; None for what was not measured.

    notes: what a reader of the verdict should know besides. objections: what forbids a promotion by the judge whatever
    the figures say.
    """

    win_rate: WinRate | None = None
    calibration: Calibration | None = None
    heldout: HeldoutChange | None = None
    findings: tuple[Finding, ...] = ()
    notes: tuple[str, ...] = ()
    objections: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What becomes of the challenger; refuse and abstain both leave the champion where it is.

    reasons: at least one sentence; what decided comes first, what only deserves to be known follows. tested: whether a
    bound was held against its threshold, which spends the level.
    """

    outcome: Outcome
    reasons: tuple[str, ...]
    tested: bool = False


def decide(policy: Policy, evidence: Evidence, level: float) -> Verdict:
    """Apply the policy. Everything that stands against a promotion is told, not only the first thing.

    level: the chance that a model no better passes, one-sided.
    """
    verdict = (_by_judge if policy.decide_by == "judge" else _by_heldout)(policy, evidence, level)
    said = " ".join(verdict.reasons)
    notes = [finding.message for finding in evidence.findings if finding.message not in said]
    notes += [*evidence.notes, *_length_note(evidence), *_slice_notes(policy, evidence)]
    return Verdict(
        outcome=verdict.outcome,
        reasons=(*verdict.reasons, *(f"noted: {note}" for note in notes)),
        tested=verdict.tested,
    )


def _by_judge(policy: Policy, evidence: Evidence, level: float) -> Verdict:
    if evidence.calibration is None or not evidence.calibration.passed:
        why = evidence.calibration.reason if evidence.calibration else "it was not calibrated"
        return Verdict(
            outcome="refuse", reasons=(f"the judge abstains: {why}", "nothing is promoted by default")
        )
    measured = evidence.win_rate
    lost = _lost(measured.lost) if measured else "nothing was compared"
    if measured is None or measured.rate is None or measured.rate.n < policy.min_instructions:
        count = measured.rate.n if measured and measured.rate else 0
        return thin(f"{count} instructions have a verdict, {policy.min_instructions} are needed; {lost}")
    if measured.lost_share > policy.max_lost_share:
        return thin(f"{percent(measured.lost_share)} of the comparisons are without a verdict; {lost}")
    against = [
        *_bound_objections(policy, measured, level),
        *_slice_objections(policy, measured),
        *_slot_objection(policy, measured),
        *evidence.objections,
        *_finding_objections(policy, evidence),
    ]
    if against:
        return Verdict(outcome="refuse", reasons=tuple(against), tested=True)
    if policy.length_controlled and measured.controlled is None:
        why = (
            "the challenger's answers are longer, or shorter, nearly everywhere: length and quality cannot be told "
            "apart; raise evaluate.anchors"
            if measured.entangled
            else "so few instructions do not tell what length does to the judge"
        )
        return Verdict(outcome="abstain", reasons=(why, "nothing is promoted by default"), tested=True)
    said = f"win rate {_interval(measured.rate)} over {measured.rate.n} instructions"
    if policy.length_controlled and measured.controlled is not None:
        said += f", with length set equal {_interval(measured.controlled)}"
    found = " and ".join(percent(rate.lower(level)) for _, rate in _tested(policy, measured))
    needed = percent(policy.min_win_rate)
    won = f"{said}; but for a chance of {_chance(level)} more than {found}, where {needed} is needed"
    return Verdict(outcome="promote", reasons=(won,), tested=True)


def _by_heldout(policy: Policy, evidence: Evidence, level: float) -> Verdict:
    measured = evidence.heldout
    if measured is None or measured.change.n < policy.min_documents:
        count = measured.change.n if measured else 0
        return thin(f"{count} held-out documents were scored by both, {policy.min_documents} are needed")
    if measured.lost_share > policy.max_lost_share:
        return thin(f"{percent(measured.lost_share)} of the held-out documents could not be scored by both")
    change, bound = measured.change, 0.0 - policy.min_gain_bits_per_byte
    most = change.upper(level)
    said = (
        f"held-out bits per byte {measured.candidate:.4f} against {measured.champion:.4f}, change "
        f"{change.mean:+.4f}, {100 * change.confidence:.0f} % interval {change.low:+.4f} to "
        f"{change.high:+.4f} over {change.n} documents"
    )
    better = most < bound
    return Verdict(
        outcome="promote" if better else "refuse",
        reasons=(
            f"{said}; but for a chance of {_chance(level)} below {most:+.4f}, "
            f"{'and' if better else 'where'} less than {bound:+.4f} is needed",
            *_aside(evidence),
        ),
        tested=True,
    )


def chance_left(policy: Policy, evidence: Evidence, fraction: float, level: float) -> float:
    """Chance that the last look promotes, were all to go on as it did. fraction: of the prompts, seen so far.

    level: that of the last look.
    """
    rates = _tested(policy, evidence.win_rate) if evidence.win_rate else ()
    return min((_chance_of(rate, policy.min_win_rate, fraction, level) for _, rate in rates), default=1.0)


def _chance_of(rate: Interval, wanted: float, fraction: float, level: float) -> float:
    lead = rate.mean - wanted
    if not rate.error:
        return float(lead > 0)
    return conditional_power(lead / rate.error, fraction, level)


def thin(reason: str) -> Verdict:
    """The gate abstains: there is too little to say anything, or nothing could be told."""
    return Verdict(outcome="abstain", reasons=(reason, "nothing is promoted by default"))


def _tested(policy: Policy, measured: WinRate) -> Iterator[tuple[str, Interval]]:
    """The rates whose lower bounds must be above the threshold, with what they are called."""
    if measured.rate is not None:
        yield "win rate", measured.rate
    if policy.length_controlled and measured.controlled is not None:
        yield "with length set equal the win rate is", measured.controlled


def _bound_objections(policy: Policy, measured: WinRate, level: float) -> list[str]:
    needed = percent(policy.min_win_rate)
    return [
        f"{name} {_interval(rate)} over {rate.n} instructions; but for a chance of {_chance(level)} more than "
        f"{percent(rate.lower(level))}, where {needed} is needed"
        for name, rate in _tested(policy, measured)
        if rate.lower(level) <= policy.min_win_rate
    ]


def _slice_objections(policy: Policy, measured: WinRate) -> list[str]:
    if policy.slice_margin is None:
        return []
    worst = 0.5 - policy.slice_margin
    return [
        f"on {name} the win rate is {percent(rate.mean)} over {rate.n} instructions and may be "
        f"{percent(rate.lower(_SLICE_LEVEL))}; {percent(worst)} must be reached on every slice"
        for name, rate in measured.slices.items()
        if rate.n >= policy.min_slice_instructions and rate.lower(_SLICE_LEVEL) < worst
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
        return [f"noted: the judge, which does not decide here, says {percent(evidence.win_rate.rate.mean)}"]
    return []


def _length_note(evidence: Evidence) -> list[str]:
    length = evidence.win_rate.length if evidence.win_rate else None
    if length is None or length.longer is None or length.shorter is None:
        return []
    return [
        f"the judge gives {percent(length.longer.mean)} where the challenger's answer is the longer one and "
        f"{percent(length.shorter.mean)} where it is the shorter one"
    ]


def _slice_notes(policy: Policy, evidence: Evidence) -> list[str]:
    """Slices that are too small to decide, where the challenger has less than half."""
    slices = evidence.win_rate.slices if evidence.win_rate else {}
    return [
        f"on {name} the win rate is {percent(rate.mean)} over {rate.n} instructions, too few to decide"
        for name, rate in slices.items()
        if rate.mean < 0.5 and rate.n < policy.min_slice_instructions
    ]


def _lost(lost: Mapping[str, int]) -> str:
    return "lost: " + (", ".join(f"{reason} {count}" for reason, count in lost.items()) or "none")


def _interval(rate: Interval) -> str:
    return (
        f"{percent(rate.mean)}, {100 * rate.confidence:.0f} % interval {percent(rate.low)} to "
        f"{percent(rate.high)}"
    )


def _chance(level: float) -> str:
    return f"{100 * level:.2g} %"


def percent(share: float) -> str:
    """As a reader of reasons sees a share."""
    return f"{100 * share:.1f} %"
