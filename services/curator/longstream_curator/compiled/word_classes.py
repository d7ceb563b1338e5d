"""The loop of `../word_bounds.py`, without a branch for any byte, so that a processor looks at many at once."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from longstream_curator.compiled.loops import Scalar, compiled

_AT_ONCE = 128
"""Bytes whose count has room in one, however many count."""


@compiled
def count_both(
    raw: NDArray[np.uint8],
    ends: NDArray[np.int64],
    floor: Scalar,
    lower: NDArray[np.int64],
    upper: NDArray[np.int64],
) -> None:
    """raw: texts with a space before each and at the end; ends: where the space behind each text stands; lower, upper:
    zeros, to which is added; lower only where upper is at least floor."""
    begin = 0
    for text in range(len(ends)):
        for start in range(begin, ends[text], _AT_ONCE):
            upper[text] += _at_most(raw[start : min(start + _AT_ONCE, ends[text]) + 1])
        if upper[text] >= floor:
            for start in range(begin, ends[text], _AT_ONCE):
                lower[text] += _surely(raw[start : min(start + _AT_ONCE, ends[text]) + 1])
        begin = ends[text]


@compiled
def _surely(raw: NDArray[np.uint8]) -> Scalar:
    """Of the bytes from the second on: marks that stand apart, and ASCII behind one or behind white space."""
    count = np.uint8(0)
    for at in range(len(raw) - 1):
        before, here = raw[at], raw[at + 1]
        mark = _stands_apart(here)
        begins = (here < 128) & ~_is_space(here) & (_stands_apart(before) | _is_space(before))
        count = np.uint8(count + np.uint8(mark | begins))
    return np.int64(count)


@compiled
def _at_most(raw: NDArray[np.uint8]) -> Scalar:
    """Of the bytes from the second on: all but white space and what goes on with a run, unless it may be cut there."""
    count = np.uint8(0)
    for at in range(len(raw) - 1):
        before, here = raw[at], raw[at + 1]
        goes_on = _in_run(before) & _in_run(here)
        folded = here | np.uint8(32)
        cut = (folded == before | np.uint8(32)) & ((folded == 109) | (folded == 110) | (folded == 116))
        count = np.uint8(count + np.uint8(~_is_space(here) & (~goes_on | cut)))
    return np.int64(count)


@compiled
def _is_space(byte: Scalar) -> Scalar:
    return (byte == 32) | (np.uint8(byte - np.uint8(9)) < 5) | (np.uint8(byte - np.uint8(28)) < 4)


@compiled
def _in_run(byte: Scalar) -> Scalar:
    letter = np.uint8((byte | np.uint8(32)) - np.uint8(97)) < 26
    return letter | (np.uint8(byte - np.uint8(48)) < 10)


@compiled
def _stands_apart(byte: Scalar) -> Scalar:
    """Whether a byte is one of ; @ # $ % & ? ! * [ ] ( ) { } < > and the quotation mark."""
    first = (np.uint8(byte - np.uint8(33)) < 6) | (np.uint8(byte - np.uint8(40)) < 3)
    middle = (byte == 59) | (byte == 60) | (np.uint8(byte - np.uint8(62)) < 3)
    return first | middle | (byte == 91) | (byte == 93) | (byte == 123) | (byte == 125)
