"""The rates that AlpacaEval published, from its judge's preferences; and what holds of any."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from longstream.errors import InvalidInput
from longstream_judge.controls import Anchors, Controls, own_difficulty, read_controls
from longstream_judge.gathering import mean
from longstream_judge.lengthcontrol import LengthControlled, Reckoning, between, length_controlled, resampled
from longstream_judge.preferences import Preferences
from longstream_judge.promoting import lead
from longstream_judge.scorecard import scorecard
from tests.judge.conftest import Board

INCOMPLETE = {"phi-2": 0.6}
"""A model with missing rows; its published rate joined difficulties by place, which is another number."""


def made(seed: int, count: int = 60, effect: float = 0.0, strength: float = 0.0) -> Preferences:
    """Rows whose preference follows length by so much."""
    generator = np.random.default_rng(seed)
    candidate, baseline = generator.integers(10, 2_000, (2, count)).astype(float)
    logits = strength + effect * np.tanh((candidate - baseline) / 800) + generator.normal(size=count)
    return Preferences(
        name=f"m{seed}",
        ids=tuple(f"i{number}" for number in range(count)),
        preferences=1 / (1 + np.exp(-logits)),
        candidate_characters=candidate,
        baseline_characters=baseline,
    )


def mirrored(one: Preferences) -> Preferences:
    return replace(
        one,
        preferences=1 - one.preferences,
        candidate_characters=one.baseline_characters,
        baseline_characters=one.candidate_characters,
    )


def test_the_published_rates_are_found_again(board: Board) -> None:
    assert len(board.models) == 12
    misses = []
    for model in board.models:
        card = scorecard(board.run(model), Reckoning(controls=board.controls, resamples=0))
        published = board.published[model]
        assert card.n == published["n"]
        assert 100 * card.win_rate == pytest.approx(published["win_rate"], abs=1e-6)
        assert 100 * card.standard_error == pytest.approx(published["standard_error"], abs=1e-6)
        miss = abs(100 * card.controlled.rate - published["lc_win_rate"])
        assert miss <= INCOMPLETE.get(model, 0.15), model
        misses.append(miss if model not in INCOMPLETE else 0.0)
    assert sum(misses) / (len(misses) - len(INCOMPLETE)) <= 0.03


def test_the_error_is_that_of_drawing_instructions_anew(board: Board) -> None:
    for model in ("claude-2.1", "OpenHermes-2.5-Mistral-7B"):
        run, how = board.run(model), Reckoning(controls=board.controls, resamples=200)
        fitted = length_controlled(run, how)
        assert fitted.standard_error == pytest.approx(float(resampled(run, fitted, how).std()), rel=0.2)


@given(st.integers(0, 2**32 - 1))
def test_equal_lengths_leave_the_win_rate_as_it_is(seed: int) -> None:
    run = made(seed)
    equal = replace(run, candidate_characters=run.baseline_characters)
    fitted = length_controlled(equal, Reckoning(strength=1e4))
    assert fitted.rate == pytest.approx(float(run.preferences.mean()), abs=1e-3)


@given(st.integers(0, 2**32 - 1), st.floats(-3, 3), st.floats(-2, 2))
def test_exchanged_sides_give_the_mirrored_rate(seed: int, effect: float, strength: float) -> None:
    run = made(seed, effect=effect, strength=strength)
    anchors = Anchors(run.ids, np.linspace(-1, 1, 60), np.linspace(0.2, 0.8, 60))
    difficulty = dict(zip(run.ids, np.linspace(-2, 2, 60).tolist(), strict=True))
    turned = Anchors(run.ids, -anchors.lengths, 1 - anchors.labels)
    there = length_controlled(
        run, Reckoning(controls=Controls(difficulty=difficulty, anchors=anchors), strength=21.5)
    )
    back = length_controlled(
        mirrored(run),
        Reckoning(
            controls=Controls(difficulty={name: -d for name, d in difficulty.items()}, anchors=turned),
            strength=21.5,
        ),
    )
    assert there.rate + back.rate == pytest.approx(1.0, abs=2e-4)


def test_an_answer_that_wins_by_its_length_alone_wins_nothing() -> None:
    generator = np.random.default_rng(1)
    longer = np.abs(generator.normal(size=2_000)) * np.where(np.arange(2_000) % 3, 800, -800)
    run = Preferences(
        name="longer",
        ids=tuple(map(str, range(2_000))),
        preferences=1 / (1 + np.exp(-2.5 * np.tanh(longer / longer.std(ddof=1)))),
        candidate_characters=5_000 + longer,
        baseline_characters=np.full(2_000, 5_000.0),
    )
    assert float(run.preferences.mean()) > 0.57
    assert length_controlled(run, Reckoning(strength=1e4)).rate == pytest.approx(0.5, abs=1e-3)


def test_marks_of_style_are_set_equal_too() -> None:
    generator = np.random.default_rng(2)
    run = made(3, count=3_000)
    counts = generator.integers(0, 12, (3_000, 2)).astype(float)
    counts[:, 0] += 4
    swayed = 1 / (1 + np.exp(-2.0 * np.tanh((counts[:, 0] - counts[:, 1]) / 5)))
    plain = replace(run, preferences=swayed, style={"lists": counts})
    assert length_controlled(plain, Reckoning(strength=1e4)).rate > 0.6
    fair = length_controlled(plain, Reckoning(strength=1e4, style=("lists",)))
    assert fair.rate == pytest.approx(0.5, abs=0.02)
    assert fair.coefficients["lists"] < 0  # the tanh is of baseline minus candidate
    with pytest.raises(InvalidInput, match="does not count bold"):
        length_controlled(plain, Reckoning(style=("bold",)))


def panel(*judges: tuple[float, float], seed: int = 5, count: int = 2_000) -> Preferences:
    """Means of judges that see one quality, each with its own kinship and liking (logits) for the candidate."""
    truth = np.random.default_rng(seed).normal(0.4, 1.0, count)
    members = [
        replace(
            made(seed, count),
            preferences=1 / (1 + np.exp(-(truth + liking))),
            kinship=np.full(count, kinship),
        )
        for kinship, liking in judges
    ]
    return mean("panel", members)


def test_what_a_judge_likes_for_its_family_is_set_equal() -> None:
    """One judge is of the candidate's family and likes it more than it should by 1.5 logits; another is of neither."""
    swayed, fair = panel((-1.0, 1.5), (0.0, 0.0)), panel((0.0, 0.0))
    truth = float(fair.preferences.mean())
    assert float(swayed.preferences.mean()) > truth + 0.1
    how = Reckoning(style=("family",), resamples=60)
    controlled = length_controlled(swayed, how)
    assert controlled.rate == pytest.approx(truth, abs=0.01)
    assert controlled.coefficients["family"] == pytest.approx(-1.5, abs=0.3)
    assert controlled.n == 2_000
    # Two verdicts on an instruction are no two instructions: the error is not that of twice as many.
    alone = length_controlled(fair, Reckoning())
    assert controlled.standard_error == pytest.approx(alone.standard_error, rel=0.2)
    drawn = resampled(swayed, controlled, how)
    assert drawn[0] < truth < drawn[-1]
    mirror = mean("mirror", [replace(mirrored(one), kinship=-one.kinship) for one in swayed.members])  # type: ignore[operator]
    assert length_controlled(mirror, how).rate == pytest.approx(1 - controlled.rate, abs=1e-6)


