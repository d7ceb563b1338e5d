"""Cutting a text to the room that there is, between words."""

from __future__ import annotations

import re
from collections.abc import Callable

_WORD = re.compile(r"\S+")


def longest_fitting(text: str, fits: Callable[[str], bool]) -> str:
    """The whole text if it fits, else its longest beginning of whole words that does; empty if none does.

    fits: must hold for every beginning of a text that it holds for. Called about log2(words) times.
    """
    if fits(text):
        return text
    ends = [match.end() for match in _WORD.finditer(text)]
    low, high = 0, len(ends)
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if fits(text[: ends[middle - 1]]) else (low, middle - 1)
    return text[: ends[low - 1]] if low else ""
