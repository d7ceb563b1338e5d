"""Which language a text is in, by py3langid's model, which comes with the package."""

from __future__ import annotations

from functools import cache

from py3langid.langid import MODEL_FILE, LanguageIdentifier

_ENOUGH = 1_000
"""Characters from the beginning, and as many from the end: more costs much and changes few verdicts."""


@cache
def _identifier() -> LanguageIdentifier:
    return LanguageIdentifier.from_model_file(MODEL_FILE)


def language_of(text: str) -> str:
    """ISO 639-1 code of the likeliest language."""
    sample = text if len(text) <= 2 * _ENOUGH else f"{text[:_ENOUGH]}\n{text[-_ENOUGH:]}"
    code, _ = _identifier().classify(sample)
    return str(code)
