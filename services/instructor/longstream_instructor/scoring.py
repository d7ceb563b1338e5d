"""How well an instruction and its document fit, as a model says: a number from 1 to 5, read strictly.

A replication of Humpback (arXiv 2308.06259) found no score in 45 % of the replies, and a loose pattern that took 728
for one. Here a reply that is not one number of the scale is no score, and each way to fail is counted apart.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

LOWEST, HIGHEST = 1, 5
FAILURES = ("no_score", "several_scores", "score_out_of_range")
"""Why a reply gives no score."""
REPLY_TOKENS = 8
"""Enough for the number, and for a word before it."""

_NUMBER = re.compile(r"-?\d+(?:[.,]\d+)?")
_SCORE = re.compile(
    r"\W{0,3}(?:(?:the\s+)?(?:score|number|rating|answer)\W{0,3}(?:is\s*)?[:=]?\s*)?\W{0,3}"
    r"\d+(?:[.,]\d+)?\W{0,3}(?:(?:/|\s*out\s+of|\s*of)\s*(\d+))?\W{0,3}",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Score:
    """value: 1 to 5, or 0 where there is none. failure: one of FAILURES, or empty."""

    value: int
    failure: str = ""


def parse_score(reply: str) -> Score:
    """The score that the first line of a reply is; whatever else there is in it makes it none."""
    line = next((line for line in reply.splitlines() if line.strip()), "")
    numbers = _NUMBER.findall(line)
    if not numbers:
        return Score(0, "no_score")
    match = _SCORE.fullmatch(line.strip())
    if match is None:
        return Score(0, "several_scores" if len(numbers) > 1 else "no_score")
    value, scale = numbers[0], match.group(1)
    if scale is not None and scale != str(HIGHEST):
        return Score(0, "score_out_of_range")
    if value not in {str(number) for number in range(LOWEST, HIGHEST + 1)}:
        return Score(0, "score_out_of_range")
    return Score(int(value))
