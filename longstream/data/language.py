"""Which language a text is in, by py3langid's model, which comes with the package."""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

from py3langid.langid import MODEL_FILE, LanguageIdentifier

_ENOUGH = 1_000
"""Characters from the beginning, and as many from the end: more costs much and changes few verdicts."""


class Guess(NamedTuple):
    """ISO 639-1 code of the likeliest language, and its probability among those that were thought of."""

    code: str
    probability: float


def language_of(text: str, among: tuple[str, ...] = ()) -> Guess:
    """The likeliest of the languages; among: codes to choose from, none: all 97 that the model knows."""
    code, probability = _identifier(among).classify(_sample(text))
    return Guess(str(code), float(probability))


def probability_of(code: str, text: str, among: tuple[str, ...]) -> float:
    """How probable a language is, of those to choose from; 0 where it is none of them."""
    ranked = _identifier(tuple(sorted({*among, code}))).rank(_sample(text))
    return next((float(probability) for other, probability in ranked if other == code), 0.0)


def _sample(text: str) -> str:
    return text if len(text) <= 2 * _ENOUGH else f"{text[:_ENOUGH]}\n{text[-_ENOUGH:]}"


@cache
def _identifier(among: tuple[str, ...]) -> LanguageIdentifier:
    identifier = LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
    if among:
        identifier.set_languages(list(among))
    return identifier
