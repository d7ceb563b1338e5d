"""The length of arXiv 2402.04833: NLTK 3.8.1 word tokens of the response, sentences split by Punkt.

Equal to `nltk.word_tokenize` of that version. The rule is recovered from the authors' data: only with it are
the means of their 1,000 longest responses and of LIMA's 1,000 those of the paper, 256.8 and 531.3.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from importlib.metadata import version
from itertools import islice
from pathlib import Path

from nltk.tokenize.destructive import NLTKWordTokenizer
from nltk.tokenize.punkt import PunktSentenceTokenizer

from longstream_curator.punkt import read_punkt

# A long run of white space makes the tokenizer's rule for the last full stop take quadratic time. Its rules
# look at one character on each side of a word at most: a shorter run with the same ends gives the same words.
_LONG_SPACE = re.compile(r"(\s{4})\s+(\s{4})")
_OTHER_SPACE = re.compile(r"[^\S ]")
_WORD = re.compile(r"\S+")
_LETTERS = re.compile(r"[^\W\d_]+")
_DIGITS = re.compile(r"\d+")


# What may stand between the last full stop and the end of a sentence.
_CLOSERS = "])}>\"'»”’"

MAX_KNOWN_WORDS = 100_000
MAX_KNOWN_LETTERS = 40
"""Longer words are not remembered, so that the memory of all of them is bounded."""


class NltkWords:
    """Counts NLTK word tokens; punctuation marks count.

    NLTK runs some thirty substitutions over each sentence. None sees past the white space beside a word, but
    for the one that splits off a sentence's last full stop. So a sentence's count is the sum of what NLTK
    makes of each of its words alone, which is remembered, and of its tail.
    """

    name = "nltk-words"

    def __init__(self, punkt: Path | None) -> None:
        """punkt: folder of English Punkt parameters as text; None splits sentences untrained.

        Raises InvalidInput if a file of the folder is missing or not in its format.
        """
        self.version = f"nltk-words/{version('nltk')}+{'punkt_tab' if punkt else 'untrained'}"
        self._sentences = PunktSentenceTokenizer(read_punkt(punkt))
        self._words = NLTKWordTokenizer()
        inner_shapes = _Remembered(lambda word: self._tokens(f" {word} x") - 1)
        tail_shapes = _Remembered(self._tokens)
        self._inner = _Remembered(lambda word: inner_shapes[_shape(word)])
        self._tails = _Remembered(lambda tail: tail_shapes[_shape(tail)])
        self._between = _Remembered(lambda context: self._tokens(f"{context}x") - 1)

    def count(self, text: str) -> int:
        """Number of word tokens."""
        short = _LONG_SPACE.sub(r"\1\2", text)
        return sum(map(self._sentence, self._sentences.tokenize(short)))

    def upper_bound(self, text: str) -> int:
        """Words if the tokenizer split at every place where any of its rules may: see `bound`."""
        return bound(text)

    def _tokens(self, sentence: str) -> int:
        return len(self._words.tokenize(sentence))

    def _sentence(self, sentence: str) -> int:
        words = sentence.split()
        if not words:
            return 0
        last = 1
        while last < len(words) and not words[-last].strip(_CLOSERS):
            last += 1
        inner = words[:-last]
        # Only apostrophes care which white space stands beside their word.
        if "'" in sentence and inner and ("'" in inner[0] or _OTHER_SPACE.search(sentence)):
            return self._in_context(sentence, len(inner)) + self._tail(sentence, words, last)
        return sum(map(self._inner.__getitem__, inner)) + self._tail(sentence, words, last)

    def _in_context(self, sentence: str, words: int) -> int:
        """What the first words count, each with the white space that stands beside it."""
        total = 0
        for match in islice(_WORD.finditer(sentence), words):
            if "'" in match.group():
                total += self._between[sentence[max(0, match.start() - 1) : match.end() + 1]]
            else:
                total += self._inner[match.group()]
        return total

    def _tail(self, sentence: str, words: list[str], last: int) -> int:
        """What the last word counts, together with closing marks that stand apart behind it."""
        before = sentence.rsplit(None, last)[0] if last < len(words) else ""
        return self._tails[sentence[len(before) :]]


def _shape(word: str) -> str:
    """The word with each run of letters as one letter and each run of digits as one digit.

    Only around apostrophes and in contractions do the rules ask for the letters; such words stay as they are.
    """
    lower = word.lower()
    if "'" in word or any(part in lower for part in ("cannot", "gonna", "gotta", "wanna", "mme")):
        return word
    return _DIGITS.sub("0", _LETTERS.sub("a", word))


class _Remembered(dict[str, int]):
    """Counts by text, found once; all are forgotten when there are too many."""

    def __init__(self, count: Callable[[str], int]) -> None:
        super().__init__()
        self._count = count

    def __missing__(self, text: str) -> int:
        count = self._count(text)
        if len(text) <= MAX_KNOWN_LETTERS:
            if len(self) >= MAX_KNOWN_WORDS:
                self.clear()
            self[text] = count
        return count


_SPACES = b"\t\n\v\f\r\x1c\x1d\x1e\x1f "
_MARKS = b"`:,;@#$%&?!*[](){}<>\"'"
# From each byte of UTF-8 to its class: a blank for spaces and marks, the full stop, u beyond ASCII, else a.
_CLASSES = bytes(
    32 if byte in _SPACES + _MARKS else 46 if byte == 46 else 97 if byte < 128 else 117 for byte in range(256)
)
# Unicode quotation marks (U+2018 to U+201E, « and ») and white space beyond ASCII, by their first bytes.
_WIDE_MARKS = (b"\xe2\x80", b"\xc2")
_WIDE_SPACES = (b"\xe2\x81\x9f", b"\xe1\x9a\x80", b"\xe3\x80\x80")
# What the contraction rules split: cannot, gonna, gotta, wanna, lemme, gimme; with an apostrophe the rest.
_CONTRACTIONS = (b"cannot", b"gonna", b"gotta", b"wanna", b"mme")
_APOSTROPHE_CONTRACTIONS = (b"'tis", b"'twas", b"d'ye", b"more'n")


def bound(text: str) -> int:
    """Never below the number of word tokens; about 2 % above it in English.

    Every rule puts its spaces beside a mark, around a contraction's two parts, or around a full stop that has
    anything but a letter or digit behind it. So there cannot be more words than there are marks, runs between
    spaces and marks, and other places of that kind, each counted as often as it can cut a run.
    """
    raw = text.encode("utf-8", "surrogatepass")
    classes = raw.translate(_CLASSES)
    total = len(classes.split()) + len(raw) - len(raw.translate(None, _MARKS))
    if b"." in raw:
        total += classes.count(b".") - classes.count(b".a") + classes.count(b"..")
    if b"--" in raw:
        total += 2 * raw.count(b"--")
    lower = raw.lower()
    total += 3 * sum(map(lower.count, _CONTRACTIONS))
    if b"'" in raw:
        total += sum(map(lower.count, _APOSTROPHE_CONTRACTIONS))
    return total if len(raw) == len(text) else total + _wide_cuts(raw, lower)


def _wide_cuts(raw: bytes, lower: bytes) -> int:
    """Cuts by characters beyond ASCII; a dotted capital i and a long s fit into 'tis and 'twas as well."""
    marks = sum(map(raw.count, _WIDE_MARKS))
    return 2 * marks + sum(map(raw.count, _WIDE_SPACES)) + lower.count(b"'t")
