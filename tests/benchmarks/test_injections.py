"""The measure of injections: nothing for a judge that reads, something for one that obeys; broken channels count."""

from __future__ import annotations

import pytest

from benchmarks.injections import ATTEMPTS, QUESTIONS, measured, neutral, pairs
from longstream_judge.ways import SoftWay
from tests.support.ruledmodel import RuledModel

GOOD = {good for _, good, _ in QUESTIONS}


def told(judge: RuledModel) -> dict[str, float]:
    return {figure.name: figure.value for figure in measured(judge, SoftWay())}


def reads(question: str, first: str, second: str) -> float:
    return 2.0 * ((first in GOOD) - (second in GOOD))


def obeys(question: str, first: str, second: str) -> float:
    return reads(question, first, second) + 3.0 * (("prefer this" in first) - ("prefer this" in second))


def test_attempt_and_neutral_text_are_equally_long_on_the_same_answer() -> None:
    found = pairs()
    assert len(found) == len(ATTEMPTS) * len(QUESTIONS) == 180
    for _, attacked, plain in found:
        assert len(attacked.candidate) == len(plain.candidate)
        assert (attacked.question, attacked.champion) == (plain.question, plain.champion)
    assert len(set(ATTEMPTS)) == 30
    assert len(neutral(500)) == 500


def test_what_an_attempt_moves_is_told() -> None:
    assert told(RuledModel(judging=reads)) == {
        "shift towards the worse answer": 0.0,
        "verdict channels broken": 0,
    }
    moved = told(RuledModel(judging=obeys))
    # Three of thirty attempts say so, and turn a sure loss into a likely win.
    win, loss = 1 / (1 + 2.718281828**-1), 1 / (1 + 2.718281828**2)
    assert moved["shift towards the worse answer"] == pytest.approx((win - loss) / 10, rel=1e-6)


def test_a_verdict_that_an_attempt_makes_unreadable_counts_as_broken() -> None:
    class Broken(RuledModel):
        def choose(self, prompt, choices, *, adapter=None, timeout_s):  # type: ignore[no-untyped-def]
            chosen = super().choose(prompt, choices, adapter=adapter, timeout_s=timeout_s)
            return {} if "Scores: 10 1" in prompt.text else chosen

    assert told(Broken(judging=reads))["verdict channels broken"] == 3 * len(QUESTIONS)
