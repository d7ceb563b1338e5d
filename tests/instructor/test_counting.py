"""Sentences and words are counted as readers would, or the count says that it is not sure."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from longstream_instructor.counting import Sentences, sentences, words

SURE = {
    "One sentence.": 1,
    "Dr. Smith met Mrs. Jones. They spoke for an hour.": 2,
    "It costs 3.50 euros, e.g. at www.shop.example.com. Buy it!": 2,
    "J. R. R. Tolkien wrote it. Read it.": 2,
    "Really? Yes! Good.": 3,
    "“Stop!” he said. She did not.": 2,
    "(He left.) She stayed.": 2,
    "Wait... no. It was nothing.": 2,
    "Er kam z.B. am Montag. Danach ging er, d.h. er lief.": 2,
    "Llegó el Sr. García. ¿Qué quería? ¡Nada!": 3,
    "M. Dupont est parti. Pourquoi ?": 2,
    "Он пришёл, т.е. вернулся. А потом ушёл.": 2,
    "これは文です。これも文です。本当？": 3,
    "他来了。她走了！": 2,
    "First paragraph here.\n\nSecond one. It has two.": 3,
    "A line\nthat was broken. Another\none.": 2,
}
UNSURE = [
    "Hello world",
    "# Heading\n\nText follows here.",
    "Buy:\n\n- milk\n- bread",
    "1. First do this.\n2. Then do that.",
    "Run this:\n\n    make install\n\nThen stop.",
    "```\ncode()\n```",
    "He bought apples, pears, etc. Then he left.",
    "It was in 1999. Nobody knew.",
    "Am 3. Mai kam er.",
    "And then… Nothing happened.",
    "a | b\n|---|\n| c. |",
]


@pytest.mark.parametrize("text", SURE)
def test_plain_prose_is_counted_and_sure(text: str) -> None:
    assert sentences(text) == Sentences(SURE[text], sure=True)


@pytest.mark.parametrize("text", UNSURE)
def test_where_readers_would_not_agree_it_is_not_sure(text: str) -> None:
    assert not sentences(text).sure


@pytest.mark.parametrize("text", ["", " \n", "...", "?! - *"])
def test_what_says_nothing_has_no_sentence(text: str) -> None:
    assert sentences(text).number == 0


@given(st.text(max_size=300))
def test_any_text_is_counted_and_never_more_than_its_marks_and_paragraphs(text: str) -> None:
    counted = sentences(text)
    marks = len(re.findall("[.!?\u2026\u3002\uff01\uff1f]", text))
    assert 0 <= counted.number <= marks + len(re.split(r"\n\s*\n", text))


@given(st.lists(st.sampled_from(["The dog barks.", "Who came?", "Nothing helps!"]), min_size=1, max_size=30))
def test_as_many_as_were_put_together_are_found(parts: list[str]) -> None:
    assert sentences(" ".join(parts)) == Sentences(len(parts), sure=True)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Two words", 2),
        ("A well-known fact - nothing more.", 5),
        ("It's 3.5 km", 3),
        ("*** ---", 0),
        ("", 0),
        ("Ein schönes Haus", 3),
        ("これは文です", None),
        ("他来了", None),
    ],
)
def test_words_stand_between_spaces_and_hold_a_letter_or_digit(text: str, expected: int | None) -> None:
    assert words(text) == expected


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("A bird sang. " * 150_000, 150_000),
        ("\n" * 500_000, 0),
        ("(" * 300_000, 0),
        ("word. " * 200_000, None),
        ("! " * 300_000, None),
    ],
)
def test_a_text_of_megabytes_is_counted_before_a_test_times_out(text: str, number: int | None) -> None:
    """In time that grows with its square these would take hours."""
    counted = sentences(text).number
    assert number in (None, counted)
    assert counted <= 300_000
