"""What NLTK's rules make of single words, for `plain_words.py`; a word is what stands between ASCII's white space.

A plain word has as many tokens as marks and runs between marks, wherever it stands. An odd one has an apostrophe, a
character beyond ASCII, two stops, dashes, commas or backticks in a row, or a contraction: the rules are asked.
"""

from __future__ import annotations

import re
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from longstream_curator.punkt import CLOSERS, END_MARKS, MAY_END
from longstream_curator.treebank import CONTRACTIONS, count_words

# Classes of bytes, ordered so that one comparison tells white space, marks and all the rest apart.
SPACE, MARK, TICK, PAUSE, LETTER, DIGIT, STOP, DASH, ODD = range(9)


GO_ON = b"abcdefghijklmnopqrstuvwxyz;:,.!?"
"""ASCII that a sentence may go on with behind a number's full stop."""


def _classes() -> bytes:
    table = bytearray([LETTER] * 128 + [ODD] * 128)
    for members, name in (
        (b"\t\n\v\f\r ", SPACE),
        (b';@#$%&?!*[](){}<>"', MARK),
        (b",:", PAUSE),
        (b"0123456789", DIGIT),
        (b".", STOP),
        (b"-", DASH),
        (b"`", TICK),
        (b"'\x1c\x1d\x1e\x1f", ODD),
    ):
        for byte in members:
            table[byte] = name
    return bytes(table)


CLASSES = _classes()
_PAUSE_IN_NUMBER, _PART_OF_NUMBER = bytes([PAUSE, DIGIT]), bytes([LETTER, DIGIT])
_PAIRS = [bytes([name, name]) for name in (TICK, PAUSE, STOP, DASH)]
_CONTRACTIONS = [word.encode() for word in sorted(CONTRACTIONS)]
_CONTRACTION = re.compile("|".join(sorted(CONTRACTIONS)), re.IGNORECASE)
_CONTRACTION_IN_BYTES = re.compile(b"|".join(_CONTRACTIONS), re.IGNORECASE)
_LETTERS, _DIGITS = re.compile(r"[^\W\d_]+"), re.compile("[0-9]+")
_MORE_LETTERS, _MORE_DIGITS = re.compile(r"[^\W\d_]{6,}"), re.compile("[0-9]{2,}")
_STOPS = frozenset(".?!")


def seen(classes: bytes) -> NDArray[np.uint8]:
    """Classes to count tokens by: a comma or colon before a digit is no mark."""
    if _PAUSE_IN_NUMBER in classes:
        classes = classes.replace(_PAUSE_IN_NUMBER, _PART_OF_NUMBER)
    return np.frombuffer(classes, np.uint8)


def tokens(seen: NDArray[np.uint8]) -> int:
    """Marks, and runs between marks and spaces; the first class must be a space's."""
    runs = seen > PAUSE
    return int(np.count_nonzero(seen) - np.count_nonzero(runs[1:] & runs[:-1]))


def is_odd(word: bytes) -> bool:
    """Whether the rules must be asked about a word."""
    if _CONTRACTION_IN_BYTES.search(word):
        return True
    classes = word.translate(CLASSES)
    return not word.isalpha() and (ODD in classes or any(pair in classes for pair in _PAIRS))


def shape(text: str) -> str:
    """The same for texts that the rules treat alike: without an apostrophe none asks which letter it is."""
    if _CONTRACTION.search(text):
        return text
    if "'" in text:
        return _MORE_DIGITS.sub("00", _MORE_LETTERS.sub(_same_ends, text))
    return _DIGITS.sub("0", _LETTERS.sub("a", text))


def _same_ends(letters: re.Match[str]) -> str:
    """Beside an apostrophe six letters are as good as more, but for an n at their end, which goes with a t."""
    last = letters[0][-1]
    return f"aaaaa{last if last in 'nN' else 'a'}"


class Odd(NamedTuple):
    """Of a word, how many tokens more than its marks and runs; and how many more if its full stop ends a sentence."""

    more: int
    by_stop: int


def odd(context: str) -> Odd | None:
    """None where it matters whether a sentence begins here. context: the word with one white space on each side."""
    word = context[1:-1]
    count = count_words(f"{context}x") - 1
    if word[-1].isspace() or (not word[0].isalnum() and count_words(f"{context.lstrip()}x") - 1 != count):
        return None
    plain = tokens(seen(f" {word}".encode("utf-8", "surrogatepass").translate(CLASSES)))
    # Of several marks that may end a sentence Punkt looks at the last.
    end = (
        len(word) if word[-1] in _STOPS else max((found.end() for found in MAY_END.finditer(word)), default=0)
    )
    if not end:
        return Odd(count - plain, 0)
    if end > 1 and MAY_END.match(word):
        return None  # at a mark that begins a word Punkt looks as well
    rest = word[end:]
    if not rest.strip(CLOSERS):
        parted = count_words(context[:-1])
    elif rest.split() != [rest] or rest.lstrip(CLOSERS).startswith("--"):
        return None  # what closes the sentence may belong to either part
    else:
        parted = count_words(context[: 1 + end]) + count_words(f"{rest}{context[-1]}x") - 1
    return Odd(count - plain, parted - count) if word[end - 1] == "." else Odd(parted - plain, 0)


def of_tail(tail: str) -> int | None:
    """Tokens of the end of a text, one word with all that closes behind it; None if a sentence may end within."""
    core = tail.rstrip(END_MARKS).lstrip()
    if MAY_END.search(core) or (len(tail.split()) > 1 and not _STOPS.isdisjoint(tail)):
        return None
    count = count_words(tail)
    return count if count == count_words(tail.lstrip()) else None
