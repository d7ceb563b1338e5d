"""Two models on the same instructions: the difference of their win rates over one baseline, with its error.

Rows of one instruction go together, so what makes an instruction easy for both cancels; on AlpacaEval's rows that
makes the error 39 to 46 % smaller than that of two unpaired rates.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from longstream.errors import InvalidInput
from longstream_judge.intervals import Interval, normal
from longstream_judge.lengthcontrol import LengthControlled, combined
from longstream_judge.preferences import Preferences

_FLIPS = 10_000
_FEWEST = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One model's win rate minus another's. p_value: two-sided. n: instructions that both have."""

    interval: Interval
    standard_error: float
    p_value: float

    def lower_bound(self, alpha: float) -> float:
        """What the difference exceeds but for a chance of alpha."""
        return self.interval.mean - NormalDist().inv_cdf(1 - alpha) * self.standard_error


def raw_difference(
    one: Preferences, other: Preferences, *, confidence: float = 0.95, seed: int = 0
) -> Difference:
    """Of preferences as they are. The p-value is that of signs flipped at random, 10,000 times.

    Raises InvalidInput where fewer than two instructions are shared.
    """
    shared = shared_ids(one, other)
    differences = one.chosen(shared).preferences - other.chosen(shared).preferences
    error = float(differences.std(ddof=1)) / math.sqrt(len(shared))
    return Difference(
        interval=normal(float(differences.mean()), error, confidence, len(shared)),
        standard_error=error,
        p_value=_by_flips(differences, seed),
    )


def controlled_difference(
    one: LengthControlled, other: LengthControlled, *, confidence: float = 0.95
) -> Difference:
    """Of length-controlled rates, its error from what each instruction adds to both.

    Raises InvalidInput for rates under different controls, or over different instructions.
    """
    if one.controls != other.controls:
        raise InvalidInput("the two were measured under different controls; measure them anew under one")
    if set(one.ids) != set(other.ids):
        raise InvalidInput(
            "the two rates are of different instructions; measure both on those that they share"
        )
    parts = [part - other.influence[name] for name, part in one.influence.items()]
    error = combined(parts)
    difference = one.rate - other.rate
    chance = math.erfc(abs(difference) / error / math.sqrt(2)) if error else float(difference == 0)
    return Difference(
        interval=normal(difference, error, confidence, one.n), standard_error=error, p_value=chance
    )


def shared_ids(one: Preferences, other: Preferences) -> tuple[str, ...]:
    """Instructions that both have, in the first one's order. Raises InvalidInput for fewer than two."""
    known = set(other.ids)
    shared = tuple(name for name in one.ids if name in known)
    if len(shared) < _FEWEST:
        raise InvalidInput(
            f"{one.name} and {other.name} share {len(shared)} instructions; nothing can be compared"
        )
    return shared


def _by_flips(differences: NDArray[np.float64], seed: int) -> float:
    """Were the two alike, each difference could as well have the other sign."""
    seen = abs(float(differences.sum()))
    generator = np.random.default_rng(seed)
    more = 0
    for _ in range(_FLIPS // 100):
        signs = generator.integers(0, 2, size=(100, len(differences))) * 2.0 - 1.0
        more += int((np.abs(signs @ differences) >= seen * (1 - 1e-12)).sum())
    return (1 + more) / (1 + _FLIPS)
