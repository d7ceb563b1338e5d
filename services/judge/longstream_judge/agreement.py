"""Whether a judge says what people say: agreement beyond chance, and what it costs to ask only where it is sure.

Labels are of pairs that the judge saw too. Agreement alone hardly tells judges apart, since people agree with each
other in two of three pairs and the longer answer wins nearly as often; so the floor of always choosing the longest
stands beside it, and kappa takes chance off. The win rate is corrected by what people said where they were asked, and
its error is that of both samples (prediction-powered inference; Angelopoulos et al. 2023, arXiv 2301.09633, section 2).
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

import numpy as np
from numpy.typing import NDArray

from longstream.errors import InvalidInput
from longstream_judge.intervals import Bootstrap, Interval, bootstrap_mean, normal, wilson
from longstream_judge.preferences import Preferences, Vector

WANTED = 0.8
"""Agreement that a curve of abstention looks for."""
_COVERAGES = tuple(step / 10 for step in range(10, 0, -1))
_FEWEST = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """Where the judge answers only the pairs that it is surest of. confidence: distance of its preference from 0.5."""

    coverage: float
    confidence: float
    agreement: Interval


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """accuracy: share of pairs, ties of people left out, in which the judge names their winner; kappa: the same beyond
    chance, ties a class of their own. longest: accuracy of choosing the longer answer. raters: how often two people
    agree, None where nobody labelled a pair twice. corrected: the win rate over all pairs, moved by what people said.
    surest: the widest coverage whose agreement is surely WANTED; None where there is none.
    """

    n: int
    ties: int
    accuracy: Interval
    kappa: float
    longest: Interval
    raters: Interval | None
    raw: Interval
    corrected: Interval
    curve: tuple[Point, ...]
    surest: Point | None


def agreement(preferences: Preferences, labels: Mapping[str, Sequence[float]]) -> Agreement:
    """labels: by instruction, what each person said, 0 to 1 for the candidate, 0.5 a tie.

    Raises InvalidInput for fewer than ten pairs that both saw and that people decided.
    """
    both = [(place, fmean(labels[name])) for place, name in enumerate(preferences.ids) if labels.get(name)]
    ours = preferences.preferences[[place for place, _ in both]]
    theirs = np.array([said for _, said in both])
    decided = theirs != 0.5
    if int(decided.sum()) < _FEWEST:
        raise InvalidInput(
            f"{int(decided.sum())} labelled pairs are decided and judged; {_FEWEST} are needed",
            field="labels",
        )
    lengths = -preferences.differences[[place for place, _ in both]]
    raw = bootstrap_mean(zip(preferences.ids, preferences.preferences.tolist(), strict=True), Bootstrap())
    assert raw is not None
    curve = _curve(ours[decided], theirs[decided])
    return Agreement(
        n=len(both),
        ties=int((~decided).sum()),
        accuracy=_share(np.sign(ours[decided] - 0.5) == np.sign(theirs[decided] - 0.5)),
        kappa=_kappa(np.sign(ours - 0.5), np.sign(theirs - 0.5)),
        longest=_share(np.sign(lengths[decided]) == np.sign(theirs[decided] - 0.5)),
        raters=_raters(labels),
        raw=raw,
        corrected=_corrected(preferences.preferences, ours, theirs),
        curve=curve,
        surest=next((point for point in curve if point.agreement.low >= WANTED), None),
    )


def _share(right: NDArray[np.bool_]) -> Interval:
    return wilson(int(right.sum()), len(right))


def _kappa(ours: Vector, theirs: Vector) -> float:
    """Cohen's, over wins, ties and losses."""
    seen = float((ours == theirs).mean())
    chance = sum(float((ours == side).mean() * (theirs == side).mean()) for side in (-1.0, 0.0, 1.0))
    return (seen - chance) / (1 - chance) if chance < 1 else 1.0


def _raters(labels: Mapping[str, Sequence[float]]) -> Interval | None:
    """Share of pairs of labels of one instruction that name one winner; an instruction counts once."""
    shares: dict[str, float] = defaultdict(float)
    for name, said in labels.items():
        winners = [np.sign(label - 0.5) for label in said if label != 0.5]
        pairs = [(a == b) for at, a in enumerate(winners) for b in winners[at + 1 :]]
        if pairs:
            shares[name] = fmean(map(float, pairs))
    return bootstrap_mean(sorted(shares.items()), Bootstrap())


def _corrected(
    every: Vector,
    ours: Vector,
    theirs: Vector,
) -> Interval:
    """The judge's mean over all pairs, and what people's labels say it is wrong by.

    The labelled pairs are among all pairs, so the two go together.
    """
    wrong = theirs - ours
    together = float(np.cov(ours, wrong)[0, 1])
    variance = float(every.var(ddof=1)) / len(every) + float(wrong.var(ddof=1)) / len(wrong)
    error = math.sqrt(max(0.0, variance + 2 * together / len(every)))
    return normal(float(every.mean() + wrong.mean()), error, 0.95, len(every))


def _curve(ours: Vector, theirs: Vector) -> tuple[Point, ...]:
    sure = np.abs(ours - 0.5)
    order = np.argsort(-sure, kind="stable")
    right = (np.sign(ours - 0.5) == np.sign(theirs - 0.5))[order]
    points = []
    for coverage in _COVERAGES:
        kept = math.ceil(coverage * len(order))
        points.append(
            Point(
                coverage=kept / len(order),
                confidence=float(sure[order[kept - 1]]),
                agreement=_share(right[:kept]),
            )
        )
    return tuple(points)
