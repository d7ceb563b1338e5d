"""Answers that begin by declining, or by saying that an AI speaks: boilerplate of assistants, wanted in no document."""

from __future__ import annotations

import re

_BEGINNING = 200
"""Characters that are looked at; a text that only quotes a refusal does so further on."""
_DECLINES = re.compile(
    r"""\b(?:as|i\s?(?:'|\u2019)?\s?a?m)\s+(?:only\s+|just\s+)?an?\s+(?:ai|artificial\s+intelligence)\b
      | \bas\s+an?\s+(?:large\s+)?language\s+model\b
      | \A\W*(?:i\s?(?:'|\u2019)?\s?a?m\s+(?:very\s+|so\s+|really\s+)?sorry|sorry|unfortunately|i\s+apologi[sz]e)\b
        [^.!?\n]{0,80}?\b(?:can\s?not|can(?:'|\u2019)?t|unable|not\s+able|won(?:'|\u2019)?t|not\s+possible)\b
      | \A\W*i\s+(?:can\s?not|can(?:'|\u2019)?t|am\s+(?:unable|not\s+able)\s+to|won(?:'|\u2019)?t)\s+(?!help\s+but)
        (?:\w+\s+){0,2}?(?:assist|help|provide|comply|fulfil|answer|complete|generate|create|write|access|process)\w*\b
      | \A\W*(?:no\s+input|noinput|<\s?no\s?input\s?>|nooutput|<\s?no\s?output\s?>)""",
    re.IGNORECASE | re.VERBOSE,
)


def declines(response: str) -> bool:
    """Whether the response begins with a refusal, or with what its author is."""
    return _DECLINES.search(response[:_BEGINNING]) is not None
