"""Spans: what was done for a trace, when, and how it ended. Nothing is made of them unless an exporter is set.

A span's context is the one that its work ran under, so that logs, exemplars and the spans of what it caused name it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Literal

from longstream.telemetry.trace import TraceContext, current_trace, new_trace, parse_traceparent, trace

MAX_LINKS = 128
"""As many as OpenTelemetry keeps of a span by default."""

Value = str | int | float | bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """A piece of work that has ended. Times are nanoseconds since 1970."""

    name: str
    context: TraceContext
    parent: TraceContext | None
    begun_ns: int
    ended_ns: int
    kind: Literal["server", "client", "consumer", "internal"] = "internal"
    attributes: Mapping[str, Value] = field(default_factory=dict)
    links: Sequence[TraceContext] = ()
    """Other traces that it belongs to, MAX_LINKS at most."""
    error: str = ""
    """Why it failed; empty: it did not."""


Exporter = Callable[[Span], None]


class _Exporting:
    exporter: Exporter | None = None


def export_spans(exporter: Exporter | None) -> None:
    """Give every span of this program to exporter from now on; None: to nobody."""
    _Exporting.exporter = exporter


def tracing() -> bool:
    """Whether anybody takes spans: what costs something only for them can be left out else."""
    return _Exporting.exporter is not None


def tell(span: Span) -> None:
    """Give the span to the exporter, unless its trace is not sampled."""
    if _Exporting.exporter is not None and span.context.sampled:
        _Exporting.exporter(span)


@contextmanager
def engine_span(call: str) -> Iterator[None]:
    """A request to an engine inside the block, as a span of the present trace."""
    parent = current_trace()
    if parent is None or not tracing():
        yield
        return
    here, begun_ns, error = parent.child(), time.time_ns(), ""
    try:
        with trace(here):
            yield
    except Exception as failed:
        error = str(failed)[:200] or type(failed).__name__
        raise
    finally:
        tell(
            Span(
                name=f"engine {call}",
                kind="client",
                context=here,
                parent=parent,
                begun_ns=begun_ns,
                ended_ns=time.time_ns(),
                error=error,
            )
        )


def present_traceparent() -> str:
    """The trace that is worked for, to be kept with a fact; "" where nobody traces."""
    context = current_trace() if tracing() else None
    return context.traceparent() if context is not None else ""


def begin_fact(parent: str = "") -> tuple[str, str]:
    """The traceparent of a fact that takes a while to come about, and that of what it follows from.

    parent: the latter; without it, the trace that is worked for, or none. Both are "" where nobody traces.
    """
    if not tracing():
        return "", ""
    above = parse_traceparent(parent) if parent else current_trace()
    if above is None:
        return new_trace().traceparent(), ""
    return above.child().traceparent(), above.traceparent()


@dataclass(frozen=True, slots=True)
class Course:
    """A fact's traceparent and that of what it follows from, as `begin_fact` gave them, and when it was under way."""

    traceparent: str
    parent: str
    begun_ns: int
    ended_ns: int


def tell_fact(
    name: str,
    course: Course,
    *,
    attributes: Mapping[str, Value],
    links: Iterable[str] = (),
    error: str = "",
) -> None:
    """Tell of a fact that took a while to come about, such as a release; nothing if it has no trace.

    links: traceparents of others that it belongs to. Told again after a crash, it is the same span.
    """
    context = parse_traceparent(course.traceparent)
    if context is None or not tracing():
        return
    tell(
        Span(
            name=name,
            context=context,
            parent=parse_traceparent(course.parent) if course.parent else None,
            begun_ns=course.begun_ns,
            ended_ns=course.ended_ns,
            attributes=attributes,
            links=_linked(links),
            error=error,
        )
    )


def _linked(traceparents: Iterable[str]) -> list[TraceContext]:
    """The first of them, each once; no more are read than are told."""
    found: dict[str, TraceContext] = {}
    for traceparent in traceparents:
        if (context := parse_traceparent(traceparent)) is not None:
            found.setdefault(traceparent, context)
        if len(found) == MAX_LINKS:
            break
    return list(found.values())
