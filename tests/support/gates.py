"""The pipeline's gate, tried many times on real preferences of two models."""

from __future__ import annotations

import numpy as np

from longstream_judge.calibration import Calibration
from longstream_judge.comparison import Comparison
from longstream_judge.gate import Evidence, chance_left, decide
from longstream_judge.intervals import Bootstrap
from longstream_judge.planning import look_sizes
from longstream_judge.policy import Policy
from longstream_judge.preferences import Preferences
from longstream_judge.spending import look_levels
from longstream_judge.winrate import Row, win_rate

FEW = Bootstrap(resamples=200)
BELIEVED = Calibration(
    passed=True, reason="", accuracy=None, unread=0, slot_effect_logits=0.0, flip_rate=0.0, by_damage=()
)


class Met:
    """Two models of AlpacaEval's rows as if they had met: half the difference of what they have over its baseline."""

    def __init__(self, ours: Preferences, theirs: Preferences) -> None:
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
