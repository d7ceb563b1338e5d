"""The kept set equals an exhaustive sort, whatever the order, the duplicates, the retries, the restarts."""

from __future__ import annotations

import random
import time
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from longstream_curator.selection import Candidate, Kind, LongestK, Rank, Snapshot, better, dedup_key


def candidates(max_size: int = 30) -> st.SearchStrategy[list[Candidate]]:
    """Few lengths, sources, places and keys, so that ties and duplicates are the rule. Ids are unique."""
    one = st.builds(
        Candidate,
        id=st.integers(0, 99).map("{:02}".format),
        length=st.integers(0, 4),
        source_order=st.integers(0, 2),
        source_index=st.none() | st.integers(0, 3),
        dedup_key=st.none() | st.sampled_from("abcd"),
    )
    # Duplicates share their response, and so their length.
    alike = one.map(lambda c: replace(c, length=ord(c.dedup_key) - 96) if c.dedup_key else c)
    return st.lists(alike, max_size=max_size, unique_by=lambda c: c.id)


def exhaustive(offered: list[Candidate], m: int) -> list[str]:
    """Ids by a full sort; of each set of duplicates the best-ranked one alone."""
    seen: set[str] = set()
    ids: list[str] = []
    for candidate in sorted(offered, key=lambda c: c.rank):
        if candidate.dedup_key is None or candidate.dedup_key not in seen:
            ids.append(candidate.id)
            seen.add(candidate.dedup_key or "")
    return ids[:m]


def ids(selection: LongestK) -> list[str]:
    return [candidate.id for candidate in selection.kept()]


def filled(m: int, *offered: Candidate) -> LongestK:
    selection = LongestK(m)
    for candidate in offered:
        selection.offer(candidate)
    return selection


def test_rank_is_length_then_source_then_index_with_absent_last_then_id() -> None:
    worst_to_best = [
        Candidate(id="a", length=1),
        Candidate(id="b", length=2, source_order=1, source_index=0),
        Candidate(id="d", length=2),
        Candidate(id="c", length=2),
        Candidate(id="e", length=2, source_index=5),
        Candidate(id="f", length=2, source_index=0),
        Candidate(id="g", length=3, source_order=9),
    ]
    assert ids(filled(9, *worst_to_best)) == ["g", "f", "e", "c", "d", "b", "a"]


@given(candidates(), st.integers(1, 12), st.randoms(use_true_random=False))
def test_any_order_of_arrival_gives_the_exhaustive_sort(
    offered: list[Candidate], m: int, order: random.Random
) -> None:
    shuffled = order.sample(offered, len(offered))
    assert ids(filled(m, *shuffled)) == exhaustive(offered, m)


@given(candidates(), st.integers(1, 12), st.data())
def test_retries_change_nothing(offered: list[Candidate], m: int, data: st.DataObject) -> None:
    again = data.draw(st.lists(st.sampled_from(offered), max_size=20)) if offered else []
    arrivals = data.draw(st.permutations([*offered, *again]))
    assert ids(filled(m, *arrivals)) == exhaustive(offered, m)


@given(candidates(), st.integers(1, 12), st.integers(0, 30))
def test_a_restart_at_any_point_changes_nothing(offered: list[Candidate], m: int, at: int) -> None:
    straight, first = filled(m, *offered), filled(m, *offered[:at])
    resumed = LongestK.restore(m, first.snapshot())
    assert resumed.snapshot() == first.snapshot()
    for candidate in offered[at:]:
        resumed.offer(candidate)
    assert resumed.snapshot() == straight.snapshot()


@given(candidates(), st.integers(1, 12))
def test_the_changes_alone_rebuild_the_kept_set(offered: list[Candidate], m: int) -> None:
    log: dict[str, Candidate] = {}
    selection = LongestK(m)
    for candidate in offered:
        for change in selection.offer(candidate):
            if change.kind in {Kind.ADDED, Kind.UPDATED}:
                log[change.candidate.id] = change.candidate
            elif change.kind in {Kind.REPLACED, Kind.EVICTED}:
                del log[change.candidate.id]
    assert log == {candidate.id: candidate for candidate in selection.kept()}


@given(candidates(), st.integers(1, 12))
def test_everything_above_the_mark_is_kept(offered: list[Candidate], m: int) -> None:
    selection = filled(m, *offered)
    mark = selection.mark
    above = [one for one in offered if mark is None or one.rank < mark]
    assert ids(selection)[: len(exhaustive(above, 99))] == exhaustive(above, 99)


@given(candidates(), st.integers(1, 12))
def test_below_the_floor_an_upper_bound_serves_as_well(offered: list[Candidate], m: int) -> None:
    bounded = LongestK(m)
    for candidate in offered:
        short = candidate.length < bounded.floor
        bounded.offer(replace(candidate, length=bounded.floor - 1) if short else candidate)
    assert ids(bounded) == exhaustive(offered, m)
    kept = bounded.kept()
    assert bounded.mark is None or kept[-1].rank < bounded.mark


def test_the_best_duplicate_survives_and_the_place_of_the_other_is_free() -> None:
    worse, best = (Candidate(id=x, length=5, source_index=i, dedup_key="k") for x, i in (("w", 7), ("b", 1)))
    selection = filled(2, worse)
    changes = selection.offer(best)
    assert [(change.kind, change.candidate.id) for change in changes] == [
        (Kind.ADDED, "b"),
        (Kind.REPLACED, "w"),
    ]
    assert selection.kept() == [replace(best, had_duplicates=True)]
    assert selection.mark is None


