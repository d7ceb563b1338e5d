"""A model that is no better is promoted as seldom as is allowed, a better one is, and one that cheats never."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from longstream.errors import InvalidInput
from longstream_judge import paired
from longstream_judge.lengthcontrol import Reckoning, between, length_controlled
from longstream_judge.paired import controlled_difference, raw_difference, shared_ids
from longstream_judge.preferences import Preferences
from longstream_judge.promoting import Lead, Threshold, lead
from tests.judge.conftest import Board
from tests.judge.test_lengthcontrol import made

GATES = 2_000
ALPHA = 0.05


def exchanged(
    one: Preferences, other: Preferences, coins: np.ndarray[tuple[int], np.dtype[np.bool_]]
) -> Preferences:
    """The first model's rows, and the second one's where the coin says so."""
    return replace(
        one,
        preferences=np.where(coins, other.preferences, one.preferences),
        candidate_characters=np.where(coins, other.candidate_characters, one.candidate_characters),
    )


def swayed(run: Preferences) -> Preferences:
    """Preferences that follow length in jumps and waves, which no straight line of a tanh can follow."""
    chances = np.clip(run.preferences, 1e-6, 1 - 1e-6)
    lengths = run.candidate_characters
    logits = np.log(chances / (1 - chances)) + 1.5 * np.sign(lengths - 1_500) + 0.8 * np.sin(lengths / 300)
    return replace(run, preferences=1 / (1 + np.exp(-logits)))


@pytest.mark.parametrize("how_length_counts", ["as it did", "as no term of the fit does"])
def test_two_models_swapped_by_a_coin_are_seldom_told_apart(
    board: Board, how_length_counts: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """2,000 gates on AlpacaEval's rows: at most alpha and two standard errors of such a share are promoted."""
    monkeypatch.setattr(paired, "_FLIPS", 100)  # its p-value decides nothing here
    one, other = board.run("claude-2"), board.run("FuseChat-Llama-3.2-3B-Instruct")
    if how_length_counts != "as it did":
        one, other = swayed(one), swayed(other)
    generator, how = np.random.default_rng(0), Reckoning(controls=board.controls, strength=21.5)
    found: list[Lead] = []
    for _ in range(GATES):
        coins = generator.integers(0, 2, len(one.ids)) == 1
        found.append(
            lead(exchanged(one, other, coins), exchanged(other, one, coins), how, Threshold(alpha=ALPHA))
        )
    most = ALPHA + 2 * (ALPHA * (1 - ALPHA) / GATES) ** 0.5
    assert sum(one.promote for one in found) / GATES <= most
    # Each bound by itself keeps its promise, and neither hides behind the other.
    for name in ("raw", "controlled"):
        share = sum(getattr(one, name).lower_bound(ALPHA) > 0 for one in found) / GATES
        assert 0.5 * ALPHA <= share <= most, name


