"""Strata, windows, scores and draws: a release equals a plain sort of everything, however partitioned."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import Any
from zlib import crc32

import pytest
from hypothesis import given
from hypothesis import strategies as st

from longstream.pipeline import Pipeline, parse
from longstream.selecting import OTHERS
from longstream.v1.records_pb2 import Example
from longstream_curator import snapshot
from longstream_curator.gathering import Gathering, PartitionCut
from longstream_curator.kept import KeptSet, pipeline_metric
from longstream_curator.order import number, order, sortable
from longstream_curator.rankings import Rankings
from longstream_curator.walks import Walks
from tests.support.curating import a_pipeline

Arrival = tuple[Example, int]
"""An example and when it came, in milliseconds."""


def example(number: int, text: str, source: str = "a", score: str = "") -> Example:
    provenance = {"score": score} if score else {}
    return Example(id=f"{number:03}", response=text, instruction="i", source=source, provenance=provenance)


def arrivals() -> st.SearchStrategy[list[Arrival]]:
    one = st.tuples(
        st.integers(1, 6),
        st.sampled_from("ab?"),
        st.sampled_from(["", "1", "1.5", "-2", "x"]),
        st.integers(0, 9),
    )
    return st.lists(one, max_size=30).map(
        lambda found: [
            (example(n, "x" * length, source, score), second * 1_000)
            for n, (length, source, score, second) in enumerate(found)
        ]
    )


def gathered(pipeline: Pipeline, stream: Sequence[Arrival], partitions: int, cut_s: int = 9) -> Rankings:
    sets = [KeptSet(pipeline.revision(), lambda p: pipeline_metric(p, None)) for _ in range(partitions)]
    for item, at_ms in stream:
        sets[crc32(item.response.encode() + item.id.encode()) % partitions].offer(item, at_ms)
    cuts = [PartitionCut(kept=list(kept.kept()), marks=kept.marks) for kept in sets]
    return Gathering(pipeline, cuts, cut_s * 1_000).rankings


def released(pipeline: Pipeline, stream: Sequence[Arrival], partitions: int = 1, cut_s: int = 9) -> list[str]:
    rankings = gathered(pipeline, stream, partitions, cut_s)
    walks = Walks(rankings.merged, rankings.limits, pipeline.select.rows)
    for candidate in iter(walks.next_needed, None):
        walks.accept(candidate.id)
    assert walks.exact
    return [candidate.id for candidate in walks.accepted]


def longest_first(stream: Sequence[Arrival]) -> list[str]:
    return [one.id for one, _ in sorted(stream, key=lambda it: (-len(it[0].response), it[0].id))]


@given(arrivals(), st.integers(1, 8), st.integers(1, 4))
def test_quotas_are_one_ranking_with_limits(stream: list[Arrival], k: int, partitions: int) -> None:
    pipeline = a_pipeline(
        k=k, reserve=0, strata={"names": ["a", "b"], "share": "quota", "of": {"a": 2, OTHERS: 1}}
    )
    source = {one.id: one.source for one, _ in stream}
    taken, expected = Counter[str](), list[str]()
    for identifier in longest_first(stream):
        taken[source[identifier]] += 1
        if taken[source[identifier]] <= {"a": 2, "b": k, "?": 1}[source[identifier]]:
            expected.append(identifier)
    assert released(pipeline, stream, partitions) == expected[:k]


@given(arrivals(), st.integers(1, 8), st.integers(1, 4))
def test_equal_strata_are_each_their_longest(stream: list[Arrival], k: int, partitions: int) -> None:
    pipeline = a_pipeline(k=k, reserve=1, strata={"names": ["a", "b"], "share": "equal"})
    limits = gathered(pipeline, stream, partitions).limits
    source = {one.id: one.source if one.source != "?" else OTHERS for one, _ in stream}
    by_source = defaultdict[str, list[str]](list)
    for identifier in longest_first(stream):
        by_source[source[identifier]].append(identifier)
    expected = {one for name, ids in by_source.items() for one in ids[: limits[name]]}
    rows = released(pipeline, stream, partitions)
    assert set(rows) == expected
    assert rows == [one for one in longest_first(stream) if one in expected]


@given(arrivals(), st.integers(1, 8), st.integers(1, 4), st.integers(1, 5), st.integers(5, 9))
def test_a_window_of_time_is_whole_buckets_before_the_cut(
    stream: list[Arrival], k: int, partitions: int, last_s: int, cut_s: int
) -> None:
    pipeline = a_pipeline(k=k, reserve=1, window={"last_s": last_s, "bucket_s": 2})
    stream = sorted((it for it in stream if it[1] <= cut_s * 1_000), key=lambda it: it[1])
    first = (cut_s - last_s) // 2
    inside = [it for it in stream if it[1] // 2_000 >= first]
    assert released(pipeline, stream, partitions, cut_s) == longest_first(inside)[:k]


@given(arrivals(), st.integers(1, 8), st.integers(1, 4), st.integers(1, 20))
def test_a_window_of_rows_is_the_newest_buckets_that_hold_so_many(
    stream: list[Arrival], k: int, partitions: int, rows: int
) -> None:
    pipeline = a_pipeline(k=k, reserve=1, window={"last_rows": rows, "bucket_s": 1})
    stream = sorted(stream, key=lambda it: it[1])
    inside: list[Arrival] = []
    for second in range(9, -1, -1):
        if len(inside) < rows:
            inside += [it for it in stream if it[1] == second * 1_000]
    assert released(pipeline, stream, partitions) == longest_first(inside)[:k]


@pytest.mark.parametrize("by", ["random", "score"])
@given(stream=arrivals(), k=st.integers(1, 8), partitions=st.integers(1, 4))
def test_baselines_go_by_the_score_and_the_draw(
    by: str, stream: list[Arrival], k: int, partitions: int
) -> None:
    pipeline = a_pipeline(k=k, reserve=1, by=by, seed=7)
    rule = order(pipeline.select.by, 7)
    standings = {one.id: rule(one.id, one.provenance.get("score")) for one, _ in stream}
    ranked = sorted((-one.score, one.draw, name) for name, one in standings.items() if one is not None)
    assert released(pipeline, stream, partitions) == [name for _, _, name in ranked][:k]
    assert by == "score" or len(ranked) == len(stream)


def test_all_at_the_top_score_come_and_the_next_are_drawn_by_seed() -> None:
    stream = [(example(n, "x", score="5" if n < 3 else "4.5"), 0) for n in range(40)]

    def drawn(seed: int) -> set[str]:
        return set(released(a_pipeline(k=10, reserve=0, by="score", seed=seed), stream))

    assert {"000", "001", "002"} < drawn(1) & drawn(2)
    assert drawn(1) != drawn(2)
    assert drawn(1) == set(released(a_pipeline(k=10, reserve=0, by="score", seed=1), stream[::-1], 3))


@given(st.floats(allow_nan=False), st.floats(allow_nan=False))
def test_scores_compare_as_their_numbers_do(one: float, other: float) -> None:
    assert (sortable(one) < sortable(other)) == (one < other)
    assert 0 <= sortable(one) < 1 << 64


def test_only_numbers_are_scores() -> None:
    assert [number(it) for it in ("4.5", 3, "1e3", " 2 ")] == [4.5, 3, 1_000, 2]
    assert [number(it) for it in (None, "", "nan", True, [1], math.nan, 10**400, "high")] == [None] * 8


def test_what_is_longer_than_training_takes_is_left_out_and_counted() -> None:
    kept = KeptSet(a_pipeline(k=2, reserve=0, max_length=5).revision(), lambda p: pipeline_metric(p, None))
    for n, length in enumerate((3, 6, 5, 9, 4)):
        kept.offer(example(n, "x" * length))
    assert [item.rank.length for item in kept.kept()] == [5, 4]
    assert dict(kept.marks.dropped) == {"too_long": 2, "evicted": 1}


def test_all_keeps_everything() -> None:
    stream = [(example(n, "x" * (n % 7 + 1)), 0) for n in range(300)]
    assert released(a_pipeline(k="all", reserve=0), stream, 3) == longest_first(stream)


def test_an_example_that_comes_again_in_a_later_bucket_is_as_young_as_its_last_coming() -> None:
    pipeline = a_pipeline(k=2, reserve=0, window={"last_s": 2, "bucket_s": 1})
    stream = [
        (example(0, "xxx"), 0),
        (example(1, "x"), 1_000),
        (example(0, "xxx"), 5_000),
        (example(2, "xx"), 6_000),
    ]
    assert released(pipeline, stream, cut_s=6) == ["000", "002"]


def test_what_comes_for_a_bucket_that_is_over_is_late_and_counted() -> None:
    pipeline = a_pipeline(k=2, reserve=0, window={"last_s": 2, "bucket_s": 1, "time": "event"})
    kept = KeptSet(pipeline.revision(), lambda p: pipeline_metric(p, None))
    kept.offer(example(0, "xxx"), 1_000)
    kept.offer(example(1, "xx"), 100_000)
    late = example(2, "xxxx")
    late.time.FromMilliseconds(3_000)
    early = example(3, "xxxxx")
    early.time.FromMilliseconds(900_000)
    kept.offer(late, 101_000)
    kept.offer(early, 101_000)
    assert dict(kept.marks.dropped) == {"expired": 1, "late": 1}
    assert [(item.example.id, item.time_ms) for item in kept.kept()] == [("001", 100_000), ("003", 101_000)]


def test_a_window_that_is_cut_short_for_want_of_buckets_is_not_exact(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("longstream_curator.window.MAX_BUCKETS", 3)
    pipeline = a_pipeline(window={"last_rows": 5, "bucket_s": 1})
    kept = KeptSet(pipeline.revision(), lambda p: pipeline_metric(p, None))
    for n in range(3):
        kept.offer(example(n, "xxx"), n * 1_000)
    assert not kept.marks.begun_late
    kept.offer(example(3, "x"), 3_000)
    assert kept.marks.begun_late
    assert [item.example.id for item in kept.kept()] == ["001", "002", "003"]


def test_other_prompts_rank_nothing_anew_unless_they_are_screened_for() -> None:
    for screens, anew in (({}, False), ({"contamination": True}, True)):
        pipeline = a_pipeline(screens=screens)
        kept = KeptSet(pipeline.revision(), lambda p: pipeline_metric(p, None))
        kept.offer(example(0, "xxx"))
        asked = parse({**pipeline.model_dump(mode="json"), "evaluate": {"prompts": ["Why?"]}})
        kept.switch(asked.revision())
        assert kept.marks.begun_late is anew


@given(arrivals(), st.integers(0, 30), st.sampled_from(["strata", "window", "score", "plain"]))
def test_a_restart_at_any_point_changes_nothing(stream: list[Arrival], at: int, mode: str) -> None:
    modes: dict[str, dict[str, Any]] = {
        "strata": {"strata": {"names": ["a", "b"]}},
        "window": {"window": {"last_s": 3, "bucket_s": 1}},
        "score": {"by": "score", "dedup": "response"},
        "plain": {},
    }
    revision = a_pipeline(k=3, reserve=1, **modes[mode]).revision()
    straight, first = (KeptSet(revision, lambda p: pipeline_metric(p, None)) for _ in range(2))
    log: dict[str, Any] = {}
    for item, at_ms in stream:
        straight.offer(item, at_ms)
    for item, at_ms in stream[:at]:
        log.update(first.offer(item, at_ms))
    kept = [item for item in log.values() if item is not None]
    resumed = KeptSet.restored(first.marks, kept, lambda p: pipeline_metric(p, None))
    for item, at_ms in stream[at:]:
        log.update(resumed.offer(item, at_ms))
    assert list(resumed.kept()) == list(straight.kept())
    assert resumed.marks == straight.marks
    assert {name for name, item in log.items() if item is not None} == {
        item.example.id for item in straight.kept()
    }


def test_a_snapshot_holds_all_that_a_cut_goes_by(tmp_path: Any) -> None:
    pipeline = a_pipeline(
        k=3, reserve=1, by="score", strata={"names": ["a"]}, window={"last_s": 9, "bucket_s": 1}
    )
    kept = KeptSet(pipeline.revision(), lambda p: pipeline_metric(p, None))
    kept.offer(example(0, "xxx", "a", "-1.5"), 1_000)
    kept.offer(example(1, "xx", "b", "4"), 2_500)
    file = tmp_path / "snapshot"
    file.write_bytes(snapshot.encode(kept.kept()))
    with file.open("rb") as opened:
        assert snapshot.decode(opened, pipeline.name) == list(kept.kept())
