"""What a pipeline ranks by before length: nothing, a uniform draw, or a score with a draw among equals.

The last two are the baselines of "Long Is More for Alignment" (arXiv 2402.04833): a random thousand, and the thousand
of the highest score, of which all at the top score are taken and the rest is drawn from the next. A draw is a hash of
the seed and the id, so it is the same in every run, on every partition, and whatever the order of arrival.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable
from typing import Literal

from longstream.draws import place
from longstream_curator.selection import LENGTH_ALONE, Standing

By = Literal["length", "random", "score"]
ORDERS: tuple[By, ...] = ("length", "random", "score")

Order = Callable[[str, object], Standing | None]
"""Where an example of that id and score stands; None where it has no score that could be compared."""


def order(by: By, seed: int) -> Order:
    """The rule of that name; seed: of its draws."""
    match by:
        case "length":
            return lambda example_id, score: LENGTH_ALONE
        case "random":
            return lambda example_id, score: Standing(0, place("draw", seed, example_id))
        case "score":
            return lambda example_id, score: _scored(seed, example_id, score)


def sortable(score: float) -> int:
    """A number's 64 bits so that they compare as the numbers do; -0.0 and 0.0 are one."""
    (bits,) = struct.unpack(">Q", struct.pack(">d", score + 0.0))
    return int(bits ^ ((1 << 64) - 1) if bits >> 63 else bits | 1 << 63)


def number(value: object) -> float | None:
    """A score as it may stand in a record, as a number or as text; None for anything else, and for NaN."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        score = float(value)
    except (ValueError, OverflowError):
        return None
    return None if math.isnan(score) else score


def _scored(seed: int, example_id: str, value: object) -> Standing | None:
    score = number(value)
    return None if score is None else Standing(sortable(score), place("draw", seed, example_id))
