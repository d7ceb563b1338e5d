"""Paging: every item once, also where the list changes between two pages."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from longstream.errors import InvalidInput
from longstream.paging import DEFAULT_PAGE, MAX_PAGE, page

ITEMS = st.lists(st.text(max_size=5), unique=True, max_size=30)


def identity(item: str) -> str:
    return item


def paged(items: list[str], size: int, token: str = "") -> tuple[list[str], str]:
    return page(items, identity, listing="letters", size=size, token=token)


def all_pages(items: list[str], size: int) -> list[list[str]]:
    pages, token = [], ""
    while True:
        chosen, token = paged(items, size, token)
        pages.append(chosen)
        if not token:
            return pages


@given(ITEMS, st.integers(1, 10))
def test_the_pages_together_are_the_list(items: list[str], size: int) -> None:
    pages = all_pages(items, size)
    assert [item for chosen in pages for item in chosen] == items
    assert all(len(chosen) == size for chosen in pages[:-1])
    assert items == [] or pages[-1] != []


@given(ITEMS, st.text(alphabet="z", min_size=6, max_size=8), st.integers(1, 5))
def test_an_item_that_comes_in_front_neither_repeats_nor_hides_another(
    items: list[str], new: str, size: int
) -> None:
    first, token = paged(items, size)
    if token:
        second, _ = paged([new, *items], size, token)
        assert second == items[size : 2 * size]
        assert not set(first) & set(second)


@given(st.lists(st.text(max_size=5), unique=True, min_size=3, max_size=30), st.integers(1, 2))
def test_an_item_that_goes_hides_no_other(items: list[str], size: int) -> None:
    first, token = paged(items, size)
    for gone in first:
        rest = [item for item in items if item != gone]
        assert paged(rest, size, token)[0] == items[size : 2 * size]


def test_a_page_has_a_hundred_items_unless_told_and_a_thousand_at_most() -> None:
    items = [str(n) for n in range(1_500)]
    assert len(paged(items, 0)[0]) == DEFAULT_PAGE == 100
    assert len(paged(items, 5_000)[0]) == MAX_PAGE == 1_000


def test_the_last_page_has_no_token_even_if_it_is_full() -> None:
    assert paged(["a", "b"], 2) == (["a", "b"], "")
    assert paged([], 2) == ([], "")


def test_what_is_left_of_a_list_that_has_shrunk_is_told() -> None:
    _, token = paged(["a", "b", "c"], 2)
    assert paged([], 2, token) == ([], "")


@given(st.text() | st.binary().map(lambda raw: base64.urlsafe_b64encode(raw).decode()))
def test_a_token_that_nobody_gave_out_is_refused(token: str) -> None:
    if token:
        with pytest.raises(InvalidInput, match="start again") as raised:
            paged(["a", "b"], 1, token)
        assert raised.value.field == "page_token"


def test_a_token_of_another_list_is_refused() -> None:
    _, token = page(["a", "b"], identity, listing="other", size=1, token="")
    with pytest.raises(InvalidInput):
        paged(["a", "b"], 1, token)
