"""Logistic regression on soft labels with an L1 penalty, for a handful of features and thousands of rows.

It minimises sum of |w| + C * sum of weight * cross-entropy, as liblinear does (Fan et al. 2008, section 2), every
feature penalised and no intercept. A soft label y counts as y of a win and 1 - y of a loss. The steps are proximal
Newton's: the quadratic model of the smooth part with the penalty as it is, solved by coordinate descent, then a line
search.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float64]
Matrix = NDArray[np.float64]

STRENGTHS: tuple[float, ...] = tuple(float(c) for c in np.logspace(-4, 4, 10))
"""Values of C that are tried; the larger, the weaker the penalty. AlpacaEval's ten."""
_MOST_STEPS = 100
_ENOUGH = 1e-9
_TINY_RIDGE = 1e-12
_SWEEPS = 200


@dataclass(frozen=True, slots=True)
class Table:
    """features: (rows, p). labels: (rows,), from 0 to 1. weights: (rows,), at least 0."""

    features: Matrix
    labels: Vector
    weights: Vector

    def rows(self, chosen: NDArray[np.bool_]) -> Table:
        """Those rows alone."""
        return Table(self.features[chosen], self.labels[chosen], self.weights[chosen])

    def reweighted(self, factors: Vector) -> Table:
        """The same rows, each counted so many times more."""
        return Table(self.features, self.labels, self.weights * factors)


def sigmoid(logits: Vector) -> Vector:
    """1 / (1 + exp(-logits)), without overflow."""
    return np.asarray(0.5 * (1.0 + np.tanh(0.5 * logits)))


def cross_entropy(table: Table, coefficients: Vector) -> float:
    """Weighted sum over the rows, in nats."""
    logits = table.features @ coefficients
    # log(1 + exp(z)) - y z, without overflow on either side.
    each = np.maximum(logits, 0.0) + np.log1p(np.exp(-np.abs(logits))) - table.labels * logits
    return float(table.weights @ each)


def fit(table: Table, strength: float, start: Vector | None = None) -> Vector:
    """The coefficients, (p,). start: where to begin, such as the fit of a neighbouring strength."""
    coefficients = np.zeros(table.features.shape[1]) if start is None else start.copy()
    value = _objective(table, strength, coefficients)
    for _ in range(_MOST_STEPS):
        gradient, curvature = _derivatives(table, strength, coefficients)
        step = _penalised_step(gradient, curvature, coefficients)
        moved, now = _line_search(table, strength, (coefficients, value), (step, gradient))
        done = value - now <= _ENOUGH * (1.0 + abs(now))
        coefficients, value = moved, now
        if done:
            break
    return coefficients


def chosen_strength(table: Table, folds: NDArray[np.int64], strengths: Sequence[float] = STRENGTHS) -> float:
    """The C whose fits say most of the folds that they have not seen. folds: (rows,), each row's fold."""
    names = np.unique(folds)
    losses = np.zeros((len(names), len(strengths)))
    for number, name in enumerate(names):
        seen, unseen = table.rows(folds != name), table.rows(folds == name)
        start: Vector | None = None
        for place, strength in enumerate(strengths):
            start = fit(seen, strength, start)
            losses[number, place] = cross_entropy(unseen, start) / unseen.weights.sum()
    return strengths[int(np.argmin(losses.mean(axis=0)))]


def _objective(table: Table, strength: float, coefficients: Vector) -> float:
    return strength * cross_entropy(table, coefficients) + float(np.abs(coefficients).sum())


def _derivatives(table: Table, strength: float, coefficients: Vector) -> tuple[Vector, Matrix]:
    """Of the smooth part."""
    chances = sigmoid(table.features @ coefficients)
    gradient = strength * (table.features.T @ (table.weights * (chances - table.labels)))
    spread = table.weights * chances * (1.0 - chances)
    curvature = strength * (table.features.T @ (table.features * spread[:, None]))
    curvature[np.diag_indices_from(curvature)] += _TINY_RIDGE * (1.0 + curvature.trace())
    return gradient, curvature


def _penalised_step(gradient: Vector, curvature: Matrix, coefficients: Vector) -> Vector:
    """Minimises gradient.s + s.curvature.s / 2 + sum |w + s|, one coordinate after another."""
    size = len(gradient)
    slope, bend, at = gradient.tolist(), curvature.tolist(), coefficients.tolist()
    step = [0.0] * size
    for _ in range(_SWEEPS):
        largest = 0.0
        for one in range(size):
            own = bend[one][one]
            rest = slope[one] + sum(bend[one][other] * step[other] for other in range(size)) - own * step[one]
            target = at[one] - rest / own
            new = math.copysign(max(abs(target) - 1.0 / own, 0.0), target) - at[one]
            largest = max(largest, abs(new - step[one]))
            step[one] = new
        if largest <= 1e-12 * (1.0 + max(map(abs, step))):
            break
    return np.array(step)


def _line_search(
    table: Table, strength: float, here: tuple[Vector, float], way: tuple[Vector, Vector]
) -> tuple[Vector, float]:
    """The longest of halved steps that is worth it; where none is, nothing is moved. way: step, gradient."""
    (coefficients, value), (step, gradient) = here, way
    promised = float(gradient @ step + np.abs(coefficients + step).sum() - np.abs(coefficients).sum())
    scale = 1.0
    for _ in range(40):
        moved = coefficients + scale * step
        now = _objective(table, strength, moved)
        if now <= value + 1e-4 * scale * promised:
            return moved, now
        scale *= 0.5
    return coefficients, value
