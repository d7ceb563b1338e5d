"""Tokens of a SentencePiece model of the BPE kind, counted unit by unit; `../tokens.py` says which models allow it.

A unit's characters are joined two by two, always the neighbours that make the piece of the best score, the first of
equals, until no two make a piece (Sennrich et al. 2016, arXiv 1508.07909; Kudo and Richardson 2018, arXiv 1808.06226).
A character that is no piece is a token for each of its bytes. What a unit came to is remembered.

Here a space stands for the mark that SentencePiece makes of it, in texts as in pieces.

From above: no two tokens of one character stand side by side that make a piece. So each pair of neighbouring
characters that makes one lies within a longer token, or at its side: a token of n bytes has n - 1 pairs within and one
on each side, n + 1, which is at most 3 (n - 1). A text of n bytes with t tokens has n - t more bytes than tokens, and
so at most 3 (n - t) such pairs: its tokens are at most its bytes less a third of the pairs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from longstream_curator.compiled.loops import Scalar, compiled
from longstream_curator.compiled.unit_memory import MAX_REMEMBERED, memory, remember, remembered, unit_at

_AT_ONCE = 64
"""Units that are looked up before it is asked again whether the text can be long enough."""
MAX_UNIT = 512
"""Bytes of the longest unit that is counted here: each join looks at all neighbours."""
_TOO_LONG = -3
_NEVER = (1 << 63) - 1
_CHARACTER = 1 << 63
_MIX = np.uint64(0x9E3779B97F4A7C15)
_SPACE, _LINE_BREAK = 32, 10


class Vocabulary(NamedTuple):
    """Pieces by number, the best score first.

    ascii: by ASCII character, the number of its piece, or -1. joins: slots of a hash table, in turn a key and what
    stands behind it. The key of two pieces side by side has both numbers; behind it stand the rank of what they make
    among all scores, and its number. The key of a character beyond ASCII has its bytes, its number stands behind it.
    together: by two ASCII characters, whether they make a piece. apart: no piece has an ASCII letter or digit beside
    another ASCII character. known: of units, thrice how many more tokens they could have than they have.
    """

    ascii: NDArray[np.int64]
    joins: NDArray[np.uint64]
    together: NDArray[np.bool_]
    apart: bool
    known: NDArray[np.uint64]


class Texts(NamedTuple):
    """Bytes of texts, one after the other and some more; the eight bytes from each place on; where each text ends."""

    raw: NDArray[np.uint8]
    eights: NDArray[np.uint64]
    ends: NDArray[np.int64]


class Units:
    """Counts the tokens of texts by one vocabulary."""

    def __init__(self, scores: Mapping[str, float], *, words_stand_alone: bool) -> None:
        """scores: of each piece, with spaces for marks. words_stand_alone: no piece has an ASCII letter or digit beside
        another ASCII character that is neither, but for the mark at its beginning."""
        self._vocabulary = _vocabulary(scores, words_stand_alone=words_stand_alone)
        self.measured([b"a"], 0)  # so that no text waits for the loops

    def measured(self, raws: Sequence[bytes], floor: int) -> list[int | None]:
        """Tokens of texts in UTF-8; None for one with a unit of more than MAX_UNIT bytes.

        Of a text that surely has fewer than floor, the most that they can be.
        """
        tokens, ends = np.empty(len(raws), np.int64), _ends(raws)
        padded = np.frombuffer(b" ".join((b"", *raws, bytes(MAX_REMEMBERED + 2))), np.uint8)
        eights: NDArray[np.uint64] = np.ndarray(len(padded) - 7, np.uint64, padded, strides=(1,))
        _measure(Texts(padded, eights, ends), floor, self._vocabulary, tokens)
        counts = zip(raws, tokens.tolist(), strict=True)
        return [None if count < 0 else count if raw else 0 for raw, count in counts]


def _ends(raws: Sequence[bytes]) -> NDArray[np.int64]:
    """Where texts end of which each begins with a space, as the encoder does."""
    return np.cumsum(np.fromiter(map(len, raws), np.int64, len(raws)) + 1)


def _vocabulary(scores: Mapping[str, float], *, words_stand_alone: bool) -> Vocabulary:
    best_first = sorted(scores, key=lambda piece: -scores[piece])
    numbers = {piece: number for number, piece in enumerate(best_first)}
    ranks = {score: rank for rank, score in enumerate(dict.fromkeys(scores[piece] for piece in best_first))}
    keys, values = list[int](), list[int]()
    for piece, number in numbers.items():
        if len(piece) == 1:
            keys.append(_CHARACTER | int.from_bytes(piece.encode(), "little"))
            values.append(number)
        for cut in range(1, len(piece)):
            left, right = numbers.get(piece[:cut]), numbers.get(piece[cut:])
            if left is not None and right is not None:
                keys.append(left << 32 | right)
                values.append(ranks[scores[piece]] << 32 | number)
    joins = np.zeros(2 << (2 * len(keys)).bit_length(), np.uint64)
    _fill(np.array(keys, np.uint64), np.array(values, np.uint64), joins)
    pairs = [[chr(first) + chr(second) in scores for second in range(128)] for first in range(128)]
    return Vocabulary(
        ascii=np.array([numbers.get(chr(byte), -1) for byte in range(128)]),
        joins=joins,
        together=np.array(pairs, np.bool_).ravel(),
        apart=words_stand_alone,
        known=memory(),
    )


@compiled
def _slot(key: Scalar, joins: NDArray[np.uint64]) -> Scalar:
    """Where a key stands, or would."""
    slots = np.uint64(len(joins) // 2)
    slot = ((key ^ (key >> np.uint64(29))) * _MIX) >> np.uint64(32)
    while True:
        slot &= slots - np.uint64(1)
        found = joins[2 * slot]
        if found == key + np.uint64(1) or found == 0:
            return np.int64(2 * slot)
        slot += np.uint64(1)


@compiled
def _fill(keys: NDArray[np.uint64], values: NDArray[np.uint64], joins: NDArray[np.uint64]) -> None:
    for number in range(len(keys)):
        slot = _slot(keys[number], joins)
        joins[slot] = keys[number] + np.uint64(1)
        joins[slot + 1] = values[number]


@compiled
def _join(left: Scalar, right: Scalar, joins: NDArray[np.uint64]) -> Scalar:
    """Rank and number of what two pieces make; _NEVER: nothing."""
    if left < 0 or right < 0:
        return _NEVER
    slot = _slot(np.uint64(left) << np.uint64(32) | np.uint64(right), joins)
    return np.int64(joins[slot + 1]) if joins[slot] else _NEVER


@compiled
def _characters(
    raw: NDArray[np.uint8], vocabulary: Vocabulary, pieces: NDArray[np.int64]
) -> tuple[Scalar, Scalar]:
    """How many characters there are, and bytes of those that are no piece; the pieces of all are written to pieces."""
    count, bytes_apart = 0, 0
    at = 0
    while at < len(raw):
        byte = np.int64(raw[at])
        piece: Scalar
        size: Scalar
        if byte < 128:
            piece, size = vocabulary.ascii[byte], 1
        else:
            size = 2 + (byte >= 0xE0) + (byte >= 0xF0)
            key = np.uint64(_CHARACTER)
            for place in range(size):
                key |= np.uint64(raw[at + place]) << np.uint64(8 * place)
            slot = _slot(key, vocabulary.joins)
            piece = np.int64(vocabulary.joins[slot + 1]) if vocabulary.joins[slot] else -1
        pieces[count] = piece
        bytes_apart += size - 1 if piece < 0 else 0
        count += 1
        at += size
    return count, bytes_apart


@compiled
def _joined(
    raw: NDArray[np.uint8], vocabulary: Vocabulary, pieces: NDArray[np.int64], joins: NDArray[np.int64]
) -> Scalar:
    """Tokens of a unit. pieces, joins: room for what is between them."""
    count, bytes_apart = _characters(raw, vocabulary, pieces)
    for at in range(count - 1):
        joins[at] = _join(pieces[at], pieces[at + 1], vocabulary.joins)
    while True:
        best: Scalar = _NEVER
        place = -1
        for at in range(count - 1):
            if joins[at] >> 32 < best >> 32:
                best, place = joins[at], at
        if place < 0:
            return count + bytes_apart
        count -= 1
        for at in range(place + 1, count):
            pieces[at] = pieces[at + 1]
            joins[at - 1] = joins[at]
        pieces[place] = best & 0xFFFFFFFF
        if place > 0:
            joins[place - 1] = _join(pieces[place - 1], pieces[place], vocabulary.joins)
        if place < count - 1:
            joins[place] = _join(pieces[place], pieces[place + 1], vocabulary.joins)


@compiled
def _pairs(raw: NDArray[np.uint8], together: NDArray[np.bool_]) -> Scalar:
    """Neighbouring ASCII characters that make a piece."""
    count = 0
    before = np.int64(255)
    for byte in raw:
        here = np.int64(byte)
        count += ((before | here) < 128) & together[((before << 7) | here) & 0x3FFF]
        before = here
    return count


@compiled
def _unit_begins(raw: NDArray[np.uint8], apart: Scalar, begins: NDArray[np.int32]) -> Scalar:
    """How many units there are; where each begins, and the end of the last, is written to begins.

    A unit is a line break; or spaces, and what follows up to the next, or to where words part.
    """
    size = len(raw)
    flags = np.empty(size, np.bool_)
    flags[0] = True
    for at in range(1, size):
        before, here = raw[at - 1], raw[at]
        flags[at] = ((here == _SPACE) & (before != _SPACE)) | (here == _LINE_BREAK) | (before == _LINE_BREAK)
    if apart:
        for at in range(1, size):
            before, here = raw[at - 1], raw[at]
            flags[at] |= (
                (_alphanumeric(before) != _alphanumeric(here)) & ((before | here) < 128) & (before != _SPACE)
            )
    count = 0
    for at in range(size):
        begins[count] = at
        count += flags[at]
    begins[count] = size
    return count


@compiled
def _alphanumeric(byte: Scalar) -> Scalar:
    letter = np.uint8((byte | np.uint8(32)) - np.uint8(97)) < 26
    return letter | (np.uint8(byte - np.uint8(48)) < 10)


@compiled
def _measure(texts: Texts, floor: Scalar, vocabulary: Vocabulary, tokens: NDArray[np.int64]) -> None:
    begin: Scalar = 0
    for text in range(len(texts.ends)):
        end = texts.ends[text]
        # Thrice the tokens that there can be.
        most = 3 * (end - begin) - _pairs(texts.raw[begin:end], vocabulary.together)
        if most >= 3 * floor and most:
            most = _counted(texts.raw[begin:end], texts.eights[begin:], most, 3 * floor, vocabulary)
        tokens[text] = most // 3
        begin = end


@compiled
def _counted(
    raw: NDArray[np.uint8], eights: NDArray[np.uint64], most: Scalar, floor: Scalar, vocabulary: Vocabulary
) -> Scalar:
    """Thrice the tokens of a text; as soon as they are below floor, the most that they can be; _TOO_LONG."""
    units, new = np.empty(len(raw) + 1, np.int32), np.empty(_AT_ONCE, np.int32)
    count = _unit_begins(raw, vocabulary.apart, units)
    for start in range(0, count, _AT_ONCE):
        some = units[start : min(start + _AT_ONCE, count) + 1]
        less, unknown = _of_known(eights, some, vocabulary.known, new)
        most -= less
        for place in new[:unknown]:
            begin, end = some[place], some[place + 1]
            if end - begin > MAX_UNIT:
                return _TOO_LONG
            most -= _of_new(raw[begin:end], eights[begin:], vocabulary)
        if most < floor:
            break
    return most


@compiled
def _of_known(
    eights: NDArray[np.uint64], units: NDArray[np.int32], known: NDArray[np.uint64], new: NDArray[np.int32]
) -> tuple[Scalar, Scalar]:
    """Thrice how many more tokens remembered units could have than they have; how many others there are.

    Which those are is written to new.
    """
    total = unknown = 0
    for place in range(len(units) - 1):
        begin = np.int64(units[place])
        size = np.int64(units[place + 1]) - begin
        less = remembered(unit_at(eights, begin, size), known) if size <= MAX_REMEMBERED else -1
        if less < 0:
            new[unknown] = place
            unknown += 1
        else:
            total += less
    return total, unknown


@compiled
def _of_new(raw: NDArray[np.uint8], eights: NDArray[np.uint64], vocabulary: Vocabulary) -> Scalar:
    """The same of a unit that is not remembered, and is from now on."""
    size = len(raw)
    pieces, joins = np.empty(size, np.int64), np.empty(size, np.int64)
    less = 3 * (size - _joined(raw, vocabulary, pieces, joins)) - _pairs(raw, vocabulary.together)
    if size <= MAX_REMEMBERED:
        remember(unit_at(eights, 0, size), less, vocabulary.known)
    return less
