"""Marks of style in an answer, as Arena-Hard counts them: a judge may like them for themselves."""

from __future__ import annotations

import re

_MARKS = {
    "headers": re.compile(r"^#{1,6}\s", re.MULTILINE),
    "lists": re.compile(r"^\s*(?:[-*+]|\d{1,3}[.)])\s", re.MULTILINE),
    "bold": re.compile(r"\*\*[^*\n]+\*\*|__[^_\n]+__"),
}


def marks(text: str) -> dict[str, int]:
    """How many headers, list items and bold passages of Markdown there are."""
    return {name: len(pattern.findall(text)) for name, pattern in _MARKS.items()}
