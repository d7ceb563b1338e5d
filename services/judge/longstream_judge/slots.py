"""What the place does in which an answer stands: signed, in logits where both orders were seen."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from longstream_judge.intervals import Bootstrap, Interval, bootstrap_mean
from longstream_judge.preferences import Preferences

_MOST = 1 - 1e-9


@dataclass(frozen=True, slots=True, kw_only=True)
class Slots:
    """gap: the candidate's win rate where it stood first, minus that where it stood second; gap_error: its standard
    error. Over instructions for a judge that saw one order, where luck of the draw is in it; over pairs for one that
    saw both. effect_logits: above 0 where the place shown first gains. flip_rate: pairs whose orders name different
    winners. None for what the rows do not tell.
    """

    gap: float | None = None
    gap_error: float | None = None
    effect_logits: Interval | None = None
    flip_rate: float | None = None


def slots(preferences: Preferences, settings: Bootstrap | None = None) -> Slots:
    """Of both orders where the rows have them, else of the one order in which each was shown."""
    if preferences.forward is not None and preferences.swapped is not None:
        return _of_both(preferences, settings or Bootstrap())
    if preferences.shown_first is not None:
        return _of_one(preferences)
    return Slots()


def _of_one(preferences: Preferences) -> Slots:
    assert preferences.shown_first is not None
    first = preferences.preferences[preferences.shown_first > 0.5]
    second = preferences.preferences[preferences.shown_first <= 0.5]
    if min(len(first), len(second)) < 2:
        return Slots()
    error = math.sqrt(first.var(ddof=1) / len(first) + second.var(ddof=1) / len(second))
    return Slots(gap=float(first.mean() - second.mean()), gap_error=error)


def _of_both(preferences: Preferences, settings: Bootstrap) -> Slots:
    assert preferences.forward is not None
    assert preferences.swapped is not None
    shown = np.isfinite(preferences.forward) & np.isfinite(preferences.swapped)
    forward, swapped = preferences.forward[shown], preferences.swapped[shown]
    ids = [name for name, one in zip(preferences.ids, shown.tolist(), strict=True) if one]
    if not ids:
        return Slots()
    gaps = forward - swapped
    # Forward says slot plus quality, swapped quality minus slot.
    effects = (_logit(forward) - _logit(swapped)) / 2
    return Slots(
        gap=float(gaps.mean()),
        gap_error=float(gaps.std(ddof=1) / math.sqrt(len(gaps))) if len(gaps) > 1 else None,
        effect_logits=bootstrap_mean(zip(ids, effects.tolist(), strict=True), settings),
        flip_rate=float(((forward - 0.5) * (swapped - 0.5) < 0).mean()),
    )


def _logit(
    chances: np.ndarray[tuple[int], np.dtype[np.float64]],
) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    bounded = np.clip(chances, 1 - _MOST, _MOST)
    return np.asarray(np.log(bounded / (1 - bounded)))
