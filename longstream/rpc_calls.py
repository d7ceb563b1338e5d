"""What surrounds every call, in one interceptor: admission, trace, counting, deadline, decoding, errors.

A request is decoded here and not by gRPC, which decodes on the one thread that serves all calls and answers
INTERNAL to bytes that are no message. What gRPC refuses before any code of ours runs (a message over the
transport's limit) shows only in that our handler is dropped without being called; such calls are counted as
unread.
"""

from __future__ import annotations

import logging
import re
import threading
import uuid
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from time import perf_counter, time_ns
from typing import Any

import grpc
from google.protobuf.message import DecodeError

from longstream.errors import (
    DeadlineExceeded,
    InvalidInput,
    Overloaded,
    SuiteError,
    TooLarge,
    Unavailable,
)
from longstream.rpc_admission import Arrival, CallLimits, Phase, Rooms, is_watch
from longstream.rpc_errors import to_status
from longstream.rpc_metrics import RpcMetrics, service_and_name
from longstream.telemetry import (
    Span,
    TraceContext,
    log_fields,
    new_trace,
    parse_traceparent,
    tell,
    trace,
    tracing,
)

_log = logging.getLogger(__name__)
_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}", re.ASCII)
_KINDS = {
    (False, False): grpc.unary_unary_rpc_method_handler,
    (False, True): grpc.unary_stream_rpc_method_handler,
    (True, False): grpc.stream_unary_rpc_method_handler,
    (True, True): grpc.stream_stream_rpc_method_handler,
}

_CLOCKS_DIFFER_S = 1.0
"""gRPC tells what is left by a clock that may be set meanwhile: more than the longest deadline can seem to be."""

Behavior = Callable[[Any, Any], Any]


class CallInterceptor(grpc.ServerInterceptor):
    """Surrounds every call of our services; gRPC's own services (health, reflection) pass."""

    def __init__(self, limits: CallLimits, rooms: Rooms, phase: Phase, metrics: RpcMetrics) -> None:
        self._limits = limits
        self._rooms = rooms
        self._phase = phase
        self._metrics = metrics

    def intercept_service(self, continuation: Callable[[Any], Any], details: Any) -> Any:
        """The handler of one call. Runs on gRPC's serving thread, so it only looks and never waits."""
        handler, method = continuation(details), details.method
        if handler is None:
            return None
        if method.startswith("/grpc."):
            return self._at_once(handler)
        self._metrics.started(method)
        room = self._rooms.watches if is_watch(method) else self._rooms.calls
        if not room.enter():
            return self._refusal(method)
        return self._surrounded(handler, method, Arrival(room, partial(self._metrics.unread, method)))

    def _at_once(self, handler: Any) -> Any:
        """A probe must not wait behind calls, or a busy program looks dead."""
        if handler.unary_unary is None:
            return handler
        inner = handler.unary_unary
        behavior = _in_pool(partial(inner), self._rooms.aside)
        return grpc.unary_unary_rpc_method_handler(
            behavior, handler.request_deserializer, handler.response_serializer
        )

    def _refusal(self, method: str) -> Any:
        def refuse(_requests: Any, context: Any) -> Any:
            with self._answered(method, context):
                raise Overloaded("too many calls at once; wait and send it again")

        # As a stream handler it does not wait for the request, whatever kind of call the client makes.
        return grpc.stream_stream_rpc_method_handler(_in_pool(refuse, self._rooms.aside))

    def _surrounded(self, handler: Any, method: str, arrival: Arrival) -> Any:
        inner = handler.unary_unary or handler.unary_stream or handler.stream_unary or handler.stream_stream
        read = self._reader(handler)

        def answer(request: Any, context: Any) -> Any:
            with arrival, self._answered(method, context):
                self._admit(method, context)
                return inner(read(request, context), context)

        def stream(request: Any, context: Any) -> Iterator[Any]:
            with arrival, self._answered(method, context):
                self._admit(method, context)
                if not is_watch(method):
                    yield from inner(read(request, context), context)
                    return
                yield from inner(read(request, context), _WatchContext(context, self._phase.draining))
                if self._phase.draining.is_set():
                    raise Unavailable("this server is stopping; watch again from your last token")

        behavior = _in_pool(stream if handler.response_streaming else answer, arrival.room.pool)
        kind = _KINDS[handler.request_streaming, handler.response_streaming]
        return kind(behavior, None, handler.response_serializer)

    def _reader(self, handler: Any) -> Callable[[Any, Any], Any]:
        def decode(raw: bytes) -> Any:
            if len(raw) > self._limits.message_bytes:
                raise TooLarge(
                    f"{len(raw)} bytes are more than the {self._limits.message_bytes} of a message"
                )
            try:
                return raw if handler.request_deserializer is None else handler.request_deserializer(raw)
            except (DecodeError, ValueError, RecursionError) as error:
                raise InvalidInput("the request is not a valid message of this call") from error

        if handler.request_streaming:
            return lambda requests, context: _Requests(requests, decode, context)
        return lambda request, _context: decode(request)

    def _admit(self, method: str, context: Any) -> None:
        if not self._phase.opened.is_set():
            raise Unavailable("the service is starting; send it again")
        if is_watch(method):
            return
        left_s = context.time_remaining()
        if left_s <= 0:
            raise DeadlineExceeded("the deadline passed before the call was begun")
        if left_s > self._limits.deadline_s + _CLOCKS_DIFFER_S:
            raise InvalidInput(f"set a deadline of at most {self._limits.deadline_s:g} s", field="deadline")

    @contextmanager
    def _answered(self, method: str, context: Any) -> Iterator[None]:
        begun = perf_counter()
        metadata = dict(context.invocation_metadata() or ())
        parent = parse_traceparent(metadata.get("traceparent"))
        here = parent.child() if parent is not None else new_trace()
        try:
            with _traced(method, metadata, here), _errors_told(context):
                yield
        finally:
            code, seconds = _outcome(context), perf_counter() - begun
            self._metrics.handled(method, code, seconds, here)
            if tracing():
                tell(_span(method, here, parent, code, seconds))


