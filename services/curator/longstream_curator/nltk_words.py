"""The length of arXiv 2402.04833: NLTK 3.8.1 word tokens of the response, sentences split by Punkt.

Equal to `nltk.word_tokenize` of that version, whichever is installed, or none: the rules stand here and beside. That
this is the paper's is recovered from the authors' data: only with it are the means of their 1,000 longest responses and
of LIMA's 1,000 those of the paper, 256.8 and 531.3.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from longstream_curator.plain_words import PlainWords
from longstream_curator.punkt import Punkt, read_punkt
from longstream_curator.treebank import count_words
from longstream_curator.word_bounds import Bounds, rough_bounds

# A long run of white space makes the rule for the last full stop take quadratic time. The rules look at one
# character on each side of a word at most: a shorter run with the same ends gives the same words.
_LONG_SPACE = re.compile(r"(\s{4})\s+(\s{4})")


class NltkWords:
    """Counts NLTK word tokens; punctuation marks count.

    NLTK runs some thirty substitutions over each sentence. None sees past the white space beside a word, but for the
    one that splits off a sentence's last full stop. So a text's count is the sum of what is made of each of its words
    alone, and of its sentences' ends; where that is not plain to see, the substitutions are run.
    """

    name = "nltk-words"

    def __init__(self, punkt: Path | None) -> None:
        """punkt: folder of English Punkt parameters as text; None splits sentences untrained.

        Raises InvalidInput if a file of the folder is missing or not in its format.
        """
        self.version = f"nltk-words/3.8.1+{'punkt_tab' if punkt else 'untrained'}"
        self._punkt = Punkt(read_punkt(punkt))
        self._plain = PlainWords(self._punkt)
        self.measured(["So that no text waits for the loops. They are compiled"], 0)

    def count(self, text: str, floor: int = 0) -> int:
        """Number of word tokens; of a text that surely has fewer than floor, what they can be at most."""
        count = self._plain.count(text, floor)
        return self.count_by_rules(text) if count is None else count

    def count_by_rules(self, text: str) -> int:
        """The same by every rule, one after the other."""
        return sum(
            count_words(_LONG_SPACE.sub(r"\1\2", sentence)) for sentence in self._punkt.sentences(text)
        )

    def bounds(self, texts: Sequence[str], floor: int = 0) -> Bounds:
        """Characters where they are fewer than floor; marks and runs between, some surely words, more that can be."""
        return rough_bounds(texts, floor)

    def measured(self, texts: Sequence[str], floor: int) -> Sequence[int]:
        """A text is counted that has as many characters as floor, and whose marks and runs can be as many."""
        lengths = list(map(len, texts))
        long = [place for place, length in enumerate(lengths) if length >= floor]
        if long:  # most often a service asks of one text, and it is not
            most = rough_bounds([texts[place] for place in long], floor).upper.tolist()
            for place, at_most in zip(long, most, strict=True):
                lengths[place] = self.count(texts[place], floor) if at_most >= floor else at_most
        return lengths
