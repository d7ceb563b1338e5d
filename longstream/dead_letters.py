"""A record that cannot be worked on: its bytes as they came, with why and whence as headers."""

from __future__ import annotations

from dataclasses import replace

from longstream.bus import MAX_RECORD_BYTES, Headers, Output, Record
from longstream.errors import SuiteError
from longstream.topics import DEAD_LETTERS

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
    return whole if _bytes(whole) <= _MOST else _cut(whole, why)


def never_a_record(topic: str, value: bytes, error: SuiteError, call: str) -> Output:
    """Something that a call brought and that was refused before it became a record of the topic."""
    why = _why(error, call, 1)
    whole = Output(topic=topic + DEAD_LETTERS, key=b"", value=value, headers=why)
    return whole if _bytes(whole) <= _MOST else _cut(whole, why)


_MOST = MAX_RECORD_BYTES - _SPARE_BYTES


def _bytes(output: Output) -> int:
    return len(output.key) + len(output.value or b"") + sum(len(n) + len(v) for n, v in output.headers)


def _cut(whole: Output, why: Headers) -> Output:
    """The beginning of what no record could hold: a dead letter that cannot be written would stop its stream."""
    value = whole.value or b""
    mark = ("x-cut-from-bytes", str(len(value)).encode())
    return replace(whole, key=b"", value=value[: _MOST - 8 * 1024], headers=(*why, mark))


def _why(error: SuiteError, origin: str, attempt: int) -> Headers:
    return (
        ("x-error-class", type(error).__name__.encode()),
        ("x-error-reason", error.reason.encode()),
        ("x-error-message", error.message[:_MAX_MESSAGE].encode(errors="replace")),
        ("x-origin", origin.encode()),
        ("x-attempt", str(attempt).encode()),
    )
