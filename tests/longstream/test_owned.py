"""Facts of the pipelines whose control partitions a process owns."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from longstream.bus import Bus, Partition
from longstream.bus.opening import open_bus
from longstream.errors import InvalidInput
from longstream.owned import OwnedFacts
from longstream.topics import RELEASES, Layout, PipelineTopics, topics
from longstream.v1.records_pb2 import Release

KEYS = PipelineTopics(2)
HERE, THERE = (Partition("curation", index) for index in (KEYS.partition("p"), 1 - KEYS.partition("p")))
NEIGHBOUR = next(name for name in ("p2", "q", "r", "s") if KEYS.partition(name) == HERE.index)
ELSEWHERE = next(name for name in ("p2", "q", "r", "s") if KEYS.partition(name) == THERE.index)


@pytest.fixture
def bus(tmp_path: Path) -> Iterator[Bus]:
    with open_bus(f"sqlite:{tmp_path / 'log.sqlite'}") as bus:
        bus.create_topics(topics(Layout(control_partitions=2)))
        yield bus


def facts_of(bus: Bus) -> OwnedFacts[Release]:
    return OwnedFacts(bus, RELEASES, Release, KEYS)


def release(pipeline: str, name: str, seen: int = 0) -> Release:
    return Release(pipeline=pipeline, id=name, seen=seen)


def test_what_was_written_is_restored_with_its_last_value_and_in_the_order_of_its_first(bus: Bus) -> None:
    facts = facts_of(bus)
    facts.gained(HERE)
    for name, seen in (("b", 1), ("a", 2), ("b", 3)):
        bus.publish([facts.put("p", name, release("p", name, seen))])
    bus.publish([facts.put("p", str(n), release("p", str(n))) for n in range(8)])
    again = facts_of(bus)
    again.gained(HERE)
    assert [fact.id for fact in again.of("p")] == ["b", "a", *map(str, range(8))]
    assert [(fact.id, fact.seen) for fact in again.of("p")][:2] == [("b", 3), ("a", 2)]
    assert again.get("p", "a") == release("p", "a", 2)
    assert again.get("p", "c") is None


def test_pipelines_of_one_partition_do_not_see_each_others_facts(bus: Bus) -> None:
    facts = facts_of(bus)
    facts.gained(HERE)
    facts.put("p", "x", release("p", "x"))
    facts.put(NEIGHBOUR, "x", release(NEIGHBOUR, "x"))
    assert [fact.pipeline for fact in facts.of("p")] == ["p"]
    assert len(facts.in_partition(HERE)) == 2


def test_a_partition_that_is_not_owned_holds_nothing(bus: Bus) -> None:
    facts = facts_of(bus)
    facts.gained(HERE)
    with pytest.raises(KeyError):
        facts.of(ELSEWHERE)
    facts.gained(THERE)
    assert facts.of(ELSEWHERE) == []
    facts.lost(HERE)
    with pytest.raises(KeyError):
        facts.get("p", "x")
    facts.lost(HERE)


def test_what_is_gained_anew_is_what_the_log_says_and_not_what_was_held(bus: Bus) -> None:
    facts = facts_of(bus)
    facts.gained(HERE)
    facts.put("p", "never written", release("p", "never written"))
    bus.publish([facts.put("p", "written", release("p", "written"))])
    facts.lost(HERE)
    facts.gained(HERE)
    assert [fact.id for fact in facts.of("p")] == ["written"]


def test_a_record_that_is_no_fact_is_told_by_its_place(bus: Bus) -> None:
    bus.publish([KEYS.output(RELEASES, "p", "bad", b"\xff\xff")])
    with pytest.raises(InvalidInput, match=f"releases/{HERE.index}@0 is no Release"):
        facts_of(bus).gained(HERE)


@settings(max_examples=15)
@given(st.lists(st.tuples(st.sampled_from(["p", NEIGHBOUR]), st.sampled_from("abc"), st.integers(0, 9))))
def test_a_restore_gives_what_was_held(
    tmp_path_factory: pytest.TempPathFactory, puts: list[tuple[str, str, int]]
) -> None:
    with open_bus(f"sqlite:{tmp_path_factory.mktemp('log') / 'log.sqlite'}") as bus:
        bus.create_topics(topics(Layout(control_partitions=2)))
        facts, again = facts_of(bus), facts_of(bus)
        facts.gained(HERE)
        for pipeline, name, seen in puts:
            bus.publish([facts.put(pipeline, name, release(pipeline, name, seen))])
        again.gained(HERE)
        assert again.in_partition(HERE) == facts.in_partition(HERE)
