"""The pipeline's gate on real preferences: looking early and often promotes no more models that are no better."""

from __future__ import annotations

import numpy as np
import pytest

from longstream_judge.calibration import Calibration
from longstream_judge.comparison import Comparison
from longstream_judge.gate import Evidence, chance_left, decide
from longstream_judge.intervals import Bootstrap
from longstream_judge.planning import look_sizes
from longstream_judge.policy import Policy
from longstream_judge.spending import life_level, look_levels
from longstream_judge.winrate import Row, win_rate
from tests.judge.conftest import Board

FEW = Bootstrap(resamples=200)
BELIEVED = Calibration(
    passed=True, reason="", accuracy=None, unread=0, slot_effect_logits=0.0, flip_rate=0.0, by_damage=()
)


class Met:
    """Two models of AlpacaEval's rows as if they had met: half the difference of what they have over its baseline."""

    def __init__(self, board: Board, one: str, other: str) -> None:
        ours, theirs = board.run(one), board.run(other)
        assert ours.ids == theirs.ids
        self.half = (ours.preferences - theirs.preferences) / 2
        self.lengths = np.stack([ours.candidate_characters, theirs.candidate_characters])

    def rows(self, generator: np.random.Generator, prompts: int, lead: float) -> list[Row]:
        """Rows drawn anew, each model's by a coin; then the first is better by so much, where there is room."""
        drawn = generator.choice(len(self.half), prompts, replace=False)
        coins = generator.integers(0, 2, prompts)
        preferences = np.clip(0.5 + self.half[drawn] * (1 - 2 * coins) + lead, 0, 1)
        lengths = self.lengths[:, drawn]
        return [
            Row(
                instruction_id=str(place),
                comparison=Comparison(preference=float(preference)),
                candidate_characters=int(lengths[coin, place]),
                champion_characters=int(lengths[1 - coin, place]),
            )
            for place, (preference, coin) in enumerate(zip(preferences, coins, strict=True))
        ]


def outcome(rows: list[Row], policy: Policy, level: float) -> tuple[bool, int]:
    """Whether it promotes, and after how many comparisons it knew."""
    sizes = look_sizes(len(rows), policy)
    levels = look_levels([size / sizes[-1] for size in sizes], level)
    for size, look in zip(sizes, levels, strict=True):
        evidence = Evidence(win_rate=win_rate(rows[:size], FEW), calibration=BELIEVED)
        verdict = decide(policy, evidence, look)
        if verdict.outcome == "promote":
            return True, size
        if size < sizes[-1] and chance_left(policy, evidence, size / sizes[-1], levels[-1]) < policy.hopeless:
            return False, size
    return False, len(rows)


@pytest.fixture(scope="module")
def met(board: Board) -> Met:
    return Met(board, "claude-2", "FuseChat-Llama-3.2-3B-Instruct")


@pytest.mark.parametrize(("looks", "level", "gates"), [(3, 0.05, 500), (8, 0.05, 250), (3, 0.005, 500)])
def test_however_often_it_looks_equal_models_pass_as_seldom_as_is_allowed(
    met: Met, looks: int, level: float, gates: int
) -> None:
    generator, policy = np.random.default_rng(looks), Policy(looks=looks, hopeless=0.0)
    passed = sum(outcome(met.rows(generator, 200, 0.0), policy, level)[0] for _ in range(gates))
    assert passed / gates <= level + 2 * (level * (1 - level) / gates) ** 0.5


def test_looks_save_comparisons_and_cost_little_power(met: Met) -> None:
    def tried(looks: int, lead: float, hopeless: float = 0.02) -> tuple[float, float]:
        generator, policy = np.random.default_rng(7), Policy(looks=looks, hopeless=hopeless)
        found = [outcome(met.rows(generator, 240, lead), policy, 0.025) for _ in range(120)]
        return sum(won for won, _ in found) / 120, sum(size for _, size in found) / 120

    once, thrice = tried(1, 0.09), tried(3, 0.09)
    assert once[1] == 240
    assert once[0] > 0.7
    assert thrice[0] > once[0] - 0.08
    assert thrice[1] < 0.85 * 240
    beaten = tried(3, -0.09)
    assert beaten[0] == 0.0
    assert beaten[1] < 0.5 * 240


def test_a_life_of_gates_over_equal_models_keeps_to_the_error_rate(met: Met) -> None:
    generator, lives, false = np.random.default_rng(11), 60, 0
    for _ in range(lives):
        history: list[bool] = []
        for _ in range(8):
            history.append(
                outcome(met.rows(generator, 100, 0.0), Policy(looks=1), life_level(history, 0.1))[0]
            )
        false += any(history)
    assert false / lives <= 0.1 + 2 * (0.1 * 0.9 / lives) ** 0.5
