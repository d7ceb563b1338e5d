"""Trace context (W3C Trace Context, level 1) through calls and records, and the CloudEvents headers beside
it.

A trace begins where a caller asks for something; each record carries its `traceparent` in a header, so that a
promoted model can be followed back to the documents it came from, across four programs and the log between
them. CloudEvents 1.0, Kafka protocol binding, binary mode: attributes are headers, the record's value is
the data.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import NamedTuple

from longstream.bus import Headers, Output, Record

TRACEPARENT = "traceparent"
CONTENT_TYPE = b"application/protobuf"
_SAMPLED = 0x01
_ZEROS = bytes(8)
_FORM = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?", re.ASCII | re.DOTALL)


class TraceContext(NamedTuple):
    """Where in which trace we are. trace_id: 32 hex digits; span_id: 16; neither is all zeros."""

    trace_id: str
    span_id: str
    sampled: bool = True

    def child(self) -> TraceContext:
        """The same trace with a fresh span: one call, or one record handled."""
        return TraceContext(self.trace_id, _random_hex(8), self.sampled)

    def traceparent(self) -> str:
        """The header's value, version 00."""
        return f"00-{self.trace_id}-{self.span_id}-{_SAMPLED if self.sampled else 0:02x}"


_current: ContextVar[TraceContext | None] = ContextVar("trace_context", default=None)


class _Sampling:
    below = 1 << 56


def sample_traces(share: float) -> None:
    """Mark so many of the traces that begin in this program as sampled, 0 to 1; those of callers keep their mark."""
    _Sampling.below = round(share * (1 << 56))


def new_trace() -> TraceContext:
    """The beginning of a trace that nobody else has."""
    drawn = _random_hex(24)  # one question to the system, since every record without a trace begins one
    # By the id's random part, as W3C's level 2 has it, so that whoever draws by it draws alike.
    return TraceContext(drawn[:32], drawn[32:], int(drawn[18:32], 16) < _Sampling.below)


def current_trace() -> TraceContext | None:
    """The trace that this thread (or task) works for; a pool's threads inherit none, see `trace`."""
    return _current.get()


@contextmanager
def trace(context: TraceContext | None) -> Iterator[TraceContext | None]:
    """Work for this trace inside the block."""
    token = _current.set(context)
    try:
        yield context
    finally:
        _current.reset(token)


def parse_traceparent(text: str | bytes | None) -> TraceContext | None:
    """The context a caller sent; None if there is none or it is malformed, then a new trace begins (W3C
    3.2.2).

    A later version is read as far as version 00 goes, as the recommendation asks.
    """
    if isinstance(text, bytes):
        text = text.decode("latin-1")
    found = _FORM.fullmatch(text.strip(" \t")) if text is not None else None
    if found is None:
        return None
    version, trace_id, span_id, flags, rest = found.groups()
    if version == "ff" or (version == "00" and rest is not None):
        return None
    if not int(trace_id, 16) or not int(span_id, 16):
        return None
    return TraceContext(trace_id, span_id, bool(int(flags, 16) & _SAMPLED))


def headers_for(
    context: TraceContext | None,
    ce_type: str,
    ce_source: str,
    ce_id: str,
    ce_time: datetime | None = None,
) -> Headers:
    """CloudEvents binary-mode headers of a record, and its traceparent if context is given.

    ce_type: such as `longstream.curator.release.v1`. ce_source: who says so, a URI reference. ce_id: unique
    within ce_source, the same when the same fact is written again. ce_time: when it happened, with a time
    zone. Raises ValueError for an empty attribute or a time without a zone.
    """
    if not (ce_type and ce_source and ce_id):
        raise ValueError("ce_type, ce_source and ce_id must not be empty")
    headers = [
        ("ce_specversion", b"1.0"),
        ("ce_type", ce_type.encode()),
        ("ce_source", ce_source.encode()),
        ("ce_id", ce_id.encode()),
        ("content-type", CONTENT_TYPE),
    ]
    if ce_time is not None:
        headers.append(("ce_time", _rfc3339(ce_time)))
    if context is not None:
        headers.append((TRACEPARENT, context.traceparent().encode()))
    return tuple(headers)


class consumed:  # noqa: N801  # used as a function is; `contextmanager` would cost every record more than this
    """Work for the trace of the record inside the block: a child of its traceparent, or a new trace."""

    __slots__ = ("_context", "_token", "parent")

    def __init__(self, record: Record) -> None:
        self.parent = parent = parse_traceparent(record.header(TRACEPARENT))
        self._context = parent.child() if parent is not None else new_trace()

    def __enter__(self) -> TraceContext:
        self._token = _current.set(self._context)
        return self._context

    def __exit__(self, *_: object) -> None:
        _current.reset(self._token)


def produced(output: Output) -> Output:
    """The output with the present trace in its headers; unchanged outside a trace or if it carries one."""
    context = current_trace()
    if context is None or (output.headers and any(name == TRACEPARENT for name, _ in output.headers)):
        return output
    # `_replace` takes twice as long, and every record of every worker comes by here.
    topic, key, value, partition, headers = output
    return Output(topic, key, value, partition, (*headers, (TRACEPARENT, context.traceparent().encode())))


def traced_by(traceparent: str) -> Headers:
    """The header of a record that belongs to that trace, whatever is worked for at present; none for ""."""
    return ((TRACEPARENT, traceparent.encode()),) if traceparent else ()


def with_trace(metadata: Sequence[tuple[str, str | bytes]] | None) -> tuple[tuple[str, str | bytes], ...]:
    """gRPC call metadata with the present trace added, so that the server works for the same one."""
    given = tuple(metadata or ())
    context = current_trace()
    if context is None or any(name == TRACEPARENT for name, _ in given):
        return given
    return (*given, (TRACEPARENT, context.traceparent()))


def _rfc3339(time: datetime) -> bytes:
    if time.tzinfo is None:
        raise ValueError("ce_time needs a time zone")
    return time.astimezone(UTC).isoformat().replace("+00:00", "Z").encode()


def _random_hex(size: int) -> str:
    """Hex digits of so many bytes, neither the first nor the last eight of which are all zeros."""
    # All zeros means "no context" to a reader; one draw in 2**64 would say so.
    while True:
        drawn = os.urandom(size)
        if drawn[:8] != _ZEROS and drawn[-8:] != _ZEROS:
            return drawn.hex()
