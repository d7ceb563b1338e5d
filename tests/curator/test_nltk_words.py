"""The paper's metric equals NLTK's word_tokenize, and its bounds are never below it."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from longstream_curator.compiled.word_scan import TOLD_AT_ONCE
from longstream_curator.length import metric
from longstream_curator.nltk_words import NltkWords
from longstream_curator.plain_words import MAX_KNOWN, MAX_KNOWN_LENGTH, PlainWords
from longstream_curator.punkt import PUNKT, Parameters, Punkt
from longstream_curator.treebank import count_words
from longstream_curator.word_bounds import rough_bounds
from tests.curator.test_punkt import KNOWN, LEARNT
from tests.support import nltk_reference
from tests.support.nltk_reference import NASTY, PIECES

UNTRAINED = NltkWords(None)
ODD = st.sampled_from(
    [
        *(
            "caf\u00e9. ",
            "mot\u00a0? ",
            "\u00ab\u00a0mot\u00a0\u00bb ",
            "don't ",
            "it's\n",
            "dogs' ",
            "'em ",
            "\u2019s ",
            "\u201cSo.\u201d ",
        ),
        *(
            '"Yes." ',
            "(p. 3) ",
            "2. 5",
            "**bold.** ",
            "**1. X",
            "::",
            "a,,b ",
            "a,5 ",
            "a:\u096a ",
            ",\u06f55 ",
            "10:30 ",
            ": 5",
            "--",
            "No.:5 ",
        ),
        *(
            *("it's, ", "they'LL ", "we've\n", "n't ", "ain't; ", "gonna's ", "o'er "),
            *("`x` ", "``x", "`x`.\n", "x\u00b2. ", "\u2014so ", "\u4f60\u597d, ", "g\u0130mme ", "1.\nA"),
            "A. B",
            "cannot. ",
            "wanna\n",
            "gonna ",
            "\U0001f600 ",
            "$5. ",
            "etc.) ",
            "end.\n) ",
            "end. ) ",
            '.\n""" ',
            "`x`. ",
        ),
        *('..." ', "!' ", "?', ", "\n\n", "\r\n"),
    ]
)
ANY = st.text(st.characters(exclude_categories=["Cs"]), max_size=300)


def with_parameters(parameters: Parameters) -> NltkWords:
    """The metric with these, which no folder holds."""
    words = NltkWords(None)
    words._punkt = Punkt(parameters)
    words._plain = PlainWords(words._punkt)
    return words


by_nltk = nltk_reference.counter(Parameters())
by_nltk_learnt = nltk_reference.counter(LEARNT)
LEARNED = with_parameters(LEARNT)


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
    assert UNTRAINED.count(text) == UNTRAINED.count_by_rules(text) == by_nltk(text)


@settings(max_examples=300)
@given(st.lists(st.tuples(PIECES, st.text(" \n\t\u00a0", max_size=14)), max_size=8))
def test_long_white_space_counts_as_with_nltk(parts: list[tuple[str, str]]) -> None:
    text = "".join(piece + space for piece, space in parts)
    assert UNTRAINED.count(text) == by_nltk(text)


@settings(max_examples=1_000)
@example("e.g.\x1cna\u00efve `")
@example("?\"\x1c'twas\r\n`")
@example("e.g. \" 'tis ")
@example('caf\u00e9.\n"""\x1c`')
@example("e.g. \n\u00bb")
@example(".'SJ. Bach ")
@example("? \x1c'twas `")
@example("'twasn't")
@example(":\u09e6 6")
@example('end.\n) And so. "Yes."')
@given(st.one_of(KNOWN, st.lists(st.one_of(PIECES, ODD), max_size=30).map("".join)))
def test_counts_with_learnt_parameters_are_those_of_nltk(text: str) -> None:
    assert LEARNED.count(text) == LEARNED.count_by_rules(text) == by_nltk_learnt(text)


@settings(max_examples=1_000)
@example("``''\"x\"")
@example("g\u0130mme. 'Tis")
@example("cannot CANNOT gonna gotta gimme")
@given(st.one_of(NASTY, ANY))
def test_no_bound_is_below_the_count(text: str) -> None:
    count = UNTRAINED.count(text)
    assert rough_bounds([text]).lower[0] <= count
    assert rough_bounds([text]).upper[0] >= count == UNTRAINED.measured([text], count)[0]
    assert count <= UNTRAINED.measured([text], count + 1)[0]


