"""Whether one model's lead over another is enough, from the preferences that both have over one baseline.

The lower bound of the paired, length-controlled difference must reach the margin, and so must that of the raw one: what
controls length can be gamed by short answers, what does not by long ones, and no answer games both.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from longstream_judge.lengthcontrol import LengthControlled, Reckoning, between, length_controlled
from longstream_judge.paired import Difference, controlled_difference, raw_difference, shared_ids
from longstream_judge.preferences import Preferences
from longstream_judge.slots import slots
from longstream_judge.suspicions import REFUSING, flags


@dataclass(frozen=True, slots=True, kw_only=True)
class Threshold:
    """margin: share that the lead must exceed, at least the spread between two runs of one recipe. alpha: chance that
    a model no better than the other is promoted all the same. min_instructions: fewer promote nothing.
    """

    margin: float = 0.0
    alpha: float = 0.05
    min_instructions: int = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Lead:
    """How far the first of two models is ahead of the second, and whether that is enough, with reasons."""

    raw: Difference
    controlled: Difference
    head_to_head: float
    """Length-controlled win rate of the first over the second, who never met."""
    promote: bool
    reasons: tuple[str, ...]


def lead(one: Preferences, other: Preferences, how: Reckoning, enough: Threshold | None = None) -> Lead:
    """Compare on the instructions that both have. Raises InvalidInput where they share none, or controls do not fit."""
    enough = enough or Threshold()
    shared = shared_ids(one, other)
    ours, theirs = one.chosen(shared), other.chosen(shared)
    # One penalty for both, so that exchanged models have the opposite lead.
    strength = how.strength or max(length_controlled(run, how).strength for run in (ours, theirs))
    controlled, rival = (length_controlled(run, replace(how, strength=strength)) for run in (ours, theirs))
    raw, fair = raw_difference(ours, theirs, seed=how.seed), controlled_difference(controlled, rival)
    against = [*_suspicions(ours, controlled), *_short(raw, fair, enough)]
    said = _said(raw, fair, enough)
    return Lead(
        raw=raw,
        controlled=fair,
        head_to_head=between(controlled, rival, how.controls),
        promote=not against,
        reasons=tuple(against) or said,
    )


def _suspicions(ours: Preferences, controlled: LengthControlled) -> list[str]:
    found = flags(ours, float(ours.preferences.mean()), controlled, slots(ours))
    return [words for name, words in found.items() if name in REFUSING]


def _short(raw: Difference, fair: Difference, enough: Threshold) -> list[str]:
    if raw.interval.n < enough.min_instructions:
        return [f"{raw.interval.n} instructions are shared, {enough.min_instructions} are needed"]
    bounds = {"length-controlled": fair.lower_bound(enough.alpha), "raw": raw.lower_bound(enough.alpha)}
    return [
        f"the {name} lead is {_points(each.interval.mean)} points and may be {_points(bounds[name])}; more than "
        f"{_points(enough.margin)} is needed"
        for name, each in (("length-controlled", fair), ("raw", raw))
        if bounds[name] <= enough.margin
    ]


def _said(raw: Difference, fair: Difference, enough: Threshold) -> tuple[str, ...]:
    leads = (("length-controlled", fair), ("raw", raw))
    return tuple(
        f"the {name} lead is {_points(each.interval.mean)} points, and but for a chance of {enough.alpha:g} at least "
        f"{_points(each.lower_bound(enough.alpha))}"
        for name, each in leads
    )


def _points(share: float) -> str:
    return f"{100 * share:+.1f}"
