"""What is accepted, what is refused and why, and where it goes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from longstream.bus import Bus
from longstream.bus.opening import open_bus
from longstream.errors import InvalidInput
from longstream.topics import EXAMPLES, Layout, topics
from longstream.v1.curator_pb2 import Document, Pair
from longstream.v1.records_pb2 import ExamplesRecord
from longstream.view import read_to_end
from longstream_curator.submission import MAX_ITEMS, Submission, SubmissionLimits, Submitter, example_of


@pytest.fixture
def bus(tmp_path: Path) -> Iterator[Bus]:
    bus = open_bus(f"sqlite:{tmp_path / 'log.sqlite'}")
    bus.create_topics(topics(Layout()))
    yield bus
    bus.close()


@pytest.fixture
def submitter(bus: Bus) -> Submitter:
    return Submitter(bus, SubmissionLimits(max_document_bytes=100, max_field_bytes=20), lambda reason: None)


def document(text: str, **fields: object) -> Document:
    return Document(**{"text": text, "source": "s", **fields})  # type: ignore[arg-type]


def stored(bus: Bus, topic: str = EXAMPLES) -> list[bytes]:
    return [record.value or b"" for record in read_to_end(bus, bus.partitions(topic))]


def test_documents_become_examples_with_the_text_as_it_came(bus: Bus, submitter: Submitter) -> None:
    account = Submission()
    submitter.add([document("Zwölf Boxkämpfer\n", external_id="x", licence="CC0")], account)
    example = ExamplesRecord.FromString(stored(bus)[0]).example
    assert (example.response, example.external_id, example.licence) == ("Zwölf Boxkämpfer\n", "x", "CC0")
    assert account.accepted == 1


@pytest.mark.parametrize(
    ("item", "reason"),
    [
        (document(" \n\t"), "missing_field"),
        (document("text", source=""), "missing_field"),
        (document("x" * 101), "too_large"),
        (document("é" * 51), "too_large"),
        (document("text", licence="l" * 21), "too_large"),
        (document("text", provenance={"url": "u" * 30}), "too_large"),
        (Pair(response="answer", source="s"), "missing_field"),
        (Pair(instruction="ask", source="s"), "missing_field"),
    ],
)
def test_a_bad_item_is_told_counted_and_kept_among_the_dead_letters(
    bus: Bus, item: Document | Pair, reason: str
) -> None:
    counted: list[str] = []
    submitter = Submitter(bus, SubmissionLimits(max_document_bytes=100, max_field_bytes=20), counted.append)
    account = Submission()
    good = document("good") if isinstance(item, Document) else Pair(instruction="i", response="r", source="s")
    submitter.add([good, item], account)
    assert [(r.index, r.reason) for r in account.rejections] == [(1, reason)]
    assert counted == [reason]
    assert len(stored(bus)) == account.accepted == 1
    dead = list(read_to_end(bus, bus.partitions(EXAMPLES + ".dlq")))
    assert [record.value for record in dead] == [item.SerializeToString()]
    assert dead[0].header("x-error-reason") == reason.encode()


def test_the_same_item_gets_the_same_id_in_every_retry() -> None:
    assert example_of(document("a")).id == example_of(document("a", external_id="other", licence="CC0")).id


@given(st.text(), st.text(), st.text(), st.none() | st.integers(0, 2**63))
def test_whatever_was_submitted_is_in_the_id(
    text: str, instruction: str, source: str, index: int | None
) -> None:
    item = Pair(response=text, instruction=instruction, source=source, source_index=index)
    other = Pair(response=text + "x", instruction=instruction, source=source, source_index=index)
    moved = Pair(response=text, instruction=instruction + "x", source=source, source_index=index)
    indexed = Pair(response=text, instruction=instruction, source=source, source_index=(index or 0) + 1)
    assert len({example_of(i).id for i in (item, other, moved, indexed)}) == 4


def test_equal_responses_share_a_partition(bus: Bus, submitter: Submitter) -> None:
    pairs = [Pair(instruction=f"i{n}", response="same", source="s") for n in range(20)]
    submitter.add(pairs, Submission())
    places = {record.partition for record in read_to_end(bus, bus.partitions(EXAMPLES))}
    assert len(places) == 1


def test_too_many_items_in_one_message_are_refused_whole(bus: Bus, submitter: Submitter) -> None:
    with pytest.raises(InvalidInput, match="several messages"):
        submitter.add([document(f"t{n}") for n in range(MAX_ITEMS + 1)], Submission())
    assert stored(bus) == []


def test_rejections_beyond_the_first_thousand_are_counted_but_not_listed() -> None:
    account = Submission()
    for index in range(1_200):
        account.reject(index, "", InvalidInput("bad"))
    assert account.rejected == 1_200
    assert len(account.rejections) == 1_000
