"""Models that met only the champion of their day stand on one scale."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from longstream_judge.intervals import Interval, normal
from longstream_judge.standings import Meeting, strengths


def rate(mean: float, error: float = 0.04, n: int = 100) -> Interval:
    return normal(mean, error, 0.95, n)


def met(candidate: str, champion: str, mean: float, error: float = 0.04) -> Meeting:
    return Meeting(candidate=candidate, champion=champion, rate=rate(mean, error))


def logit(share: float) -> float:
    return math.log(share / (1 - share))


def test_a_model_that_met_the_base_model_has_the_rate_that_was_seen() -> None:
    found = strengths([met("a", "", 0.7)])
    assert found["a"].mean == pytest.approx(0.7)
    assert found["a"].error == pytest.approx(0.04, rel=1e-6)
    assert (found[""].mean, found[""].error, found["a"].n) == (0.5, 0.0, 100)


def test_strengths_add_up_along_the_champions_and_so_do_their_errors() -> None:
    found = strengths([met("a", "", 0.6), met("b", "a", 0.6), met("c", "b", 0.4)])
    assert logit(found["b"].mean) == pytest.approx(2 * logit(0.6))
    assert logit(found["c"].mean) == pytest.approx(logit(0.6))
    each = 0.04 / (0.6 * 0.4)
    assert found["c"].error / (0.6 * 0.4) == pytest.approx(each * math.sqrt(3))


def test_meetings_of_one_pair_are_weighed_by_their_errors() -> None:
    found = strengths([met("a", "", 0.6, 0.02), met("a", "", 0.7, 0.08)])
    assert 0.6 < found["a"].mean < 0.62


def test_who_is_not_linked_to_the_base_model_has_no_place() -> None:
    assert set(strengths([met("a", "", 0.6), met("x", "y", 0.9)])) == {"", "a"}
    assert set(strengths([])) == {""}


@given(st.lists(st.floats(0.0, 1.0), min_size=1, max_size=6), st.integers(0, 2**32 - 1))
def test_the_order_of_meetings_does_not_matter_and_rates_stay_rates(means: list[float], seed: int) -> None:
    meetings = [met(str(n), str(n - 1) if n else "", mean, 0.03) for n, mean in enumerate(means)]
    found = strengths(meetings)
    shuffled = [meetings[n] for n in np.random.default_rng(seed).permutation(len(meetings))]
    other = strengths(shuffled)
    for name, one in found.items():
        assert 0 <= one.low <= one.mean <= one.high <= 1
        assert other[name].mean == pytest.approx(one.mean, abs=1e-6)


def test_intervals_cover_the_truth_as_often_as_they_say() -> None:
    generator, truth, inside = np.random.default_rng(0), [0.4, 0.1, -0.2], 0
    for _ in range(400):
        meetings, before = [], 0.0
        for name, strength in zip("abc", truth, strict=True):
            share = 1 / (1 + math.exp(before - strength))
            seen = generator.random(200) < share
            error = float(seen.std(ddof=1)) / math.sqrt(200)
            champion = {"a": "", "b": "a", "c": "b"}[name]
            meetings.append(
                Meeting(candidate=name, champion=champion, rate=rate(float(seen.mean()), error, 200))
            )
            before = strength
        last = strengths(meetings)["c"]
        inside += last.low <= 1 / (1 + math.exp(-truth[-1])) <= last.high
    assert 0.92 <= inside / 400 <= 0.98
