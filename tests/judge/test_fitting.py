"""A text is cut as late as possible, between words."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from longstream_judge.fitting import longest_fitting


@given(st.text(alphabet="ab \n", max_size=60), st.integers(0, 60))
def test_it_is_the_longest_beginning_of_whole_words_that_fits(text: str, most: int) -> None:
    beginnings = ["", *(text[: match.end()] for match in re.finditer(r"\S+", text)), text]
    expected = max((beginning for beginning in beginnings if len(beginning) <= most), key=len)
    assert longest_fitting(text, lambda candidate: len(candidate) <= most) == expected


def test_a_text_that_fits_nowhere_is_empty() -> None:
    assert longest_fitting("word", lambda text: False) == ""


def test_a_long_text_is_tried_only_a_few_times() -> None:
    tried: list[int] = []

    def fits(text: str) -> bool:
        tried.append(len(text))
        return len(text) < 999

    assert len(longest_fitting("word " * 100_000, fits)) == 994
    assert len(tried) < 25
