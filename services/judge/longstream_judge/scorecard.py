"""Everything that a judge's preferences for one model say together: the line that `longstream winrate` prints."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from longstream_judge.intervals import Bootstrap, Interval, bootstrap_mean
from longstream_judge.lengthcontrol import LengthControlled, Reckoning, length_controlled, resampled
from longstream_judge.preferences import Preferences
from longstream_judge.slots import Slots, slots
from longstream_judge.suspicions import Flag, flags

_MATCHED = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class Scorecard:
    """rates and errors as shares of 1. lc_interval: by resampling instructions and refitting; None without draws."""

    name: str
    n: int
    win_rate: float
    standard_error: float
    interval: Interval
    controlled: LengthControlled
    lc_interval: tuple[float, float] | None
    slots: Slots
    by_length: Mapping[str, tuple[float, int]]
    """Win rate and rows where the answer is longer, shorter, and matched: within a tenth of the baseline's length."""
    flags: Mapping[Flag, str]
    lost: Mapping[str, int]
    judges: tuple[str, ...]


def scorecard(preferences: Preferences, how: Reckoning | None = None) -> Scorecard:
    """Sum up. Raises InvalidInput where controls or style do not fit the rows."""
    how = how or Reckoning()
    values = preferences.preferences
    rate, count = float(values.mean()), len(values)
    controlled = length_controlled(preferences, how)
    drawn = None
    if how.resamples:
        rates = resampled(preferences, controlled, how)
        cut = math.floor(0.025 * len(rates))
        drawn = (float(rates[cut]), float(rates[-1 - cut]))
    interval = bootstrap_mean(zip(preferences.ids, values.tolist(), strict=True), Bootstrap(seed=how.seed))
    assert interval is not None  # there is a row
    places = slots(preferences, Bootstrap(seed=how.seed))
    return Scorecard(
        name=preferences.name,
        n=count,
        win_rate=rate,
        standard_error=float(values.std(ddof=1)) / math.sqrt(count) if count > 1 else 0.0,
        interval=interval,
        controlled=controlled,
        lc_interval=drawn,
        slots=places,
        by_length=_by_length(preferences),
        flags=flags(preferences, rate, controlled, places),
        lost=preferences.lost,
        judges=preferences.judges,
    )


def _by_length(preferences: Preferences) -> dict[str, tuple[float, int]]:
    differences, own = preferences.differences, preferences.preferences
    parts = {
        "longer": differences < 0,
        "shorter": differences > 0,
        "matched": abs(differences) <= _MATCHED * preferences.baseline_characters,
    }
    return {name: (float(own[rows].mean()), int(rows.sum())) for name, rows in parts.items() if rows.any()}
