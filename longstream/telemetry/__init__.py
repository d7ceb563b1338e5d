"""What a program tells about itself: metrics, logs, and the trace that its work belongs to."""

from __future__ import annotations

from longstream.telemetry.at_scrape import INDEX, Index, Told
from longstream.telemetry.logs import JsonFormatter, configure_logging, log_fields
from longstream.telemetry.metrics import Declared, Exemplars, Family, Metrics, MetricsServer
from longstream.telemetry.spans import (
    Course,
    Span,
    begin_fact,
    engine_span,
    export_spans,
    present_traceparent,
    tell,
    tell_fact,
    tracing,
)
from longstream.telemetry.trace import (
    TraceContext,
    consumed,
    current_trace,
    headers_for,
    new_trace,
    parse_traceparent,
    produced,
    sample_traces,
    trace,
    traced_by,
    with_trace,
)

__all__ = [
    "INDEX",
    "Course",
    "Declared",
    "Exemplars",
    "Family",
    "Index",
    "JsonFormatter",
    "Metrics",
    "MetricsServer",
    "Span",
    "Told",
    "TraceContext",
    "begin_fact",
    "configure_logging",
    "consumed",
    "current_trace",
    "engine_span",
    "export_spans",
    "headers_for",
    "log_fields",
    "new_trace",
    "parse_traceparent",
    "present_traceparent",
    "produced",
    "sample_traces",
    "tell",
    "tell_fact",
    "trace",
    "traced_by",
    "tracing",
    "with_trace",
]
