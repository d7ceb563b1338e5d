"""Bits per byte by hand, paired by document, every byte alike."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from longstream_judge.heldout import HeldoutRow, bits_per_byte, heldout_change
from longstream_judge.intervals import Bootstrap

FEW = Bootstrap(resamples=200)
ROWS = st.lists(
    st.tuples(st.integers(1, 10**6), st.floats(-1e6, -1e-3), st.floats(-1e6, -1e-3)), min_size=1, max_size=20
).map(lambda rows: [scored(i, *row) for i, row in enumerate(rows)])


def scored(key: int, document_bytes: int, candidate: float, champion: float) -> HeldoutRow:
    return HeldoutRow(
        document_id=f"{key:03}",
        document_bytes=document_bytes,
        candidate_nats=candidate,
        champion_nats=champion,
    )


def test_a_fair_coin_for_every_bit_of_a_byte_is_eight_bits_per_byte() -> None:
    assert bits_per_byte(-math.log(256) * 10, 10) == pytest.approx(8.0)


def test_a_certain_text_costs_nothing() -> None:
    assert bits_per_byte(0.0, 10) == 0.0


def test_a_text_of_no_bytes_is_refused() -> None:
    with pytest.raises(ValueError, match="no bytes"):
        bits_per_byte(-1.0, 0)


def test_the_change_is_the_difference_of_both_models_figures() -> None:
    change = heldout_change([scored(1, 100, -100, -150), scored(2, 300, -400, -420)], FEW, lost=2)
    assert change is not None
    assert change.candidate == pytest.approx(500 / math.log(2) / 400)
    assert change.champion == pytest.approx(570 / math.log(2) / 400)
    assert change.change.mean == pytest.approx(change.candidate - change.champion)
    assert change.lost_share == 0.5


@given(ROWS)
def test_exchanged_models_mirror_the_change(rows: list[HeldoutRow]) -> None:
    exchanged = [scored(i, r.document_bytes, r.champion_nats, r.candidate_nats) for i, r in enumerate(rows)]
    ours, theirs = heldout_change(rows, FEW), heldout_change(exchanged, FEW)
    assert ours is not None
    assert theirs is not None
    assert (theirs.change.mean, theirs.change.low) == (-ours.change.mean, -ours.change.high)
    assert (theirs.candidate, theirs.champion) == (ours.champion, ours.candidate)


@given(ROWS)
def test_the_order_of_documents_does_not_matter(rows: list[HeldoutRow]) -> None:
    assert heldout_change(rows[::-1], FEW) == heldout_change(rows, FEW)


def test_without_documents_there_is_no_change() -> None:
    assert heldout_change([]) is None
