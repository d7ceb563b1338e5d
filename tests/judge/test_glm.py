"""The fit is that of an independent solver, whatever the data, and never worse than another point."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from longstream_judge.glm import Table, chosen_strength, cross_entropy, fit, sigmoid


def drawn(seed: int, rows: int = 400, columns: int = 3) -> Table:
    generator = np.random.default_rng(seed)
    features = generator.normal(size=(rows, columns)) * generator.uniform(0.2, 2, columns)
    chances = sigmoid(features @ generator.normal(size=columns) + generator.normal(size=rows))
    return Table(features, chances, generator.uniform(0.1, 2, rows))


def objective(
    table: Table, strength: float, coefficients: np.ndarray[tuple[int], np.dtype[np.float64]]
) -> float:
    return strength * cross_entropy(table, coefficients) + float(np.abs(coefficients).sum())


@pytest.mark.parametrize("strength", [1e-3, 0.02, 1.0, 21.5, 1e4])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_it_is_liblinears(strength: float, seed: int) -> None:
    """scikit-learn's solver, which takes no soft labels: each row is given as a win and as a loss."""
    linear_model = pytest.importorskip("sklearn.linear_model")
    table = drawn(seed)
    solver = linear_model.LogisticRegression(
        l1_ratio=1.0, C=strength, solver="liblinear", fit_intercept=False, tol=1e-10, max_iter=100_000
    )
    solver.fit(
        np.vstack([table.features, table.features]),
        np.repeat([1, 0], len(table.labels)),
        np.concatenate([table.weights * table.labels, table.weights * (1 - table.labels)]),
    )
    assert fit(table, strength) == pytest.approx(solver.coef_[0], abs=1e-4)


@given(st.integers(0, 2**32 - 1), st.floats(1e-4, 1e4), st.integers(1, 5))
def test_no_point_near_it_is_better(seed: int, strength: float, columns: int) -> None:
    table = drawn(seed, rows=40, columns=columns)
    found = fit(table, strength)
    best = objective(table, strength, found)
    generator = np.random.default_rng(seed)
    for scale in (1e-3, 1e-1, 1.0):
        other = found + scale * generator.normal(size=columns)
        assert objective(table, strength, other) >= best * (1 - 1e-9) - 1e-9
    assert objective(table, strength, np.zeros(columns)) >= best * (1 - 1e-9)


@pytest.mark.parametrize("labels", [0.0, 1.0, 0.5])
def test_labels_that_are_all_one_end_at_finite_coefficients(labels: float) -> None:
    table = Table(np.ones((50, 1)), np.full(50, labels), np.ones(50))
    found = fit(table, 1e4)
    assert np.isfinite(found).all()
    assert sigmoid(found)[0] == pytest.approx(labels, abs=1e-3)


def test_a_column_of_nothing_gets_nothing() -> None:
    table = drawn(3)
    with_nothing = Table(np.column_stack([table.features, np.zeros(400)]), table.labels, table.weights)
    assert fit(with_nothing, 10.0) == pytest.approx([*fit(table, 10.0), 0.0], abs=1e-6)


def test_weights_are_rows_given_more_than_once() -> None:
    table = drawn(4, rows=60)
    twice = Table(
        *(np.concatenate([part, part[:20]]) for part in (table.features, table.labels, table.weights))
    )
    factors = np.where(np.arange(60) < 20, 2.0, 1.0)
    assert fit(table.reweighted(factors), 5.0) == pytest.approx(fit(twice, 5.0), abs=1e-5)


def test_the_strength_is_the_one_that_foretells_unseen_rows() -> None:
    """Of noise nothing can be foretold, so the strongest penalties win; a clear effect wants weak ones."""
    generator = np.random.default_rng(5)
    features = generator.normal(size=(300, 2))
    folds = np.arange(300) % 5
    noise = Table(features, generator.integers(0, 2, 300).astype(float), np.ones(300))
    clear = Table(features, sigmoid(features @ np.array([3.0, -2.0])), np.ones(300))
    assert chosen_strength(noise, folds) < 1.0 < chosen_strength(clear, folds)
