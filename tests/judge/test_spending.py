"""Error is spent as the published boundaries and rules say, over the looks of an evaluation and over a life."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import integrate, special, stats

from longstream_judge.policy import Policy
from longstream_judge.spending import conditional_power, life_level, look_levels


@pytest.mark.parametrize(
    ("fractions", "bounds"),
    [
        # Lan and DeMets's boundaries for a one-sided 0.025, as tables and gsDesign's sfLDOF give them.
        ((0.2, 0.4, 0.6, 0.8, 1.0), (4.8769, 3.3570, 2.6803, 2.2898, 2.0310)),
        ((0.25, 0.5, 0.75, 1.0), (4.3326, 2.9631, 2.3590, 2.0141)),
        ((1 / 3, 2 / 3, 1.0), (3.7103, 2.5114, 1.9930)),
        ((0.5, 1.0), (2.9626, 1.9686)),
    ],
)
def test_looks_have_the_published_boundaries(fractions: tuple[float, ...], bounds: tuple[float, ...]) -> None:
    found = stats.norm.isf(look_levels(fractions, 0.025))
    assert found == pytest.approx(bounds, abs=2e-4)


@pytest.mark.parametrize(("level", "fractions"), [(0.05, (0.4, 0.7, 1.0)), (0.01, (0.1, 0.6, 0.8, 1.0))])
def test_all_looks_together_cross_as_seldom_as_is_allowed(level: float, fractions: tuple[float, ...]) -> None:
    """The chance of a crossing by an integral of scipy's over two looks, and by drawing paths for all of them."""
    bounds = stats.norm.isf(look_levels(fractions, level))
    rows = 200_000
    steps = np.sqrt(np.diff((0.0, *fractions)))
    sums = np.cumsum(np.random.default_rng(0).normal(size=(rows, len(fractions))) * steps, axis=1)
    crossed = (sums / np.sqrt(fractions) >= bounds).any(axis=1).mean()
    assert crossed == pytest.approx(level, abs=3 * (level / rows) ** 0.5)

    first, second = fractions[0], fractions[1]
    rest = bounds[1] * second**0.5

    def missed(at: float) -> float:
        return float(
            stats.norm.pdf(at, scale=first**0.5) * stats.norm.cdf((rest - at) / (second - first) ** 0.5)
        )

    below, _ = integrate.quad(missed, -12, bounds[0] * first**0.5)
    spent = 2 * stats.norm.sf(stats.norm.isf(level / 2) / second**0.5)
    assert 1 - below == pytest.approx(spent, abs=1e-6)


def test_one_look_has_it_all_and_wrong_looks_are_refused() -> None:
    assert look_levels((1.0,), 0.02) == (0.02,)
    for fractions in ((), (0.5,), (0.5, 0.5, 1.0), (1.0, 0.5), (0.0, 1.0)):
        with pytest.raises(ValueError, match="looks ascend"):
            look_levels(fractions, 0.02)
    with pytest.raises(ValueError, match="level lies"):
        look_levels((1.0,), 0.5)


@given(st.lists(st.booleans(), max_size=60), st.floats(0.001, 0.4))
def test_levels_are_positive_and_promotions_only_add(earlier: list[bool], rate: float) -> None:
    level = life_level(earlier, rate)
    assert 0 < level < rate
    if True in earlier:
        at = earlier.index(True)
        assert level > life_level([*earlier[:at], False, *earlier[at + 1 :]], rate)


def test_what_is_spent_before_anything_was_promoted_adds_up_to_half() -> None:
    """All null: the chance of any false promotion is at most the sum of the levels."""
    spent = sum(life_level([False] * n, 0.1) for n in range(2_000))
    assert spent < 0.05 == pytest.approx(spent + 0.05 * 2_000**-0.6 / 0.6 / special.zeta(1.6), rel=1e-3)


def test_the_levels_are_those_of_the_formula_by_hand() -> None:
    weights = [n**-1.6 / special.zeta(1.6) for n in range(1, 8)]
    history = [False, True, False, True, True]
    by_hand = 0.05 * weights[5] + 0.05 * weights[3] + 0.1 * (weights[1] + weights[0])
    assert life_level(history, 0.1) == pytest.approx(by_hand, rel=1e-9)


def test_a_life_of_equal_models_promotes_one_in_it_as_seldom_as_is_allowed() -> None:
    """Independent tests of models that are no better: at most `rate` of the lives have any promotion."""
    generator, lives, false = np.random.default_rng(1), 3_000, 0
    for _ in range(lives):
        history: list[bool] = []
        for _ in range(40):
            history.append(bool(generator.random() < life_level(history, 0.1)))
        false += any(history)
    assert false / lives <= 0.1 + 2 * (0.1 * 0.9 / lives) ** 0.5


def test_of_all_promotions_as_few_are_false_as_is_allowed() -> None:
    generator, shares = np.random.default_rng(2), []
    for _ in range(1_000):
        history: list[bool] = []
        false = 0
        for _ in range(40):
            better = generator.random() < 0.3
            promoted = stats.norm.sf(generator.normal(3.0 if better else 0.0)) < life_level(history, 0.1)
            false += promoted and not better
            history.append(bool(promoted))
        shares.append(false / max(1, sum(history)))
    assert np.mean(shares) <= 0.1
    assert np.mean(shares) > 0.01  # it is not kept by promoting nobody


def test_each_evaluation_may_have_a_level_of_its_own() -> None:
    assert Policy(spend="each", error_rate=0.03).level((True, False)) == 0.03
    assert Policy().level(()) == life_level((), 0.1)


def test_the_chance_that_is_left_is_that_of_a_path_that_goes_on() -> None:
    generator = np.random.default_rng(3)
    score, fraction, level = 1.2, 0.5, 0.025
    trend = score / fraction**0.5
    rest = generator.normal(trend * (1 - fraction), (1 - fraction) ** 0.5, size=400_000)
    crossed = (score * fraction**0.5 + rest > stats.norm.isf(level)).mean()
    assert conditional_power(score, fraction, level) == pytest.approx(crossed, abs=0.003)
