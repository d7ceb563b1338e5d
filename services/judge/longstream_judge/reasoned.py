"""A verdict after short reasons: the judge writes them, then chooses one of two labels.

The choice is read from log-probabilities, as without reasons; what the reasons say decides nothing by itself, so no
answer can write the verdict. Short reasons made one judge nearly neutral about places where it favoured one without
them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from longstream.ids import digest
from longstream.llm.types import LanguageModel, Part, Prompt, Sampling
from longstream_judge.comparison import LABELS, MAX_LOST_MASS, OPENING, Comparison, Pair, sections, verdict

_REASONS = (
    "\nIn at most three sentences: what does each answer get right and wrong? Do not say yet which one is better."
    "\nReasons: "
)
_CHOICE = (
    "\nWith that in mind, which answer serves the person who asked better? Neither its place nor its length counts by "
    "itself.\nThe better answer is ("
)
_TOKENS = 160


@dataclass(frozen=True, slots=True)
class ReasonedWay:
    """max_lost_mass: above it an order says nothing."""

    max_lost_mass: float = MAX_LOST_MASS
    calls: int = 2
    most_tokens: int = _TOKENS + 1

    @property
    def revision(self) -> str:
        """Name of this wording."""
        return digest("reasoned prompt", OPENING, _REASONS, _CHOICE, *LABELS)[:16]

    def compare(self, model: LanguageModel, pair: Pair, timeout_s: float) -> Comparison:
        """Both orders, each with reasons of its own. Raises as LanguageModel does."""
        orders = ((pair.candidate, pair.champion), (pair.champion, pair.candidate))
        found = [_order(model, pair, (first, second), timeout_s) for first, second in orders]
        compared = verdict(found[0][0], found[1][0], max_lost_mass=self.max_lost_mass)
        return replace(compared, said=(found[0][1], found[1][1]))


def _order(
    model: LanguageModel, pair: Pair, shown: tuple[str, str], timeout_s: float
) -> tuple[Mapping[str, float], str]:
    begun = (Part(OPENING), *sections(pair, *shown), Part(_REASONS))
    written = model.generate(Prompt(begun), Sampling(max_tokens=_TOKENS), timeout_s=timeout_s).text
    reasons = " ".join(written.split())
    asked = Prompt((*begun, Part(reasons, data=True), Part(_CHOICE)))
    return model.choose(asked, LABELS, timeout_s=timeout_s), reasons
