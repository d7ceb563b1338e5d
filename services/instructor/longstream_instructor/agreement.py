"""What a human check says: a share with its interval, and how far two raters agree beyond chance.

LongForm (arXiv 2304.08460) had 100 of its reverse instructions looked at, and 97 were found relevant.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist


@dataclass(frozen=True, slots=True)
class Share:
    """yes of n, with an interval of 95 % after Wilson (JASA 22, 1927), which holds near 0 and 1 and for small n."""

    yes: int
    n: int
    low: float
    high: float

    @property
    def share(self) -> float:
        """yes over n; 0 of none."""
        return self.yes / self.n if self.n else 0.0


def share_of(yes: int, n: int) -> Share:
    """The share and its interval; of none the interval is everything."""
    if n == 0:
        return Share(0, 0, 0.0, 1.0)
    z = NormalDist().inv_cdf(0.975)
    p, spread = yes / n, z * z / n
    middle = (p + spread / 2) / (1 + spread)
    half = z * math.sqrt(p * (1 - p) / n + spread / (4 * n)) / (1 + spread)
    # Rounding must not put the share itself outside.
    return Share(yes, n, min(p, max(0.0, middle - half)), max(p, min(1.0, middle + half)))


@dataclass(frozen=True, slots=True)
class Agreement:
    """Of two raters over the same n items. kappa: Cohen's (1960); None where chance alone would make them agree."""

    n: int
    agreed: int
    kappa: float | None


def agreement(one: Sequence[bool], other: Sequence[bool]) -> Agreement:
    """How far two raters agree; their answers stand in the same order."""
    n = len(one)
    agreed = sum(left == right for left, right in zip(one, other, strict=True))
    if n == 0:
        return Agreement(0, 0, None)
    left, right = sum(one) / n, sum(other) / n
    chance = left * right + (1 - left) * (1 - right)
    return Agreement(n, agreed, None if chance == 1 else (agreed / n - chance) / (1 - chance))
