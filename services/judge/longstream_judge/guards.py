"""Signs that answers were made to please a judge, or that there is little in them to be judged.

One constant answer with prompt markup in it reached a length-controlled win rate of 86.5 % on AlpacaEval 2.
What is found enters the verdict's reasons; which findings forbid a promotion by the judge, the policy says.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median
from typing import Literal

FindingName = Literal[
    "constant_answers",
    "near_constant_answers",
    "prompt_markup",
    "empty_answers",
    "truncated_answers",
    "contaminated_prompts",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class GuardLimits:
    """From which share of answers on something is a finding."""

    constant_share: float = 0.5
    near_constant_likeness: float = 0.6
    """Median share of word triples that answers to two questions have in common."""
    markup_share: float = 0.01
    empty_share: float = 0.05
    truncated_share: float = 0.2
    min_answers: int = 5
    """Fewer answers than these cannot look alike by design."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """Something about the candidate's answers that a reader of the verdict should know.

    share: of the answers (near_constant_answers: the likeness); message: the same in words.
    """

    name: FindingName
    share: float
    message: str


_MARKUP = re.compile(
    r"<\|[^<>|\n]{1,40}\|>|\[/?INST\]|<(?:start|end)_of_turn>|\[EOI\]"
    r"|^#{1,3} ?(?:Instruction|Input|Response|Task|Material|Answer|System|User|Assistant)\b"
    r"|^\W{0,3}(?:system|user|assistant|human)\s*:"
    r"|\[(?:end of )?(?:question|answer \([AB]\)) [0-9a-f]{4,}"
    r"|\bthe better answer is\b|\banswer \(?[AB]\)? is (?:clearly |much |far )?(?:better|best)\b",
    re.IGNORECASE | re.MULTILINE,
)


def findings(
    answers: Sequence[str], truncated: Sequence[bool], limits: GuardLimits | None = None
) -> tuple[Finding, ...]:
    """What is odd about one model's answers to different questions, in the order of the questions.

    truncated: for each answer whether it ran into the token limit.
    """
    if not answers:
        return ()
    limits = limits or GuardLimits()
    found = [
        *_alike(answers, limits),
        _share("prompt_markup", [bool(_MARKUP.search(a)) for a in answers], limits.markup_share),
        _share("empty_answers", [not a.strip() for a in answers], limits.empty_share),
        _share("truncated_answers", list(truncated), limits.truncated_share),
    ]
    return tuple(finding for finding in found if finding is not None)


_WORDS = {
    "prompt_markup": "hold prompt markup or speak to the judge",
    "empty_answers": "are empty",
    "truncated_answers": "were cut at the token limit",
}


def _share(name: FindingName, hits: Sequence[bool], limit: float) -> Finding | None:
    share = sum(hits) / len(hits)
    if share < limit or not share:
        return None
    return Finding(name=name, share=share, message=f"{sum(hits)} of {len(hits)} answers {_WORDS[name]}")


def _alike(answers: Sequence[str], limits: GuardLimits) -> list[Finding | None]:
    written = [" ".join(answer.casefold().split()) for answer in answers if answer.strip()]
    if len(written) < limits.min_answers:
        return []
    commonest = Counter(written).most_common(1)[0][1]
    share = commonest / len(answers)
    if share >= limits.constant_share:
        message = f"{commonest} of {len(answers)} answers are one and the same"
        return [Finding(name="constant_answers", share=share, message=message)]
    triples = [_triples(text) for text in written]
    likeness = median(_likeness(a, b) for a, b in pairwise(triples))
    if likeness >= limits.near_constant_likeness:
        message = f"answers to different questions share {100 * likeness:.0f} % of their word triples"
        return [Finding(name="near_constant_answers", share=likeness, message=message)]
    return []


def _triples(text: str) -> frozenset[tuple[str, ...]]:
    # Numbers are the cheapest way to make equal answers differ.
    words = re.sub(r"\d+", "0", text).split()
    return frozenset(tuple(words[i : i + 3]) for i in range(max(1, len(words) - 2)))


def _likeness(left: frozenset[tuple[str, ...]], right: frozenset[tuple[str, ...]]) -> float:
    return len(left & right) / len(left | right)
