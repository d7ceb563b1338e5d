"""A number for each of many short strings of bytes, in a table of fixed size, for `bpe.py`.

Each string belongs to one of many sets. A new one comes first in its set, and the last is forgotten; one that is asked
for changes places with the first, which most often is the one that is asked for.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from longstream_curator.compiled.loops import Scalar, compiled

MAX_REMEMBERED = 22
"""Bytes of a unit that there is room for."""
_SET_BITS, _IN_SET = 16, 4
"""Sets, and how many units each has room for."""
_WORDS = 3
"""Of eight bytes that a unit takes, its size and its number with it."""
_MIX = np.array([0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9], np.uint64)
_MASKS = np.array([(1 << 8 * size) - 1 for size in range(9)], np.uint64)

_Unit = tuple[Scalar, Scalar, Scalar]
"""Its first eight bytes, the next eight, and the others with how many they all are."""


def memory() -> NDArray[np.uint64]:
    """A table in which nothing is known."""
    return np.zeros(_WORDS * _IN_SET << _SET_BITS, np.uint64)


@compiled
def unit_at(eights: NDArray[np.uint64], begin: Scalar, size: Scalar) -> _Unit:
    """The unit of that size; 24 bytes from begin on must be there."""
    return (
        eights[begin] & _MASKS[min(size, 8)],
        eights[begin + 8] & _MASKS[min(max(size - 8, 0), 8)],
        eights[begin + 16] & _MASKS[min(max(size - 16, 0), 6)] | np.uint64(size) << np.uint64(48),
    )


@compiled
def _set(unit: _Unit) -> Scalar:
    mixed = (unit[0] * _MIX[0]) ^ (unit[1] * _MIX[1]) ^ (unit[2] * _MIX[2])
    number = ((mixed ^ (mixed >> np.uint64(32))) * _MIX[0]) >> np.uint64(64 - _SET_BITS)
    return np.int64(number) * _IN_SET * _WORDS


@compiled
def remembered(unit: _Unit, known: NDArray[np.uint64]) -> Scalar:
    """What is known of a unit; -1: nothing."""
    begin = _set(unit)
    if _is_at(unit, begin, known):
        return np.int64(known[begin + 2] >> np.uint64(56))
    for at in range(begin + _WORDS, begin + _IN_SET * _WORDS, _WORDS):
        if _is_at(unit, at, known):
            number = np.int64(known[at + 2] >> np.uint64(56))
            for word in range(_WORDS):
                known[at + word], known[begin + word] = known[begin + word], known[at + word]
            return number
    return -1


@compiled
def _is_at(unit: _Unit, at: Scalar, known: NDArray[np.uint64]) -> Scalar:
    return (known[at] == unit[0]) & (known[at + 1] == unit[1]) & (known[at + 2] & _MASKS[7] == unit[2])


@compiled
def remember(unit: _Unit, number: Scalar, known: NDArray[np.uint64]) -> None:
    """From now on that number, which is below 256, is known of a unit of at most MAX_REMEMBERED bytes."""
    begin = _set(unit)
    for at in range(begin + _IN_SET * _WORDS - 1, begin + _WORDS - 1, -1):
        known[at] = known[at - _WORDS]
    known[begin], known[begin + 1] = unit[0], unit[1]
    known[begin + 2] = unit[2] | np.uint64(number) << np.uint64(56)
