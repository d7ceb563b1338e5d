"""Bounds of many texts' word tokens, from the classes of their bytes, for `nltk_words.py`.

A rule of the tokenizer cuts beside a mark, around the two parts of a contraction, or around a full stop that has
anything but a letter or digit behind it; and a quotation mark that it writes in another way stays one word. So there
cannot be more words than there are marks, runs between white space and marks, and cuts within a run, each counted as
often as it occurs. Hypothesis attacks both bounds (tests/curator/test_nltk_words.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class Bounds(NamedTuple):
    """Of many texts at once: no length is below its lower bound or above its upper one."""

    lower: NDArray[np.int64]
    upper: NDArray[np.int64]


def rough_bounds(texts: Sequence[str], floor: int = 0) -> Bounds:
    """Below and above the number of word tokens of each text, in English by a tenth and a fifth.

    At least every mark that stands apart is a word, and every run between such marks and white space that begins with
    an ASCII character, which is none of the white space that hides elsewhere. For the upper bound every byte but ASCII
    letters, digits and white space is a mark, and a word, and so is each run between marks and spaces. Within a run
    only contractions are cut that have no apostrophe: with one, the apostrophe, which was counted as a word, is part of
    one. Each of these has two n, m or t side by side, and every such pair is counted. A text with fewer characters than
    floor is bounded by these, and one that is shorter than floor by its upper bound has none from below.
    """
    upper = np.fromiter(map(len, texts), np.int64, len(texts))
    bounds = Bounds(np.zeros_like(upper), upper)
    long = np.flatnonzero(upper >= floor)
    if not len(long):
        return bounds
    from longstream_curator.compiled.word_classes import count_both  # not loaded by those who count no words

    raws = [texts[place].encode("utf-8", "surrogatepass") for place in long.tolist()]
    ends = np.cumsum(np.fromiter(map(len, raws), np.int64, len(raws)) + 1)
    for_long = Bounds(np.zeros_like(ends), np.zeros_like(ends))
    joined = np.frombuffer(b" ".join((b"", *raws, b"")), np.uint8)
    count_both(joined, ends, floor, for_long.lower, for_long.upper)
    bounds.lower[long], bounds.upper[long] = for_long
    return bounds
