"""Rankings of strata side by side: without what is equal or nearly so, and with what each stratum may have."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from longstream.selecting import NearDuplicates
from longstream_curator.selection import Rank
from longstream_curator.strata import Found, Stratifier
from longstream_curator.walk import Merged


@dataclass(frozen=True, slots=True)
class Near:
    """What counts as nearly equal, and the text of a candidate."""

    rule: NearDuplicates
    text_of: Callable[[str], str]


class Rankings:
    """What is walked. merged: each stratum's candidates; limits: rows that each may have; dropped: by reason."""

    def __init__(
        self, merged: Mapping[str, Merged], seen: Mapping[str, int], strata: Stratifier, near: Near | None
    ) -> None:
        """seen: examples by stratum. near: None where nearly equal texts all count."""
        self.dropped = Counter[str]()
        self.merged = self._without("duplicate", merged, _equals(merged))
        if near is not None:
            self.merged = self._without("near_duplicate", self.merged, _near(self.merged, near))
        found = {name: Found(len(one.candidates), seen[name]) for name, one in self.merged.items()}
        self.limits = strata.limits(found)

    def _without(self, reason: str, merged: Mapping[str, Merged], gone: set[str]) -> dict[str, Merged]:
        if gone:
            self.dropped[reason] += len(gone)
        return {name: _less(one, gone) for name, one in merged.items()}


def _equals(merged: Mapping[str, Merged]) -> set[str]:
    """Those that equal a better-ranked one; within a stratum there are none."""
    best: dict[str, Rank] = {}
    keyed = [(one.dedup_key, one) for its in merged.values() for one in its.candidates if one.dedup_key]
    for key, one in keyed:
        best[key] = min(best.get(key, one.rank), one.rank)
    return {one.id for key, one in keyed if one.rank > best[key]}


def _near(merged: Mapping[str, Merged], near: Near) -> set[str]:
    """Those that are near to a better-ranked one which stays, of whatever stratum."""
    from longstream_curator.near import Unlike  # NumPy, SciPy and datasketch, for those who ask for it

    ranked = sorted((one.rank, one.id) for its in merged.values() for one in its.candidates)
    stayed = Unlike(near.rule)
    return {name for _, name in ranked if not stayed.stays(name, near.text_of(name))}


def _less(merged: Merged, gone: set[str]) -> Merged:
    """A ranking without these. It is no longer full: something that it dropped might have taken their places."""
    kept = tuple(candidate for candidate in merged.candidates if candidate.id not in gone)
    return merged if len(kept) == len(merged.candidates) else replace(merged, candidates=kept, full=False)
