"""Parsing the values of records, and the clock's times inside them."""

from __future__ import annotations

import time
from typing import TypeVar

from google.protobuf.message import DecodeError, Message
from google.protobuf.timestamp_pb2 import Timestamp

from longstream.bus import Record
from longstream.errors import InvalidInput
from longstream.v1.records_pb2 import TrainingJob

M = TypeVar("M", bound=Message)


TRAINING_ENDED = frozenset(
    {
        TrainingJob.STATE_SUCCEEDED,
        TrainingJob.STATE_FAILED,
        TrainingJob.STATE_CANCELLED,
        TrainingJob.STATE_SKIPPED,
    }
)
"""States of a training job that nothing follows."""


def parse(message: type[M], record: Record) -> M:
    """The record's value as a message. Raises InvalidInput for bytes that are none, or a tombstone, BodyLost."""
    if record.fault is not None:
        raise record.fault
    if record.value is None:
        raise InvalidInput(f"{record.partition} holds a tombstone where a {message.__name__} is due")
    try:
        return message.FromString(record.value)
    except DecodeError:
        place = f"{record.partition}@{record.offset}"
        raise InvalidInput(f"{place} is no {message.__name__}; was it written by another program?") from None


def timestamp(milliseconds: int) -> Timestamp:
    """Milliseconds since 1970 as a protobuf time."""
    return Timestamp(seconds=milliseconds // 1_000, nanos=milliseconds % 1_000 * 1_000_000)


def now() -> Timestamp:
    """The clock's time, for when something happened; nothing is decided by it."""
    return timestamp(time.time_ns() // 1_000_000)
