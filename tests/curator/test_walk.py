"""A release is the first k accepted of the whole ranking, however partitioned, and says when it is not."""

from __future__ import annotations

import random
from dataclasses import replace
from zlib import crc32

from hypothesis import given
from hypothesis import strategies as st

from longstream_curator.selection import Candidate, LongestK, Snapshot
from longstream_curator.walk import Merged, Walk, merge


def some(count: int, *, start: int = 0) -> list[Candidate]:
    """Candidates a, b, c ... with falling lengths."""
    return [Candidate(id=chr(97 + n), length=100 - n) for n in range(start, start + count)]


def walk_over(count: int, k: int, *, full: bool = True) -> Walk:
    return Walk(Merged(candidates=tuple(some(count)), full=full), k)


def take_all(walk: Walk) -> list[str]:
    """Everything that is needed now."""
    return [candidate.id for candidate in iter(walk.next_needed, None)]


def ids(walk: Walk) -> list[str]:
    return [candidate.id for candidate in walk.accepted]


@st.composite
def streams(draw: st.DrawFn) -> list[Candidate]:
    keys = draw(st.lists(st.integers(0, 12), max_size=40))
    return [
        Candidate(id=f"{n:02}", length=key // 3, source_index=n % 5, dedup_key=f"{key}" if key % 2 else None)
        for n, key in enumerate(keys)
    ]


@given(streams(), st.integers(1, 15), st.integers(1, 5))
def test_the_number_of_partitions_does_not_show(stream: list[Candidate], m: int, partitions: int) -> None:
    def cut(count: int) -> Merged:
        kept = [LongestK(m) for _ in range(count)]
        for candidate in stream:
            # Duplicates meet in one partition, as their responses' hashes make them do.
            kept[crc32((candidate.dedup_key or candidate.id).encode()) % count].offer(candidate)
        return merge([selection.snapshot() for selection in kept], m)

    one, many = cut(1), cut(partitions)
    assert [c.id for c in many.candidates] == [c.id for c in one.candidates]
    assert many.full == one.full


@given(streams(), st.integers(1, 15), st.integers(1, 5), st.integers(1, 15))
def test_a_walk_within_the_first_m_is_exact(stream: list[Candidate], m: int, partitions: int, k: int) -> None:
    kept = [LongestK(m) for _ in range(partitions)]
    for candidate in stream:
        kept[crc32((candidate.dedup_key or candidate.id).encode()) % partitions].offer(candidate)
    walk = Walk(merge([selection.snapshot() for selection in kept], m), k)
    for example_id in take_all(walk):
        walk.accept(example_id)
    assert walk.settled
    assert walk.exact


def test_partitions_that_share_a_response_or_an_id_give_it_once() -> None:
    a, b = Candidate(id="a", length=5, dedup_key="k"), Candidate(id="b", length=5, dedup_key="k")
    merged = merge([Snapshot(kept=(b,)), Snapshot(kept=(a,)), Snapshot(kept=(a,))], 9)
    assert [candidate.id for candidate in merged.candidates] == ["a"]


def test_an_erased_slot_takes_a_place_in_the_first_m() -> None:
    slot = Candidate(id="x", length=999)
    merged = merge([Snapshot(kept=tuple(some(3)), erased_slots=(slot,))], 3)
    assert [candidate.id for candidate in merged.candidates] == ["a", "b"]
    assert merged.full


def test_reserve_ranks_replace_refused_ones_in_order() -> None:
    walk = walk_over(5, k=2)
    assert take_all(walk) == ["a", "b"]
    walk.refuse("a")
    assert take_all(walk) == ["c"]
    walk.accept("c")
    assert not walk.settled
    walk.accept("b")
    assert ids(walk) == ["b", "c"]
    assert walk.settled
    assert not walk.short


@given(
    st.integers(0, 12),
    st.integers(1, 6),
    st.sets(st.integers(0, 11).map(lambda n: chr(97 + n))),
    st.randoms(use_true_random=False),
    st.integers(0, 20),
)
def test_the_order_of_outcomes_and_a_restart_do_not_show(
    count: int, k: int, bad: set[str], order: random.Random, restart_at: int
) -> None:
    walk = walk_over(count, k)
    told: list[str] = []
    pending = take_all(walk)
    while pending:
        example_id = pending.pop(order.randrange(len(pending)))
        (walk.refuse if example_id in bad else walk.accept)(example_id)
        told.append(example_id)
        pending += take_all(walk)
        if len(told) == restart_at:
            walk = Walk(Merged(candidates=tuple(some(count)), full=True), k, taken=walk.taken)
            for earlier in told:
                (walk.refuse if earlier in bad else walk.accept)(earlier)
    good = [candidate.id for candidate in some(count) if candidate.id not in bad]
    assert ids(walk) == good[:k]
    assert walk.settled
    assert walk.short == (len(good) < k)


def test_the_first_outcome_stands() -> None:
    walk = walk_over(3, k=1)
    take_all(walk)
    assert walk.accept("a")
    assert not walk.refuse("a")
    assert not walk.accept("c")
    assert ids(walk) == ["a"]


def test_no_more_than_k_are_ever_under_way() -> None:
    walk = walk_over(9, k=3)
    assert len(take_all(walk)) == walk.pending == 3
    assert walk.taken == 3


def test_an_excluded_row_lets_the_next_reserve_step_in() -> None:
    walk = walk_over(4, k=2)
    for example_id in take_all(walk):
        walk.accept(example_id)
    assert walk.exclude("a")
    assert not walk.exclude("a")
    assert not walk.exclude("z")
    assert take_all(walk) == ["c"]
    walk.accept("c")
    assert ids(walk) == ["b", "c"]
    assert walk.exact


def test_one_that_is_excluded_before_its_turn_is_passed_over() -> None:
    walk = walk_over(4, k=2)
    walk.exclude("b")
    assert take_all(walk) == ["a", "c"]


def test_excluding_a_survivor_of_duplicates_ends_exactness_once_the_walk_reaches_it() -> None:
    first, *rest = some(4)
    walk = Walk(Merged(candidates=(first, replace(rest[0], had_duplicates=True), *rest[1:]), full=True), 1)
    walk.exclude("b")
    take_all(walk)
    assert walk.exact
    walk.refuse("a")
    take_all(walk)
    assert not walk.exact


def test_erasing_a_survivor_of_duplicates_in_a_partition_clears_exact() -> None:
    selection = LongestK(5)
    for candidate in (
        Candidate(id="a", length=9, dedup_key="k"),
        Candidate(id="b", length=9, dedup_key="k"),
        Candidate(id="c", length=1),
    ):
        selection.offer(candidate)
    selection.erase("a")
    selection.release_erased_slots()
    walk = Walk(merge([selection.snapshot()], 5), 1)
    assert take_all(walk) == ["c"]
    assert not walk.exact


def test_a_walk_below_what_a_partition_dropped_is_not_exact() -> None:
    dropped = Candidate(id="x", length=99)
    walk = Walk(merge([Snapshot(kept=tuple(some(3)), mark=dropped.rank)], 3), 2)
    assert walk.exact
    walk.next_needed()  # a, longer than what was dropped
    assert walk.exact
    walk.next_needed()  # b, as long, but the id of the dropped one comes later
    assert walk.exact
    walk.refuse("b")
    walk.next_needed()
    assert not walk.exact


def test_an_exhausted_walk_is_exact_only_if_all_places_were_taken() -> None:
    dropped = Candidate(id="x", length=1).rank
    for full in (True, False):
        walk = Walk(Merged(candidates=tuple(some(2)), full=full, mark=dropped), 5)
        take_all(walk)
        assert walk.exact is full


def test_an_empty_ranking_settles_at_once_and_short() -> None:
    walk = walk_over(0, k=1, full=False)
    assert walk.next_needed() is None
    assert walk.settled
    assert walk.short
    assert walk.exact