def test_a_panel_stays_one_where_only_shared_instructions_count() -> None:
    swayed, fair = panel((-1.0, 1.5), (0.0, 0.0)), panel((0.0, 0.0), (-1.0, 0.0))
    some = fair.ids[:500]
    assert [one.ids for one in swayed.chosen(some).members] == [some, some]
    how = Reckoning(style=("family",), strength=10.0)
    found = lead(swayed.chosen(fair.ids[:1_500]), fair, how)
    assert found.controlled.interval.mean == pytest.approx(0.0, abs=0.02)
    assert found.raw.interval.mean > 0.1


@pytest.mark.parametrize("judges", [((-1.0, 1.0),), ((1.0, 0.0), (1.0, 1.0))])
def test_one_family_of_judges_cannot_tell_liking_from_strength(
    judges: tuple[tuple[float, float], ...],
) -> None:
    with pytest.raises(InvalidInput, match="add a judge of another family"):
        length_controlled(panel(*judges, count=20), Reckoning(style=("family",)))
    with pytest.raises(InvalidInput, match="which families"):
        length_controlled(made(1), Reckoning(style=("family",)))


def test_any_two_models_are_compared_from_their_fits(board: Board) -> None:
    how = Reckoning(controls=board.controls, strength=21.5)
    fits = {name: length_controlled(board.run(name), how) for name in ("claude-2", "alpaca-7b", "NullModel")}
    for one in fits.values():
        assert between(one, one, board.controls) == 0.5
        for other in fits.values():
            there, back = between(one, other, board.controls), between(other, one, board.controls)
            assert there + back == pytest.approx(1.0)
    assert between(fits["claude-2"], fits["alpaca-7b"], board.controls) > 0.75
    with pytest.raises(InvalidInput, match="different controls"):
        between(fits["claude-2"], length_controlled(made(1), Reckoning()), board.controls)


