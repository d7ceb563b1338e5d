"""Sharing out partitions, and noticing the silent."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from longstream.bus import Partition
from longstream.bus.assignment import Watch, assign

NAMES = "abcdefgh"
memberships = st.sets(st.sampled_from(NAMES), min_size=1, max_size=6)


def everyone_reads(names: set[str], *topics: str) -> dict[str, frozenset[str]]:
    return {name: frozenset(topics) for name in names}


def loads(assignment: dict[Partition, str], names: set[str]) -> list[int]:
    counts = Counter(assignment.values())
    return [counts[name] for name in names]


@given(st.integers(1, 20), memberships)
def test_every_partition_has_one_owner_and_shares_differ_by_one_at_most(count: int, names: set[str]) -> None:
    assignment = assign({"t": count}, everyone_reads(names, "t"), {})
    assert set(assignment) == {Partition("t", n) for n in range(count)}
    assert max(loads(assignment, names)) - min(loads(assignment, names)) <= 1


@given(st.integers(1, 20), memberships, memberships)
def test_a_change_of_members_moves_no_more_than_it_must(
    count: int, before: set[str], after: set[str]
) -> None:
    held = assign({"t": count}, everyone_reads(before, "t"), {})
    assignment = assign({"t": count}, everyone_reads(after, "t"), held)
    assert max(loads(assignment, after)) - min(loads(assignment, after)) <= 1
    moved = sum(assignment[partition] != owner for partition, owner in held.items())
    kept_at_most = Counter(owner for owner in held.values() if owner in after)
    least, larger = divmod(count, len(after))
    sizes = sorted((kept_at_most[name] for name in after), reverse=True)
    stay = sum(min(size, least + (place < larger)) for place, size in enumerate(sizes))
    assert moved == count - stay


@given(st.integers(1, 20), memberships)
def test_nothing_moves_when_nothing_changes(count: int, names: set[str]) -> None:
    members = everyone_reads(names, "t")
    held = assign({"t": count}, members, {})
    assert assign({"t": count}, members, held) == held


@given(st.integers(1, 8), st.integers(1, 8), memberships, memberships)
def test_the_same_number_of_every_topic_goes_to_the_same_member(
    first: int, second: int, before: set[str], after: set[str]
) -> None:
    topics = {"s": first, "t": second}
    held = assign(topics, everyone_reads(before, "s", "t"), {})
    assignment = assign(topics, everyone_reads(after, "s", "t"), held)
    for number in range(min(first, second)):
        assert assignment[Partition("s", number)] == assignment[Partition("t", number)]


def test_a_partition_goes_only_to_one_who_reads_its_topic() -> None:
    members = {"old": frozenset({"s"}), "new": frozenset({"s", "t"})}
    assignment = assign({"s": 4, "t": 4, "unread": 1}, members, {})
    assert {assignment[Partition("t", n)] for n in range(4)} == {"new"}
    assert Partition("unread", 0) not in assignment


def test_a_single_partition_of_a_second_kind_goes_to_the_less_loaded() -> None:
    members = {"a": frozenset({"s", "t"}), "b": frozenset({"s", "t"}), "c": frozenset({"s"})}
    assignment = assign({"s": 1, "t": 1}, members, {})
    assert assignment[Partition("s", 0)] != assignment[Partition("t", 0)]


def test_only_one_who_stands_still_for_a_whole_session_is_silent() -> None:
    watch = Watch(interval_s=1.0)
    sessions = {"alive": 3.0, "silent": 3.0, "patient": 9.0}
    verdicts = [watch.look({"alive": look, "silent": 7, "patient": 7}, sessions) for look in range(6)]
    assert verdicts == [[], [], [], [], ["silent"], ["silent"]]


def test_a_member_that_beats_again_is_alive_again() -> None:
    watch = Watch(interval_s=1.0)
    for _ in range(3):
        watch.look({"m": 1}, {"m": 3.0})
    assert watch.look({"m": 2}, {"m": 3.0}) == []
    assert watch.look({"m": 2}, {"m": 3.0}) == []


def test_a_member_that_left_is_forgotten() -> None:
    watch = Watch(interval_s=1.0)
    for _ in range(4):
        watch.look({"m": 1}, {"m": 3.0})
    watch.look({}, {})
    assert watch.look({"m": 1}, {"m": 3.0}) == []
