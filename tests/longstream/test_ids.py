"""Ids are the same everywhere and never shared by different parts."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from longstream.ids import digest

parts = st.lists(st.one_of(st.text(), st.binary(), st.integers()), max_size=4)


def test_an_id_is_the_same_on_every_machine_and_in_every_release() -> None:
    assert digest("document-1", 7, b"\x00") == "9010ca1c5afd47a168671eebdd2a3fc9"
    assert digest() == "e3b0c44298fc1c149afbf4c8996fb924"


@given(parts, parts)
def test_different_parts_have_different_ids(
    left: list[str | bytes | int], right: list[str | bytes | int]
) -> None:
    same = [(type(part), part) for part in left] == [(type(part), part) for part in right]
    assert (digest(*left) == digest(*right)) == same


@given(st.text(min_size=1), st.text(min_size=1))
def test_moving_the_border_between_two_parts_changes_the_id(first: str, second: str) -> None:
    assert digest(first, second) != digest(first + second)
    assert digest(first, second) != digest(first + second[0], second[1:])


def test_a_number_its_text_and_its_bytes_are_three_things() -> None:
    assert len({digest(1), digest("1"), digest(b"1")}) == 3


@pytest.mark.parametrize("part", [1.5, None, True, ["a"]])
def test_a_part_of_another_type_is_refused(part: object) -> None:
    with pytest.raises(TypeError, match="made of str, bytes and int"):
        digest(part)  # type: ignore[arg-type]
