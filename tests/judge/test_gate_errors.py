"""The pipeline's gate on real preferences: looking early and often promotes no more models that are no better."""

from __future__ import annotations

import numpy as np
import pytest

from longstream_judge.policy import Policy
from longstream_judge.spending import life_level
from tests.judge.conftest import Board
from tests.support.gates import Met, outcome


@pytest.fixture(scope="module")
def met(board: Board) -> Met:
    return Met(board.run("claude-2"), board.run("FuseChat-Llama-3.2-3B-Instruct"))


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
