"""The length of arXiv 2402.04833: NLTK 3.8.1 word tokens of the response, sentences split by Punkt.

Equal to `nltk.word_tokenize` of that version. The rule is recovered from the authors' data: only with it are
the means of their 1,000 longest responses and of LIMA's 1,000 those of the paper, 256.8 and 531.3.
"""

from __future__ import annotations

import re
from importlib.metadata import version
from pathlib import Path

from nltk.tokenize.destructive import NLTKWordTokenizer
from nltk.tokenize.punkt import PunktSentenceTokenizer

from longstream_curator.punkt import read_punkt

# A long run of white space makes the tokenizer's rule for the last full stop take quadratic time. Its rules
# look at one character on each side of a word at most: a shorter run with the same ends gives the same words.
_LONG_SPACE = re.compile(r"(\s{4})\s+(\s{4})")


class NltkWords:
    """Counts NLTK word tokens; punctuation marks count."""

    name = "nltk-words"

    def __init__(self, punkt: Path | None) -> None:
        """punkt: folder of English Punkt parameters as text; None splits sentences untrained.

        Raises InvalidInput if a file of the folder is missing or not in its format.
        """
        self.version = f"nltk-words/{version('nltk')}+{'punkt_tab' if punkt else 'untrained'}"
        self._sentences = PunktSentenceTokenizer(read_punkt(punkt))
        self._words = NLTKWordTokenizer()

    def count(self, text: str) -> int:
        """Number of word tokens."""
        short = _LONG_SPACE.sub(r"\1\2", text)
        return sum(len(self._words.tokenize(sentence)) for sentence in self._sentences.tokenize(short))

    def upper_bound(self, text: str) -> int:
        """Words if the tokenizer split at every place where any of its rules may: see `bound`."""
        return bound(text)


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
