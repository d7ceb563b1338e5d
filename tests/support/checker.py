"""What a relay's topics must say after any faults, and what of it they break. Pure: evidence in, complaints out.

A feeder publishes batches of records into `in`. Relays copy each record to the partition of `out` that has the same
number, with the record's offset and the partition's running count; each commit also writes the count to `state`.
Every attempt to commit is named in what it writes, and in a journal with what the relay was told of it.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from itertools import pairwise
from typing import TypeVar

T = TypeVar("T")


class Told(Enum):
    """What who wrote something was told of it."""

    DONE = "done"
    REFUSED = "refused"
    """Nothing was written."""
    NOTHING = "nothing"
    """It died before the answer, or the answer was that nobody knows."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Records that were published in one act."""

    keys: tuple[str, ...]
    told: Told


@dataclass(frozen=True, slots=True)
class Attempt:
    """One call of commit: how many records it wanted to write to `out`, and of how many partitions the state."""

    outputs: int
    told: Told
    states: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Input:
    """A record of `in`."""

    partition: int
    offset: int
    key: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Copied:
    """A record of `out`: of which offset of its partition's input it tells, as the how manieth."""

    partition: int
    key: str
    of: int
    nth: int
    attempt: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Counted:
    """A record of `state`: so many were copied, and the next offset to be read."""

    partition: int
    nth: int
    next: int
    attempt: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """Topics in the order of their offsets, as a reader of committed records saw them at the end."""

    batches: Mapping[str, Batch] = field(default_factory=dict)
    attempts: Mapping[str, Attempt] = field(default_factory=dict)
    inputs: Sequence[Input] = ()
    copies: Sequence[Copied] = ()
    counts: Sequence[Counted] = ()
    positions: Mapping[int, int] = field(default_factory=dict)
    """What the relays' group has committed, by partition of `in`."""


def complaints(evidence: Evidence) -> list[str]:
    """Every promise that is broken; empty if none is."""
    return [
        *_publications(evidence),
        *_each_once(evidence),
        *_order(evidence),
        *_states(evidence),
        *_attempts(evidence),
        *_positions(evidence),
    ]


def _publications(evidence: Evidence) -> Iterator[str]:
    """An acknowledged batch is there, a refused one is not, and no batch is there in part or twice."""
    there = Counter(record.key for record in evidence.inputs)
    known = {key for batch in evidence.batches.values() for key in batch.keys}
    yield from (f"in holds {key}, which nobody published" for key in sorted(there.keys() - known))
    yield from (f"in holds {key} {count} times" for key, count in there.items() if count > 1)
    for name, batch in evidence.batches.items():
        found = sum(key in there for key in batch.keys)
        if batch.told is Told.DONE and found < len(batch.keys):
            yield f"lost: {len(batch.keys) - found} records of the acknowledged batch {name}"
        elif batch.told is Told.REFUSED and found:
            yield f"the refused batch {name} is visible"
        elif 0 < found < len(batch.keys):
            yield f"torn: batch {name} is there in part"


def _each_once(evidence: Evidence) -> Iterator[str]:
    wanted = {(record.partition, record.offset, record.key) for record in evidence.inputs}
    found: dict[tuple[int, int, str], list[str]] = defaultdict(list)
    for record in evidence.copies:
        found[record.partition, record.of, record.key].append(record.attempt)
    yield from (f"lost: {place} was never copied" for place in sorted(wanted - found.keys()))
    yield from (f"invented: {place} was copied but is not there" for place in sorted(found.keys() - wanted))
    for place, names in found.items():
        if len(names) > 1:
            by = ", ".join(f"{name} ({_told(evidence, name)})" for name in names)
            yield f"doubled: {place} was copied {len(names)} times: by {by}"


def _told(evidence: Evidence, name: str) -> str:
    attempt = evidence.attempts.get(name)
    return attempt.told.value if attempt else "never journaled"


def _order(evidence: Evidence) -> Iterator[str]:
    for partition, copies in _by_partition(evidence.copies).items():
        for before, after in pairwise(copies):
            if after.of <= before.of:
                yield f"order: out/{partition} has {after.of} behind {before.of}"
        if [copy.nth for copy in copies] != list(range(1, len(copies) + 1)):
            yield f"out/{partition} is not numbered as it stands: a relay began with an old state"


def _states(evidence: Evidence) -> Iterator[str]:
    """Each state of the changelog fits the copies up to it, and the last one all of them."""
    counts = _by_partition(evidence.counts)
    for partition, copies in _by_partition(evidence.copies).items():
        told = counts[partition]
        for before, after in pairwise(told):
            if after.nth <= before.nth or after.next <= before.next:
                yield f"state/{partition} went from {before.nth} to {after.nth}"
        for state in told:
            if state.nth != sum(copy.of < state.next for copy in copies):
                yield f"torn: state/{partition} counts {state.nth} below {state.next}, unlike out"
        last = (told[-1].nth, told[-1].next) if told else (0, 0)
        if last != (len(copies), copies[-1].of + 1):
            yield f"torn: state/{partition} ends at {last}, out with {len(copies)} up to {copies[-1].of}"


def _attempts(evidence: Evidence) -> Iterator[str]:
    """What a commit wrote is there whole or not at all, as its relay was told."""
    copied = Counter(record.attempt for record in evidence.copies)
    counted = Counter(record.attempt for record in evidence.counts)
    unknown = (copied | counted).keys() - evidence.attempts.keys()
    yield from (f"attempt {name} was never journaled" for name in sorted(unknown))
    for name, attempt in evidence.attempts.items():
        seen = (copied[name], counted[name])
        if seen not in {(0, 0), (attempt.outputs, attempt.states)}:
            wanted = f"{attempt.outputs} copies and {seen[1]} of {attempt.states} states"
            yield f"torn: of attempt {name} {seen[0]} of {wanted} are visible"
        if attempt.told is Told.DONE and not any(seen):
            yield f"lost: attempt {name} was acknowledged"
        if attempt.told is Told.REFUSED and any(seen):
            yield f"attempt {name} was refused, but is visible"


def _positions(evidence: Evidence) -> Iterator[str]:
    ends = {record.partition: record.of + 1 for record in evidence.copies}
    if ends != dict(evidence.positions):
        yield f"the group is at {dict(evidence.positions)}, the copies end at {ends}"


def _by_partition(records: Iterable[T]) -> dict[int, list[T]]:
    found: dict[int, list[T]] = defaultdict(list)
    for record in records:
        found[record.partition].append(record)  # type: ignore[attr-defined]
    return found
