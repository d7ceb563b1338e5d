"""Spans: told to nobody unless asked for, under the trace of their work, and as OpenTelemetry has them."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator

import pytest

from longstream.telemetry import (
    Course,
    Span,
    begin_fact,
    current_trace,
    engine_span,
    export_spans,
    new_trace,
    parse_traceparent,
    present_traceparent,
    sample_traces,
    tell,
    tell_fact,
    trace,
    tracing,
)
from longstream.telemetry.otlp import OtlpExporter
from longstream.telemetry.spans import MAX_LINKS
from tests.support.collector import collector


@pytest.fixture
def told() -> Iterator[list[Span]]:
    spans: list[Span] = []
    export_spans(spans.append)
    yield spans
    export_spans(None)


def a_span(**more: object) -> Span:
    here = new_trace()
    given = {"name": "work", "context": here.child(), "parent": here, "begun_ns": 1_000, "ended_ns": 3_000}
    return Span(**{**given, **more})  # type: ignore[arg-type]


def test_without_an_exporter_nothing_is_made_and_facts_have_no_trace() -> None:
    assert not tracing()
    tell(a_span())
    with trace(new_trace()):
        assert begin_fact() == ("", "")
        assert present_traceparent() == ""


def test_a_trace_that_is_not_sampled_is_not_told(told: list[Span]) -> None:
    tell(a_span(context=new_trace()._replace(sampled=False)))
    assert told == []


@pytest.mark.parametrize(("share", "least", "most"), [(0.0, 0, 0), (1.0, 2_000, 2_000), (0.25, 400, 600)])
def test_so_many_of_the_traces_that_begin_here_are_sampled(share: float, least: int, most: int) -> None:
    sample_traces(share)
    try:
        assert least <= sum(new_trace().sampled for _ in range(2_000)) <= most
    finally:
        sample_traces(1.0)


def test_a_fact_lies_below_what_it_follows_from_else_below_the_present_work_else_alone(
    told: list[Span],
) -> None:
    above, here = new_trace(), new_trace()
    with trace(here):
        own, parent = begin_fact(above.traceparent())
        assert parse_traceparent(own).trace_id == above.trace_id  # type: ignore[union-attr]
        assert parent == above.traceparent()
        assert begin_fact()[1] == here.traceparent()
        assert present_traceparent() == here.traceparent()
    assert begin_fact()[1] == ""
    assert parse_traceparent(begin_fact()[0]) is not None
    assert told == []


def test_a_fact_is_told_as_the_same_span_each_time_with_each_link_once(told: list[Span]) -> None:
    own, parent = begin_fact(new_trace().traceparent())
    links = [new_trace().traceparent() for _ in range(MAX_LINKS + 5)]
    for _ in range(2):
        tell_fact("release", Course(own, parent, 1, 2), attributes={}, links=["", links[0], *links])
    assert told[0] == told[1]
    assert [link.traceparent() for link in told[0].links] == links[:MAX_LINKS]
    tell_fact("release", Course("", "", 1, 2), attributes={})
    assert len(told) == 2


def test_a_request_to_an_engine_is_a_span_of_the_present_work_and_says_how_it_failed(
    told: list[Span],
) -> None:
    here = new_trace()
    seen = []

    def fails() -> None:
        with trace(here), engine_span("generate"):
            seen.append(current_trace())
            raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        fails()
    (span,) = told
    assert (span.name, span.parent, span.context, span.error) == ("engine generate", here, seen[0], "no")
    with engine_span("generate"):
        pass
    assert len(told) == 1


def test_a_collector_gets_name_place_links_attributes_and_error_as_opentelemetry_has_them() -> None:
    link = new_trace()
    span = a_span(attributes={"rows": 3, "topic": "rows"}, links=[link], error="it failed", kind="server")
    with collector() as kept:
        exporter = OtlpExporter("curator", "0.1.0", kept.address)
        exporter(span)
        exporter.close()
        (received,) = kept.spans
    assert (received.service, received.name, received.error) == ("longstream-curator", "work", "it failed")
    assert (received.trace_id, received.span_id) == (span.context.trace_id, span.context.span_id)
    assert span.parent is not None
    assert received.parent_id == span.parent.span_id
    assert received.links == (link.trace_id,)
    assert received.attributes == {"rows": 3, "topic": "rows"}


def test_a_collector_that_is_away_holds_nothing_up() -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        exporter = OtlpExporter("curator", "0.1.0", f"http://127.0.0.1:{closed.getsockname()[1]}")
    begun = time.monotonic()
    for _ in range(1_000):
        exporter(a_span())
    assert time.monotonic() - begun < 1
    exporter.close()
    assert time.monotonic() - begun < 15
