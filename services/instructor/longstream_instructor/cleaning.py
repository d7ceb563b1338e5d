"""From a model's reply to the instruction in it, without quotation marks, labels, chatter, markup, other candidates."""

from __future__ import annotations

import re
from typing import Literal


def clean(reply: str, finish_reason: Literal["stop", "length"]) -> str:
    """The first instruction in a reply, on one line, without what stands around it; empty if there is none.

    finish_reason: as the engine reported it. A first line that was cut at the token limit ends in an
    ellipsis, by which `assess` knows it. Cleaning what is clean changes nothing.
    """
    lines = _CONTROL.split(reply)[0].splitlines() or [""]
    for number, line in enumerate(lines):
        instruction = _cleaned_line(line)
        if instruction:
            cut = finish_reason == "length" and number == len(lines) - 1
            return f"{instruction.rstrip('. ')}\u2026" if cut else instruction
    return ""


_CONTROL = re.compile(r"<\|[^<>|]{1,40}\|>|</?s>|\[/?INST\]|<(?:start|end)_of_turn>")
_LABEL = re.compile(
    r"(?i)^\W{0,4}(?:(?:the|die|der|la|el|le|your|my|user'?s?|person'?s?|search|possible|original|detailed|casual)\s+)*"
    r"(?:instruction|message|query|question|prompt|request|input|user|x|q"
    r"|anweisung|nachricht|anfrage|frage|aufgabe|instrucción|mensaje|consulta|pregunta|consigne|requête"
    r"|задание|сообщение|запрос|вопрос)"
    r"(?:\s*(?:no\.?|\#)?\s*\d{1,2})?\W{0,3}:(?:\*\*)?"
)
_CHATTER = re.compile(
    r"(?i)^(?:(?:sure|certainly|of course|okay|ok|absolutely)\b(?:[^:?]{0,100}:|[!.]\s|[!.,]?$)|great!"
    r"|here(?:'s| is| are)\b[^:]{0,100}:"
    r"|the (?:instruction|message|query|question)\b[^:]{0,60}"
    r"\b(?:is|was|could be|would be|might be)\b[^:]{0,20}:)"
)
_BULLET = re.compile(r"^(?:#{1,6}\s+|>\s+|[-*+\u2022]\s+|\(?\d{1,2}[.)]\s+|\(?[a-d]\)\s+)")
_FENCE = re.compile(r"^(?:```|~~~)\S*$|^[-=_*]{3,}$")
_BOLD = re.compile(r"(?<![\w*])(\*{1,3})(?=[^\s*])([^*]+?)(?<=[^\s*])\1(?![\w*])")
_QUOTES = dict(zip("\"'`\u201c\u201e\u2018\u00ab", "\"'`\u201d\u201c\u2019\u00bb", strict=True))


def _cleaned_line(line: str) -> str:
    before, line = "", " ".join(line.split())
    while line != before:
        before = line
        if _FENCE.match(line):
            return ""
        line = _CHATTER.sub("", _BOLD.sub(r"\2", line), count=1).strip()
        line = _unquoted(_LABEL.sub("", _BULLET.sub("", line), count=1).strip()).strip()
    return line


def _unquoted(line: str) -> str:
    closing = _QUOTES.get(line[:1])
    if closing is None or len(line) < 2 or not line.endswith(closing):
        return line
    inside = line[1:-1]
    following = inside.find(closing)
    # In `"a" or "b"` the second mark closes the first, and the pair does not stand around the line.
    closes_early = following >= 0 and (
        closing != line[0] or (following > 0 and inside[following - 1] not in " (")
    )
    return line if closes_early else inside
