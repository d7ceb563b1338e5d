"""What the judge's gauges say of evaluations and champions: the log's facts, also after a restart."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.arena import Arena, Ruled
from tests.support.house import opened, soon

NATS = {"a": -5.0, "poor": -7.0}


def test_gauges_are_those_of_the_latest_evaluation_and_a_new_process_shows_them_too(tmp_path: Path) -> None:
    with opened(Arena(tmp_path, Ruled(NATS))) as arena:
        assert arena.house.shown("pipeline_champion_timestamp_seconds", pipeline="p") is None
        arena.decided("a")
        promotion, evaluation = arena.decided("poor"), arena.evaluation("poor")
        before = arena.house.shown("judge_win_rate_ratio", pipeline="p", bound="mean")
    with opened(Arena(tmp_path, Ruled(NATS))) as arena:
        house = arena.house
        soon(lambda: house.shown("pipeline_promotions", pipeline="p"))
        assert (
            house.shown("judge_win_rate_ratio", pipeline="p", bound="mean")
            == before
            == evaluation.win_rate.mean
        )
        assert house.shown("judge_win_rate_ratio", pipeline="p", bound="low") == evaluation.win_rate.low
        slot = house.shown("judge_slot_effect_logits", pipeline="p", bound="high")
        assert slot == evaluation.slot_effect_logits.high
        fair = house.shown("judge_length_controlled_win_rate_ratio", pipeline="p", bound="low")
        assert fair == (
            evaluation.length_controlled.low if evaluation.HasField("length_controlled") else None
        )
        bits = house.shown("judge_heldout_bits", pipeline="p", side="candidate")
        assert bits == evaluation.candidate_bits_per_byte
        assert house.shown("judge_calibration_passed", pipeline="p") == evaluation.calibration.passed
        assert house.shown("judge_comparisons", pipeline="p") == evaluation.win_rate.n
        assert house.shown("judge_open_evaluations", pipeline="p", state="running") == 0
        assert house.shown("pipeline_promotions", pipeline="p") == 1
        decided = house.shown("pipeline_decision_timestamp_seconds", pipeline="p")
        assert decided == pytest.approx(promotion.time.ToMicroseconds() / 1e6)
        reign = house.shown("pipeline_champion_timestamp_seconds", pipeline="p")
        assert reign is not None
        assert decided is not None
        assert reign < decided
