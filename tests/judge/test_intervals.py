"""Intervals agree with independent references, and do not depend on what they must not depend on."""

from __future__ import annotations

import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from longstream_judge.intervals import Bootstrap, bootstrap_mean, bootstrap_ratio, wilson

VALUES = st.lists(st.floats(-10, 10, allow_nan=False), min_size=1, max_size=40)
FEW = Bootstrap(resamples=200)


def keyed(values: list[float]) -> list[tuple[str, float]]:
    return [(f"{number:03}", value) for number, value in enumerate(values)]


@pytest.mark.parametrize(("successes", "trials"), [(0, 7), (1, 7), (12, 20), (97, 100), (30, 30), (559, 805)])
@pytest.mark.parametrize("confidence", [0.8, 0.95, 0.99])
def test_wilson_agrees_with_scipy(successes: int, trials: int, confidence: float) -> None:
    ours = wilson(successes, trials, confidence)
    reference = stats.binomtest(successes, trials).proportion_ci(confidence, method="wilson")
    assert ours.low == pytest.approx(reference.low, abs=1e-12)
    assert ours.high == pytest.approx(reference.high, abs=1e-12)
    assert (ours.mean, ours.n) == (successes / trials, trials)


@pytest.mark.parametrize(("successes", "trials"), [(0, 0), (3, 2), (-1, 4)])
def test_an_impossible_share_is_refused(successes: int, trials: int) -> None:
    with pytest.raises(ValueError, match="share"):
        wilson(successes, trials)


def test_the_bootstrap_agrees_with_scipys_percentile_interval() -> None:
    values = np.random.default_rng(5).beta(0.5, 0.8, size=120)
    ours = bootstrap_mean(keyed(list(values)), Bootstrap(resamples=20_000))
    reference = stats.bootstrap(
        (values,), np.mean, n_resamples=20_000, method="percentile", rng=np.random.default_rng(6)
    )
    assert ours is not None
    assert ours.mean == pytest.approx(values.mean(), abs=1e-15)
    assert ours.low == pytest.approx(reference.confidence_interval.low, abs=0.003)
    assert ours.high == pytest.approx(reference.confidence_interval.high, abs=0.003)


def test_the_interval_holds_the_truth_about_as_often_as_it_says() -> None:
    generator = np.random.default_rng(11)
    held = 0
    for seed in range(300):
        interval = bootstrap_mean(keyed(list(generator.random(60))), Bootstrap(resamples=400, seed=seed))
        assert interval is not None
        held += interval.low <= 0.5 <= interval.high
    assert 0.90 <= held / 300 <= 0.98


def test_rows_of_one_instruction_are_drawn_together() -> None:
    values = list(np.random.default_rng(3).random(50))
    once = bootstrap_mean(keyed(values), Bootstrap())
    thrice = bootstrap_mean(keyed(values) * 3, Bootstrap())
    apart = bootstrap_mean(
        [(f"{key}/{copy}", v) for copy in range(3) for key, v in keyed(values)], Bootstrap()
    )
    assert once is not None
    assert thrice is not None
    assert apart is not None
    assert thrice.n == once.n
    assert thrice.low == pytest.approx(once.low, abs=1e-12)
    assert apart.high - apart.low < 0.7 * (once.high - once.low)


@given(VALUES, st.randoms(use_true_random=False))
def test_the_order_of_rows_does_not_matter(values: list[float], shuffler: random.Random) -> None:
    rows = [(key, value, 1.0 + value * value) for key, value in keyed(values)]
    shuffled = list(rows)
    shuffler.shuffle(shuffled)
    assert bootstrap_ratio(shuffled, FEW) == bootstrap_ratio(rows, FEW)


@given(VALUES)
def test_negated_values_give_the_negated_interval(values: list[float]) -> None:
    interval = bootstrap_mean(keyed(values), FEW)
    mirrored = bootstrap_mean(keyed([-value for value in values]), FEW)
    assert interval is not None
    assert mirrored is not None
    assert (mirrored.mean, mirrored.low, mirrored.high) == (-interval.mean, -interval.high, -interval.low)


@given(VALUES)
def test_the_interval_holds_no_value_outside_the_data(values: list[float]) -> None:
    interval = bootstrap_mean(keyed(values), FEW)
    assert interval is not None
    assert min(values) - 1e-9 <= interval.low <= interval.high <= max(values) + 1e-9


def test_equal_rows_give_an_interval_of_no_width() -> None:
    interval = bootstrap_mean(keyed([0.5] * 30), Bootstrap())
    assert interval is not None
    assert interval.low == interval.mean == interval.high == 0.5


def test_a_ratio_weighs_documents_by_their_length() -> None:
    interval = bootstrap_ratio([("a", 1.0, 1.0), ("b", 0.0, 3.0)], FEW)
    assert interval is not None
    assert interval.mean == 0.25


def test_many_instructions_are_resampled_in_blocks_of_bounded_memory() -> None:
    interval = bootstrap_mean(keyed(list(np.random.default_rng(1).random(30_000))), Bootstrap(resamples=300))
    assert interval is not None
    assert interval.high - interval.low == pytest.approx(2 * 1.96 * (1 / 12 / 30_000) ** 0.5, rel=0.2)


def test_without_rows_there_is_no_interval() -> None:
    assert bootstrap_mean([], Bootstrap()) is None
