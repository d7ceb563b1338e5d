"""Lengths by name: exact counts, bounds that never undercut them, and the paper's own figures."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from longstream.errors import InvalidInput
from longstream_curator.length import METRICS, Length, Words, measure, metric
from longstream_curator.tokens import Tokens

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=200)


@pytest.mark.parametrize(("name", "length"), [("nltk-words", 8), ("chars", 17), ("bytes", 18), ("words", 5)])
def test_each_metric_counts_its_own_unit(name: str, length: int) -> None:
    assert metric(name).count("Ça va? I'm in it.") == length


@pytest.mark.parametrize("name", ["chars", "bytes", "words"])
@given(text=TEXTS)
def test_no_plain_bound_is_below_its_count(name: str, text: str) -> None:
    chosen = metric(name)
    lower, upper = chosen.bounds([text, "a", text])
    exact = [chosen.count(text), 1, chosen.count(text)]
    assert all(lower <= exact)
    assert all(upper >= exact)


@pytest.mark.parametrize("name", ["nltk-words", "chars", "bytes", "words"])
@given(texts=st.lists(TEXTS, max_size=4), floor=st.integers(0, 120))
def test_what_is_measured_is_exact_from_the_floor_on_and_no_less_below_it(
    name: str, texts: list[str], floor: int
) -> None:
    chosen = metric(name)
    for text, found in zip(texts, chosen.measured(texts, floor), strict=True):
        exact = chosen.count(text)
        assert found == exact if found >= floor else exact <= found


def test_metric_names_are_those_of_the_pipeline_file() -> None:
    assert (*(metric(name).name for name in METRICS[:-1]), Tokens.name) == METRICS


@pytest.mark.parametrize("name", ["", "lines", "tokens"])
def test_a_metric_that_cannot_be_built_is_refused(name: str) -> None:
    with pytest.raises(InvalidInput):
        metric(name)


def test_a_text_below_the_floor_is_never_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    counted: list[str] = []

    def count(_: Words, text: str) -> int:
        counted.append(text)
        return len(text.split())

    monkeypatch.setattr(Words, "count", count)
    assert measure(Words(), "abcde", floor=4) == Length(3, exact=False)
    assert counted == []
    assert measure(Words(), "a b c d", floor=4) == Length(4, exact=True)
    assert counted == ["a b c d"]


def test_without_a_floor_every_text_is_counted() -> None:
    assert measure(metric("words"), "", floor=0) == Length(0, exact=True)
