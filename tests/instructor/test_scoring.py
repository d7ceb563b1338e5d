"""A reply is a score only if it is one number of the scale; each way to fail is told apart."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from longstream_instructor.scoring import FAILURES, Score, parse_score


@pytest.mark.parametrize(
    ("reply", "value"),
    [
        ("4", 4),
        (" 5\n", 5),
        ("Score: 4/5", 4),
        ("**3**", 3),
        ("The number: 2.", 2),
        ("Rating: 1 out of 5", 1),
        ("\n\n4\nIt covers 3 of 5 points.", 4),
        ("the score is 5", 5),
    ],
)
def test_one_number_of_the_scale_is_the_score(reply: str, value: int) -> None:
    assert parse_score(reply) == Score(value)


@pytest.mark.parametrize(
    ("reply", "failure"),
    [
        ("", "no_score"),
        ("It fits well.", "no_score"),
        ("I would say that it fits 4 of the points very well indeed", "no_score"),
        ("4 or 5", "several_scores"),
        ("Helpfulness 4, accuracy 5", "several_scores"),
        ("728", "score_out_of_range"),
        ("0", "score_out_of_range"),
        ("6", "score_out_of_range"),
        ("-4", "score_out_of_range"),
        ("4.5", "score_out_of_range"),
        ("8/10", "score_out_of_range"),
        ("4/10", "score_out_of_range"),
    ],
)
def test_anything_else_is_none_and_says_why(reply: str, failure: str) -> None:
    assert parse_score(reply) == Score(0, failure)


@given(st.text(max_size=200))
def test_any_reply_is_a_score_or_a_failure(reply: str) -> None:
    score = parse_score(reply)
    assert (score.value in range(1, 6)) == (score.failure == "")
    assert score.failure in {"", *FAILURES}
