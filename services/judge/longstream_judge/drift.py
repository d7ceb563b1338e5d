"""Whether a judge still says what it said: pairs that it judged before are judged again.

An engine that is updated, a card of another make, an endpoint whose owner exchanges the model: none of them need show
in a revision, and all of them move win rates that are compared over months.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from longstream_judge.comparison import Comparison
from longstream_judge.intervals import Bootstrap, Interval, bootstrap_mean


@dataclass(frozen=True, slots=True, kw_only=True)
class Drift:
    """change: mean distance between the preferences of then and now, 0 to 1. shift: mean of now minus then.

    lost: pairs that have no verdict now.
    """

    change: Interval
    shift: Interval
    lost: int = 0


def drift(rows: Sequence[tuple[str, float, Comparison]], settings: Bootstrap | None = None) -> Drift | None:
    """rows: a pair's id, a judge's preference then, what it says now. None without one that has a verdict now."""
    settings = settings or Bootstrap()
    both = [(name, now.preference - then) for name, then, now in rows if now.preference is not None]
    change = bootstrap_mean([(name, abs(difference)) for name, difference in both], settings)
    shift = bootstrap_mean(both, settings)
    if change is None or shift is None:
        return None
    return Drift(change=change, shift=shift, lost=len(rows) - len(both))


def objection(found: Drift | None, most: float) -> str:
    """Why the judge abstains, in words; empty where it does not."""
    if found is None or found.change.mean <= most:
        return ""
    return (
        f"it says otherwise than it did: the preference for {found.change.n} pairs that it judged before moved by "
        f"{found.change.mean:.3f} in the mean; at most {most:.3f} is allowed (evaluate.epoch accepts it as it is)"
    )
