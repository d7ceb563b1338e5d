"""A release from several strata is what one walk over all of them would take, in any order of outcomes."""

from __future__ import annotations

import random
from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from longstream_curator.selection import Candidate, Standing
from longstream_curator.walk import Merged
from longstream_curator.walks import Walks

STRATA = ("a", "b", "c")


def ranked(strata: list[str]) -> dict[str, Merged]:
    """Candidates of falling lengths, each of the stratum that its place names."""
    all_of_them = [(name, Candidate(id=f"{n:02}", length=99 - n)) for n, name in enumerate(strata)]
    return {
        name: Merged(candidates=tuple(one for its, one in all_of_them if its == name), full=True)
        for name in STRATA
    }


def by_one_walk(strata: list[str], limits: dict[str, int], k: int, bad: set[str]) -> list[str]:
    taken, rows = Counter[str](), list[str]()
    for n, name in enumerate(strata):
        if f"{n:02}" not in bad and taken[name] < limits[name] and len(rows) < k:
            taken[name] += 1
            rows.append(f"{n:02}")
    return rows


@given(
    st.lists(st.sampled_from(STRATA), max_size=20),
    st.fixed_dictionaries({name: st.integers(0, 6) for name in STRATA}),
    st.integers(1, 12),
    st.sets(st.integers(0, 19).map("{:02}".format)),
    st.data(),
)
def test_the_order_of_outcomes_and_a_restart_do_not_show(
    strata: list[str], limits: dict[str, int], k: int, bad: set[str], data: st.DataObject
) -> None:
    order, restart_at = random.Random(data.draw(st.integers())), data.draw(st.integers(0, 20))
    walks = Walks(ranked(strata), limits, k)
    told: list[str] = []
    pending = [one.id for one in iter(walks.next_needed, None)]
    while pending:
        told.append(pending.pop(order.randrange(len(pending))))
        (walks.refuse if told[-1] in bad else walks.accept)(told[-1])
        pending += [one.id for one in iter(walks.next_needed, None)]
        if len(told) == restart_at:
            walks = Walks(ranked(strata), limits, k, walks.taken)
            for earlier in told:
                (walks.refuse if earlier in bad else walks.accept)(earlier)
    expected = by_one_walk(strata, limits, k, bad)
    assert [one.id for one in walks.accepted] == expected
    assert walks.settled
    room = min(k, sum(limits.values()))
    assert walks.short == (len(expected) < room)


def test_a_stratum_is_not_exact_where_it_may_have_dropped_what_the_walk_came_past() -> None:
    """k rows came from the other one, but one of these was dropped that ranks above the last of them."""
    dropped = Candidate(id="x", length=50).rank
    below = Candidate(id="y", length=10).rank
    for mark, exact in ((dropped, False), (below, True), (None, True)):
        merged = {
            "a": Merged(candidates=tuple(Candidate(id=f"a{n}", length=40 - n) for n in range(3)), full=True),
            "b": Merged(candidates=(Candidate(id="b", length=9),), full=True, mark=mark),
        }
        walks = Walks(merged, {"a": 3, "b": 3}, 3)
        for one in iter(walks.next_needed, None):
            walks.accept(one.id)
        assert walks.exact is exact


def test_what_is_held_out_does_not_show_in_the_exactness_of_what_is_ranked() -> None:
    """Its draws rank below every length; k rows came from `a`, all above what `b` dropped."""
    merged = {
        "(test)": Merged(candidates=(Candidate(id="t", length=1, standing=Standing(0, 7)),), full=False),
        "a": Merged(candidates=tuple(Candidate(id=f"a{n}", length=40 - n) for n in range(3)), full=True),
        "b": Merged(candidates=(), full=False, mark=Candidate(id="y", length=10).rank),
    }
    walks = Walks(merged, {"(test)": 1, "a": 3, "b": 3}, 3)
    assert all(walks.accept(one.id) for one in iter(walks.next_needed, None))
    assert [one.id for one in walks.accepted] == ["a0", "a1", "a2", "t"]
    assert (walks.ready, walks.wanted, walks.exact) == (4, 4, True)


def test_a_stratum_at_its_limit_is_exact_above_its_mark() -> None:
    mark = Candidate(id="0", length=38).rank
    merged = {
        "a": Merged(
            candidates=tuple(Candidate(id=f"a{n}", length=40 - n) for n in range(3)), full=True, mark=mark
        )
    }
    for limit in (1, 2, 3):
        walks = Walks(merged, {"a": limit}, 9)
        assert all(walks.accept(one.id) for one in iter(walks.next_needed, None))
        assert walks.exact is (limit < 3)
