"""Whether an instruction leads back to its own document among others, as a search by BM25 finds them.

Alone it is gamed by copying: the answer's own first sentence finds it best. So it stands beside the limits on copying,
never in their place (`quality.py`). The rank that lets four of five human questions pass lets one of twenty-five
mistaken ones pass as well (tests/instructor/test_replay.py).
"""

from __future__ import annotations

from collections.abc import Sequence

import snowballstemmer

from longstream_instructor.quality import words

_STEMMERS = {
    "de": "german",
    "en": "english",
    "es": "spanish",
    "fr": "french",
    "it": "italian",
    "nl": "dutch",
    "pt": "portuguese",
    "ru": "russian",
}


class Pool:
    """Documents of one language, to be told apart by their instructions; memory grows with their distinct words."""

    def __init__(self, documents: Sequence[str], language: str = "en") -> None:
        """documents: at least one. language: ISO 639-1; of one without a stemmer words are taken as they are."""
        import bm25s  # it imports compilers, which takes longer than most commands

        stemmer = _STEMMERS.get(language)
        self._stem = snowballstemmer.stemmer(stemmer).stemWords if stemmer else list
        self._index = bm25s.BM25()
        self._index.index([self._stem(words(document)) for document in documents], show_progress=False)

    def rank(self, instruction: str, own: int) -> int:
        """The place of document number `own` for that instruction, from 1; among equals the last."""
        known = [word for word in self._stem(words(instruction)) if word in self._index.vocab_dict]
        scores = self._index.get_scores(known)
        return int((scores >= scores[own]).sum())
