"""The length of arXiv 2402.04833: NLTK 3.8.1 word tokens of the response, sentences split by Punkt.

Equal to `nltk.word_tokenize` of that version, whichever is installed, or none: the rules stand here and beside. That
this is the paper's is recovered from the authors' data: only with it are the means of their 1,000 longest responses and
of LIMA's 1,000 those of the paper, 256.8 and 531.3.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Generic, TypeVar

from longstream_curator.punkt import END_MARKS_AND_SPACES, Punkt, read_punkt
from longstream_curator.treebank import CONTRACTIONS, IN_CONTRACTIONS, count_words
from longstream_curator.word_bounds import close_bound, rough_bound

# A long run of white space makes the rule for the last full stop take quadratic time. The rules look at one
# character on each side of a word at most: a shorter run with the same ends gives the same words.
_LONG_SPACE = re.compile(r"(\s{4})\s+(\s{4})")
_SPACES_BEYOND_ASCII = re.compile(r"[^\S\x00-\x7f]")
_LETTERS = re.compile(rb"a+")
_DIGITS = re.compile(rb"0+")

_CONTRACTION = re.compile("|".join(sorted(CONTRACTIONS)), re.IGNORECASE)

# A letter becomes an a, a digit a zero, and the separators, which bytes.split does not know, a space.
_SHAPE = bytes(
    32 if 28 <= byte <= 31 else 97 if chr(byte).isalpha() and byte < 128 else 48 if 48 <= byte <= 57 else byte
    for byte in range(256)
)

MAX_KNOWN_WORDS = 100_000
MAX_KNOWN_BYTES = 40
"""Longer words are not remembered, so that the memory of all of them is bounded."""


_Text = TypeVar("_Text", str, bytes)


class _Remembered(dict[_Text, int], Generic[_Text]):
    """Counts by text, found once; all are forgotten when there are too many."""

    def __init__(self, count: Callable[[_Text], int]) -> None:
        super().__init__()
        self._count: Callable[[_Text], int] = count

    def __missing__(self, text: _Text) -> int:
        count = self._count(text)
        if len(text) <= MAX_KNOWN_BYTES:
            if len(self) >= MAX_KNOWN_WORDS:
                self.clear()
            self[text] = count
        return count


class NltkWords:
    """Counts NLTK word tokens; punctuation marks count.

    NLTK runs some thirty substitutions over each sentence. None sees past the white space beside a word, but
    for the one that splits off a sentence's last full stop. So a sentence's count is the sum of what NLTK
    makes of each of its words alone, and of its tail. Of a word only its shape counts, which is remembered, but
    for words with an apostrophe and contractions: only there do the rules ask for letters and for the kind of
    white space beside.
    """

    name = "nltk-words"

    def __init__(self, punkt: Path | None) -> None:
        """punkt: folder of English Punkt parameters as text; None splits sentences untrained.

        Raises InvalidInput if a file of the folder is missing or not in its format.
        """
        self.version = f"nltk-words/3.8.1+{'punkt_tab' if punkt else 'untrained'}"
        self._punkt = Punkt(read_punkt(punkt), apart=CONTRACTIONS)
        short = _Remembered[bytes](
            lambda shape: count_words(f" {shape.decode('utf-8', 'surrogatepass')} x") - 1
        )
        self._shapes = _Remembered[bytes](lambda shape: short[_DIGITS.sub(b"0", _LETTERS.sub(b"a", shape))])
        self._tails = _Remembered[str](lambda tail: count_words(_LONG_SPACE.sub(r"\1\2", tail)))
        self._between = _Remembered[str](lambda context: count_words(f"{context}x") - 1)

    def count(self, text: str) -> int:
        """Number of word tokens."""
        lower = text.lower()
        contracted = any(part in lower for part in IN_CONTRACTIONS)
        total = 0
        for sentence, stops in self._punkt.sentences_joined(text):
            # Within joined sentences each last full stop is one word more than the rules see there.
            total += self._sentence(sentence, contracted) + stops
        return total

    def upper_bound(self, text: str, floor: int = 0) -> int:
        """Characters, marks and runs between them, or every place where any rule may split: the first below floor."""
        if len(text) < floor:
            return len(text)
        if floor > 0 and (rough := rough_bound(text, floor)) < floor:
            return rough
        return min(close_bound(text), len(text))

    def _sentence(self, sentence: str, contracted: bool) -> int:
        head, tail = _cut(sentence)
        total = self._tails[tail]
        total += sum(map(self._shapes.__getitem__, _shapes(head)))
        for start, end in _peculiar(head, contracted):
            context = sentence[max(0, start - 1) : end + 1]
            total += self._between[context] - self._shapes[_shape(head[start:end])]
        return total


def _cut(sentence: str) -> tuple[str, str]:
    """What stands before the last word; and that word with the space before it and all that closes behind it."""
    parts = sentence.rstrip(END_MARKS_AND_SPACES).rsplit(None, 1)
    head = parts[0] if len(parts) == 2 else ""
    return head, sentence[len(head) :]


def _peculiar(text: str, contracted: bool) -> Iterator[tuple[int, int]]:
    """Where words stand whose shapes do not tell their count."""
    at = text.find("'")
    while at >= 0:
        start, end = _word_around(text, at)
        yield start, end
        at = text.find("'", end)
    known = 0
    for match in _CONTRACTION.finditer(text) if contracted else ():
        start, end = _word_around(text, match.start())
        if start >= known and "'" not in text[start:end]:
            yield start, end
            known = end


def _word_around(text: str, at: int) -> tuple[int, int]:
    start = end = at
    while start and not text[start - 1].isspace():
        start -= 1
    while end < len(text) and not text[end].isspace():
        end += 1
    return start, end


def _shape(word: str) -> bytes:
    return word.encode("utf-8", "surrogatepass").translate(_SHAPE)


def _shapes(text: str) -> list[bytes]:
    """The shape of each word."""
    if text.isascii() or not _SPACES_BEYOND_ASCII.search(text):
        return _shape(text).split()
    return [_shape(word) for word in text.split()]
