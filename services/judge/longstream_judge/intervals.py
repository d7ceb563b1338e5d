"""Intervals for means and shares.

The bootstrap draws whole instructions, with all their rows. Its interval is the percentile one: it mirrors
when candidate and champion change places, and it exists when all rows agree, where the bias-corrected one
divides by zero. Shares of a calibration get Wilson's interval, which is right for few and for extreme counts.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from scipy.special import stdtrit

_CELLS = 2**22  # of the table of draws that is held at once


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """An estimate, its interval, how sure it is meant to be (0.95: 95 %), and from how many instructions.

    error: its standard error.
    """

    mean: float
    low: float
    high: float
    confidence: float
    n: int
    error: float

    def lower(self, level: float) -> float:
        """What it exceeds but for a chance of `level`, however small, by Student's t; minus infinity for one row."""
        return self.mean + float(stdtrit(self.n - 1, level)) * self.error if self.n > 1 else -math.inf

    def upper(self, level: float) -> float:
        """What it stays below but for a chance of `level`."""
        return self.mean - float(stdtrit(self.n - 1, level)) * self.error if self.n > 1 else math.inf


@dataclass(frozen=True, slots=True, kw_only=True)
class Bootstrap:
    """How an interval is resampled; equal settings and rows give equal intervals."""

    resamples: int = 2_000
    confidence: float = 0.95
    seed: int = 0


def bootstrap_mean(rows: Iterable[tuple[str, float]], settings: Bootstrap) -> Interval | None:
    """Mean of values by instruction id; rows of one instruction are drawn together. None without rows."""
    return bootstrap_ratio(((key, value, 1.0) for key, value in rows), settings)


def bootstrap_ratio(rows: Iterable[tuple[str, float, float]], settings: Bootstrap) -> Interval | None:
    """Sum of the second over sum of the third of (id, value, weight), weights above 0. None without rows.

    The order of rows does not matter. Negated values give the negated interval.
    """
    totals: dict[str, list[tuple[float, float]]] = defaultdict(list)
    for key, value, weight in rows:
        totals[key].append((value, weight))
    if not totals:
        return None
    # Sorted and exactly summed, so that the order of arrival cannot show in the last digit.
    sums = [[math.fsum(column) for column in zip(*totals[key], strict=True)] for key in sorted(totals)]
    values, weights = np.array(sums).T
    drawn = np.sort(_resampled(values, weights, settings))
    cut = math.floor((1 - settings.confidence) / 2 * settings.resamples)
    count = len(values)
    return Interval(
        mean=math.fsum(values) / math.fsum(weights),
        low=float(drawn[cut]),
        high=float(drawn[-1 - cut]),
        confidence=settings.confidence,
        n=count,
        error=float(drawn.std()) * math.sqrt(count / max(1, count - 1)),
    )


def normal(mean: float, error: float, confidence: float, n: int) -> Interval:
    """Around an estimate whose standard error is known."""
    half = NormalDist().inv_cdf((1 + confidence) / 2) * error
    return Interval(mean=mean, low=mean - half, high=mean + half, confidence=confidence, n=n, error=error)


def wilson(successes: int, trials: int, confidence: float = 0.95) -> Interval:
    """Wilson's score interval of a share. Raises ValueError unless 0 <= successes <= trials, trials > 0."""
    if not 0 <= successes <= trials or trials == 0:
        raise ValueError(f"{successes} of {trials} is no share")
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    share = successes / trials
    centre = (share + z * z / (2 * trials)) / (1 + z * z / trials)
    half = z / (1 + z * z / trials) * math.sqrt(share * (1 - share) / trials + (z / (2 * trials)) ** 2)
    low = 0.0 if successes == 0 else centre - half
    high = 1.0 if successes == trials else centre + half
    error = math.sqrt(share * (1 - share) / trials)
    return Interval(mean=share, low=low, high=high, confidence=confidence, n=trials, error=error)


def _resampled(
    values: np.ndarray[tuple[int], np.dtype[np.float64]],
    weights: np.ndarray[tuple[int], np.dtype[np.float64]],
    settings: Bootstrap,
) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    generator = np.random.default_rng(settings.seed)
    block = max(1, _CELLS // len(values))
    ratios = []
    for begin in range(0, settings.resamples, block):
        size = (min(block, settings.resamples - begin), len(values))
        chosen = generator.integers(len(values), size=size)
        ratios.append(values[chosen].sum(axis=1) / weights[chosen].sum(axis=1))
    return np.concatenate(ratios)
