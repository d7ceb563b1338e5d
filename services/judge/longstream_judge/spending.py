"""How much error a gate may spend: over a pipeline's life, and at each look of one evaluation.

Over a life the rate that is kept is that of false discoveries: of all promotions, the share that went to models no
better (LORD++; Ramdas, Yang, Wainwright and Jordan 2017, arXiv 1710.00499, section 3). Each test gets a level that
follows from what was decided before it, and promotions earn levels for later ones; so a pipeline may go on for ever.
It holds for p-values that are independent, or that are valid given what was decided before.

Within an evaluation that may end early the level is spread over the looks as O'Brien and Fleming's boundary does, by
Lan and DeMets's spending function (1983, Biometrika 70): little at first, nearly all at the end.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, zeta

Vector = NDArray[np.float64]

_DECAY = 1.6
_SUM = float(zeta(_DECAY))
"""Of n ** -_DECAY over all n from 1 on."""
_BEGIN = 0.5
"""Share of the rate that there is before anything was promoted; the first promotion brings the rest."""
_GRID = 501
"""Points of the grid: odd, as Simpson's rule wants them."""
_WIDE = 8.5
"""Standard deviations that the grid reaches to either side."""
_NORMAL = NormalDist()


def life_level(earlier: Sequence[bool], rate: float) -> float:
    """The level of the next test. earlier: for each test before it, whether a model was promoted."""
    now = len(earlier) + 1
    earned = [now - number for number, promoted in enumerate(earlier, start=1) if promoted]
    level = _BEGIN * rate * _weight(now)
    if earned:
        level += (1 - _BEGIN) * rate * _weight(earned[0])
    return level + rate * math.fsum(map(_weight, earned[1:]))


def look_levels(fractions: Sequence[float], level: float) -> tuple[float, ...]:
    """One-sided levels at which each look is tested by itself, so that all of them together keep to `level`.

    fractions: share of the instructions that each look has seen, ascending; the last one is 1. Estimates at the looks
    are taken for those of one growing mean. Raises ValueError for other fractions, or a level not in (0, 0.5).
    """
    if not 0 < level < 0.5:
        raise ValueError(f"a level lies between 0 and 0.5, not at {level}")
    if not fractions or list(fractions) != sorted(set(fractions)) or fractions[0] <= 0 or fractions[-1] != 1:
        raise ValueError(f"looks ascend to 1, unlike {list(fractions)}")
    if len(fractions) == 1:
        return (level,)
    return tuple(_NORMAL.cdf(-bound) for bound in _bounds(fractions, level))


def conditional_power(score: float, fraction: float, level: float) -> float:
    """Chance that the last look crosses its bound, were the trend so far the truth (Lan, Simon and Halperin 1982).

    score: estimate over its standard error, now. fraction: of what the last look will have seen. level: the last one's.
    """
    missing = (-_NORMAL.inv_cdf(level) - score / math.sqrt(fraction)) / math.sqrt(1 - fraction)
    return _NORMAL.cdf(-missing)


def _weight(age: int) -> float:
    """Of a test `age` tests after what earns it a level; they add up to 1."""
    return float(age**-_DECAY) / _SUM


def _spent(fraction: float, level: float) -> float:
    """Of the level, once so much was seen: Lan and DeMets's spending that is like O'Brien and Fleming's."""
    return 2 * _NORMAL.cdf(_NORMAL.inv_cdf(level / 2) / math.sqrt(fraction))


def _bounds(fractions: Sequence[float], level: float) -> list[float]:
    """In standard errors of each look's estimate, by Armitage, McPherson and Rowe's recursion.

    What is carried along is the density of the sum so far, of paths that crossed nothing yet.
    """
    bounds: list[float] = []
    grid, density = np.zeros(1), np.ones(1)
    before = 0.0
    for fraction in fractions:
        spend = _spent(fraction, level) - (_spent(before, level) if before else 0.0)
        spread = math.sqrt(fraction - before)
        bound = _bound(grid, density, spread, spend)
        bounds.append(bound / math.sqrt(fraction))
        grid, density = _carried(grid, density, spread, (bound, fraction))
        before = fraction
    return bounds


def _bound(grid: Vector, density: Vector, spread: float, spend: float) -> float:
    """Where the chance of being above, after one more step of that spread, is what may be spent."""
    low, high = -_WIDE, _WIDE * 5
    for _ in range(60):
        middle = (low + high) / 2
        above = float(density @ ndtr((grid - middle) / spread))
        low, high = (middle, high) if above > spend else (low, middle)
    return (low + high) / 2


def _carried(grid: Vector, density: Vector, spread: float, end: tuple[float, float]) -> tuple[Vector, Vector]:
    """Masses on a new grid below the bound. end: the bound, and the variance of the sum there."""
    bound, variance = end
    points = np.linspace(-_WIDE * math.sqrt(variance), bound, _GRID)
    steps = (points[:, None] - grid[None, :]) / spread
    heights = np.exp(-0.5 * steps**2) @ density / (spread * math.sqrt(2 * math.pi))
    weights = np.ones(_GRID)
    weights[1:-1:2], weights[2:-1:2] = 4, 2
    weights *= (points[1] - points[0]) / 3
    return points, heights * weights
