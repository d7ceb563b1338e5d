"""The count of `../plain_words.py` over the bytes of a text, compiled: each word once; what is not plain is told.

A plain word has as many tokens as marks and runs between marks (`../odd_words.py`), and its full stop is one more where
a sentence ends with it. Known here are, of odd words, clitics behind letters; of full stops, those behind letters or
digits alone, where the next word leaves no doubt.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from longstream_curator.compiled.loops import Scalar, compiled
from longstream_curator.odd_words import CLASSES, DASH, DIGIT, GO_ON, LETTER, ODD, PAUSE, SPACE, STOP, TICK
from longstream_curator.treebank import CONTRACTIONS

BEHIND = b")\";}]*@({[?!:'"
"""What may stand right behind a full stop that ends a sentence."""
CLOSE_OR_OTHER = b"\"')]}\x1c\x1d\x1e\x1f" + bytes(range(128, 256))
"""What may close the sentence before it, or be white space beyond ASCII."""
TOLD_AT_ONCE = 1024
_CLASSES = np.frombuffer(CLASSES, np.uint8).astype(np.int64)
_PACKED, _FULL_STOP = 16, 46


def _endings(words: Iterable[str]) -> NDArray[np.uint64]:
    """Of each: its bytes as a number, all bits of so many bytes, and how many they are."""
    raws = [word.encode() for word in words]
    return np.array(
        [(int.from_bytes(raw, "big"), (1 << 8 * len(raw)) - 1, len(raw)) for raw in raws], np.uint64
    )


def _of_bytes(members: bytes) -> NDArray[np.bool_]:
    return np.isin(np.arange(256), np.frombuffer(members, np.uint8))


_CONTRACTIONS = _endings(sorted(CONTRACTIONS))
_CLITICS = _endings(
    ["'s", "'S", "'m", "'M", "'d", "'D", "n't", "N'T", "'ll", "'LL", "'re", "'RE", "'ve", "'VE"]
)
_APART = _of_bytes(b",;!?:")
_AMONG_LATIN = _of_bytes(b"\x85\xa0\xab\xbb")
"""White space and quotation marks behind 0xC2."""


class Tables(NamedTuple):
    """special: letters before whose full stop Punkt is asked, two numbers for each; longest: bytes of the longest. By
    byte, behind: may end a sentence behind its full stop; doubt: behind letters; doubt_of_number: behind digits."""

    special: NDArray[np.uint64]
    longest: int
    behind: NDArray[np.bool_]
    doubt: NDArray[np.bool_]
    doubt_of_number: NDArray[np.bool_]


class Told(NamedTuple):
    """Where words stand that are not plain: odd ones, and full stops, with where their words begin and end."""

    odd: NDArray[np.int64]
    stops: NDArray[np.int64]


class Words:
    """Scans texts, knowing where Punkt must be asked."""

    def __init__(self, special: Iterable[str], behind_numbers: Iterable[str]) -> None:
        """special: words in lower case. behind_numbers: beginnings of words that a sentence may go on with there."""
        words = sorted(word.encode() for word in special if word.isascii() and word.isalpha())
        begin = {beginning.encode()[0] for beginning in behind_numbers}
        begin |= {ord(chr(byte).upper()) for byte in begin if byte < 128}
        self._tables = Tables(
            special=np.array([_packed(word) for word in words], np.uint64).reshape(-1, 2),
            longest=max(map(len, words), default=0),
            behind=_of_bytes(BEHIND),
            doubt=_of_bytes(CLOSE_OR_OTHER),
            doubt_of_number=_of_bytes(CLOSE_OR_OTHER + GO_ON + bytes(begin)),
        )
        self._told = Told(np.empty((TOLD_AT_ONCE, 2), np.int64), np.empty((TOLD_AT_ONCE, 3), np.int64))

    def scan(self, raw: bytes, at: int, end: int) -> tuple[int, int, list[list[int]], list[list[int]]]:
        """Counts the words from at, which is white space or where a word begins, to end, which has a word behind it.

        Returns how far it came, which is end unless there is no room to tell more, or -1 where there is none for a
        single word; tokens of what it has seen, without what is told; and odd words and full stops, as in `Told`.
        """
        at, tokens, odd, stops = _scan(np.frombuffer(raw, np.uint8), at, end, self._tables, self._told)
        return at, tokens, self._told.odd[:odd].tolist(), self._told.stops[:stops].tolist()


def _packed(word: bytes) -> tuple[int, int]:
    first, second = word[:8], word[8:_PACKED]
    return int.from_bytes(first, "little"), int.from_bytes(second, "little")


@compiled
def _scan(
    raw: NDArray[np.uint8], at: Scalar, end: Scalar, tables: Tables, told: Told
) -> tuple[Scalar, Scalar, Scalar, Scalar]:
    """As `Words.scan`, but how many odd words and full stops are told."""
    tokens = odd = stops = 0
    while True:
        at = _next_word(raw, at, end)
        if at >= end or odd == TOLD_AT_ONCE:
            return at, tokens, odd, stops
        begin, twice = at, False
        while _CLASSES[raw[at]] == LETTER:
            twice |= raw[at] | np.uint8(32) == raw[at - 1] | np.uint8(32)
            at += 1
        if _CLASSES[raw[at]] == SPACE and not twice:
            tokens += 1  # of most, so it comes first
            continue
        while _CLASSES[raw[at]] != SPACE:
            at += 1
        marks, is_odd, has_stop = _look(raw[begin : at + 1])
        if has_stop and stops + at - begin > TOLD_AT_ONCE:
            return (begin if stops else -1), tokens, odd, stops
        tokens += marks
        if is_odd and not has_stop and _has_clitic(raw[begin : at + 1]):
            tokens += 1
        elif is_odd:
            told.odd[odd, 0], told.odd[odd, 1] = begin, at
            odd += 1
        if has_stop:
            following = raw[_next_word(raw, at, len(raw))]
            for place in range(begin, at):
                if raw[place] == _FULL_STOP:
                    more = _by_stop(raw[begin : at + 1], place - begin, following, is_odd, tables)
                    if more < 0:
                        told.stops[stops, 0], told.stops[stops, 1], told.stops[stops, 2] = begin, place, at
                        stops += 1
                    tokens += max(more, 0)


@compiled
def _next_word(raw: NDArray[np.uint8], at: Scalar, end: Scalar) -> Scalar:
    while at < end and _CLASSES[raw[at]] == SPACE:
        at += 1
    return at


@compiled
def _look(word: NDArray[np.uint8]) -> tuple[Scalar, Scalar, Scalar]:
    """Marks and runs between marks of a word with its white space; whether it is odd; whether it has a full stop."""
    tokens, before, kind_before = 0, np.uint8(32), np.int64(SPACE)
    is_odd = has_stop = twice = beyond = False
    in_run = False
    for at in range(len(word) - 1):
        byte = word[at]
        kind = _CLASSES[byte]
        if kind == kind_before:
            is_odd |= (kind == PAUSE) | (kind == STOP) | (kind == DASH) | (kind == TICK)
            folded = byte | np.uint8(32)
            twice |= (folded == before | np.uint8(32)) & ((folded == 110) | (folded == 116) | (folded == 109))
        has_stop |= kind == STOP
        if kind == ODD:
            beyond = True
            is_odd |= _is_mark_beyond(word, at) or kind_before == PAUSE
        is_mark = (kind < LETTER) & ((kind != PAUSE) | (_CLASSES[word[at + 1]] != DIGIT))
        tokens += is_mark | (not in_run)
        in_run = not is_mark
        before, kind_before = byte, kind
    if twice and not is_odd:
        is_odd = beyond or _has_contraction(word)
    return tokens, is_odd, has_stop


@compiled
def _is_mark_beyond(word: NDArray[np.uint8], at: Scalar) -> Scalar:
    """Whether a byte that is no plain one begins what a rule or Punkt may take for a mark or for white space."""
    byte = word[at]
    if byte < 128:
        return True
    if byte == 0xC2:
        return _AMONG_LATIN[word[at + 1]]
    if byte < 0xE0 or byte > 0xE3 or at + 2 >= len(word):
        return False
    second, third = word[at + 1], word[at + 2]
    if byte == 0xE1:
        return second == 0x9A
    if byte == 0xE2:
        dash = (third >= 0x90) & (third <= 0x97) | (third >= 0xA0) & (third <= 0xA7)
        return second == 0x81 or (second == 0x80 and not dash)
    return byte == 0xE3 and second == 0x80 and third == 0x80


@compiled
def _has_contraction(word: NDArray[np.uint8]) -> Scalar:
    """Whether an ASCII word has in it what is two words without an apostrophe."""
    last = np.uint64(0)
    for byte in word:
        last = last << np.uint64(8) | np.uint64(byte | np.uint8(32))
        for ending in _CONTRACTIONS:
            if last & ending[1] == ending[0]:
                return True
    return False


@compiled
def _has_clitic(word: NDArray[np.uint8]) -> Scalar:
    """Whether a word is letters, one clitic with its apostrophe, and at most one mark that stands apart anyway."""
    size = len(word) - 1
    if _APART[word[size - 1]]:
        size -= 1
    elif word[size] != 32:
        return False  # the rule sees a space alone
    letters, last = 0, np.uint64(0)
    for at in range(size):
        letters += _is_letter(word[at])
        last = last << np.uint64(8) | np.uint64(word[at])
    for ending in _CLITICS:
        if last & ending[1] == ending[0]:
            return letters == size - 1 and size > np.int64(ending[2]) and not _has_contraction(word)
    return False


@compiled
def _is_letter(byte: Scalar) -> Scalar:
    return np.uint8((byte | np.uint8(32)) - np.uint8(97)) < 26


@compiled
def _by_stop(
    word: NDArray[np.uint8], place: Scalar, following: Scalar, is_odd: Scalar, tables: Tables
) -> Scalar:
    """Tokens more by a full stop in a word with its white space, before a next one; -1 where the rules are asked."""
    if place + 2 < len(word):
        return -1 if tables.behind[word[place + 1]] else 0
    if is_odd or tables.doubt[following]:
        return -1
    if place == 0 or _CLASSES[word[place - 1]] < LETTER:
        return 0  # it stands apart anyway
    letters = digits = 0
    for at in range(place):
        letters += _is_letter(word[at])
        digits += _CLASSES[word[at]] == DIGIT
    if letters == place and letters > 1:
        return -1 if _is_special(word[:place], tables) else 1
    if digits == place:
        return -1 if tables.doubt_of_number[following] else 1
    return -1


@compiled
def _is_special(word: NDArray[np.uint8], tables: Tables) -> Scalar:
    if len(word) > tables.longest:
        return False
    first = second = np.uint64(0)
    for at in range(min(len(word), 8)):
        first |= np.uint64(word[at] | 32) << np.uint64(8 * at)
    for at in range(8, min(len(word), 16)):
        second |= np.uint64(word[at] | 32) << np.uint64(8 * at - 64)
    for known in range(len(tables.special)):
        if tables.special[known, 0] == first and tables.special[known, 1] == second:
            return True
    return False