def test_a_survivor_is_written_again_when_its_first_duplicate_comes_and_only_then() -> None:
    one, two, three = (Candidate(id=x, length=5, dedup_key="k") for x in "abc")
    selection = filled(2, one)
    assert [change.kind for change in selection.offer(two)] == [Kind.IGNORED, Kind.UPDATED]
    assert [(change.kind, change.reason) for change in selection.offer(three)] == [
        (Kind.IGNORED, "duplicate")
    ]


def test_each_ignored_offer_says_why() -> None:
    long, short = Candidate(id="l", length=9), Candidate(id="s", length=1)
    selection = filled(1, long)
    assert [change.reason for change in selection.offer(long)] == ["known"]
    assert [change.reason for change in selection.offer(short)] == ["too_short"]
    selection.erase("s")
    assert [change.reason for change in selection.offer(short)] == ["erased"]


def test_an_eviction_moves_the_mark_and_a_worse_one_leaves_it() -> None:
    selection = filled(1, Candidate(id="a", length=3), Candidate(id="b", length=5))
    assert selection.mark == Candidate(id="a", length=3).rank
    selection.offer(Candidate(id="c", length=1))
    assert selection.mark == Candidate(id="a", length=3).rank


def test_an_erased_one_keeps_its_slot_until_the_cut_and_is_refused_for_ever() -> None:
    selection = filled(2, Candidate(id="a", length=9, dedup_key="k"), Candidate(id="b", length=5))
    (erased,) = selection.erase("a")
    assert erased.kind is Kind.ERASED
    assert erased.candidate == Candidate(id="a", length=9)
    selection.offer(Candidate(id="c", length=4))
    assert ids(selection) == ["b"]
    assert [change.kind for change in selection.release_erased_slots()] == [Kind.RELEASED]
    selection.offer(Candidate(id="a", length=9))
    selection.offer(Candidate(id="c", length=4))
    assert ids(selection) == ["b", "c"]


def test_an_erased_slot_is_evicted_like_any_other() -> None:
    selection = filled(1, Candidate(id="a", length=1))
    selection.erase("a")
    assert [change.kind for change in selection.offer(Candidate(id="b", length=2))] == [
        Kind.ADDED,
        Kind.EVICTED,
    ]
    assert selection.snapshot().erased_slots == ()


def test_the_same_text_under_another_id_is_welcome_after_an_erasure() -> None:
    selection = filled(2, Candidate(id="a", length=9, dedup_key="k"))
    selection.erase("a")
    selection.offer(Candidate(id="b", length=9, dedup_key="k"))
    assert ids(selection) == ["b"]


@pytest.mark.parametrize("duplicated", [False, True])
def test_only_erasing_a_survivor_of_duplicates_moves_the_mark(duplicated: bool) -> None:
    survivor = Candidate(id="a", length=9, dedup_key="k", had_duplicates=duplicated)
    selection = filled(5, survivor)
    selection.erase("a")
    assert selection.mark == (survivor.rank if duplicated else None)


@given(candidates(), st.integers(1, 9), st.sets(st.integers(0, 99).map("{:02}".format)), st.integers(0, 30))
def test_erasures_survive_a_restart(offered: list[Candidate], m: int, gone: set[str], at: int) -> None:
    straight, first = filled(m, *offered[:at]), filled(m, *offered[:at])
    for selection in (straight, first):
        for example_id in sorted(gone):
            selection.erase(example_id)
    resumed = LongestK.restore(m, first.snapshot())
    for selection in (straight, resumed):
        for candidate in offered[at:]:
            selection.offer(candidate)
    assert resumed.snapshot() == straight.snapshot()
    assert gone.isdisjoint(ids(resumed))


@given(candidates(), st.integers(1, 12), st.integers(1, 12))
def test_restoring_into_fewer_slots_keeps_the_best(offered: list[Candidate], m: int, fewer: int) -> None:
    resumed = LongestK.restore(fewer, filled(m, *offered).snapshot())
    assert ids(resumed) == exhaustive(offered, m)[:fewer]


def test_memory_stays_within_the_slots_however_many_duplicates_replace_each_other() -> None:
    selection = LongestK(4)
    for index in range(1_000, 0, -1):
        selection.offer(Candidate(id=str(index), length=5, source_index=index, dedup_key="k"))
    assert len(selection._heap) <= 8
    assert ids(selection) == ["1"]


def test_an_offer_costs_little_more_in_a_hundred_times_larger_selection() -> None:
    def seconds(m: int) -> float:
        draw = random.Random(3)
        stream = [Candidate(id=str(i), length=draw.randrange(10**9)) for i in range(m + 5_000)]
        selection = filled(m, *stream[:m])
        started = time.perf_counter()
        for candidate in stream[m:]:
            selection.offer(replace(candidate, length=2 * 10**9 + candidate.length))  # each evicts another
        return time.perf_counter() - started

    assert min(seconds(50_000) for _ in range(3)) < 10 * min(seconds(500) for _ in range(3))


def test_dedup_keys_tell_modes_and_texts_apart() -> None:
    texts = {"response": "r", "instruction": "i", "input": "n"}
    assert dedup_key("off", **texts) is None
    assert dedup_key("response", **texts) == dedup_key("response", response="r")
    assert dedup_key("pair", **texts) != dedup_key("pair", response="r")
    assert dedup_key("pair", response="r") != dedup_key("response", response="r")


def test_a_selection_without_slots_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one slot"):
        LongestK(0)


def test_no_rank_is_worse_than_any() -> None:
    rank = Rank(0, 0, -1, 0, True, 0, "a")
    assert better(None, rank) == better(rank, None) == rank
    assert better(None, None) is None
    assert Snapshot() == LongestK(1).snapshot()
