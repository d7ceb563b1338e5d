"""A record that cannot be worked on: its bytes as they came, with why and whence as headers."""

from __future__ import annotations

from longstream.bus import Headers, Output, Record
from longstream.errors import SuiteError
from longstream.topics import DEAD_LETTERS


def dead_letter(record: Record, error: SuiteError, attempt: int) -> Output:
    """The record as it came, in its topic's dead letters."""
    origin = record.partition
    return Output(
        topic=origin.topic + DEAD_LETTERS,
        key=record.key,
        value=record.value,
        headers=(*record.headers, *_why(error, f"{origin}@{record.offset}", attempt)),
    )


def never_a_record(topic: str, value: bytes, error: SuiteError, call: str) -> Output:
    """Something that a call brought and that was refused before it became a record of the topic."""
    return Output(topic=topic + DEAD_LETTERS, key=b"", value=value, headers=_why(error, call, 1))


def _why(error: SuiteError, origin: str, attempt: int) -> Headers:
    return (
        ("x-error-class", type(error).__name__.encode()),
        ("x-error-reason", error.reason.encode()),
        ("x-error-message", error.message.encode()),
        ("x-origin", origin.encode()),
        ("x-attempt", str(attempt).encode()),
    )
