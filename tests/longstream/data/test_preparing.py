"""Texts are tidied, chosen from and looked at, and whatever is left out says why."""

from __future__ import annotations

import random
import unicodedata
from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from longstream.data import Document, Item, Pair, Rejected
from longstream.data.preparing import PAPER_PARAGRAPHS, Preparation, first_paragraphs, prepared, tidied
from longstream.errors import InvalidInput

PROSE = "A mill stood by the river. It ground corn for the whole valley, in summer and in winter."
ARTICLE = (
    f"Mill\n\n{PROSE}\n\nIn 1900 it burned down.\nNobody built it up again.\n\nSee also\n\nThe end came soon."
)


def document(text: str, source: str = "s", index: int | None = None) -> Document:
    return Document(text=text, source=source, source_index=index)


def done(items: list[Item], **wishes: Any) -> list[Item]:
    return list(prepared(items, Preparation(**wishes)))


def texts(items: list[Item]) -> list[str]:
    return [item.text for item in items if isinstance(item, Document)]


def test_as_it_stands_nothing_is_done() -> None:
    items: list[Item] = [document(" a\r\n"), Pair(instruction="i", response=" r", source="s")]
    assert done(items) == items


def test_tidying_takes_away_what_is_no_text() -> None:
    text = "\ufeffCafe\u0301 \u00adau\u200b lait\r\nis\x00 good.  \n\n\n\nVery."
    assert tidied(text) == "Café au lait\nis good.\n\nVery."


def test_headers_and_footers_of_pages_go_and_their_text_stays() -> None:
    pages = [f"LS(1)  User Commands  LS(1)\n\nText of page {n}.\n\nGNU  May 2024  {n}" for n in range(1, 5)]
    assert tidied("\f".join(pages)) == "\n\n".join(f"Text of page {n}." for n in range(1, 5))


def test_a_line_that_only_some_pages_begin_with_stays() -> None:
    pages = ["Note\nOne is here.", "Two is here.", "Three is here.", "Four is here."]
    assert "Note" in tidied("\f".join(pages))


def test_navigation_goes_at_the_ends_and_stays_inside() -> None:
    body = "\n".join(f"Line {n} of the text." for n in range(30))
    inside = (
        f"Home\nSkip to content\n\n{body}\nHome\n{body}\n\nShare this\n© 2020 Somebody. All rights reserved."
    )
    assert tidied(inside) == f"{body}\nHome\n{body}"


def test_a_text_of_nothing_but_navigation_is_tidied_in_one_go() -> None:
    assert tidied("Home\n" * 300_000) == ""
    assert tidied("Home\n" * 300_000 + PROSE + "\nTop" * 300_000) == PROSE


@given(st.text(alphabet="aé\u0301 \n\f\r\x00\u200bHome1.", max_size=80))
def test_tidying_twice_is_tidying_once(text: str) -> None:
    once = tidied(text)
    assert tidied(once) == once
    assert unicodedata.is_normalized("NFC", once)
    assert not set(once) & set("\r\f\x00\u200b")


def test_the_first_paragraphs_are_those_that_say_something_and_stand_whole() -> None:
    assert first_paragraphs(ARTICLE, 1) == PROSE
    assert first_paragraphs(ARTICLE, 2) == f"{PROSE}\n\nIn 1900 it burned down.\nNobody built it up again."
    assert first_paragraphs(ARTICLE, 9).endswith("The end came soon.")
    assert "See also" not in first_paragraphs(ARTICLE, 9)


@given(st.lists(st.sampled_from([PROSE, "Heading", "It is so.", ""]), max_size=8), st.integers(1, 4))
def test_what_is_kept_is_whole_paragraphs_of_the_text(parts: list[str], number: int) -> None:
    kept = first_paragraphs("\n\n".join(parts), number)
    assert all(part in parts for part in kept.split("\n\n") if part)
    assert len(list(filter(None, kept.split("\n\n")))) <= number


def test_three_in_four_articles_give_one_paragraph_as_the_paper_says() -> None:
    items: list[Item] = [document(f"{ARTICLE} {n}") for n in range(4_000)]
    taken = Counter(text.count("\n\n") + 1 for text in texts(done(items, paragraphs=PAPER_PARAGRAPHS)))
    assert set(taken) == {1, 2}
    assert abs(taken[1] / 4_000 - 0.75) < 0.02
    again = texts(done(items[::-1], paragraphs=PAPER_PARAGRAPHS))
    assert again[::-1] == texts(done(items, paragraphs=PAPER_PARAGRAPHS))
    assert texts(done(items, paragraphs=PAPER_PARAGRAPHS, seed=1)) != again[::-1]


def test_what_is_left_out_says_why_and_keeps_its_place() -> None:
    items: list[Item] = [
        document("Too short.", index=0),
        document("word " * 50, index=1),
        document("Das ist ein deutscher Text über eine Mühle am Fluss.", index=2),
        document("Home", index=3),
        Rejected(source_index=4, reason="malformed", message="m"),
        document(PROSE, index=5),
    ]
    found = done(items, tidy=True, min_words=3, max_words=40, languages=("en",))
    left = [(item.source_index, item.reason) for item in found if isinstance(item, Rejected)]
    assert left == [(0, "too_short"), (1, "too_long"), (2, "other_language"), (3, "empty"), (4, "malformed")]
    assert texts(found) == [PROSE]


def test_of_a_pair_the_response_is_looked_at_and_its_paragraphs_stay() -> None:
    pair = Pair(instruction="Why?\r\n", response=f"{PROSE}\r\n\r\n{PROSE}", source="s")
    (found,) = done([pair], tidy=True, paragraphs={1: 1.0}, min_words=5)
    assert isinstance(found, Pair)
    assert (found.instruction, found.response) == ("Why?\r\n", f"{PROSE}\n\n{PROSE}")
    assert isinstance(done([pair], min_words=500)[0], Rejected)


@given(st.integers(0, 9), st.randoms(use_true_random=False))
def test_at_most_so_many_of_each_source_are_drawn_whatever_the_order(most: int, draw: random.Random) -> None:
    items: list[Item] = [document(f"text {n}", source=f"site {n % 3}", index=n) for n in range(40)]
    turned = draw.sample(items, len(items))
    first, second = done(items, most=most), done(turned, most=most)
    counts = Counter(item.source for item in first if isinstance(item, Document))
    assert all(count == min(most or 40, 40) or count in {13, 14} for count in counts.values())
    assert sorted(texts(first)) == sorted(texts(second))
    assert texts(second) == [
        one.text for one in turned if isinstance(one, Document) and one.text in texts(first)
    ]
    if most:
        assert sum(isinstance(item, Rejected) for item in first) == 40 - len(texts(first))


@pytest.mark.parametrize(
    "wishes", [{"paragraphs": {0: 1.0}}, {"paragraphs": {1: -1.0}}, {"paragraphs": {1: 0.0}}, {"most": -1}]
)
def test_what_cannot_be_meant_is_refused(wishes: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput):
        Preparation(**wishes)
