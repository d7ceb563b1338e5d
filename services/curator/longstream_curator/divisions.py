"""A partition's kept sets of one pipeline: one for each stratum and bucket of time, each the k longest of its own.

A bucket that no later cut can reach is dropped whole; what comes for it afterwards is late.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from typing import NamedTuple

from longstream.v1.records_pb2 import Division, KeptExample, PartitionMarks
from longstream_curator.ranks import rank_of, rank_record
from longstream_curator.selection import Candidate, Change, Kind, LongestK, Snapshot
from longstream_curator.split import HELD_OUT
from longstream_curator.window import Buckets


class Place(NamedTuple):
    """Where an example is ranked: in which part of the stream, and in which bucket of time."""

    stratum: str
    bucket: int


class Divisions:
    """The sets by place. What they have seen stands in the partition's marks, which they keep up to date."""

    def __init__(self, marks: PartitionMarks, places: Callable[[str], int], buckets: Buckets) -> None:
        """places: ranks to be kept of a stratum."""
        self._marks = marks
        self._places = places
        self._buckets = buckets
        self._sets: dict[Place, LongestK] = {}
        self._counts: dict[Place, Division] = {}
        self._where: dict[str, Place] = {}
        self._erased: set[str] = set()

    def __len__(self) -> int:
        return len(self._where)

    def restore(
        self,
        kept: Mapping[Place, Iterable[Candidate]],
        slots: Mapping[Place, Iterable[Candidate]],
        erased: Iterable[str],
    ) -> None:
        """Go on from what the marks say, what was kept, and what was erased, some of which holds a slot."""
        self._erased.update(erased)
        for division in self._marks.divisions:
            place = Place(division.stratum, division.bucket)
            candidates = tuple(kept.get(place, ()))
            mark = rank_of(division.evicted) if division.HasField("evicted") else None
            snapshot = Snapshot(kept=candidates, erased_slots=tuple(slots.get(place, ())), mark=mark)
            self._counts[place] = division
            self._sets[place] = LongestK.restore(self._places(place.stratum), snapshot)
            self._where.update((candidate.id, place) for candidate in candidates)

    def enter(self, place: Place) -> tuple[LongestK | None, list[str]]:
        """The set of a place, and the ids that are gone since it is looked at; None: it is too late for that place."""
        gone: list[str] = []
        if place not in self._sets:
            seen = self._seen()
            if place.stratum not in HELD_OUT:
                seen[place.bucket] += 1
            expired = set(self._buckets.expired(seen))
            gone = [
                example_id
                for one in list(self._sets)
                if one.bucket in expired and one.stratum not in HELD_OUT
                for example_id in self._drop(one)
            ]
            if self._buckets.overflow(seen):
                self._marks.begun_late = True  # a window that is cut short is not what was asked for
            if place.bucket in expired and place.stratum not in HELD_OUT:
                return None, gone
            self._sets[place] = LongestK(self._places(place.stratum))
            self._marks.divisions.add(stratum=place.stratum, bucket=place.bucket)
            self._counts[place] = self._marks.divisions[-1]
        self._counts[place].seen += 1
        return self._sets[place], gone

    def offer(self, place: Place, candidate: Candidate) -> tuple[Change, ...]:
        """Offer to a set that was entered. An id that came before moves to a newer bucket if it finds room there.

        It never changes its stratum, whatever its provenance says now: what is held out stays so.
        """
        longest, before = self._sets[place], self._where.get(candidate.id, place)
        if before != place:
            younger = place.stratum == before.stratum and place.bucket > before.bucket
            if not younger or not longest.wants(candidate):
                return (Change(Kind.IGNORED, candidate, "known"),)
            self._sets[before].forget(candidate.id)
        changes = longest.offer(candidate)
        for change in changes:
            if change.kind is Kind.ADDED:
                self._where[change.candidate.id] = place
            elif change.kind in {Kind.REPLACED, Kind.EVICTED}:
                self._where.pop(change.candidate.id, None)  # a slot of an erased one is not among them
        self._set_mark(place)
        return changes

    def erase(self, example_id: str) -> tuple[Place, Candidate] | None:
        """Refuse an id for ever; if it is kept, the slot that its rank goes on to hold until the next cut."""
        self._erased.add(example_id)
        place = self._where.pop(example_id, None)
        if place is None:
            return None
        longest = self._sets[place]
        [change] = longest.erase(example_id)
        self._set_mark(place)
        return place, change.candidate

    @property
    def refused(self) -> frozenset[str]:
        """Ids that were erased."""
        return frozenset(self._erased)

    def erased(self, example_id: str) -> bool:
        """Whether that id is refused."""
        return example_id in self._erased

    def release_slots(self) -> list[str]:
        """Free the slots of the erased; returns their ids."""
        released = [change for longest in self._sets.values() for change in longest.release_erased_slots()]
        return [change.candidate.id for change in released]

    def kept(self) -> Iterator[tuple[Place, Candidate]]:
        """All that is kept: place by place, the best rank of each first."""
        for place in sorted(self._sets):
            for candidate in self._sets[place].kept():
                yield place, candidate

    def __contains__(self, example_id: str) -> bool:
        return example_id in self._where

    def _seen(self) -> Counter[int]:
        seen = Counter[int]()
        for place, division in self._counts.items():
            if place.stratum not in HELD_OUT:
                seen[place.bucket] += division.seen
        return seen

    def _set_mark(self, place: Place) -> None:
        mark = self._sets[place].mark
        if mark is not None:
            self._counts[place].evicted.CopyFrom(rank_record(mark))

    def _drop(self, place: Place) -> Iterator[str]:
        """Forget a set whose time is over; what is erased and held a slot in it is among the ids."""
        self._marks.divisions.remove(self._counts.pop(place))
        longest = self._sets.pop(place)
        yield from (change.candidate.id for change in longest.release_erased_slots())
        for candidate in longest.kept():
            del self._where[candidate.id]
            yield candidate.id
        # Removing moved the others in their list.
        self._counts = {Place(one.stratum, one.bucket): one for one in self._marks.divisions}


def divided(marks: PartitionMarks, kept: Collection[KeptExample]) -> PartitionMarks:
    """Marks as they are written now; earlier versions had one mark for all that a partition saw."""
    if not marks.divisions and (kept or marks.HasField("evicted")):
        marks.divisions.add(seen=marks.seen, evicted=marks.evicted if marks.HasField("evicted") else None)
        marks.ClearField("evicted")
    return marks
