"""Sentences end where NLTK 3.8.1's Punkt lets them end, with learnt parameters and without."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from longstream.errors import InvalidInput, NotFound
from longstream_curator.length import metric
from longstream_curator.punkt import PUNKT, Parameters, Punkt, read_punkt
from tests.support.nltk_reference import NASTY, PIECES, sentence_tokenizer

LEARNT = Parameters(
    abbreviations=frozenset({"dr", "etc", "e.g", "u.s", "a.b", "st"}),
    starters=frozenset({"the", "according"}),
    collocations=frozenset({("st", "john"), ("##number##", "the"), ("j", "bach")}),
    contexts={"the": 126, "word": 40, "bach": 4, "so": 110, "a": 32, "end": 16, "mr": 14, "x": 96},
)
WORDS = st.sampled_from(
    [
        "Dr. ",
        "etc. ",
        "St. John",
        "So ",
        "so ",
        "end ",
        "End ",
        "According ",
        "12. the ",
        "x ",
        "X. ",
        "Bach ",
        "-",
    ]
)
KNOWN = st.lists(st.one_of(PIECES, WORDS), max_size=30).map("".join)


@settings(max_examples=1_000)
@example("'so. \u205f)")
@given(NASTY)
def test_untrained_sentences_are_those_of_nltk(text: str) -> None:
    nothing = Parameters()
    assert list(Punkt(nothing).sentences(text)) == sentence_tokenizer(nothing).tokenize(text)


@settings(max_examples=1_000)
@given(KNOWN)
def test_trained_sentences_are_those_of_nltk(text: str) -> None:
    assert list(Punkt(LEARNT).sentences(text)) == sentence_tokenizer(LEARNT).tokenize(text)


@settings(max_examples=500)
@given(st.one_of(PIECES, WORDS), st.one_of(PIECES, WORDS))
def test_a_stop_that_always_ends_a_sentence_does_so_whatever_follows(word: str, following: str) -> None:
    punkt, words = Punkt(LEARNT), word.split()
    if words and following.strip() and words[-1].endswith("."):
        text = f"{words[-1]} {following.strip()}"
        ends = punkt.breaks(text, 0, len(words[-1]))
        assert ends or not punkt.always_ends(words[-1])


def test_learnt_parameters_change_where_sentences_end(punkt_data: Path) -> None:
    text = "He met Dr. Brown"
    assert metric("nltk-words", nltk_data=punkt_data).count(text) == 4
    assert metric("nltk-words").count(text) == 5


def test_parameters_are_read_as_they_stand(punkt_data: Path) -> None:
    assert read_punkt(punkt_data / PUNKT) == Parameters(
        abbreviations=frozenset({"dr"}),
        starters=frozenset({"according"}),
        collocations=frozenset({("st", "john")}),
        contexts={"the": 126, "word": 40},
    )


def test_a_folder_without_punkt_is_refused(tmp_path: Path) -> None:
    with pytest.raises(NotFound):
        metric("nltk-words", nltk_data=tmp_path)


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("ortho_context.tab", b"word\tmany\n"),
        ("collocations.tab", b"one\n"),
        ("sent_starters.txt", b"\xff\n"),
    ],
)
def test_malformed_parameters_are_refused(punkt_data: Path, file: str, content: bytes) -> None:
    (punkt_data / PUNKT / file).write_bytes(content)
    with pytest.raises(InvalidInput, match=file):
        metric("nltk-words", nltk_data=punkt_data)


def test_a_missing_parameter_file_is_refused(punkt_data: Path) -> None:
    (punkt_data / PUNKT / "abbrev_types.txt").unlink()
    with pytest.raises(InvalidInput, match=r"abbrev_types\.txt"):
        metric("nltk-words", nltk_data=punkt_data)


@pytest.fixture
def punkt_data(tmp_path: Path) -> Path:
    """Parameters small enough to read: one abbreviation, one sentence starter."""
    folder = tmp_path / PUNKT
    folder.mkdir(parents=True)
    (folder / "abbrev_types.txt").write_text("dr\n")
    (folder / "sent_starters.txt").write_text("according\n")
    (folder / "collocations.tab").write_text("st\tjohn\n")
    (folder / "ortho_context.tab").write_text("the\t126\nword\t40\n")
    return tmp_path