def test_difficulties_of_ones_own_runs_keep_the_order(board: Board) -> None:
    runs = [board.run(model) for model in board.models if model != "phi-2"]
    own = own_difficulty(runs)
    rates = [100 * length_controlled(run, Reckoning(controls=own, strength=21.5)).rate for run in runs]
    published = [board.published[run.name]["lc_win_rate"] for run in runs]
    ranks = np.argsort(np.argsort(rates)), np.argsort(np.argsort(published))
    assert np.corrcoef(*ranks)[0, 1] > 0.9
    assert own.revision.startswith("own-")
    assert own.revision == own_difficulty(runs).revision != own_difficulty(runs[1:]).revision


def test_one_run_has_no_difficulty_of_its_own(board: Board) -> None:
    with pytest.raises(InvalidInput, match="at least two runs"):
        own_difficulty([board.run("claude-2")])


def test_instructions_without_a_difficulty_are_left_out_and_counted(board: Board) -> None:
    half = {name: value for name, value in board.controls.difficulty.items() if int(name) < 400}
    controls = Controls(difficulty=half, revision="half")
    fitted = length_controlled(board.run("claude-2"), Reckoning(controls=controls))
    assert (fitted.n, fitted.left_out, fitted.controls) == (400, 405, "half")
    with pytest.raises(InvalidInput, match="of another set"):
        length_controlled(made(1), Reckoning(controls=controls))


def test_one_row_has_a_rate_and_no_error() -> None:
    fitted: LengthControlled = length_controlled(made(1, count=1), Reckoning(strength=1.0))
    assert 0 <= fitted.rate <= 1
    assert fitted.standard_error == 0.0


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"difficulty": None}, "holds no difficulty"),
        ({"anchor_x": np.zeros(3), "anchor_y": np.zeros(3)}, "has 3 anchors"),
        ({"anchor_y": np.full(4, 2.0)}, "between 0 and 1"),
        ({"ids": np.array(["a", "a"])}, "each once"),
        ({"difficulty": np.array([0.0, np.nan])}, "that are none"),
    ],
)
def test_controls_that_do_not_fit_are_refused(tmp_path: Path, changes: dict[str, Any], words: str) -> None:
    whole: dict[str, Any] = {"difficulty": np.zeros(2), "anchor_x": np.zeros(4), "anchor_y": np.full(4, 0.5)}
    told = {name: array for name, array in {**whole, **changes}.items() if array is not None}
    np.savez(tmp_path / "c.npz", **told)
    with pytest.raises(InvalidInput, match=words):
        read_controls(tmp_path / "c.npz")


def test_controls_have_a_revision_that_follows_their_numbers(tmp_path: Path) -> None:
    def saved(**changes: Any) -> str:
        np.savez(
            tmp_path / "c.npz",
            **{"difficulty": np.zeros(2), "anchor_x": np.zeros(4), "anchor_y": np.full(4, 0.5), **changes},
        )
        return read_controls(tmp_path / "c.npz").revision

    assert saved() == saved() != saved(difficulty=np.ones(2)) != saved(ids=np.array(["a", "b"]))