@settings(max_examples=200)
@given(st.lists(NASTY, max_size=12))
def test_a_text_has_the_bound_that_it_has_alone(texts: list[str]) -> None:
    for together, alone in zip(
        rough_bounds([*texts, "long " * 60_000, *texts]),
        zip(*(rough_bounds([text]) for text in texts), strict=True),
        strict=False,
    ):
        assert together.tolist()[: len(texts)] == [int(one[0]) for one in alone]
        assert together.tolist()[len(texts) + 1 :] == together.tolist()[: len(texts)]


def test_the_bounds_are_close_enough_to_spare_most_counts() -> None:
    text = "Mr. Brown can't come, he said; \"we'll see.\" It costs $3.50 (or less), e.g. on Monday... " * 20
    count = UNTRAINED.count(text)
    lower, upper = rough_bounds([text])
    assert 0.6 * count <= lower[0] <= count <= upper[0] <= 1.6 * count


@pytest.mark.parametrize(
    "part",
    [
        "it's 'tis,, ",
        "e.g. 1. 2. A.) No. x\u00b2. ",
        "so.) and'. " * 3,
        f"{'x' * TOLD_AT_ONCE} ",
        f"{'x.' * TOLD_AT_ONCE} so. ",
    ],
)
def test_more_is_told_of_a_text_than_there_is_room_for_at_once(part: str) -> None:
    text = part * (2 * TOLD_AT_ONCE // len(part.split())) + "and so on"
    assert UNTRAINED.count(text) == UNTRAINED.count_by_rules(text)


def test_loops_are_compiled_where_nothing_can_be_kept() -> None:
    """No folder for a cache: Numba then refuses to keep what it compiles."""
    program = (
        "from unittest.mock import patch\n"
        "from numba.core import caching\n"
        "with patch.object(caching.CacheImpl, '_locator_classes', []):\n"
        "    from longstream_curator.length import metric\n"
        "    print(metric('nltk-words').count('It is so. It is not.'))"
    )
    assert printed(program) == "8"


def test_few_real_answers_are_left_to_the_rules(test_data: Path) -> None:
    answers = [
        record["output"] for record in json.loads((test_data / "alpaca" / "random_9k.json").read_bytes())
    ]
    plain = PlainWords(Punkt(Parameters()))
    assert sum(plain.count(answer) is None for answer in answers) < 0.01 * len(answers)


def test_what_is_remembered_of_a_stream_is_bounded() -> None:
    plain = PlainWords(Punkt(Parameters()))
    plain.count(" ".join(f"w{number}x." for number in range(MAX_KNOWN + 10)) + " x" * 100 + " y")
    plain.count("long" * 100 + "''s and 'tis " + "longer" * 100 + ". So")
    for known in (plain._stopped, plain._odd):
        assert 0 < len(known) <= MAX_KNOWN
        assert max(map(len, known)) <= MAX_KNOWN_LENGTH


@pytest.mark.parametrize(
    "text",
    [
        "A." + " " * 200_000 + "and so on",
        "so" + " " * 200_000 + '")',
        "a.) " * 50_000,
        "so" + " )" * 100_000,
        "a.'" * 60_000 + " b c",
        "\u00e9" + ".)" * 100_000 + " b c",
    ],
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
    assert printed(program) == "8"


def printed(program: str) -> str:
    """What a program of its own prints."""
    folders = [str(Path(__file__).parents[2]), str(Path(__file__).parents[2] / "services" / "curator")]
    told = subprocess.run(
        [sys.executable, "-c", program],
        env={"PYTHONPATH": ":".join(folders)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert told.returncode == 0, told.stderr
    return told.stdout.strip()


def test_the_version_tells_which_sentence_model_was_used(tmp_path: Path) -> None:
    folder = tmp_path / PUNKT
    folder.mkdir(parents=True)
    for name in ("abbrev_types.txt", "sent_starters.txt", "collocations.tab", "ortho_context.tab"):
        (folder / name).touch()
    assert UNTRAINED.version == "nltk-words/3.8.1+untrained"
    assert metric("nltk-words", nltk_data=tmp_path).version == "nltk-words/3.8.1+punkt_tab"
