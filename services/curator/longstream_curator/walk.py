"""From the kept sets of all partitions to a release: one ranking, walked until k rows are accepted.

The ranking is cut to its first m places before the walk: neither the number of partitions nor what each of
them holds beyond m can show in a release (docs/decisions/0004-length-and-ties.md).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from itertools import islice

from longstream_curator.selection import Candidate, Rank, Snapshot, better


@dataclass(frozen=True, slots=True, kw_only=True)
class Merged:
    """The first m places of the whole ranking.

    candidates: best rank first, without erased ones. full: all m places were taken, erased ones included, and
    none was given up since for its likeness to another. mark: above it the ranking is complete; None if nothing
    was ever dropped.
    """

    candidates: tuple[Candidate, ...]
    full: bool
    mark: Rank | None = None


def merge(snapshots: Iterable[Snapshot], m: int) -> Merged:
    """Merge the partitions' kept sets. Should they share an id or duplicates, the best-ranked one stays."""
    places: list[tuple[Rank, Candidate | None]] = []
    mark: Rank | None = None
    for snapshot in snapshots:
        mark = better(mark, snapshot.mark)
        places += [(candidate.rank, candidate) for candidate in snapshot.kept]
        places += [(slot.rank, None) for slot in snapshot.erased_slots]
    places.sort(key=lambda place: place[0])
    first = list(islice(_distinct(places), m))
    kept = tuple(candidate for _, candidate in first if candidate is not None)
    return Merged(candidates=kept, full=len(first) == m, mark=mark)


def _distinct(places: Iterable[tuple[Rank, Candidate | None]]) -> Iterable[tuple[Rank, Candidate | None]]:
    seen: set[str] = set()
    for rank, candidate in places:
        key = candidate.dedup_key if candidate else None
        names = {f"id/{rank.id}", f"key/{key}"} if key is not None else {f"id/{rank.id}"}
        if seen.isdisjoint(names):
            seen |= names
            yield rank, candidate


class _Standing(Enum):
    PENDING = "pending"
    ACCEPTED = "accepted"
    REFUSED = "refused"


class Walk:
    """The first k accepted of a ranking. Reserve ranks replace refused ones, and a refusal revives nothing.

    The outcome depends on what is accepted and refused, not on the order in which it becomes known.
    """

    def __init__(self, merged: Merged, k: int, *, taken: int = 0) -> None:
        """taken: places that `next_needed` had passed before a restart; their outcomes are told again."""
        self._merged = merged
        self._k = k
        self._mark = merged.mark
        self._by_id = {candidate.id: candidate for candidate in merged.candidates}
        self._standing: dict[str, _Standing] = {}
        self._count: Counter[_Standing | None] = Counter()
        self._position = min(taken, len(merged.candidates))
        for candidate in merged.candidates[: self._position]:
            self._set(candidate.id, _Standing.PENDING)

    @property
    def taken(self) -> int:
        """Places passed so far."""
        return self._position

    @property
    def pending(self) -> int:
        """Candidates given out whose outcome is not known yet."""
        return self._count[_Standing.PENDING]

    @property
    def accepted(self) -> list[Candidate]:
        """The release's rows so far, best rank first."""
        candidates = self._merged.candidates[: self._position]
        return [one for one in candidates if self._standing[one.id] is _Standing.ACCEPTED]

    @property
    def settled(self) -> bool:
        """Whether nothing can change any more, but for an exclusion."""
        return self.pending == 0 and (self._enough() or self._exhausted())

    @property
    def short(self) -> bool:
        """Whether it is settled with fewer than k, for want of reserve."""
        return self.settled and not self._enough()

    @property
    def exact(self) -> bool:
        """Whether an exhaustive sort of everything before the cut, walked as far, would have met the same."""
        return self.exact_until(None)

    @property
    def ready(self) -> int:
        """Candidates accepted so far."""
        return self._count[_Standing.ACCEPTED]

    @property
    def under_way(self) -> int:
        """Rows that there will be if all that are pending are accepted."""
        return self._count[_Standing.PENDING] + self._count[_Standing.ACCEPTED]

    def next_rank(self) -> Rank | None:
        """The rank of the next candidate to decide on; None while enough are under way, or when none is left."""
        while not self._exhausted() and not self._enough():
            candidate = self._merged.candidates[self._position]
            if candidate.id not in self._standing:
                return candidate.rank
            self._position += 1
        return None

    @property
    def last_rank(self) -> Rank | None:
        """The worst rank that was decided on."""
        return self._merged.candidates[self._position - 1].rank if self._position else None

    def exact_until(self, end: Rank | None) -> bool:
        """Whether it is exact where nothing below the rank `end` was wanted; None: all that there was."""
        if self._mark is None or (end is not None and end < self._mark):
            return True
        if not self._enough():
            complete = self._merged.full if self._exhausted() else end is None
            if not complete:
                return False  # what was dropped could have filled the places that are free
        last = self.last_rank
        return last is None or last < self._mark

    def next_needed(self) -> Candidate | None:
        """The next candidate to decide on; None while enough are under way, or when none is left."""
        if self.next_rank() is None:
            return None
        candidate = self._merged.candidates[self._position]
        self._position += 1
        self._set(candidate.id, _Standing.PENDING)
        return candidate

    def accept(self, example_id: str) -> bool:
        """Tell that a pending candidate has its row. False if it is not pending: the first outcome stands."""
        return self._decide(example_id, _Standing.ACCEPTED)

    def refuse(self, example_id: str) -> bool:
        """Tell that a pending candidate gets no row. False if it is not pending: the first outcome stands."""
        return self._decide(example_id, _Standing.REFUSED)

    def exclude(self, example_id: str) -> bool:
        """Take an erased candidate out, whatever its outcome; False if it is not here or refused already.

        A dropped duplicate should have stood in for it, so the ranking is complete only above it.
        """
        candidate = self._by_id.get(example_id)
        if candidate is None or self._standing.get(example_id) is _Standing.REFUSED:
            return False
        self._set(example_id, _Standing.REFUSED)
        if candidate.had_duplicates:
            self._mark = better(self._mark, candidate.rank)
        return True

    def _decide(self, example_id: str, standing: _Standing) -> bool:
        if self._standing.get(example_id) is not _Standing.PENDING:
            return False
        self._set(example_id, standing)
        return True

    def _set(self, example_id: str, standing: _Standing) -> None:
        self._count[self._standing.get(example_id)] -= 1
        self._count[standing] += 1
        self._standing[example_id] = standing

    def _enough(self) -> bool:
        """Whether those under way suffice, if all are accepted."""
        return self.under_way >= self._k

    def _exhausted(self) -> bool:
        return self._position >= len(self._merged.candidates)
