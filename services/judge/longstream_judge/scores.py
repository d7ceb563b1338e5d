"""The verdict of Long Is More for Alignment: each answer gets a score from 1 to 10, in both orders.

The rules are those of its code (arXiv 2402.04833, `evaluation`): the two scores are the first line and nothing else;
each is cut to a whole number before they are compared; an order is worth +1, 0 or -1, and the sum of both decides.
There a reply that cannot be read counts as even; here it is no verdict, and is counted as lost. Strict reading also
wants both between 1 and 10.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from longstream.ids import digest
from longstream.llm.types import LanguageModel, Part, Prompt, Sampling
from longstream_judge.comparison import OPENING, Comparison, Pair, sections

_REQUEST = (
    "\nGive each answer a score from 1 to 10 for being helpful, to the point, correct and detailed; a higher one is "
    "better. Which answer stands first must not matter. Write the two scores on the first line, that of answer (A) "
    "first, with a space between them and nothing else; explain them below.\nScores: "
)
_STRICT = re.compile(r"\s*(10(?:\.0+)?|[1-9](?:\.\d+)?)[\s,]+(10(?:\.0+)?|[1-9](?:\.\d+)?)\s*")
_TOKENS = 256


@dataclass(frozen=True, slots=True)
class ScoresWay:
    """Asks for scores and reads them. strict: numbers other than from 1 to 10 are no scores."""

    strict: bool = False
    calls: int = 1
    most_tokens: int = _TOKENS

    @property
    def revision(self) -> str:
        """Name of this wording and reading."""
        return digest("scores prompt", OPENING, _REQUEST, str(self.strict))[:16]

    def compare(self, model: LanguageModel, pair: Pair, timeout_s: float) -> Comparison:
        """Both orders. Raises as LanguageModel does."""
        texts = [
            model.generate(prompt, Sampling(max_tokens=_TOKENS), timeout_s=timeout_s).text
            for prompt in prompts(pair)
        ]
        return decided(texts[0], texts[1], strict=self.strict)


def prompts(pair: Pair) -> tuple[Prompt, Prompt]:
    """The pair with the candidate shown first, and with the champion shown first."""
    return tuple(
        Prompt((Part(OPENING), *sections(pair, first, second), Part(_REQUEST)))
        for first, second in ((pair.candidate, pair.champion), (pair.champion, pair.candidate))
    )  # type: ignore[return-value]


def decided(forward: str, swapped: str, *, strict: bool = False) -> Comparison:
    """The comparison that both orders' replies make. preference: 1 for a win of the candidate, 0.5 for a tie, 0."""
    first, second = read(forward, strict=strict), read(swapped, strict=strict)
    unread = [name for name, scores in (("forward", first), ("swapped", second)) if scores is None]
    said = (forward, swapped)
    if first is None or second is None:
        return Comparison(preference=None, failure=f"{'_and_'.join(unread)}_unreadable", said=said)
    there, back = _sign(first), -_sign(second)
    return Comparison(
        preference=0.5 + 0.5 * max(-1, min(1, there + back)),
        forward=0.5 + 0.5 * there,
        swapped=0.5 + 0.5 * back,
        said=said,
    )


def read(reply: str, *, strict: bool = False) -> tuple[float, float] | None:
    """The two scores on the first line; None where it is something else."""
    line = reply.split("\n", 1)[0]
    if strict:
        found = _STRICT.fullmatch(line)
        return (float(found[1]), float(found[2])) if found else None
    words = line.replace(",", " ").split()
    try:
        scores = [float(word) for word in words]
    except ValueError:
        return None
    return (scores[0], scores[1]) if len(scores) == 2 and all(map(math.isfinite, scores)) else None


def _sign(scores: tuple[float, float]) -> int:
    """Of the difference, once both are cut to whole numbers: 8.5 and 8 are even."""
    first, second = map(int, scores)
    return (first > second) - (first < second)
