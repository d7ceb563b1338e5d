"""The paper's metric equals NLTK's word_tokenize, and its bound is never below it."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from nltk.tokenize.destructive import NLTKWordTokenizer
from nltk.tokenize.punkt import PunktSentenceTokenizer

from longstream.errors import InvalidInput, NotFound
from longstream_curator.length import metric
from longstream_curator.nltk_words import MAX_KNOWN_LETTERS, MAX_KNOWN_WORDS, NltkWords, bound
from longstream_curator.punkt import PUNKT, read_punkt

UNTRAINED = NltkWords(None)
# What the tokenizer's rules look at: marks, spaces of all kinds, stops, clitics, contractions, abbreviations.
MARKS = [*"`:,;@#$%&?!*[](){}<>\"'.-_/=~0aAé«»“”’„…—\u2018"]
SPACES = [*" \n\t\x1c\x85\u00a0\u1680\u2003\u2028\u205f\u3000", "\r\n"]
DOUBLES = [
    *["..", "...", "--", "''", "``", "end.", "no.)", 'so."', "x.”", "a.b", "3.14", "3,000", "etc."],
    ". ",
    "? ",
    "12. ",
    "Mr. ",
    "A. ",
]
CLITICS = [
    *["n't", "'S", "'ve", "'t", "'twas", "'tis"],
    "N'T ",
    "'s ",
    "'ll ",
    "'LL ",
    "'re ",
    "'m ",
    "'d ",
    " 'tis ",
]
SPLIT = [*["cannot", "gimme", "GOTTA", "lemme", "more'n", "d'ye", "gİmme"], "Gonna ", "wanna ", " 't\u0130s"]
PIECES = st.sampled_from([*MARKS, *SPACES, *DOUBLES, *CLITICS, *SPLIT, "word ", "Word ", "e.g. ", "U.S. "])
NASTY = st.lists(PIECES, max_size=40).map("".join)


def by_nltk(text: str) -> int:
    """What `nltk.word_tokenize` of 3.8.1 does, with an untrained sentence splitter."""
    sentences = PunktSentenceTokenizer(read_punkt(None)).tokenize(text)
    return sum(len(NLTKWordTokenizer().tokenize(sentence)) for sentence in sentences)


@settings(max_examples=1_000)
@example("``''\"x\"")
@example("g\u0130mme. 'Tis")
@given(NASTY)
def test_the_bound_is_never_below_the_count(text: str) -> None:
    assert bound(text) >= UNTRAINED.count(text)


@settings(max_examples=300)
@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=300))
def test_the_bound_holds_for_any_text(text: str) -> None:
    assert bound(text) >= UNTRAINED.count(text)


@settings(max_examples=1_000)
@given(NASTY)
def test_counts_are_those_of_nltk(text: str) -> None:
    assert UNTRAINED.count(text) == by_nltk(text)


@settings(max_examples=300)
@given(st.lists(st.tuples(PIECES, st.text(" \n\t\u00a0", max_size=14)), max_size=8))
def test_shortening_long_white_space_changes_no_count(parts: list[tuple[str, str]]) -> None:
    text = "".join(piece + space for piece, space in parts)
    assert UNTRAINED.count(text) == by_nltk(text)


def test_what_is_remembered_of_a_stream_is_bounded() -> None:
    words = NltkWords(None)
    words.count(" ".join(f"w{number}x" for number in range(MAX_KNOWN_WORDS + 10)) + " x" * 100 + " y")
    words.count("long" * 100 + " and " + "longer" * 100 + ".")
    assert len(words._inner) <= MAX_KNOWN_WORDS
    assert max(map(len, words._inner)) <= MAX_KNOWN_LETTERS


def test_a_long_run_of_spaces_does_not_take_quadratic_time() -> None:
    started = time.perf_counter()
    assert UNTRAINED.count("A." + " " * 200_000 + "and so on") == 4
    assert time.perf_counter() - started < 5


def test_the_bound_is_close_enough_to_spare_most_counts() -> None:
    text = "Mr. Brown can't come, he said; \"we'll see.\" It costs $3.50 (or less), e.g. on Monday... " * 20
    assert bound(text) <= 1.25 * UNTRAINED.count(text)


def test_the_version_tells_which_sentence_model_was_used(punkt_data: Path) -> None:
    assert UNTRAINED.version == "nltk-words/3.8.1+untrained"
    assert metric("nltk-words", nltk_data=punkt_data).version == "nltk-words/3.8.1+punkt_tab"


def test_learnt_parameters_change_where_sentences_end(punkt_data: Path) -> None:
    text = "He met Dr. Brown"
    assert metric("nltk-words", nltk_data=punkt_data).count(text) == 4
    assert UNTRAINED.count(text) == 5


def test_unknown_words_do_not_pile_up_in_memory(punkt_data: Path) -> None:
    parameters = read_punkt(punkt_data / PUNKT)
    before = len(parameters.ortho_context)
    PunktSentenceTokenizer(parameters).tokenize("Dr. Xqzt went. Blorf. 1. Zzyx")
    assert len(parameters.ortho_context) == before


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
