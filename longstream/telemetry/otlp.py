"""Spans to an OpenTelemetry collector by OTLP over gRPC: the only file that knows OpenTelemetry.

Spans are sent in batches by a thread of their own. A collector that is away costs spans and nothing else.
"""

from __future__ import annotations

from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import Link, SpanContext, SpanKind, TraceFlags
from opentelemetry.trace.status import Status, StatusCode

from longstream.telemetry.spans import Span
from longstream.telemetry.trace import TraceContext

_KINDS = {
    "server": SpanKind.SERVER,
    "client": SpanKind.CLIENT,
    "consumer": SpanKind.CONSUMER,
    "internal": SpanKind.INTERNAL,
}
_SCOPE = InstrumentationScope("longstream")
_QUEUE = 8_192
_LAST_MS = 3_000


class OtlpExporter:
    """Takes spans until it is closed."""

    def __init__(self, service: str, version: str, url: str) -> None:
        """service: its name. url: `http://HOST:PORT` of a collector, https with the system's certificates."""
        self._resource = Resource(
            {
                "service.name": f"longstream-{service}",
                "service.namespace": "longstream",
                "service.version": version,
            }
        )
        sender = OTLPSpanExporter(endpoint=url, insecure=url.startswith("http://"), timeout=5)
        self._batches = BatchSpanProcessor(sender, max_queue_size=_QUEUE)

    def __call__(self, span: Span) -> None:
        """Queue the span; a full queue drops it."""
        status = Status(StatusCode.ERROR, span.error) if span.error else Status(StatusCode.UNSET)
        self._batches.on_end(
            ReadableSpan(
                name=span.name,
                context=_context(span.context, remote=False),
                parent=_context(span.parent, remote=True) if span.parent is not None else None,
                resource=self._resource,
                attributes=dict(span.attributes),
                links=[Link(_context(link, remote=True)) for link in span.links],
                kind=_KINDS[span.kind],
                status=status,
                start_time=span.begun_ns,
                end_time=span.ended_ns,
                instrumentation_scope=_SCOPE,
            )
        )

    def close(self) -> None:
        """Send what is queued, for three seconds at most."""
        self._batches.force_flush(_LAST_MS)
        self._batches.shutdown()  # type: ignore[no-untyped-call]


def _context(of: TraceContext, *, remote: bool) -> SpanContext:
    flags = TraceFlags(TraceFlags.SAMPLED if of.sampled else TraceFlags.DEFAULT)
    return SpanContext(int(of.trace_id, 16), int(of.span_id, 16), is_remote=remote, trace_flags=flags)
