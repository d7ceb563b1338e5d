"""Prompts of several turns, as MT-Bench has them: what a judge reads as the question, and as one answer.

A judge is shown the whole conversation of each side, and is told that its last turn counts (arXiv 2306.05685,
section 3.3). The first turn alone is shown as any other pair.
"""

from __future__ import annotations

from collections.abc import Sequence

from longstream_judge.spec import Example

_RUBRIC = "The last request and the answer to it count; those before them are what they refer to."


def asked(example: Example, turn: int) -> str:
    """The requests up to that turn, as one question."""
    requests = [example.question, *example.later][:turn]
    return requests[0] if turn == 1 else _numbered("Request", requests)


def said(outputs: Sequence[str], turn: int) -> str | None:
    """The answers up to that turn, as one; None where there are fewer."""
    if len(outputs) < turn:
        return None
    return outputs[0] if turn == 1 else _numbered("Answer to request", outputs[:turn])


def rubric(own: str, turn: int) -> str:
    """What a better answer has: the caller's own words, and what counts in a conversation."""
    return own if turn == 1 else "\n".join(filter(None, (own, _RUBRIC)))


def _numbered(title: str, texts: Sequence[str]) -> str:
    return "\n\n".join(f"{title} {number}:\n{text}" for number, text in enumerate(texts, start=1))