def test_the_better_a_model_and_the_more_instructions_the_likelier_it_is_promoted(
    board: Board, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(paired, "_FLIPS", 100)
    base = board.run("claude-2.1")
    generator, how = np.random.default_rng(1), Reckoning(controls=board.controls, strength=21.5)

    def power(logits: float, count: int, gates: int = 60) -> float:
        promoted = 0
        for _ in range(gates):
            ids = tuple(base.ids[number] for number in generator.choice(len(base.ids), count, replace=False))
            rows = base.chosen(ids)
            chances = np.clip(rows.preferences, 1e-4, 1 - 1e-4)
            # Two runs of one model differ by noise; one of them is better by so much besides.
            runs = np.log(chances / (1 - chances)) + generator.normal(size=(2, count))
            better, equal = (
                replace(rows, preferences=1 / (1 + np.exp(-run))) for run in (runs[0] + logits, runs[1])
            )
            promoted += lead(better, equal, how).promote
        return promoted / gates

    assert power(0.0, 800) < 0.2
    assert power(0.2, 800) > power(0.05, 800)
    assert power(0.2, 800) > power(0.2, 100)
    assert power(1.0, 800) > 0.95


def test_one_constant_answer_is_refused_with_its_reason(board: Board) -> None:
    found = lead(board.run("NullModel"), board.run("claude-2.1"), Reckoning(controls=board.controls))
    assert found.controlled.lower_bound(ALPHA) > 0.5
    assert not found.promote
    assert found.reasons == ("805 of 805 answers have 872 characters: one answer to every instruction",)


def test_answers_cut_where_they_would_lose_are_refused(board: Board) -> None:
    run = board.run("FuseChat-Llama-3.2-3B-Instruct")
    cut = replace(
        run,
        candidate_characters=np.where(
            run.preferences < 0.5, 5.0 + np.arange(805) % 5, run.candidate_characters
        ),
    )
    found = lead(cut, board.run("alpaca-7b"), Reckoning(controls=board.controls))
    assert not found.promote
    assert "at most 10 characters" in found.reasons[0]


def test_the_paired_errors_are_those_that_were_worked_out_by_hand(board: Board) -> None:
    """claude-2 and claude-2.1: +1.45 with 0.91, where unpaired rows would have 1.62."""
    raw = raw_difference(board.run("claude-2"), board.run("claude-2.1"))
    assert (round(100 * raw.interval.mean, 2), round(100 * raw.standard_error, 2)) == (1.45, 0.91)
    assert raw.p_value == pytest.approx(0.11, abs=0.02)
    verbose = raw_difference(board.run("gpt-3.5-turbo-1106_verbose"), board.run("gpt-3.5-turbo-1106"))
    assert (round(100 * verbose.interval.mean, 2), round(100 * verbose.standard_error, 2)) == (3.59, 0.83)


@given(st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1))
def test_exchanged_models_have_the_opposite_difference(seed: int, other_seed: int) -> None:
    one, other = made(seed, count=30), made(other_seed, count=30)
    there, back = raw_difference(one, other), raw_difference(other, one)
    assert there.interval.mean == -back.interval.mean
    assert there.p_value == back.p_value
    how = Reckoning(strength=1.0)
    ours, theirs = length_controlled(one, how), length_controlled(other, how)
    assert (
        controlled_difference(ours, theirs).interval.mean
        == -controlled_difference(theirs, ours).interval.mean
    )


def test_a_model_is_not_ahead_of_itself(board: Board) -> None:
    run = board.run("vicuna-7b-v1.5")
    found = lead(run, run, Reckoning(controls=board.controls))
    assert (found.raw.interval.mean, found.controlled.interval.mean, found.head_to_head) == (0.0, 0.0, 0.5)
    assert found.raw.p_value == found.controlled.p_value == 1.0
    assert not found.promote


def test_a_lead_must_reach_the_margin_and_rest_on_enough_instructions(board: Board) -> None:
    one, other = board.run("claude-2"), board.run("alpaca-7b")
    how = Reckoning(controls=board.controls)
    assert lead(one, other, how, Threshold(margin=0.05)).promote
    far = lead(one, other, how, Threshold(margin=0.5))
    assert not far.promote
    assert any("more than +50.0 is needed" in reason for reason in far.reasons)
    few = lead(one.chosen(one.ids[:15]), other, how)
    assert few.reasons[-1] == "15 instructions are shared, 20 are needed"


def test_only_what_both_have_is_compared(board: Board) -> None:
    one, other = board.run("claude-2"), board.run("phi-2")
    assert len(shared_ids(one, other)) == 803
    assert lead(one, other, Reckoning(controls=board.controls)).controlled.interval.n == 803
    with pytest.raises(InvalidInput, match="share 0 instructions"):
        shared_ids(one, made(1))
    how = Reckoning(strength=1.0)
    with pytest.raises(InvalidInput, match="different instructions"):
        controlled_difference(length_controlled(one, how), length_controlled(other, how))
    # Anchors reach all instructions, so they do not tell whose rows were compared.
    anchored = replace(how, controls=board.controls)
    begin, end = (length_controlled(one.chosen(ids), anchored) for ids in (one.ids[:400], one.ids[400:800]))
    with pytest.raises(InvalidInput, match="different instructions"):
        controlled_difference(begin, end)
    with pytest.raises(InvalidInput, match="no instruction in common"):
        between(begin, end, board.controls)
    with pytest.raises(InvalidInput, match="different controls"):
        controlled_difference(
            length_controlled(one, how), length_controlled(one, replace(how, controls=board.controls))
        )
