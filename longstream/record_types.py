"""What the values of topics are: bytes as messages, for people who look at a record that no worker could read."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from google.protobuf.message import DecodeError, Message

from longstream.topics import CURATION, EXAMPLES, JUDGING, SELECTED, TRAINING
from longstream.v1.curator_pb2 import Document, Pair
from longstream.v1.records_pb2 import (
    CurationRecord,
    ExamplesRecord,
    JudgingCommand,
    SelectedTask,
    TrainingCommand,
)

_OF_TOPIC: Final[dict[str, type[Message]]] = {
    EXAMPLES: ExamplesRecord,
    CURATION: CurationRecord,
    SELECTED: SelectedTask,
    TRAINING: TrainingCommand,
    JUDGING: JudgingCommand,
}
_OF_CALLS: Final[dict[str, type[Message]]] = {item.DESCRIPTOR.full_name: item for item in (Document, Pair)}


def decoded(topic: str, value: bytes | None, message_type: str = "") -> Message | None:
    """The value of a record that a worker reads, or None if it is no such message.

    message_type: full name of the message, for what never was a record of the topic. A message without a single field
    that is known counts as none: protobuf takes many bytes for one that says nothing.
    """
    kind = _OF_CALLS.get(message_type) if message_type else _OF_TOPIC.get(topic)
    if kind is None or value is None:
        return None
    try:
        message = kind.FromString(value)
    except DecodeError:
        return None
    return message if message.ListFields() else None


def ids_in(message: Message) -> Iterator[str]:
    """Every id that stands in a message, at any depth: of examples, rows, releases, requests, the caller's own."""
    for field, value in message.ListFields():
        if isinstance(value, Message):
            yield from ids_in(value)
        elif isinstance(value, str) and (field.name == "id" or field.name.endswith("_id")):
            yield value
