"""Rankings of strata side by side: without what is equal or nearly so, and with what each stratum may have."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from longstream.selecting import NearDuplicates
from longstream_curator.selection import Candidate
from longstream_curator.split import HELD_OUT
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


def _in_order(merged: Mapping[str, Merged]) -> list[Candidate]:
    """All candidates, what is held out first: its likes must not be trained on, however they rank."""
    ranked = [(name not in HELD_OUT, one.rank, one) for name, its in merged.items() for one in its.candidates]
    return [one for *_, one in sorted(ranked, key=lambda place: place[:2])]


def _equals(merged: Mapping[str, Merged]) -> set[str]:
    """Those that equal one before them; within a stratum there are none."""
    if len(merged) < 2:
        return set()
    seen: set[str] = set()
    gone: set[str] = set()
    for one in _in_order(merged):
        if one.dedup_key in seen:
            gone.add(one.id)
        elif one.dedup_key is not None:
            seen.add(one.dedup_key)
    return gone


def _near(merged: Mapping[str, Merged], near: Near) -> set[str]:
    """Those that are near to one before them which stays, of whatever stratum."""
    from longstream_curator.near import Unlike  # NumPy, SciPy and datasketch, for those who ask for it

    stayed = Unlike(near.rule)
    return {one.id for one in _in_order(merged) if not stayed.stays(one.id, near.text_of(one.id))}


def _less(merged: Merged, gone: set[str]) -> Merged:
    """A ranking without these. It is no longer full: something that it dropped might have taken their places."""
    kept = tuple(candidate for candidate in merged.candidates if candidate.id not in gone)
    return merged if len(kept) == len(merged.candidates) else replace(merged, candidates=kept, full=False)
