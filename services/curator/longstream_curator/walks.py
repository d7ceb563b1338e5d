"""One release from several strata: each walked by its own limit, all but the held-out for k rows together.

The next candidate is the best-ranked one of those strata that may still have rows. A refusal makes room in its own
stratum, and nothing that was wanted before becomes unwanted by it: so here too the outcome depends on what is accepted
and refused, and not on the order in which it becomes known.
"""

from __future__ import annotations

from collections.abc import Mapping

from longstream_curator.selection import Candidate, Rank
from longstream_curator.split import HELD_OUT
from longstream_curator.walk import Merged, Walk


class Walks:
    """The walks of all strata, with the same questions and answers as one."""

    def __init__(
        self,
        merged: Mapping[str, Merged],
        limits: Mapping[str, int],
        k: int,
        taken: Mapping[str, int] | None = None,
    ) -> None:
        """taken: by stratum, places that were passed before a restart; their outcomes are told again."""
        before = taken or {}
        self._k = k
        self._walks = {
            name: Walk(one, limits[name], taken=before.get(name, 0)) for name, one in sorted(merged.items())
        }
        self._stratum = {candidate.id: name for name, one in merged.items() for candidate in one.candidates}
        room = {name: min(limits[name], len(one.candidates)) for name, one in merged.items()}
        apart = sum(rows for name, rows in room.items() if name in HELD_OUT)
        self.wanted = min(k, sum(room.values()) - apart) + apart

    @property
    def taken(self) -> dict[str, int]:
        """Places passed so far, by stratum."""
        return {name: walk.taken for name, walk in self._walks.items()}

    @property
    def ready(self) -> int:
        """How many rows there are so far."""
        return sum(walk.ready for walk in self._walks.values())

    @property
    def accepted(self) -> list[Candidate]:
        """The release's rows so far, best rank first; behind them what is held out."""
        rows = [
            (name in HELD_OUT, name if name in HELD_OUT else "", candidate.rank, candidate)
            for name, walk in self._walks.items()
            for candidate in walk.accepted
        ]
        return [candidate for *_, candidate in sorted(rows, key=lambda row: row[:3])]

    @property
    def settled(self) -> bool:
        """Whether nothing can change any more, but for an exclusion."""
        return not any(walk.pending for walk in self._walks.values()) and self._next() is None

    @property
    def short(self) -> bool:
        """Whether it is settled with fewer rows to train on than its limits allow."""
        return self.settled and not self._enough() and any(walk.short for walk in self._ranked)

    @property
    def exact(self) -> bool:
        """Whether an exhaustive sort of everything before the cut, walked as far, would have met the same."""
        end = self._end()
        return all(
            walk.exact if name in HELD_OUT else walk.exact_until(end) for name, walk in self._walks.items()
        )

    def next_needed(self) -> Candidate | None:
        """The next candidate to decide on; None while enough are under way, or when none is left."""
        walk = self._next()
        return None if walk is None else walk.next_needed()

    def accept(self, example_id: str) -> bool:
        """Tell that a pending candidate has its row. False if it is not pending: the first outcome stands."""
        return self._walk_of(example_id).accept(example_id)

    def refuse(self, example_id: str) -> bool:
        """Tell that a pending candidate gets no row. False if it is not pending: the first outcome stands."""
        return self._walk_of(example_id).refuse(example_id)

    def exclude(self, example_id: str) -> bool:
        """Take an erased candidate out, whatever its outcome; False if it is not here or refused already."""
        return example_id in self._stratum and self._walk_of(example_id).exclude(example_id)

    def stratum(self, example_id: str) -> str:
        """The stratum of a candidate."""
        return self._stratum[example_id]

    @property
    def _ranked(self) -> list[Walk]:
        """The walks of what is trained on."""
        return [walk for name, walk in self._walks.items() if name not in HELD_OUT]

    def _walk_of(self, example_id: str) -> Walk:
        return self._walks[self._stratum[example_id]]

    def _enough(self) -> bool:
        return sum(walk.under_way for walk in self._ranked) >= self._k

    def _next(self) -> Walk | None:
        """The walk whose next candidate ranks best."""
        enough = self._enough()
        heads = [
            (rank, name)
            for name, walk in self._walks.items()
            if (name in HELD_OUT or not enough) and (rank := walk.next_rank()) is not None
        ]
        return self._walks[min(heads)[1]] if heads else None

    def _end(self) -> Rank | None:
        """Once there are k rows, the worst rank that any walk came to."""
        if not self._enough():
            return None
        return max((rank for walk in self._ranked if (rank := walk.last_rank) is not None), default=None)
