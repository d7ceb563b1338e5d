"""The win rate is what an independent count says, mirrors with the sides, and tells what was lost."""

from __future__ import annotations

import json
import os
import random
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from longstream_judge.comparison import TIE, Comparison, lost
from longstream_judge.intervals import Bootstrap, Interval
from longstream_judge.winrate import Row, win_rate

FEW = Bootstrap(resamples=200)
PREFERENCES = st.floats(0, 1)


def shown(forward: float, swapped: float, slot: float = 0.0) -> Comparison:
    return Comparison(
        preference=0.5 + (forward - (1 - swapped)) / 2,
        forward=forward,
        swapped=swapped,
        slot_effect_logits=slot,
        lost_mass=0.0,
    )


def row(key: int, comparison: Comparison, candidate: int = 10, champion: int = 10) -> Row:
    return Row(
        instruction_id=f"{key:03}",
        comparison=comparison,
        candidate_characters=candidate,
        champion_characters=champion,
    )


def mirrored(item: Row) -> Row:
    old = item.comparison
    flipped = old if old.preference is None else replace(old, preference=1 - old.preference)
    if old.forward is not None and old.swapped is not None:
        flipped = replace(flipped, forward=1 - old.swapped, swapped=1 - old.forward)
    return replace(
        item,
        comparison=flipped,
        candidate_characters=item.champion_characters,
        champion_characters=item.candidate_characters,
    )


ROWS = st.lists(
    st.one_of(
        st.builds(shown, PREFERENCES, PREFERENCES, st.floats(-5, 5)),
        st.just(TIE),
        st.just(lost("judge_invalid_input")),
    ),
    max_size=25,
).flatmap(
    lambda comparisons: st.lists(
        st.tuples(st.integers(0, 99), st.integers(0, 99)),
        min_size=len(comparisons),
        max_size=len(comparisons),
    ).map(lambda lengths: [row(i, c, *n) for i, (c, n) in enumerate(zip(comparisons, lengths, strict=True))])
)


def assert_mirrored(one: Interval | None, other: Interval | None, total: float) -> None:
    assert (one is None) == (other is None)
    if one is not None and other is not None:
        expected = (total - one.mean, total - one.high, total - one.low)
        assert (other.mean, other.low, other.high) == pytest.approx(expected, abs=1e-12)


def test_an_even_count_by_hand() -> None:
    result = win_rate(
        [row(1, shown(0.9, 0.7)), row(2, shown(0.2, 0.4)), row(3, TIE), row(4, shown(0.8, 0.3))]
    )
    assert result.rate is not None
    assert result.rate.mean == pytest.approx((0.8 + 0.3 + 0.5 + 0.55) / 4)
    assert (result.wins, result.ties, result.losses) == (2, 1, 1)
    assert result.flip_rate == pytest.approx(1 / 3)


@given(ROWS, st.randoms(use_true_random=False))
def test_the_order_of_rows_does_not_matter(rows: list[Row], shuffler: random.Random) -> None:
    shuffled = list(rows)
    shuffler.shuffle(shuffled)
    assert win_rate(shuffled, FEW) == win_rate(rows, FEW)


@given(ROWS)
def test_exchanged_sides_mirror_the_result(rows: list[Row]) -> None:
    ours, theirs = win_rate(rows, FEW), win_rate(map(mirrored, rows), FEW)
    assert_mirrored(ours.rate, theirs.rate, 1)
    assert_mirrored(ours.length.longer, theirs.length.shorter, 1)
    assert_mirrored(ours.length.equal, theirs.length.equal, 1)
    assert_mirrored(ours.length.difference, theirs.length.difference, 0)
    assert theirs.slot_effect_logits == ours.slot_effect_logits
    assert theirs.lost == ours.lost
    assert theirs.rows == ours.rows


def test_a_lost_row_is_counted_under_its_reason_and_never_as_a_tie() -> None:
    rows = [
        row(1, shown(0.9, 0.9)),
        row(2, lost("forward_unreadable")),
        row(3, lost("candidate_invalid_input")),
    ]
    result = win_rate(rows)
    assert result.rate is not None
    assert result.rate.mean == pytest.approx(0.9)
    assert (result.rate.n, result.rows) == (1, 1)
    assert result.lost == {"candidate_invalid_input": 1, "forward_unreadable": 1}
    assert result.lost_share == pytest.approx(2 / 3)


def test_without_a_verdict_there_is_no_rate() -> None:
    result = win_rate([row(1, lost("judge_engine_died"))])
    assert (result.rate, result.slot_effect_logits, result.lost_share) == (None, None, 1.0)
    assert win_rate([]).lost_share == 1.0


def test_identical_answers_say_nothing_about_the_slot() -> None:
    result = win_rate([row(1, TIE), row(2, shown(0.9, 0.2, slot=1.5))])
    assert result.slot_effect_logits is not None
    assert (result.slot_effect_logits.mean, result.slot_effect_logits.n) == (1.5, 1)


def test_a_judge_that_prefers_length_shows_in_the_view_by_length() -> None:
    longer = [row(i, shown(0.9, 0.9), candidate=90, champion=30) for i in range(30)]
    shorter = [row(50 + i, shown(0.2, 0.2), candidate=30, champion=90) for i in range(10)]
    view = win_rate([*longer, *shorter]).length
    assert view.longer is not None
    assert view.shorter is not None
    assert view.difference is not None
    assert view.longer.mean == pytest.approx(0.9)
    assert view.shorter.mean == pytest.approx(0.2)
    assert view.difference.mean == pytest.approx((30 * 60 - 10 * 60) / 40)
    assert view.equal is None


def test_published_raw_win_rates_are_reproduced() -> None:
    data = Path(os.environ.get("LONGSTREAM_TEST_DATA", Path(__file__).parents[3] / "shared" / "data"))
    if not (data / "judge").is_dir():
        pytest.skip("the shared data folder is absent: set LONGSTREAM_TEST_DATA")
    published = json.loads((data / "judge" / "alpaca_eval2_published.json").read_text())
    arrays = np.load(data / "judge" / "alpaca_eval2.npz", allow_pickle=False)
    models = [key.removeprefix("y/") for key in arrays.files if key.startswith("y/")]
    assert len(models) >= 10
    for model in models:
        columns = zip(*(arrays[f"{name}/{model}"] for name in ("row", "y", "cand", "base")), strict=True)
        rows = [row(int(i), Comparison(preference=float(y)), int(a), int(b)) for i, y, a, b in columns]
        rate = win_rate(rows, Bootstrap(resamples=1_000)).rate
        assert rate is not None
        assert rate.n == published[model]["n"]
        assert 100 * rate.mean == pytest.approx(published[model]["win_rate"], abs=1e-9)
        # 1.96 standard errors of a mean on either side make its 95 % interval.
        width = 2 * 1.96 * published[model]["standard_error"] / 100
        assert rate.high - rate.low == pytest.approx(width, rel=0.12)
