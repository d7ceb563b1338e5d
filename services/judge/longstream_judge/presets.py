"""How contestants draw their answers: greedy, or as the papers did."""

from __future__ import annotations

from dataclasses import replace

from longstream.errors import InvalidInput
from longstream.llm.types import Sampling

_GREEDY = Sampling(max_tokens=256)
DECODINGS = {
    "greedy": _GREEDY,
    # Nucleus of 0.9 (arXiv 2304.08460, section 5); the seed is that of its model cards.
    "longform": Sampling(max_tokens=256, temperature=1.0, top_p=0.9, seed=42),
    # The evaluation code of arXiv 2402.04833 leaves the drawing to each checkpoint; greedy is what can be repeated.
    "long-is-more": replace(_GREEDY, max_tokens=512),
}


def sampling(decoding: str, max_tokens: int | None = None, min_tokens: int = 0) -> Sampling:
    """What a preset draws, with other bounds where they are given. Raises InvalidInput for an unknown one."""
    if decoding not in DECODINGS:
        raise InvalidInput(
            f"there is no decoding {decoding}; there are {', '.join(DECODINGS)}", field="decoding"
        )
    preset = DECODINGS[decoding]
    return replace(preset, max_tokens=max_tokens or preset.max_tokens, min_tokens=min_tokens)
