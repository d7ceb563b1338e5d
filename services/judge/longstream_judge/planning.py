"""What an evaluation will ask for and what it can find, told before anything is spent."""

from __future__ import annotations

import math
from dataclasses import dataclass

from scipy.special import stdtrit

from longstream_judge.policy import Policy

SPREAD = 0.4
"""Standard deviation of preferences between models of like strength, where no evaluation has shown it yet."""
POWER = 0.8


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """prompts: to be compared. level: chance that a model no better passes, one-sided. detectable: lead over 0.5 that
    is found with POWER; infinite for too few prompts. answers: that contestants write or score. verdicts: requests to
    judges. tokens: read and written at most, by all models together.
    """

    prompts: int
    level: float
    looks: tuple[int, ...]
    detectable: float
    answers: int
    verdicts: int
    tokens: int

    @property
    def text(self) -> str:
        """The same in words."""
        looks = ", ".join(map(str, self.looks))
        return (
            f"{self.prompts} prompts, looked at after {looks or 'none'}; {power(self.detectable, self.level)}; "
            f"{self.answers} answers, {self.verdicts} verdicts, {self.tokens:,} tokens at most"
        )


def power(lead: float, level: float) -> str:
    """What can be found, in words."""
    said = "no lead" if math.isinf(lead) else f"a lead of {100 * lead:.1f} points"
    return f"{said} is found {POWER:.0%} of the time at an error of {100 * level:.2g} %"


def detectable(instructions: int, level: float, spread: float) -> float:
    """The smallest lead of a mean that is found with POWER at that one-sided level."""
    if instructions < 2:
        return math.inf
    quantiles = [float(stdtrit(instructions - 1, share)) for share in (level, 1 - POWER)]
    return -sum(quantiles) * spread / math.sqrt(instructions)


def look_sizes(prompts: int, policy: Policy) -> tuple[int, ...]:
    """After how many comparisons they are looked at: evenly, and never before there are enough to decide by."""
    if policy.decide_by != "judge":
        return (prompts,) if prompts else ()
    sizes = [math.ceil(prompts * number / policy.looks) for number in range(1, policy.looks + 1)]
    return tuple(sorted({size for size in sizes if size >= policy.min_instructions or size == prompts} - {0}))


def forbidden(policy: Policy, plan: Plan) -> str:
    """Why an evaluation is not begun; empty where it is."""
    if policy.max_tokens is not None and plan.tokens > policy.max_tokens:
        return f"it could cost {plan.tokens} tokens, and evaluate.gate.max_tokens is {policy.max_tokens}"
    if policy.decide_by != "judge":
        return ""
    if plan.prompts < policy.min_instructions:
        return f"there are {plan.prompts} prompts, and {policy.min_instructions} are needed"
    if policy.find_lead is not None and plan.detectable > policy.find_lead:
        return (
            f"{plan.prompts} prompts find a lead of {100 * plan.detectable:.1f} points, and evaluate.gate.find_lead "
            f"wants {100 * policy.find_lead:.1f}; raise evaluate.max_prompts"
        )
    return ""
