"""Lengths by name: exact counts, bounds that never undercut them, and the paper's own figures."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from longstream.errors import InvalidInput
from longstream_curator.length import METRICS, Length, Metric, measure, metric
from longstream_curator.tokens import Tokens
from longstream_curator.word_bounds import Bounds

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=200)


@pytest.mark.parametrize(("name", "length"), [("nltk-words", 8), ("chars", 17), ("bytes", 18), ("words", 5)])
def test_each_metric_counts_its_own_unit(name: str, length: int) -> None:
    assert metric(name).count("Ça va? I'm in it.") == length


@pytest.mark.parametrize("name", ["chars", "bytes", "words"])
@given(text=TEXTS)
def test_no_plain_bound_is_below_its_count(name: str, text: str) -> None:
    chosen = metric(name)
    assert chosen.upper_bound(text) >= chosen.count(text)
    lower, upper = chosen.bounds([text, "a", text])
    exact = [chosen.count(text), 1, chosen.count(text)]
    assert all(lower <= exact)
    assert all(upper >= exact)


def test_metric_names_are_those_of_the_pipeline_file() -> None:
    assert (*(metric(name).name for name in METRICS[:-1]), Tokens.name) == METRICS


@pytest.mark.parametrize("name", ["", "lines", "tokens"])
def test_a_metric_that_cannot_be_built_is_refused(name: str) -> None:
    with pytest.raises(InvalidInput):
        metric(name)


class Refusing:
    """A metric that must not be asked for an exact count."""

    name = version = "refusing"
    bounds_are_cheap = True

    def count(self, text: str) -> int:
        raise AssertionError("counted exactly")

    def upper_bound(self, text: str, floor: int = 0) -> int:
        assert floor == 4
        return len(text)

    def bounds(self, texts: Sequence[str]) -> Bounds:
        raise AssertionError("of a single text")


def test_a_text_below_the_floor_is_never_counted() -> None:
    refusing: Metric = Refusing()
    assert measure(refusing, "abc", floor=4) == Length(3, exact=False)
    with pytest.raises(AssertionError):
        measure(refusing, "abcd", floor=4)


def test_without_a_floor_every_text_is_counted() -> None:
    assert measure(metric("words"), "", floor=0) == Length(0, exact=True)
