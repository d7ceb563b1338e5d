"""Known-worse answers keep their length; a judge that misses them, or goes by the slot, abstains."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from longstream_judge.calibration import (
    DAMAGES,
    Calibration,
    CalibrationLimits,
    Known,
    calibrate,
    known_pairs,
)
from longstream_judge.comparison import Comparison, Pair, lost, verdict
from tests.support.questions import QUESTIONS

KNOWN = [Known(id=f"{i}", question=question, answer=answer) for i, (question, answer) in enumerate(QUESTIONS)]
GOOD = {known.answer for known in KNOWN}
Judging = Callable[[str, str, str], float]


def judged(
    judging: Judging, known: list[Known] = KNOWN, limits: CalibrationLimits | None = None
) -> Calibration:
    return calibrate([(pair, compared(judging, pair.pair)) for pair in known_pairs(known, seed=3)], limits)


def compared(judging: Judging, pair: Pair) -> Comparison:
    orders = ((pair.candidate, pair.champion), (pair.champion, pair.candidate))
    forward, swapped = (log_probabilities(judging(pair.question, *answers)) for answers in orders)
    return verdict(forward, swapped)


def log_probabilities(logit: float) -> dict[str, float]:
    return {"A": float(stats.logistic.logcdf(logit)), "B": float(stats.logistic.logcdf(-logit))}


def sees(question: str, first: str, second: str) -> float:
    """Prefers the answer that a person gave to this very question."""
    answer = dict(QUESTIONS)[question][:200]
    return 3.0 * (first.startswith(answer) - second.startswith(answer))


def test_a_judge_that_sees_quality_passes() -> None:
    result = judged(sees)
    assert (result.passed, result.reason) == (True, "")
    assert result.accuracy is not None
    assert result.accuracy.mean == 1.0
    assert [name for name, share, _ in result.by_damage if share == 1.0] == list(DAMAGES)


def test_the_lower_bound_of_the_accuracy_is_wilsons() -> None:
    result = judged(sees)
    reference = stats.binomtest(len(KNOWN), len(KNOWN)).proportion_ci(method="wilson")
    assert result.accuracy is not None
    assert result.accuracy.low == pytest.approx(reference.low, abs=1e-12)


def test_a_judge_that_goes_by_the_slot_alone_abstains() -> None:
    result = judged(lambda question, first, second: 4.0)
    assert not result.passed
    assert result.accuracy is not None
    assert result.accuracy.mean == 0.0
    assert result.slot_effect_logits == pytest.approx(4.0)
    assert result.flip_rate == 1.0


def test_a_judge_that_sees_quality_through_a_strong_slot_effect_abstains_and_names_the_slot() -> None:
    result = judged(lambda question, first, second: sees(question, first, second) - 2.5)
    assert result.accuracy is not None
    assert result.accuracy.mean == 1.0
    assert not result.passed
    assert "shown second by 2.50 logits" in result.reason


def test_a_judge_that_prefers_length_abstains() -> None:
    result = judged(lambda question, first, second: float(len(first) - len(second)))
    assert not result.passed
    assert "lower bound" in result.reason


def test_a_judge_that_prefers_the_worse_abstains() -> None:
    assert not judged(lambda question, first, second: -sees(question, first, second)).passed


def test_a_verdict_that_could_not_be_read_counts_as_wrong() -> None:
    pairs = known_pairs(KNOWN, seed=3)
    result = calibrate([(pair, lost("judge_engine_died")) for pair in pairs])
    assert result.accuracy is not None
    assert (result.accuracy.mean, result.unread, result.passed) == (0.0, len(pairs), False)


def test_too_few_known_answers_prove_nothing() -> None:
    result = judged(sees, KNOWN[:6])
    assert not result.passed
    assert "fewer" in result.reason
    assert judged(sees, KNOWN[:6], CalibrationLimits(min_pairs=5, min_accuracy=0.55)).passed


def test_without_known_answers_a_judge_abstains() -> None:
    result = calibrate([])
    assert (result.passed, result.accuracy) == (False, None)


@pytest.mark.parametrize("damage", DAMAGES)
def test_damage_keeps_the_length_to_within_a_few_words(damage: str) -> None:
    pairs = [known.pair for seed in range(3) for known in known_pairs(KNOWN, seed) if known.damage == damage]
    assert len(pairs) == len(KNOWN)
    for pair in pairs:
        assert pair.champion not in GOOD or damage == "answer_to_another_question"
        assert pair.champion != pair.candidate
        assert 0.9 * len(pair.candidate) <= len(pair.champion) <= len(pair.candidate)


def test_shuffled_words_are_the_same_words() -> None:
    pairs = [known.pair for known in known_pairs(KNOWN, 0) if known.damage == "shuffled_words"]
    assert pairs
    for pair in pairs:
        assert sorted(pair.champion.split()) == sorted(pair.candidate.split())
        assert len(pair.champion) == len(pair.candidate)


def test_the_ways_of_damage_take_turns() -> None:
    damages = [known.damage for known in known_pairs(KNOWN, 0)]
    assert {damages.count(damage) for damage in DAMAGES} == {len(KNOWN) // 3}


@given(st.permutations(KNOWN[:9]))
def test_the_order_of_known_answers_does_not_matter(shuffled: list[Known]) -> None:
    assert known_pairs(shuffled, 1) == known_pairs(KNOWN[:9], 1)


def test_another_seed_damages_otherwise() -> None:
    assert known_pairs(KNOWN, 0) != known_pairs(KNOWN, 1)


@pytest.mark.parametrize("answers", [["yes"], ["yes", "yes", "yes"], ["", " ", "\n"], ["no no no"]])
def test_answers_that_cannot_be_damaged_are_left_out(answers: list[str]) -> None:
    known = [Known(id=f"{i}", question=f"q{i}", answer=answer) for i, answer in enumerate(answers)]
    for seed in range(4):
        for pair in known_pairs(known, seed):
            assert pair.pair.champion.split() != pair.pair.candidate.split()
