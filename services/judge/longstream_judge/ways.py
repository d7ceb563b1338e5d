"""The ways to a verdict: one token's probabilities, the same after short reasons, or the paper's two scores."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from longstream.errors import InvalidInput
from longstream.llm.types import LanguageModel
from longstream_judge.comparison import (
    LABELS,
    MAX_LOST_MASS,
    TIE,
    Comparison,
    Pair,
    prompt_revision,
    prompts_for,
    verdict,
)
from longstream_judge.reasoned import ReasonedWay
from longstream_judge.scores import ScoresWay


class Way(Protocol):
    """How a judge is asked about a pair, in both orders."""

    @property
    def calls(self) -> int:
        """Requests to the judge for one order."""

    @property
    def most_tokens(self) -> int:
        """What the judge writes at most for one order."""

    @property
    def revision(self) -> str:
        """Name of wording and reading: changes whenever a verdict could."""

    def compare(self, model: LanguageModel, pair: Pair, timeout_s: float) -> Comparison:
        """What the judge says of the pair. Raises as LanguageModel does."""


@dataclass(frozen=True, slots=True)
class SoftWay:
    """One token in each order. max_lost_mass: above it an order says nothing."""

    max_lost_mass: float = MAX_LOST_MASS
    calls: int = 1
    most_tokens: int = 1

    @property
    def revision(self) -> str:
        """Name of the wording."""
        return prompt_revision()

    def compare(self, model: LanguageModel, pair: Pair, timeout_s: float) -> Comparison:
        """Both orders. Raises as LanguageModel does."""
        forward, swapped = (model.choose(prompt, LABELS, timeout_s=timeout_s) for prompt in prompts_for(pair))
        return verdict(forward, swapped, max_lost_mass=self.max_lost_mass)


WAYS: dict[str, Callable[[float], Way]] = {
    "soft": SoftWay,
    "reasoned": ReasonedWay,
    "scores": lambda _: ScoresWay(),
    "strict-scores": lambda _: ScoresWay(strict=True),
}


def way_named(name: str, max_lost_mass: float = MAX_LOST_MASS) -> Way:
    """Raises InvalidInput with the names that there are. max_lost_mass: above it an order says nothing."""
    if name not in WAYS:
        raise InvalidInput(f"there is no way {name} to a verdict; there are {', '.join(WAYS)}", field="way")
    return WAYS[name](max_lost_mass)


def compared(way: Way, model: LanguageModel, pair: Pair, timeout_s: float) -> Comparison:
    """A tie for equal answers, about which nobody is asked; else what the judge says."""
    return TIE if pair.identical else way.compare(model, pair, timeout_s)
