"""Of nearly equal texts the best-ranked stays, and the release says when that left it short of what it dropped."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from longstream.data.words import runs, words
from longstream.selecting import NearDuplicates
from longstream_curator.near import Unlike
from longstream_curator.rankings import Near, Rankings
from longstream_curator.selection import Candidate, LongestK
from longstream_curator.strata import WHOLE, Stratifier
from longstream_curator.walk import Merged, merge
from longstream_curator.walks import Walks

BASE = [f"word{n}" for n in range(100)]


def jaccard(one: str, other: str, n: int) -> float:
    a, b = set(runs(words(one), n)), set(runs(words(other), n))
    return len(a & b) / max(1, len(a | b))


def stayed(texts: list[str], rule: NearDuplicates) -> list[int]:
    unlike = Unlike(rule)
    return [n for n, text in enumerate(texts) if unlike.stays(str(n), text)]


@st.composite
def families(draw: st.DrawFn) -> list[str]:
    """Texts that share more or less of a beginning."""
    texts = []
    for number in range(draw(st.integers(1, 12))):
        shared = draw(st.sampled_from([0, 10, 80, 95, 100]))
        own = [f"own{number}x{n}" for n in range(100 - shared)]
        texts.append(" ".join(BASE[:shared] + own))
    return texts


@given(families())
def test_what_stays_is_near_to_none_that_stayed_and_what_goes_is_near_to_one(texts: list[str]) -> None:
    rule = NearDuplicates(jaccard=0.8, words=3)
    kept = stayed(texts, rule)
    for n, text in enumerate(texts):
        before = [texts[it] for it in kept if it < n]
        near = [other for other in before if jaccard(text, other, 3) >= 0.8]
        assert (n in kept) == (not near)


def test_equal_texts_count_once_whatever_their_marks() -> None:
    assert stayed(["One, two.", "one two", "?!", "...", "three"], NearDuplicates(jaccard=1)) == [0, 2, 3, 4]


def test_one_long_hub_near_to_all_that_another_partition_kept_is_not_exact() -> None:
    """The other partition dropped for want of room what would have come, had it known the hub."""
    hub = " ".join(BASE)
    texts = {"hub": hub, **{f"leaf{n}": " ".join([*BASE[:99], f"end{n}"]) for n in range(4)}}
    texts |= {f"own{n}": " ".join(f"{n}its{m}" for m in range(50)) for n in range(4)}
    rule = NearDuplicates(jaccard=0.8, words=3)

    def rows(m: int) -> tuple[set[str], bool, bool]:
        here, there = LongestK(m), LongestK(m)
        here.offer(Candidate(id="hub", length=1_000))
        for n in range(4):
            there.offer(Candidate(id=f"leaf{n}", length=900 - n))
            there.offer(Candidate(id=f"own{n}", length=500 - n))
        merged = {WHOLE: merge([here.snapshot(), there.snapshot()], m)}
        rankings = Rankings(merged, {WHOLE: 9}, Stratifier(None, 3, m - 3), Near(rule, texts.__getitem__))
        walks = Walks(rankings.merged, rankings.limits, 3)
        for one in iter(walks.next_needed, None):
            walks.accept(one.id)
        return {one.id for one in walks.accepted}, walks.exact, walks.short

    assert rows(3) == ({"hub"}, False, True)
    assert rows(5) == ({"hub"}, False, True)
    assert rows(7) == ({"hub", "own0", "own1"}, True, False)


def test_likeness_is_looked_for_across_strata_and_duplicates_go_there_too() -> None:
    merged = {
        "a": Merged(candidates=(Candidate(id="a", length=9, dedup_key="k"),), full=True),
        "b": Merged(
            candidates=(
                Candidate(id="b", length=8, dedup_key="k"),
                Candidate(id="c", length=7, dedup_key="l"),
            ),
            full=True,
        ),
    }
    near = Near(NearDuplicates(), {"a": "one two three", "c": "One, two: three!"}.__getitem__)
    rankings = Rankings(merged, {"a": 1, "b": 2}, Stratifier(None, 9, 0), near)
    assert rankings.dropped == {"duplicate": 1, "near_duplicate": 1}
    assert {name: [one.id for one in its.candidates] for name, its in rankings.merged.items()} == {
        "a": ["a"],
        "b": [],
    }
    assert (rankings.merged["a"].full, rankings.merged["b"].full) == (True, False)
