"""Whether a refined answer may take the place of the one it was made from, or the reason why not.

The refined set published with arXiv 2402.04833 shows what goes wrong without: answers cut at a word that looked like
the end mark, answers that speak of the old one, one that ran on to tenfold length. The limits are ours.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Set
from dataclasses import dataclass

from longstream.data.language import language_of
from longstream.decision import Decision
from longstream_instructor.quality import declines, words

GATES = (
    "empty",
    "refusal",
    "leaks_critique",
    "runaway",
    "shrunk",
    "wrong_language",
    "changed_numbers",
    "changed_names",
    "unchanged",
)
"""Why a new answer may be refused, in the order in which it is looked at."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GateLimits:
    """What a new answer must be to be taken. A pipeline may loosen each of them."""

    max_growth: float = 2.5
    """Characters of the new answer over those of the old one, at most."""
    min_growth: float = 0.4
    """The same, at least."""
    max_likeness: float = 0.95
    """Share of runs of three words that both have; from this on nothing was done."""
    min_kept_numbers: float = 0.8
    """Share of the old answer's numbers that the new one has."""
    max_new_numbers: float = 0
    """Numbers that stand neither in the old answer nor in the request."""
    min_kept_names: float = 0.6
    """Share of the old answer's names that the new one has."""
    max_new_names: float = 2
    """Names that stand neither in the old answer nor in the request."""
    min_language_probability: float = 0.9
    """From this on, on both sides, another language is another one; above 1 it never is."""
    allow_refusal: bool = False
    """Take what reads like a model that declines."""
    allow_leak: bool = False
    """Take what speaks of the old answer."""


def judge(new: str, old: str, request: str, limits: GateLimits) -> Decision:
    """Whether a new answer may replace the old one. The reason is one of GATES, the first that applies."""
    growth = len(new) / max(len(old), 1)
    checks: dict[str, Callable[[], bool]] = {
        "empty": lambda: not any(map(str.isalnum, new)),
        "refusal": lambda: not limits.allow_refusal and declines(new) and not declines(old),
        "leaks_critique": lambda: not limits.allow_leak and _leaks(new, f"{old}\n{request}"),
        "runaway": lambda: growth > limits.max_growth,
        "shrunk": lambda: growth < limits.min_growth,
        "wrong_language": lambda: _changes_language(new, old, limits),
        "changed_numbers": lambda: _changed(
            numbers(new), numbers(old), numbers(request), limits.min_kept_numbers, limits.max_new_numbers
        ),
        "changed_names": lambda: _changes_names(new, old, request, limits),
        "unchanged": lambda: likeness(new, old) >= limits.max_likeness,
    }
    failed = next((reason for reason, fails in checks.items() if fails()), "")
    return Decision.drop(failed) if failed else Decision.keep()


def numbers(text: str) -> set[str]:
    """The numbers of a text, without those that only count a list's items."""
    return {number.replace(",", "").rstrip(".") for number in _NUMBER.findall(_ITEM.sub("", text))}


def names(text: str) -> set[str]:
    """Words that begin with a capital where no sentence begins, and are nowhere written without it."""
    small = set(_SMALL.findall(text))
    return {name for name in _NAME.findall(text) if name.lower() not in small}


def likeness(one: str, other: str) -> float:
    """Share of the runs of three words that two texts have in common, of all that either has."""
    left, right = _runs(one), _runs(other)
    return len(left & right) / len(left | right) if left or right else 1.0


_ITEM = re.compile(
    r"^\s*(?:[-*\u2022]\s*)?(?:\*\*)?(?:step\s+)?\(?\d{1,3}[.):](?=\s|\*)", re.MULTILINE | re.IGNORECASE
)
_NUMBER = re.compile(r"\d+(?:[.,]\d+)*")
_NAME = re.compile(r"(?<=[a-z\u00df-\u024f\u0430-\u044f,;] )[A-Z\u00c0-\u00de\u0410-\u042f][^\W\d_]+")
_SMALL = re.compile(r"\b[a-z\u00df-\u024f\u0430-\u044f][^\W\d_]+")
_ALL_WORDS = re.compile(r"[^\W\d_]+")
_MOST_NAMES = 0.12
"""A text with more capitals among its words writes other words with them too, as German does."""

_LEAK = re.compile(
    r"(?i)\b(?:original|previous|old|earlier|initial|existing|first|given|above) (?:answer|response|reply|version)\b"
    r"|\b(?:better|improved|revised|rewritten|refined|new) (?:answer|response|version)\b|\bcritique\b"
    r"|\[end\b|^\W*end\W*$|\bthe answer (?:is|was) (?:not|lacking|missing|too|incomplete|vague|unclear)\b"
    r"|\b(?:ursprüngliche|bisherige|verbesserte) antwort\b|\brespuesta (?:original|anterior|mejorada)\b"
    r"|\bréponse (?:initiale|originale|précédente|améliorée)\b"
    r"|(?:исходн|прежн|улучшенн)\w+ ответ",
    re.MULTILINE,
)


def _leaks(new: str, known: str) -> bool:
    said = {match.group().casefold() for match in _LEAK.finditer(known)}
    return any(match.group().casefold() not in said for match in _LEAK.finditer(new))


def _changes_language(new: str, old: str, limits: GateLimits) -> bool:
    before, after = language_of(old), language_of(new)
    surely = min(before.probability, after.probability) >= limits.min_language_probability
    return surely and before.code != after.code


def _changes_names(new: str, old: str, request: str, limits: GateLimits) -> bool:
    found = names(old)
    if len(found) > _MOST_NAMES * max(len(_ALL_WORDS.findall(old)), 1):
        return False
    # A name may have come to stand where a sentence begins, so every word of the other side counts.
    spoken, known = set(_ALL_WORDS.findall(new)), set(_ALL_WORDS.findall(f"{old}\n{request}"))
    lost, added = found - spoken, names(new) - known
    return len(lost) > (1 - limits.min_kept_names) * len(found) or len(added) > limits.max_new_names


def _changed(new: Set[str], old: Set[str], asked: Set[str], kept: float, added: float) -> bool:
    return len(old & new) < kept * len(old) or len(new - old - asked) > added


def _runs(text: str) -> set[tuple[str, ...]]:
    found = words(text)
    return {tuple(found[at : at + 3]) for at in range(max(len(found) - 2, 1))} if found else set()
