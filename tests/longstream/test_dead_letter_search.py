"""Which letters a filter admits, and what is read from the log for them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from longstream.bus import Bus, Partition, Position, Record
from longstream.bus.opening import open_bus
from longstream.dead_letter_search import Filter, fetch, key_text, scan
from longstream.dead_letters import letter_of, position_of
from longstream.errors import InvalidInput, NotFound
from longstream.record_types import decoded, ids_in
from longstream.topics import CURATION, EXAMPLES, SELECTED, TRAINING, Layout, topics
from longstream.v1.curator_pb2 import Document, Pair
from longstream.v1.records_pb2 import CurationRecord, CutCommand, Example, SelectedTask
from tests.support.letters import die, example, letters, refuse


@pytest.fixture
def bus(tmp_path: Path) -> Iterator[Bus]:
    with open_bus(f"sqlite:{tmp_path / 'log.sqlite'}") as bus:
        bus.create_topics(topics(Layout()))
        yield bus


def found(bus: Bus, **wanted: Any) -> list[str]:
    return [
        letter_of(record).id for record in scan(bus) if Filter(**wanted).admits(letter_of(record), record)
    ]


def test_each_condition_narrows_the_choice(bus: Bus) -> None:
    died = die(bus, EXAMPLES, example("e1"), key=b"k\xff")
    refused = refuse(bus, Pair(external_id="12.txt"), "No instruction")
    command = die(bus, TRAINING, b"\xff", error=InvalidInput("bytes"))
    assert found(bus) == [died, refused, command]
    assert found(bus, topics=frozenset({"examples"})) == [died, refused]
    assert found(bus, reasons=frozenset({"invalid_input"})) == [refused, command]
    assert found(bus, key="k\\xff") == [died]
    assert found(bus, identifier="e") == [died]
    assert found(bus, identifier="12.") == [refused]
    assert found(bus, identifier="2.") == []
    assert found(bus, text="NO INSTR") == [refused]
    assert found(bus, topics=frozenset({"training"}), reasons=frozenset({"engine_died"})) == []


@given(st.integers(0, 9), st.none() | st.integers(0, 9), st.none() | st.integers(0, 9))
def test_a_span_holds_its_first_millisecond_and_not_its_end(
    at: int, since: int | None, until: int | None
) -> None:
    span = Filter(since_ms=since, until_ms=until)
    record = Record(Partition("examples.dlq", 0), 0, b"", b"", (), at)
    assert span.admits(letter_of(record), record) == (at in range(since or 0, 10 if until is None else until))


def test_wanted_letters_are_fetched_and_no_others(bus: Bus) -> None:
    ids = [die(bus, EXAMPLES, example(f"e{n}")) for n in range(70)] + [die(bus, CURATION, b"c")]
    wanted = [ids[70], ids[69], ids[3], ids[40]]
    assert [letter_of(record).id for record in fetch(bus, map(position_of, wanted))] == sorted(
        wanted, key=lambda name: (name.split("/")[0], int(name.split("/")[2]))
    )
    assert list(fetch(bus, [Position(Partition("examples.dlq", 0), 70)])) == []
    with pytest.raises(NotFound, match=r"examples.dlq/1"):
        list(fetch(bus, [Position(Partition("examples.dlq", 1), 0)]))


def test_letters_that_come_while_one_reads_are_for_the_next_time(bus: Bus) -> None:
    first = [die(bus, EXAMPLES, b"%d" % n) for n in range(40)]  # more than are read at once
    seen = []
    for record in scan(bus):
        seen.append(letter_of(record).id)
        if len(seen) < 4:
            die(bus, EXAMPLES, b"late")
    assert seen == first
    assert len(letters(bus)) == 43


def test_a_log_without_dead_letters_has_none(tmp_path: Path) -> None:
    with open_bus(f"sqlite:{tmp_path / 'log.sqlite'}") as bus:
        assert list(scan(bus)) == []


@given(st.binary(max_size=30))
def test_keys_of_different_bytes_that_are_no_text_can_be_told_apart(key: bytes) -> None:
    text = key_text(key)
    assert text.encode() == key or "\\x" in text


def test_values_are_read_as_what_their_topic_holds() -> None:
    task = SelectedTask(pipeline="p", row_id="r", example=Example(id="e"))
    assert decoded(SELECTED, task.SerializeToString()) == task
    document = Document(text="t")
    assert decoded(EXAMPLES, document.SerializeToString(), "longstream.v1.Document") == document
    cut = CurationRecord(pipeline="p", cut=CutCommand())
    assert decoded(CURATION, cut.SerializeToString()) == cut


@pytest.mark.parametrize(
    ("topic", "value", "kind"),
    [
        (SELECTED, None, ""),
        (SELECTED, b"\xff", ""),
        (SELECTED, b"", ""),
        (SELECTED, b"\xf8\x07\x01", ""),  # field 127, which nobody knows
        ("rows", b"\x0a\x01p", ""),
        (EXAMPLES, Document(text="t").SerializeToString(), "longstream.v1.Release"),
    ],
)
def test_what_says_nothing_is_no_message(topic: str, value: bytes | None, kind: str) -> None:
    assert decoded(topic, value, kind) is None


def test_ids_are_found_at_any_depth_and_texts_are_not_ids() -> None:
    task = SelectedTask(
        pipeline="p", row_id="r", task="t", example=Example(id="e", external_id="x", response="long")
    )
    assert set(ids_in(task)) == {"r", "e", "x"}
