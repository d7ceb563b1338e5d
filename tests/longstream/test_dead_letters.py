"""Dead letters: what is kept of what cannot be worked on, and that it can always be written."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from longstream.bodies import ABOVE_BYTES, MAX_BODY_BYTES
from longstream.bodies_bus import BodiesBus
from longstream.bus import MAX_RECORD_BYTES, Headers, Output, Partition, Position, Record, Topic
from longstream.bus.opening import open_bus
from longstream.dead_letters import dead_letter, letter_of, never_a_record, position_of
from longstream.errors import EngineDied, InvalidInput, SuiteError, TooLarge
from longstream.storage.files import FileStorage
from longstream.v1.curator_pb2 import Document
from longstream.view import read_to_end

HEADERS = st.lists(st.tuples(st.text(max_size=20), st.binary(max_size=50)), max_size=4)


def record(key: bytes, value: bytes | None, headers: tuple[tuple[str, bytes], ...] = ()) -> Record:
    place = Partition("in", 3)
    return Record(partition=place, offset=41, key=key, value=value, headers=headers, timestamp_ms=0)


@given(st.binary(), st.none() | st.binary(), HEADERS)
def test_a_dead_letter_is_the_record_as_it_came_with_why_and_whence(
    key: bytes, value: bytes | None, headers: list[tuple[str, bytes]]
) -> None:
    output = dead_letter(record(key, value, tuple(headers)), EngineDied("it died"), 3)
    assert (output.topic, output.key, output.value) == ("in.dlq", key, value)
    assert output.headers[: len(headers)] == tuple(headers)
    assert dict(output.headers[len(headers) :]) == {
        "x-error-class": b"EngineDied",
        "x-error-reason": b"engine_died",
        "x-error-message": b"it died",
        "x-origin": b"in/3@41",
        "x-attempt": b"3",
    }


def test_what_a_call_brought_names_the_call() -> None:
    item = Document(text="item")
    output = never_a_record("in", item, TooLarge("too long"), "submit")
    assert (output.topic, output.key, output.value) == ("in.dlq", b"", item.SerializeToString())
    assert dict(output.headers)["x-origin"] == b"submit"
    assert dict(output.headers)["x-message-type"] == b"longstream.v1.Document"


def test_every_record_that_a_log_can_hold_has_a_dead_letter_that_it_can_hold(tmp_path: Path) -> None:
    error = TooLarge("é" * 5_000)
    log = open_bus(f"sqlite:{tmp_path / 'log.sqlite'}")
    with BodiesBus(log, FileStorage(tmp_path / "objects")) as bus:
        bus.create_topics([Topic(name="in.dlq", partitions=1, cleanup="delete")])
        for part in (0, 100, ABOVE_BYTES, ABOVE_BYTES + 1, MAX_RECORD_BYTES - 2_000, MAX_RECORD_BYTES):
            rest = MAX_RECORD_BYTES - part
            for letter in (
                dead_letter(record(b"k" * rest, b"v" * part), error, 1),
                dead_letter(record(b"", b"v" * part, (("h", b"x" * rest),)), error, 1),
                dead_letter(record(b"", b"v" * part, (("é" * (rest // 2), b""),)), error, 1),
                never_a_record("in", Document(text="v" * 5 * part), error, "submit"),
            ):
                bus.publish([letter])
        assert len(list(read_to_end(bus, bus.partitions("in.dlq")))) == 24


def test_a_letter_of_a_value_in_storage_is_whole_and_shares_its_object(tmp_path: Path) -> None:
    storage = FileStorage(tmp_path / "objects")
    with BodiesBus(open_bus(f"sqlite:{tmp_path / 'log.sqlite'}"), storage) as bus:
        bus.create_topics([Topic(name=name, partitions=1, cleanup="delete") for name in ("in", "in.dlq")])
        bus.publish([Output(topic="in", key=b"k", value=b"v" * 2_000_000)])
        [came] = read_to_end(bus, bus.partitions("in"))
        bus.publish([dead_letter(came, EngineDied("it died"), 1)])
        [letter] = read_to_end(bus, bus.partitions("in.dlq"))
        assert (letter.value, letter_of(letter).cut_from_bytes) == (came.value, None)
        assert len(list(storage.addresses())) == 1


def test_a_cut_dead_letter_holds_the_beginning_and_says_how_much_there_was() -> None:
    item = Document(text="a long story " * 6_000_000)
    whole = item.SerializeToString()
    output = never_a_record("in", item, TooLarge("too long"), "submit")
    assert output.value is not None
    assert whole.startswith(output.value)
    assert len(output.value) == MAX_BODY_BYTES < len(whole)
    assert dict(output.headers)["x-cut-from-bytes"] == str(len(whole)).encode()
    letter = letter_of(written(output))
    assert (letter.cut_from_bytes, letter.size_bytes) == (len(whole), MAX_BODY_BYTES)
    assert letter.message_type == "longstream.v1.Document"


def written(output: Output, offset: int = 7) -> Record:
    """The letter as a reader gets it."""
    return Record(
        partition=Partition(output.topic, 0),
        offset=offset,
        key=output.key,
        value=output.value,
        headers=output.headers,
        timestamp_ms=1_700_000_000_000,
    )


@given(st.binary(), st.none() | st.binary(max_size=100), HEADERS, st.integers(1, 9))
def test_a_letter_says_what_was_written_into_it(
    key: bytes, value: bytes | None, headers: list[tuple[str, bytes]], attempt: int
) -> None:
    letter = letter_of(
        written(dead_letter(record(key, value, tuple(headers)), EngineDied("it died"), attempt))
    )
    assert (letter.id, letter.topic, letter.time_ms) == ("in.dlq/0/7", "in", 1_700_000_000_000)
    assert (letter.error_class, letter.reason, letter.message) == ("EngineDied", "engine_died", "it died")
    assert (letter.origin, letter.attempt, letter.key) == ("in/3@41", str(attempt), key)
    assert (letter.size_bytes, letter.cut_from_bytes) == (len(value or b""), None)
    assert letter.headers == tuple(headers)


def test_a_record_that_carries_such_headers_itself_gets_them_back() -> None:
    inner = dead_letter(record(b"k", b"v", (("mine", b"1"),)), TooLarge("first"), 1).headers
    letter = letter_of(written(dead_letter(record(b"k", b"v", inner), EngineDied("second"), 2)))
    assert letter.headers == inner
    assert (letter.message, letter.attempt) == ("second", "2")


def test_headers_that_come_behind_the_letters_own_are_not_the_records() -> None:
    output = dead_letter(record(b"k", b"v", (("mine", b"1"),)), SuiteError("bad"), 1)
    traced = Output(
        topic=output.topic, key=b"k", value=b"v", headers=(*output.headers, ("traceparent", b"x"))
    )
    assert letter_of(written(traced)).headers == (("mine", b"1"),)


@pytest.mark.parametrize("headers", [(), (("x-cut-from-bytes", b"5"),), (("x-error-class", b"\xff"),)])
def test_what_others_wrote_there_is_a_letter_that_says_little(headers: Headers) -> None:
    letter = letter_of(written(Output(topic="in.dlq", key=b"", value=b"v", headers=headers)))
    assert (letter.reason, letter.origin, letter.cut_from_bytes) == ("", "", None)


@given(st.sampled_from(["examples", "curation", "selected", "training", "judging"]), st.integers(0, 2**40))
def test_an_id_names_the_place_of_a_letter(topic: str, offset: int) -> None:
    place = Partition(f"{topic}.dlq", 0)
    output = written(Output(topic=place.topic, key=b"", value=b""), offset)
    assert position_of(letter_of(output).id) == Position(place, offset)


@pytest.mark.parametrize(
    "text", ["", "examples/0/1", "examples.dlq/0", "examples.dlq/0/-1", "rows.dlq/0/1", "examples.dlq/0/²"]
)
def test_what_is_no_id_is_bad_input(text: str) -> None:
    with pytest.raises(InvalidInput, match=r"examples.dlq/0/17"):
        position_of(text)
