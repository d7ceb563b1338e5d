"""What is held out is decided by its source, for ever; only the rest is ranked, and none of it is alike."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from longstream.errors import InvalidInput
from longstream.pipeline import Pipeline, Split, parse
from longstream.v1.records_pb2 import Example
from longstream_curator.kept import KeptSet, pipeline_metric
from longstream_curator.split import part_of
from longstream_curator.walks import Walks
from tests.curator.test_modes import Arrival, arrivals, example, gathered

THIRDS = {"test": 0.3, "validation": 0.3, "keep": 4}


def split_pipeline(split: dict[str, Any], **select: Any) -> Pipeline:
    select = {"metric": "chars", "k": 3, "reserve": 1, **select}
    return parse({"name": "p", "base_model": "b", "select": select, "split": split})


def texts(count: int) -> list[Arrival]:
    drawn = random.Random(3)
    return [(example(n, f"{n} " + "x" * drawn.randrange(1, 40)), n) for n in range(count)]


def released(
    pipeline: Pipeline, stream: list[Arrival], partitions: int = 1, cut_s: int = 9
) -> list[tuple[str, str]]:
    rankings = gathered(pipeline, stream, partitions, cut_s)
    walks = Walks(rankings.merged, rankings.limits, pipeline.select.rows)
    for candidate in iter(walks.next_needed, None):
        walks.accept(candidate.id)
    assert walks.exact
    return [(walks.stratum(one.id), one.id) for one in walks.accepted]


@given(arrivals(), st.integers(1, 4))
def test_all_k_are_trained_on_and_the_held_out_are_a_sample_of_the_others(
    stream: list[Arrival], partitions: int
) -> None:
    pipeline = split_pipeline(THIRDS, k="all")
    rows = released(pipeline, stream, partitions)
    parts = {one.id: part_of(pipeline.split, one) for one, _ in stream}
    by_length = sorted(stream, key=lambda it: (-len(it[0].response), it[0].id))
    assert [name for stratum, name in rows if not stratum] == [
        one.id for one, _ in by_length if parts[one.id] == "train"
    ]
    for part in ("test", "validation"):
        held = [name for stratum, name in rows if stratum == f"({part})"]
        assert {parts[name] for name in held} <= {part}
        assert len(held) == min(4, list(parts.values()).count(part))
    assert rows == released(pipeline, stream[::-1], 1)


def test_a_later_release_tests_with_what_an_earlier_one_did_as_far_as_there_is_room() -> None:
    pipeline = split_pipeline({"test": 0.3, "keep": 50}, k=5)
    early, late = (released(pipeline, texts(count)) for count in (60, 120))
    tested = {name for stratum, name in early if stratum}
    assert tested <= {name for stratum, name in late if stratum}
    assert not tested & {name for stratum, name in late if not stratum}
    assert [stratum for stratum, _ in late] == [""] * 5 + ["(test)"] * (len(late) - 5)


def test_what_is_held_out_belongs_to_no_window_and_no_stratum() -> None:
    pipeline = split_pipeline(
        {"test": 0.5, "keep": 100},
        window={"last_s": 1, "bucket_s": 1},
        strata={"names": ["a", "b"], "share": "equal"},
    )
    stream = [(one, 1_000 * (at // 10)) for one, at in texts(100)]
    rows = released(pipeline, stream, 2)
    assert len(rows) == 3 + sum(part_of(pipeline.split, one) == "test" for one, _ in stream)


@given(st.text("abc", max_size=9), st.floats(0, 0.99), st.floats(0, 0.99))
def test_a_larger_share_only_adds_to_what_is_tested_with(text: str, one: float, other: float) -> None:
    less, more = sorted((one, other))
    if part_of(Split(test=less), Example(response=text)) == "test":
        assert part_of(Split(test=more), Example(response=text)) == "test"


def test_shares_are_met_and_the_seed_decides_who_it_is() -> None:
    examples = [Example(response=f"{n}") for n in range(20_000)]
    parts = [[part_of(Split(test=0.074, validation=0.074, seed=s), one) for one in examples] for s in (0, 1)]
    for part in ("test", "validation"):
        assert parts[0].count(part) / 20_000 == pytest.approx(0.074, abs=0.008)  # 4.3 standard errors
    both = sum(one == other == "test" for one, other in zip(*parts, strict=True))
    assert both / 20_000 == pytest.approx(0.0055, abs=0.003)


def test_what_comes_from_one_document_stays_together() -> None:
    split = Split(test=0.5)
    for key in ("document", "cluster"):
        parts = {part_of(split, Example(response=f"{n}", provenance={key: "d7"})) for n in range(30)}
        assert len(parts) == 1
    texts = [Example(response="same", instruction=f"{n}") for n in range(30)]
    assert len({part_of(split, one) for one in texts}) == 1


def test_what_is_held_out_stays_so_when_it_comes_again_with_another_provenance() -> None:
    pipeline = split_pipeline({"test": 0.5}, k=9)
    kept = KeptSet(pipeline.revision(), lambda p: pipeline_metric(p, None))
    names = iter(range(100))
    one = next(it for it in (example(0, f"text {n}") for n in names) if part_of(pipeline.split, it) == "test")
    kept.offer(one)
    other = Example()
    other.CopyFrom(one)
    other.provenance["document"] = next(
        f"d{n}"
        for n in names
        if part_of(pipeline.split, Example(provenance={"document": f"d{n}"})) == "train"
    )
    assert kept.offer(other) == []
    assert [item.stratum for item in kept.kept()] == ["(test)"]
    assert dict(kept.marks.dropped) == {"known": 1}


def test_where_an_example_belongs_never_changes() -> None:
    split = Split(test=0.4, validation=0.2)
    parts = [part_of(split, Example(response=f"{n}")) for n in range(8)]
    assert parts == [
        "test",
        "test",
        "test",
        "test",
        "test",
        "train",
        "train",
        "train",
    ]


def test_a_near_likeness_of_what_is_tested_with_is_not_trained_on() -> None:
    words = " ".join(f"word{n}" for n in range(60))
    alike = [example(n, f"{words} end{n}") for n in range(12)]
    pipeline = split_pipeline({"test": 0.5}, k=12, near_duplicates={"jaccard": 0.8, "words": 3})
    parts = [part_of(pipeline.split, one) for one in alike]
    assert {"train", "test"} == set(parts)
    assert [stratum for stratum, _ in released(pipeline, [(one, 0) for one in alike])] == ["(test)"]


def test_what_is_held_out_is_screened_as_well() -> None:
    pipeline = split_pipeline({"test": 0.999}, screens={"refusal": True}, max_length=100)
    kept = KeptSet(pipeline.revision(), lambda p: pipeline_metric(p, None))
    for number, text in enumerate(("I'm sorry, but I cannot.", "x" * 101, "A text to test with.")):
        kept.offer(example(number, text))
    assert [(item.stratum, item.example.id) for item in kept.kept()] == [("(test)", "002")]
    assert dict(kept.marks.dropped) == {"refusal": 1, "too_long": 1}


def test_shares_that_leave_nothing_are_told() -> None:
    with pytest.raises(InvalidInput, match="leave something to train on"):
        split_pipeline({"test": 0.6, "validation": 0.4})
