"""What a program tells about itself: metrics, logs, and the trace that its work belongs to."""

from __future__ import annotations

from longstream.telemetry.at_scrape import INDEX, Index
from longstream.telemetry.logs import JsonFormatter, configure_logging, log_fields
from longstream.telemetry.metrics import Family, Metrics, MetricsServer
from longstream.telemetry.trace import (
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

__all__ = [
    "INDEX",
    "Family",
    "Index",
    "JsonFormatter",
    "Metrics",
    "MetricsServer",
    "TraceContext",
    "configure_logging",
    "consumed",
    "current_trace",
    "headers_for",
    "log_fields",
    "new_trace",
    "parse_traceparent",
    "produced",
    "trace",
    "with_trace",
]
