"""A record that cannot be worked on: its bytes as they came, with why and whence as headers.

The headers of a dead letter are those of the record, then its own from `x-error-class` on: a record may have come from
another dead letter and carry such headers itself, so what counts is the last of them.
"""

from __future__ import annotations

from dataclasses import dataclass

from google.protobuf.message import Message

from longstream.bodies import ABOVE_BYTES, MAX_BODY_BYTES, body_bytes
from longstream.bus import MAX_RECORD_BYTES, Headers, Output, Partition, Position, Record
from longstream.errors import InvalidInput, SuiteError
from longstream.topics import DEAD_LETTERS, READERS

_FIRST = "x-error-class"
_CUT = "x-cut-from-bytes"
_MESSAGE = "x-message-type"
_MAX_MESSAGE = 1_000
_SPARE_BYTES = 2 * 1024
"""Left free for what a bus adds around each text and for the headers of a trace."""


def dead_letter(record: Record, error: SuiteError, attempt: int) -> Output:
    """The record as it came, in its topic's dead letters."""
    origin = record.partition
    why = _why(error, f"{origin}@{record.offset}", attempt)
    whole = Output(
        topic=origin.topic + DEAD_LETTERS, key=record.key, value=record.value, headers=(*record.headers, *why)
    )
    return whole if _fits(whole) else _cut(whole, why)


def never_a_record(topic: str, item: Message, error: SuiteError, call: str) -> Output:
    """Something that a call brought and that was refused before it became a record of the topic."""
    why = (*_why(error, call, 1), (_MESSAGE, item.DESCRIPTOR.full_name.encode()))
    whole = Output(topic=topic + DEAD_LETTERS, key=b"", value=item.SerializeToString(), headers=why)
    return whole if _fits(whole) else _cut(whole, why)


@dataclass(frozen=True, slots=True, kw_only=True)
class Letter:
    """What the headers of a dead letter say. Text comes from strangers: escape it before it is shown."""

    id: str
    """Topic, partition and offset of the letter, as `position_of` reads them."""
    topic: str
    """Which its record was in, or would have been."""
    time_ms: int
    key: bytes
    size_bytes: int
    """Of the value that was kept, wherever it lies."""
    cut_from_bytes: int | None
    """Of the whole value, where only its beginning was kept."""
    error_class: str
    reason: str
    message: str
    origin: str
    """TOPIC/PARTITION@OFFSET of the record, or the name of the call that refused it."""
    attempt: str
    message_type: str
    """Of what never was a record: the full name of the message; else empty."""
    headers: Headers
    """The record's own."""


def letter_of(record: Record) -> Letter:
    """Read the headers of a dead letter. What they do not say is empty: others can write to the topic as well."""
    begin = max((n for n, (name, _) in enumerate(record.headers) if name == _FIRST), default=None)
    own = (
        {}
        if begin is None
        else {name: value.decode(errors="replace") for name, value in record.headers[begin:]}
    )
    cut = own.get(_CUT, "")
    return Letter(
        id=f"{record.partition}/{record.offset}",
        topic=record.partition.topic.removesuffix(DEAD_LETTERS),
        time_ms=record.timestamp_ms,
        key=record.key,
        size_bytes=body_bytes(record) or len(record.value or b""),
        cut_from_bytes=int(cut) if cut.isdecimal() else None,
        error_class=own.get(_FIRST, ""),
        reason=own.get("x-error-reason", ""),
        message=own.get("x-error-message", ""),
        origin=own.get("x-origin", ""),
        attempt=own.get("x-attempt", ""),
        message_type=own.get(_MESSAGE, ""),
        headers=record.headers[:begin],
    )


def position_of(letter_id: str) -> Position:
    """Where a letter lies. Raises InvalidInput for what is no letter's id."""
    topic, *numbers = letter_id.rsplit("/", 2)
    known = topic.endswith(DEAD_LETTERS) and topic.removesuffix(DEAD_LETTERS) in READERS
    if not known or len(numbers) != 2 or not all(n.isascii() and n.isdecimal() for n in numbers):
        raise InvalidInput(f"{letter_id!r} is no dead letter's id, such as examples{DEAD_LETTERS}/0/17")
    return Position(Partition(topic, int(numbers[0])), int(numbers[1]))


def _fits(letter: Output) -> bool:
    """Whether it can be written as it is; a large value lies in storage, by the same address as the record's."""
    value = len(letter.value or b"")
    headers = sum(len(name.encode()) + len(text) for name, text in letter.headers)
    in_log = len(letter.key) + min(value, ABOVE_BYTES) + headers
    return value <= MAX_BODY_BYTES and in_log <= MAX_RECORD_BYTES - _SPARE_BYTES


def _cut(whole: Output, why: Headers) -> Output:
    """The beginning of what no record could hold: a dead letter that cannot be written would stop its stream."""
    value = whole.value or b""
    mark = (_CUT, str(len(value)).encode())
    return whole._replace(key=b"", value=value[:MAX_BODY_BYTES], headers=(*why, mark))


def _why(error: SuiteError, origin: str, attempt: int) -> Headers:
    return (
        (_FIRST, type(error).__name__.encode()),
        ("x-error-reason", error.reason.encode()),
        ("x-error-message", error.message[:_MAX_MESSAGE].encode(errors="replace")),
        ("x-origin", origin.encode()),
        ("x-attempt", str(attempt).encode()),
    )
