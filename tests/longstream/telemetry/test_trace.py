"""Trace context survives calls and records; whatever else a header holds is treated as none."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from longstream.bus import Output, Partition, Record
from longstream.telemetry import (
    TraceContext,
    consumed,
    current_trace,
    headers_for,
    new_trace,
    parse_traceparent,
    produced,
    trace,
    with_trace,
)

VALID = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
contexts = st.builds(
    TraceContext,
    trace_id=st.integers(1, 2**128 - 1).map(lambda number: f"{number:032x}"),
    span_id=st.integers(1, 2**64 - 1).map(lambda number: f"{number:016x}"),
    sampled=st.booleans(),
)


def record(*headers: tuple[str, bytes]) -> Record:
    return Record(Partition("examples", 0), 3, b"k", b"v", headers, 0)


@given(contexts)
def test_a_formatted_context_is_parsed_as_itself(context: TraceContext) -> None:
    assert parse_traceparent(context.traceparent()) == context
    assert parse_traceparent(context.traceparent().encode()) == context


@given(st.one_of(st.text(), st.binary(), st.none()))
def test_parsing_never_raises(header: str | bytes | None) -> None:
    parse_traceparent(header)


@pytest.mark.parametrize(
    "header",
    [
        VALID.upper(),
        VALID[:-1],
        f"{VALID}-more",
        f"ff{VALID[2:]}",
        f"00-{'0' * 32}-b7ad6b7169203331-01",
        f"00-0af7651916cd43dd8448eb211c80319c-{'0' * 16}-01",
        VALID.replace("-", "_"),
        f"{VALID}\n",
        "",
    ],
)
def test_a_malformed_header_begins_a_new_trace(header: str) -> None:
    assert parse_traceparent(header) is None


def test_a_later_version_is_read_as_far_as_this_one_goes() -> None:
    later = parse_traceparent(f"cc{VALID[2:]}-what-comes-later")
    assert later == parse_traceparent(VALID)


def test_a_record_is_handled_in_a_child_of_its_trace_and_its_outputs_carry_it() -> None:
    parent = new_trace()
    with consumed(record(("traceparent", parent.traceparent().encode()))) as child:
        output = produced(Output(topic="rows", key=b"k", value=b"v", headers=(("x", b"1"),)))
    assert child.trace_id == parent.trace_id
    assert child.span_id != parent.span_id
    assert output.headers == (("x", b"1"), ("traceparent", child.traceparent().encode()))
    assert current_trace() is None


def test_a_record_without_a_trace_begins_one() -> None:
    with consumed(record()) as first, consumed(record(("traceparent", b"junk"))) as second:
        assert first.trace_id != second.trace_id


def test_an_output_keeps_the_trace_it_has_and_gets_none_outside_one() -> None:
    plain = Output(topic="rows", key=b"k", value=None)
    assert produced(plain) is plain
    with trace(new_trace()):
        once = produced(plain)
        assert produced(once) is once


def test_call_metadata_carries_the_present_trace_once() -> None:
    assert with_trace(None) == ()
    with trace(parse_traceparent(VALID)):
        assert with_trace([("a", "b")]) == (("a", "b"), ("traceparent", VALID))
        assert with_trace(with_trace(None)) == (("traceparent", VALID),)


def test_a_record_is_a_cloud_event_in_binary_mode() -> None:
    noon = datetime(2026, 1, 2, 12, 0, tzinfo=timezone(timedelta(hours=2)))
    headers = headers_for(parse_traceparent(VALID), "longstream.row.v1", "/instructor", "42", noon)
    assert dict(headers) == {
        "ce_specversion": b"1.0",
        "ce_type": b"longstream.row.v1",
        "ce_source": b"/instructor",
        "ce_id": b"42",
        "ce_time": b"2026-01-02T10:00:00Z",
        "content-type": b"application/protobuf",
        "traceparent": VALID.encode(),
    }
    assert "traceparent" not in dict(headers_for(None, "t", "s", "i"))


def test_an_incomplete_event_is_refused() -> None:
    with pytest.raises(ValueError, match="must not be empty"):
        headers_for(None, "t", "", "i")
    with pytest.raises(ValueError, match="time zone"):
        headers_for(None, "t", "s", "i", datetime.now(UTC).replace(tzinfo=None))
