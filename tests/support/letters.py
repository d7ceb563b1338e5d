"""Dead letters as workers and calls write them, on a log of the test."""

from __future__ import annotations

from google.protobuf.message import Message

from longstream.bus import Bus, Headers, Output, Partition, Record
from longstream.dead_letter_search import scan
from longstream.dead_letters import dead_letter, letter_of, never_a_record
from longstream.errors import EngineDied, InvalidInput, SuiteError
from longstream.topics import EXAMPLES
from longstream.v1.curator_pb2 import Pair
from longstream.v1.records_pb2 import Example, ExamplesRecord
from tests.support.buses import contents

DIED = EngineDied("it died")


def example(identifier: str, response: str = "a text") -> ExamplesRecord:
    return ExamplesRecord(example=Example(id=identifier, response=response, source="s"))


def die(
    bus: Bus,
    topic: str,
    value: bytes | Message,
    *,
    key: bytes = b"k",
    partition: int = 0,
    headers: Headers = (),
    error: SuiteError = DIED,
) -> str:
    """Write the dead letter of a record that is not in its topic; returns the letter's id."""
    record = Record(
        partition=Partition(topic, partition),
        offset=5,
        key=key,
        value=value.SerializeToString() if isinstance(value, Message) else value,
        headers=headers,
        timestamp_ms=0,
    )
    return published(bus, dead_letter(record, error, 3))


def refuse(bus: Bus, item: Message | None = None, message: str = "no instruction") -> str:
    """Write the dead letter of what a call refused."""
    return published(
        bus, never_a_record(EXAMPLES, item or Pair(response="r"), InvalidInput(message), "submit")
    )


def published(bus: Bus, output: Output) -> str:
    """Write an output; returns the id that it has as a letter."""
    [place] = bus.publish([output])
    return f"{place.partition}/{place.offset}"


def letters(bus: Bus) -> dict[str, Record]:
    """All dead letters by their ids."""
    return {letter_of(record).id: record for record in scan(bus)}


def whole(record: Record) -> tuple[int, bytes, bytes | None, Headers]:
    """What must be the same after a replay."""
    return record.partition.index, record.key, record.value, record.headers


def replayed(bus: Bus, topic: str) -> list[Record]:
    """What lies in the topic."""
    return contents(bus, topic)
