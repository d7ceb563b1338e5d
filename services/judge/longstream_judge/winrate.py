"""The win rate of a candidate over a champion, with what could make it misleading beside it.

Each row's preference counts as it is (AlpacaEval's soft win rate, metrics/winrate.py, here with both orders);
resampling is over instructions. Judges prefer long answers and the suite trains on long answers, so there is also a
rate with length set equal (`lengthcontrol.py`), and one each for longer and shorter candidate answers.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from longstream_judge.comparison import Comparison
from longstream_judge.controls import Anchors, Controls
from longstream_judge.intervals import Bootstrap, Interval, bootstrap_mean, normal
from longstream_judge.lengthcontrol import ENTANGLED, LengthControlled, Reckoning, length_controlled
from longstream_judge.preferences import Preferences

_PENALTY = 21.5
"""C of the fit: fixed, so that two evaluations differ by their rows alone. The commonest of those published."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One comparison, the instruction it belongs to, and both answers' lengths in characters."""

    instruction_id: str
    comparison: Comparison
    candidate_characters: int
    champion_characters: int
    slice: str = ""
    """Part of the prompts that it belongs to, such as a source; empty: none."""

    @property
    def difference(self) -> int:
        """By how many characters the candidate's answer is longer."""
        return self.candidate_characters - self.champion_characters


@dataclass(frozen=True, slots=True, kw_only=True)
class LengthView:
    """Win rate by which answer is longer; None where there is no such row. Differences in characters."""

    longer: Interval | None
    shorter: Interval | None
    equal: Interval | None
    difference: Interval | None


@dataclass(frozen=True, slots=True, kw_only=True)
class WinRate:
    """What all comparisons of an evaluation say together, from the candidate's side.

    rate: None if no verdict could be read. controlled: the same with length set equal; candidate and champion met
    each other, so no instruction's difficulty is needed, and there are no anchors. rows: verdicts read. wins, ties,
    losses: by mean preference above, at and below 0.5. flip_rate: share of pairs shown to the judge whose two orders
    name different winners. slot_effect_logits: above 0 where the place shown first gains. lost: rows without a
    verdict by reason.
    """

    rate: Interval | None
    rows: int
    wins: int
    ties: int
    losses: int
    flip_rate: float
    slot_effect_logits: Interval | None
    length: LengthView
    controlled: Interval | None = None
    entangled: bool = False
    """Whether length and quality cannot be told apart; then `controlled` is None."""
    slices: Mapping[str, Interval] = field(default_factory=dict)
    """The rate of each part of the prompts."""
    lost: Mapping[str, int] = field(default_factory=dict)

    @property
    def lost_share(self) -> float:
        """Share of rows without a verdict; 1 if there is no row at all."""
        missing = sum(self.lost.values())
        return missing / (self.rows + missing) if self.rows + missing else 1.0


def win_rate(rows: Iterable[Row], settings: Bootstrap | None = None, anchors: Iterable[Row] = ()) -> WinRate:
    """Sum up comparisons; their order does not matter, and exchanged sides give the mirrored result.

    anchors: longer and shorter answers of the champion against its own plain ones, which tell what length does to the
    judge.
    """
    settings = settings or Bootstrap()
    rows = list(rows)
    read = [(row, row.comparison.preference) for row in rows if row.comparison.preference is not None]
    shown = [row for row, _ in read if row.comparison.slot_effect_logits is not None]
    slots = [(row.instruction_id, row.comparison.slot_effect_logits or 0.0) for row in shown]
    fitted = _fitted(read, [row for row in anchors if row.comparison.preference is not None])
    entangled = fitted is not None and fitted.entangled > ENTANGLED
    return WinRate(
        rate=_rate(read, settings),
        rows=len(read),
        wins=sum(preference > 0.5 for _, preference in read),
        ties=sum(preference == 0.5 for _, preference in read),
        losses=sum(preference < 0.5 for _, preference in read),
        flip_rate=sum(row.comparison.flipped for row in shown) / len(shown) if shown else 0.0,
        slot_effect_logits=bootstrap_mean(slots, settings),
        length=_length_view(read, settings),
        controlled=None if fitted is None or entangled else _controlled(fitted, settings),
        entangled=entangled,
        slices=_slices(read, settings),
        lost=dict(sorted(Counter(_failures(rows)).items())),
    )


def _rate(read: Sequence[tuple[Row, float]], settings: Bootstrap) -> Interval | None:
    return bootstrap_mean([(row.instruction_id, preference) for row, preference in read], settings)


def _slices(read: Sequence[tuple[Row, float]], settings: Bootstrap) -> dict[str, Interval]:
    parts: dict[str, list[tuple[Row, float]]] = defaultdict(list)
    for item in read:
        if item[0].slice:
            parts[item[0].slice].append(item)
    if any(len(rows) == len(read) for rows in parts.values()):  # it is the whole, and says nothing else
        return {}
    rates = {name: _rate(parts[name], settings) for name in sorted(parts)}
    return {name: rate for name, rate in rates.items() if rate is not None}


def _length_view(read: Sequence[tuple[Row, float]], settings: Bootstrap) -> LengthView:
    return LengthView(
        longer=_rate([item for item in read if item[0].difference > 0], settings),
        shorter=_rate([item for item in read if item[0].difference < 0], settings),
        equal=_rate([item for item in read if item[0].difference == 0], settings),
        difference=bootstrap_mean([(row.instruction_id, float(row.difference)) for row, _ in read], settings),
    )


def _fitted(read: Sequence[tuple[Row, float]], anchors: Sequence[Row]) -> LengthControlled | None:
    """Rows of one instruction count as their mean. None for fewer than two instructions, which have no error."""
    rows: dict[str, list[tuple[float, float, float]]] = defaultdict(list)
    for row, preference in read:
        rows[row.instruction_id].append((preference, row.candidate_characters, row.champion_characters))
    if len(rows) < 2:
        return None
    means = {name: np.array(rows[name]).mean(axis=0) for name in sorted(rows)}
    preferences, candidate, champion = np.array(list(means.values())).T
    run = Preferences(
        name="evaluation",
        ids=tuple(means),
        preferences=preferences,
        candidate_characters=candidate,
        baseline_characters=champion,
    )
    spread = float(run.differences.std(ddof=1)) or 1.0
    ordered = sorted(anchors, key=lambda row: (row.instruction_id, row.candidate_characters))
    made = Anchors(
        ids=tuple(row.instruction_id for row in ordered),
        # In the same unit as the rows, so that one slope is meant.
        lengths=np.array([np.tanh(-row.difference / spread) for row in ordered]),
        labels=np.array([row.comparison.preference for row in ordered], dtype=float),
        weight=1.0,
    )
    return length_controlled(run, Reckoning(controls=Controls(anchors=made), strength=_PENALTY))


def _controlled(fitted: LengthControlled, settings: Bootstrap) -> Interval:
    around = normal(fitted.rate, fitted.standard_error, settings.confidence, fitted.n)
    return replace(around, low=max(0.0, around.low), high=min(1.0, around.high))


def _failures(rows: Iterable[Row]) -> list[str]:
    return [row.comparison.failure for row in rows if row.comparison.preference is None]
