"""The paper's metric equals NLTK's word_tokenize, and its bounds are never below it."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from longstream_curator.length import metric
from longstream_curator.nltk_words import MAX_KNOWN_BYTES, MAX_KNOWN_WORDS, NltkWords
from longstream_curator.punkt import PUNKT, Parameters
from longstream_curator.treebank import count_words
from longstream_curator.word_bounds import close_bound, rough_bound
from tests.support import nltk_reference
from tests.support.nltk_reference import NASTY, PIECES

UNTRAINED = NltkWords(None)
ANY = st.text(st.characters(exclude_categories=["Cs"]), max_size=300)


by_nltk = nltk_reference.counter(Parameters())


@settings(max_examples=2_000)
@example(" 'tis'twas")
@example("3,000'S'*\u201d")
@example("```:")
@given(NASTY)
def test_the_words_of_a_sentence_are_as_many_as_nltks(sentence: str) -> None:
    assert count_words(sentence) == len(nltk_reference.words(sentence))


@settings(max_examples=1_000)
@example("so1. Mr. gimmeA. \u00bb")
@given(NASTY)
def test_counts_are_those_of_nltk(text: str) -> None:
    assert UNTRAINED.count(text) == by_nltk(text)


@settings(max_examples=300)
@given(st.lists(st.tuples(PIECES, st.text(" \n\t\u00a0", max_size=14)), max_size=8))
def test_long_white_space_counts_as_with_nltk(parts: list[tuple[str, str]]) -> None:
    text = "".join(piece + space for piece, space in parts)
    assert UNTRAINED.count(text) == by_nltk(text)


@settings(max_examples=1_000)
@example("``''\"x\"", 1)
@example("g\u0130mme. 'Tis", 1)
@given(NASTY, st.integers(0, 60))
def test_no_bound_is_below_the_count(text: str, floor: int) -> None:
    count = UNTRAINED.count(text)
    assert min(close_bound(text), rough_bound(text, floor), UNTRAINED.upper_bound(text, floor)) >= count


@settings(max_examples=300)
@given(ANY, st.integers(0, 60))
def test_the_bounds_hold_for_any_text(text: str, floor: int) -> None:
    count = UNTRAINED.count(text)
    assert min(close_bound(text), rough_bound(text, floor), UNTRAINED.upper_bound(text, floor)) >= count


def test_the_bounds_are_close_enough_to_spare_most_counts() -> None:
    text = "Mr. Brown can't come, he said; \"we'll see.\" It costs $3.50 (or less), e.g. on Monday... " * 20
    count = UNTRAINED.count(text)
    assert close_bound(text) <= 1.25 * count
    assert rough_bound(text, 2 * count) <= 2 * count


def test_what_is_remembered_of_a_stream_is_bounded() -> None:
    words = NltkWords(None)
    words.count(" ".join(f"w{number}x" for number in range(MAX_KNOWN_WORDS + 10)) + " x" * 100 + " y")
    words.count("long" * 100 + " and " + "longer" * 100 + ".")
    assert len(words._shapes) <= MAX_KNOWN_WORDS
    assert max(map(len, words._shapes)) <= MAX_KNOWN_BYTES


@pytest.mark.parametrize(
    "text",
    ["A." + " " * 200_000 + "and so on", "so" + " " * 200_000 + '")', "a.) " * 50_000, "so" + " )" * 100_000],
)
def test_no_text_takes_quadratic_time(text: str) -> None:
    started = time.perf_counter()
    assert UNTRAINED.count(text) >= 3
    assert time.perf_counter() - started < 5


def test_nltk_need_not_be_installed() -> None:
    program = (
        "import sys; sys.modules['nltk'] = None\n"
        "from longstream_curator.length import metric; print(metric('nltk-words').count('It is so. It is not.'))"
    )
    folders = [str(Path(__file__).parents[2]), str(Path(__file__).parents[2] / "services" / "curator")]
    told = subprocess.run(
        [sys.executable, "-c", program],
        env={"PYTHONPATH": ":".join(folders)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert told.stdout == "8\n", told.stderr


def test_the_version_tells_which_sentence_model_was_used(tmp_path: Path) -> None:
    folder = tmp_path / PUNKT
    folder.mkdir(parents=True)
    for name in ("abbrev_types.txt", "sent_starters.txt", "collocations.tab", "ortho_context.tab"):
        (folder / name).touch()
    assert UNTRAINED.version == "nltk-words/3.8.1+untrained"
    assert metric("nltk-words", nltk_data=tmp_path).version == "nltk-words/3.8.1+punkt_tab"
