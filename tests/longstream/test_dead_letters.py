"""Dead letters: what is kept of what cannot be worked on, and that it can always be written."""

from __future__ import annotations

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from longstream.bus import MAX_RECORD_BYTES, Output, Partition, Record, Topic
from longstream.bus.opening import open_bus
from longstream.dead_letters import dead_letter, never_a_record
from longstream.errors import EngineDied, TooLarge
from longstream.view import read_to_end

HEADERS = st.lists(st.tuples(st.text(max_size=20), st.binary(max_size=50)), max_size=4)


def record(key: bytes, value: bytes | None, headers: tuple[tuple[str, bytes], ...] = ()) -> Record:
    place = Partition("in", 3)
    return Record(partition=place, offset=41, key=key, value=value, headers=headers, timestamp_ms=0)


def bytes_of(output: Output) -> int:
    return (
        len(output.key) + len(output.value or b"") + sum(len(n.encode()) + len(v) for n, v in output.headers)
    )


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
    output = never_a_record("in", b"item", TooLarge("too long"), "submit")
    assert (output.topic, output.key, output.value) == ("in.dlq", b"", b"item")
    assert dict(output.headers)["x-origin"] == b"submit"


def test_every_record_that_a_log_can_hold_has_a_dead_letter_that_it_can_hold(tmp_path: Path) -> None:
    error = TooLarge("é" * 5_000)
    with open_bus(f"sqlite:{tmp_path / 'log.sqlite'}") as bus:
        bus.create_topics([Topic(name="in.dlq", partitions=1, cleanup="delete")])
        for part in (0, 100, MAX_RECORD_BYTES - 2_000, MAX_RECORD_BYTES):
            rest = MAX_RECORD_BYTES - part
            for letter in (
                dead_letter(record(b"k" * rest, b"v" * part), error, 1),
                dead_letter(record(b"", b"v" * part, (("h", b"x" * rest),)), error, 1),
                never_a_record("in", b"v" * 5 * part, error, "submit"),
            ):
                bus.publish([letter])
        assert len(list(read_to_end(bus, bus.partitions("in.dlq")))) == 12


def test_a_cut_dead_letter_holds_the_beginning_and_says_how_much_there_was() -> None:
    whole = bytes(range(256)) * 8_000
    output = never_a_record("in", whole, TooLarge("too long"), "submit")
    assert output.value is not None
    assert whole.startswith(output.value)
    assert MAX_RECORD_BYTES - 16_384 < bytes_of(output) < MAX_RECORD_BYTES
    assert dict(output.headers)["x-cut-from-bytes"] == str(len(whole)).encode()
