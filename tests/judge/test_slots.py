"""What the place does is told with its sign, from one order or from both."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from longstream_judge.lengthcontrol import Reckoning
from longstream_judge.scorecard import scorecard
from longstream_judge.slots import Slots, slots
from longstream_judge.suspicions import REFUSING, flags
from tests.judge.conftest import Board
from tests.judge.test_lengthcontrol import made


def test_the_known_gaps_of_a_judge_that_saw_one_order(board: Board) -> None:
    for model, gap, error in (("claude-2", -16.0, 2.3), ("alpaca-7b", -2.9, 1.0), ("NullModel", -17.5, 1.7)):
        found = slots(board.run(model))
        assert found.gap is not None
        assert found.gap_error is not None
        assert (round(100 * found.gap, 1), round(100 * found.gap_error, 1)) == (gap, error)
        assert found.flip_rate is None


@given(st.floats(-3, 3), st.floats(-3, 3))
def test_an_effect_that_is_put_in_is_found(slot: float, quality: float) -> None:
    run = made(1)
    forward = np.full(60, 1 / (1 + np.exp(-(quality + slot))))
    swapped = np.full(60, 1 / (1 + np.exp(-(quality - slot))))
    found = slots(replace(run, forward=forward, swapped=swapped))
    assert found.effect_logits is not None
    assert found.effect_logits.mean == pytest.approx(slot, abs=1e-6)
    if abs(abs(slot) - abs(quality)) > 1e-9:
        assert found.flip_rate == float(abs(slot) > abs(quality))


def test_pairs_that_were_not_shown_say_nothing() -> None:
    nothing = np.full(60, np.nan)
    assert slots(replace(made(1), forward=nothing, swapped=nothing)) == Slots()
    assert slots(made(1)) == Slots()
    assert slots(replace(made(1), shown_first=np.ones(60))) == Slots()


def test_flags_say_what_was_seen(board: Board) -> None:
    run = made(1)
    forward, swapped = np.full(60, 0.9), np.full(60, 0.2)
    odd = replace(run, forward=forward, swapped=swapped, lost={"judge_too_large": 20})
    card = scorecard(odd, Reckoning(resamples=0))
    assert set(card.flags) == {"slot_gap", "flips", "lost_rows"}
    assert "+70.0 points" in card.flags["slot_gap"]
    assert card.flags["lost_rows"] == "20 rows have no verdict: judge_too_large 20"
    assert not REFUSING & set(card.flags)
    far = scorecard(board.run("claude-2"), Reckoning(controls=board.controls, resamples=0))
    assert "length_far_from_raw" not in far.flags  # 11 points, but less than a quarter of the way up
    moved = replace(far.controlled, rate=0.5, left_out=3)
    found = flags(board.run("claude-2"), 0.1719, moved, Slots())
    assert found["length_far_from_raw"] == "length moves the win rate from 17.2 to 50.0 %"
    assert found["missing_difficulty"].startswith("3 instructions")
