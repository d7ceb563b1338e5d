"""The three styles of LongForm (arXiv 2304.08460, section 2), and which one a document is asked about in."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType

from longstream.draws import weighted
from longstream.errors import InvalidInput


class Style(StrEnum):
    """As what the instruction is asked for."""

    INSTRUCTION = "instruction"
    CHATBOT = "chatbot"
    QUERY = "query"


PAPER_WEIGHTS: Mapping[Style, float] = MappingProxyType(
    {Style.INSTRUCTION: 0.5, Style.CHATBOT: 0.3, Style.QUERY: 0.2}
)
"""Share of each style in LongForm."""


def style_of(seed: int, document_id: str, weights: Mapping[Style, float] = PAPER_WEIGHTS) -> Style:
    """Draw a document's style by hash: the same wherever and whenever it is drawn.

    weights need not sum to 1; a style that is absent is never drawn. Raises InvalidInput if a weight is
    negative, a name is not a style, or nothing is left to draw.
    """
    unknown = sorted(set(weights) - set(Style))
    total = sum(weights.values())
    if unknown or min(weights.values(), default=0) < 0 or not 0 < total < float("inf"):
        raise InvalidInput(f"style weights must be positive shares of {', '.join(Style)}", field="styles")
    shares = {style: weights[style] for style in Style if weights.get(style, 0) > 0}
    return weighted(shares, "style", seed, document_id)