class _WatchContext:
    """The call's context, except that it is no longer active once the server drains."""

    def __init__(self, context: Any, draining: threading.Event) -> None:
        self._context = context
        self._draining = draining

    def is_active(self) -> bool:
        """Whether somebody still listens and may go on doing so."""
        return bool(self._context.is_active()) and not self._draining.is_set()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._context, name)


class _Requests:
    """A client stream, decoded as it is read."""

    def __init__(self, requests: Iterator[bytes], decode: Callable[[bytes], Any], context: Any) -> None:
        self._requests = requests
        self._decode = decode
        self._context = context

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        try:
            return self._decode(next(self._requests))
        except StopIteration:
            # A stream that broke can look like one that ended: gRPC says so only by ending the call.
            if not self._context.is_active():
                raise _CallEnded from None
            raise


class _CallEnded(Exception):
    """The caller has gone, or its time is over."""


def _span(
    method: str, here: TraceContext, parent: TraceContext | None, code: grpc.StatusCode, seconds: float
) -> Span:
    service, name = service_and_name(method)
    ended_ns = time_ns()
    return Span(
        name=method.removeprefix("/"),
        kind="server",
        context=here,
        parent=parent,
        begun_ns=ended_ns - round(seconds * 1e9),
        ended_ns=ended_ns,
        attributes={
            "rpc.system": "grpc",
            "rpc.service": service,
            "rpc.method": name,
            "rpc.grpc.status_code": code.value[0],
        },
        error="" if code is grpc.StatusCode.OK else code.name,
    )


@contextmanager
def _traced(method: str, metadata: Mapping[str, Any], here: TraceContext) -> Iterator[None]:
    wished = str(metadata.get("x-request-id", ""))
    request_id = wished if _REQUEST_ID.fullmatch(wished) else here.span_id
    with trace(here), log_fields(grpc_method=method, request_id=request_id):
        yield


@contextmanager
def _errors_told(context: Any) -> Iterator[None]:
    try:
        yield
    except GeneratorExit:
        raise
    except SuiteError as error:
        _log.info("call refused", extra={"reason": error.reason, "code": error.code, "why": error.message})
        context.abort_with_status(to_status(error))
    except BaseException as error:
        if type(error) is Exception and not error.args and context.code() is not None:
            raise  # the handler's own context.abort
        if not context.is_active():
            context.abort(grpc.StatusCode.CANCELLED, "the call has ended")
        incident = uuid.uuid4().hex[:12]
        _log.exception("call failed", extra={"incident": incident})
        context.abort_with_status(to_status(SuiteError(f"internal error; the log has incident {incident}")))


def _outcome(context: Any) -> grpc.StatusCode:
    code = context.code()
    if isinstance(code, grpc.StatusCode):
        return code
    if context.is_active():
        return grpc.StatusCode.OK
    return grpc.StatusCode.CANCELLED if context.time_remaining() > 0 else grpc.StatusCode.DEADLINE_EXCEEDED


def _in_pool(behavior: Behavior, pool: ThreadPoolExecutor) -> Behavior:
    # gRPC's own health servicer relies on this attribute; without it a call would run in the server's pool.
    setattr(behavior, "experimental_thread_pool", pool)  # noqa: B010
    return behavior
