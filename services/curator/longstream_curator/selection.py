"""The k longest responses of an endless stream, exactly, whatever the order of arrival.

"Long Is More for Alignment" (arXiv 2402.04833) sorts a finished dataset once; here the same set is kept up to
date with O(log m) work per record and O(m) memory. Ties, duplicates: docs/decisions/0004-length-and-ties.md.
"""

from __future__ import annotations

import heapq
import sys
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Literal, NamedTuple

from longstream.ids import digest

Dedup = Literal["response", "pair", "off"]


class Rank(NamedTuple):
    """A place in the ranking; the smaller is the better one.

    Longest first; then the source that the pipeline file lists first; then the lowest index in the source,
    those without one last; then the id. Before all that a score and a draw, where a pipeline chooses by them
    (`order.py`); else both are 0.
    """

    minus_score: int
    draw: int
    minus_length: int
    source_order: int
    without_index: bool
    source_index: int
    id: str


class Standing(NamedTuple):
    """What ranks before the length: the higher score, then the lower draw."""

    score: int
    draw: int


LENGTH_ALONE = Standing(0, 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """What ranking needs to know of an example; its texts stay with the caller, under its id.

    dedup_key: equal for duplicates, see `dedup_key`; None where duplicates count.
    had_duplicates: a worse-ranked duplicate was dropped in its favour.
    """

    id: str
    length: int
    source_order: int = 0
    source_index: int | None = None
    dedup_key: str | None = None
    had_duplicates: bool = False
    standing: Standing = LENGTH_ALONE

    @property
    def rank(self) -> Rank:
        """Its place among all."""
        index, (score, draw) = self.source_index, self.standing
        return Rank(-score, draw, -self.length, self.source_order, index is None, index or 0, self.id)


class Kind(StrEnum):
    """What an offer or an erasure did to one candidate."""

    ADDED = "added"
    REPLACED = "replaced"
    """It gave way to a better-ranked duplicate."""
    EVICTED = "evicted"
    """Something longer came, and there is room for m only."""
    UPDATED = "updated"
    """It stays, and is now known to have had a duplicate."""
    IGNORED = "ignored"
    ERASED = "erased"
    """Its texts are to be forgotten; its rank keeps the slot."""
    RELEASED = "released"
    """An erased slot is free again."""


@dataclass(frozen=True, slots=True)
class Change:
    """One entry for a changelog.

    ADDED and UPDATED write the candidate, ERASED its rank alone; REPLACED, EVICTED and RELEASED write a
    tombstone; IGNORED writes nothing.
    reason: of an IGNORED candidate: known, erased, duplicate or too_short.
    """

    kind: Kind
    candidate: Candidate
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """All that a selection knows, to be restored or merged.

    kept: best rank first. erased_slots: erased ones that still hold a slot. mark: the best rank that was ever
    dropped for want of room, or lost with an erased duplicate; above it the ranking is complete.
    erased: ids refused for ever, those of the slots among them.
    """

    kept: tuple[Candidate, ...] = ()
    erased_slots: tuple[Candidate, ...] = ()
    mark: Rank | None = None
    erased: frozenset[str] = frozenset()


def dedup_key(mode: Dedup, *, response: str, instruction: str = "", input: str = "") -> str | None:
    """The key that duplicates share under that mode; None for `off`."""
    match mode:
        case "response":
            return digest("response", response)
        case "pair":
            return digest("pair", instruction, input, response)
        case "off":
            return None


def better(one: Rank | None, other: Rank | None) -> Rank | None:
    """The better of two ranks, where None is worse than any."""
    return min((rank for rank in (one, other) if rank is not None), default=None)


class _WorstFirst:
    """A rank in the reversed order that a heap needs to have the worst on top."""

    __slots__ = ("rank",)

    def __init__(self, rank: Rank) -> None:
        self.rank = rank

    def __lt__(self, other: _WorstFirst) -> bool:
        return self.rank > other.rank


class LongestK:
    """The m best-ranked candidates of all that were offered, where of duplicates only the best counts."""

    def __init__(self, m: int) -> None:
        """m: slots, k and the reserve together. Raises ValueError below 1."""
        if m < 1:
            raise ValueError(f"a selection needs at least one slot, not {m}")
        self.m = m
        self.mark: Rank | None = None
        self._kept: dict[str, Candidate] = {}
        self._slots: dict[str, Candidate] = {}  # erased, until the next cut
        self._erased: set[str] = set()
        self._survivor: dict[str, str] = {}  # dedup key -> id
        self._heap: list[_WorstFirst] = []  # ranks of kept and slots; also of some that have left

    def __len__(self) -> int:
        """Candidates kept, erased slots apart."""
        return len(self._kept)

    def __contains__(self, example_id: str) -> bool:
        return example_id in self._kept

    @property
    def floor(self) -> int:
        """Where length alone is ranked by, a candidate shorter than this will be ignored; 0 while there is room."""
        return -self._worst().minus_length if self._full() else 0

    def floor_at(self, standing: Standing) -> int:
        """The same for a candidate that stands so before lengths are compared."""
        if not self._full():
            return 0
        worst = self._worst()
        theirs = (-standing.score, standing.draw)
        if theirs == worst[:2]:
            return -worst.minus_length
        return sys.maxsize if theirs > worst[:2] else 0

    def wants(self, candidate: Candidate) -> bool:
        """Whether an offer of it would give it a slot."""
        if candidate.id in self._erased or candidate.id in self._kept:
            return False
        twin = self._twin(candidate)
        if twin is not None:
            return candidate.rank < twin.rank
        return not self._full() or candidate.rank < self._worst()

    def kept(self) -> list[Candidate]:
        """Best rank first."""
        return sorted(self._kept.values(), key=lambda candidate: candidate.rank)

    def offer(self, candidate: Candidate) -> tuple[Change, ...]:
        """Take a candidate into account, again or for the first time. O(log m).

        The length of one that is shorter than `floor` may be any upper bound below `floor`.
        """
        if candidate.id in self._erased:
            return (Change(Kind.IGNORED, candidate, "erased"),)
        if candidate.id in self._kept:
            return (Change(Kind.IGNORED, candidate, "known"),)
        twin = self._twin(candidate)
        if twin is not None:
            return self._settle_duplicate(candidate, twin)
        if self._full() and candidate.rank > self._worst():
            self.mark = better(self.mark, candidate.rank)
            return (Change(Kind.IGNORED, candidate, "too_short"),)
        evicted = (self._evict(),) if self._full() else ()
        return (self._add(candidate), *evicted)

    def erase(self, example_id: str) -> tuple[Change, ...]:
        """Refuse an id for ever. If it is kept, its rank alone keeps the slot until the next cut."""
        self._erased.add(example_id)
        candidate = self._kept.pop(example_id, None)
        if candidate is None:
            return ()
        self._forget_key(candidate)
        if candidate.had_duplicates:
            # One of them should now stand in its place, and all have been dropped.
            self.mark = better(self.mark, candidate.rank)
        slot = replace(candidate, dedup_key=None, had_duplicates=False)
        self._slots[example_id] = slot
        return (Change(Kind.ERASED, slot),)

    def forget(self, example_id: str) -> None:
        """Let go of one that is kept elsewhere from now on; nothing was dropped, so the mark stays."""
        candidate = self._kept.pop(example_id)
        self._forget_key(candidate)
        self._tidy()

    def release_erased_slots(self) -> tuple[Change, ...]:
        """Free the slots of erased candidates, which a cut has by now taken into account."""
        released = sorted(self._slots.values(), key=lambda candidate: candidate.rank)
        self._slots.clear()
        self._tidy()
        return tuple(Change(Kind.RELEASED, slot) for slot in released)

    def snapshot(self) -> Snapshot:
        """A copy of everything, equal for equal states."""
        return Snapshot(
            kept=tuple(self.kept()),
            erased_slots=tuple(sorted(self._slots.values(), key=lambda candidate: candidate.rank)),
            mark=self.mark,
            erased=frozenset(self._erased),
        )

    @classmethod
    def restore(cls, m: int, snapshot: Snapshot) -> LongestK:
        """The selection that gave the snapshot, or one with fewer or more slots that goes on from there."""
        selection = cls(m)
        selection.mark = snapshot.mark
        selection._erased.update(snapshot.erased)
        selection._slots = {slot.id: slot for slot in snapshot.erased_slots}
        selection._kept = {candidate.id: candidate for candidate in snapshot.kept}
        selection._survivor = {
            key: candidate.id for candidate in snapshot.kept if (key := candidate.dedup_key) is not None
        }
        selection._heap = selection._live_ranks()
        while len(selection._kept) + len(selection._slots) > m:
            selection._evict()
        return selection

    def _full(self) -> bool:
        return len(self._kept) + len(self._slots) >= self.m

    def _worst(self) -> Rank:
        """The worst rank that holds a slot."""
        while not self._lives(self._heap[0].rank):
            heapq.heappop(self._heap)
        return self._heap[0].rank

    def _lives(self, rank: Rank) -> bool:
        return rank.id in self._kept or rank.id in self._slots  # an id has one rank for ever

    def _twin(self, candidate: Candidate) -> Candidate | None:
        key = candidate.dedup_key
        return self._kept[self._survivor[key]] if key is not None and key in self._survivor else None

    def _settle_duplicate(self, candidate: Candidate, twin: Candidate) -> tuple[Change, ...]:
        """The better-ranked of the two holds the slot."""
        if candidate.rank < twin.rank:
            del self._kept[twin.id]
            self._tidy()
            return (self._add(replace(candidate, had_duplicates=True)), Change(Kind.REPLACED, twin))
        ignored = Change(Kind.IGNORED, candidate, "duplicate")
        if twin.had_duplicates:
            return (ignored,)
        marked = replace(twin, had_duplicates=True)
        self._kept[twin.id] = marked
        return (ignored, Change(Kind.UPDATED, marked))

    def _add(self, candidate: Candidate) -> Change:
        self._kept[candidate.id] = candidate
        if candidate.dedup_key is not None:
            self._survivor[candidate.dedup_key] = candidate.id
        heapq.heappush(self._heap, _WorstFirst(candidate.rank))
        return Change(Kind.ADDED, candidate)

    def _evict(self) -> Change:
        """Free the slot of the worst rank."""
        rank = self._worst()
        heapq.heappop(self._heap)
        self.mark = better(self.mark, rank)
        slot = self._slots.pop(rank.id, None)
        if slot is not None:
            return Change(Kind.EVICTED, slot)
        candidate = self._kept.pop(rank.id)
        self._forget_key(candidate)
        return Change(Kind.EVICTED, candidate)

    def _forget_key(self, candidate: Candidate) -> None:
        if candidate.dedup_key is not None:
            del self._survivor[candidate.dedup_key]

    def _tidy(self) -> None:
        """Keep the heap within twice the slots: ranks that left in its middle are only dropped on top."""
        if len(self._heap) > 2 * (len(self._kept) + len(self._slots)):
            self._heap = self._live_ranks()

    def _live_ranks(self) -> list[_WorstFirst]:
        """A heap of the ranks that hold a slot."""
        heap = [_WorstFirst(candidate.rank) for candidate in (*self._kept.values(), *self._slots.values())]
        heapq.heapify(heap)
        return heap
