"""The history's checker finds each kind of damage that is planted into a sound history."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.checker import Attempt, Batch, Copied, Counted, Evidence, Input, Told, complaints

Act = Callable[[Evidence], Evidence]


def sound(records: int = 12, per_commit: int = 3) -> Evidence:
    """Two partitions, batches of two, commits of per_commit; offsets have the gaps of transactions' ends."""
    inputs = [Input(partition=n % 2, offset=3 * (n // 2), key=f"k{n}") for n in range(records)]
    keys = [record.key for record in inputs]
    batches = {f"b{n}": Batch(tuple(keys[n : n + 2]), Told.DONE) for n in range(0, records, 2)}
    attempts, copies, counts, positions = {"gave up": Attempt(2, Told.REFUSED)}, [], [], {}
    for partition in range(2):
        mine = [record for record in inputs if record.partition == partition]
        for first in range(0, len(mine), per_commit):
            name = f"a{partition}-{first}"
            taken = mine[first : first + per_commit]
            attempts[name] = Attempt(len(taken), Told.DONE)
            copies += [
                Copied(partition=partition, key=one.key, of=one.offset, nth=first + n, attempt=name)
                for n, one in enumerate(taken, 1)
            ]
            positions[partition] = taken[-1].offset + 1
            counts.append(
                Counted(partition=partition, nth=first + len(taken), next=positions[partition], attempt=name)
            )
    return Evidence(
        batches=batches, attempts=attempts, inputs=inputs, copies=copies, counts=counts, positions=positions
    )


@given(records=st.integers(2, 40), per_commit=st.integers(1, 7))
def test_a_sound_history_gives_no_cause_for_complaint(records: int, per_commit: int) -> None:
    assert complaints(sound(2 * records, per_commit)) == []


def test_what_nobody_acknowledged_may_be_there_or_not() -> None:
    evidence = sound()
    batches = {name: replace(batch, told=Told.NOTHING) for name, batch in evidence.batches.items()}
    attempts = {name: replace(one, told=Told.NOTHING) for name, one in evidence.attempts.items()}
    batches["killed before it was sent"] = Batch(("k-1", "k-2"), Told.NOTHING)
    batches["refused"] = Batch(("k-3",), Told.REFUSED)
    assert complaints(replace(evidence, batches=batches, attempts=attempts)) == []


def without_the_copies_of_an_attempt(evidence: Evidence) -> Evidence:
    return replace(evidence, copies=[one for one in evidence.copies if one.attempt != "a0-3"])


def without_an_attempt(evidence: Evidence) -> Evidence:
    """The last commit of partition 0 is gone, with its outputs, state and position."""
    gone = without_the_copies_of_an_attempt(evidence)
    counts = [one for one in evidence.counts if one.attempt != "a0-3"]
    end = next(one.next for one in counts if one.attempt == "a0-0")
    return replace(gone, counts=counts, positions={**evidence.positions, 0: end})


def told(evidence: Evidence, name: str, outcome: Told) -> Evidence:
    attempt = replace(evidence.attempts[name], told=outcome)
    return replace(evidence, attempts={**evidence.attempts, name: attempt})


def doubled(evidence: Evidence, at: int) -> Evidence:
    return replace(evidence, copies=[*evidence.copies, evidence.copies[at]])


def swapped(evidence: Evidence) -> Evidence:
    first, second, *rest = evidence.copies
    return replace(evidence, copies=[second, first, *rest])


PLANTED: dict[str, tuple[Act, str]] = {
    "an acknowledged batch is gone": (lambda e: replace(e, inputs=e.inputs[2:]), "lost: 2 records"),
    "a batch is there in part": (
        lambda e: replace(
            e, inputs=e.inputs[1:], batches={**e.batches, "b0": Batch(("k0", "k1"), Told.NOTHING)}
        ),
        "torn: batch b0",
    ),
    "a batch was refused and is there": (
        lambda e: replace(e, batches={**e.batches, "b0": Batch(("k0", "k1"), Told.REFUSED)}),
        "the refused batch b0",
    ),
    "a record was published twice": (lambda e: replace(e, inputs=[*e.inputs, e.inputs[0]]), "k0 2 times"),
    "a record comes from nobody": (
        lambda e: replace(e, inputs=[*e.inputs, Input(partition=0, offset=99, key="x")]),
        "x, which nobody published",
    ),
    "a record was not copied": (lambda e: replace(e, copies=e.copies[:-1]), "was never copied"),
    "a commit is gone with its position": (without_an_attempt, "attempt a0-3 was acknowledged"),
    "a record was copied twice": (lambda e: doubled(e, 0), "was copied 2 times"),
    "a copy of nothing": (
        lambda e: replace(e, copies=[*e.copies, replace(e.copies[-1], of=77, nth=7)]),
        "invented",
    ),
    "two copies have changed places": (swapped, "order: out/0"),
    "a relay began with an old count": (
        lambda e: replace(e, copies=[*e.copies[:-1], replace(e.copies[-1], nth=1)]),
        "began with an old state",
    ),
    "a commit without its state": (lambda e: replace(e, counts=e.counts[:-1]), "torn: state/1 ends at"),
    "a commit without its copies": (without_the_copies_of_an_attempt, "torn: of attempt a0-3 0 of 3"),
    "a state that counts too few": (
        lambda e: replace(e, counts=[replace(e.counts[0], nth=2), *e.counts[1:]]),
        "torn: state/0 counts 2",
    ),
    "a state that goes back": (lambda e: replace(e, counts=[*e.counts, e.counts[0]]), "went from"),
    "an aborted commit is visible": (lambda e: told(e, "a0-0", Told.REFUSED), "was refused, but is visible"),
    "a commit that no journal has": (
        lambda e: replace(e, attempts={k: v for k, v in e.attempts.items() if k != "a0-0"}),
        "attempt a0-0 was never journaled",
    ),
    "a position behind the copies": (lambda e: replace(e, positions={**e.positions, 0: 1}), "the group is"),
    "a position that is missing": (lambda e: replace(e, positions={1: e.positions[1]}), "the group is at"),
}


@pytest.mark.parametrize(("plant", "complaint"), PLANTED.values(), ids=list(PLANTED))
def test_planted_damage_is_found(plant: Act, complaint: str) -> None:
    assert any(complaint in told for told in complaints(plant(sound()))), complaints(plant(sound()))


@given(data=st.data())
def test_no_single_copy_can_go_or_come_twice_unseen(data: st.DataObject) -> None:
    evidence = sound()
    at = data.draw(st.integers(0, len(evidence.copies) - 1))
    less = [one for n, one in enumerate(evidence.copies) if n != at]
    assert any("lost" in told for told in complaints(replace(evidence, copies=less)))
    assert any("doubled" in told for told in complaints(doubled(evidence, at)))
