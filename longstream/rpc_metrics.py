"""The classic gRPC server metrics, by service, method and code, under the names that dashboards know."""

from __future__ import annotations

from collections.abc import Iterable

import grpc

from longstream.telemetry import Exemplars, Metrics, TraceContext

_CODES = tuple(code.name for code in grpc.StatusCode)


class RpcMetrics:
    """Counts calls. Only registered methods get a label of their own, so a caller cannot make series."""

    def __init__(self, metrics: Metrics, methods: Iterable[str]) -> None:
        """methods: full names, `/package.Service/Method`."""
        labels = [service_and_name(method) for method in methods]
        at = {
            "grpc_service": sorted({service for service, _ in labels}),
            "grpc_method": sorted({name for _, name in labels}),
        }
        self._started = metrics.counter("grpc_server_started_total", "Calls that arrived.", **at)
        self._handled = metrics.counter(
            "grpc_server_handled_total", "Calls that were answered, by code.", **at, grpc_code=_CODES
        )
        self._seconds = metrics.histogram(
            "grpc_server_handling_seconds",
            "From the handler's first step to the call's end.",
            grpc_service=at["grpc_service"],
            grpc_method=at["grpc_method"],
        )
        self._exemplars = {method: Exemplars() for method in methods}
        self._unread = metrics.counter(
            "grpc_server_unread_total",
            "Calls that ended before a handler saw them: far too large, cancelled, or out of time.",
            **at,
        )

    def started(self, method: str) -> None:
        """A call has arrived."""
        service, name = service_and_name(method)
        self._started.labels(grpc_service=service, grpc_method=name).inc()

    def handled(self, method: str, code: grpc.StatusCode, seconds: float, trace: TraceContext) -> None:
        """A call of that trace has been answered with this code."""
        service, name = service_and_name(method)
        self._handled.labels(grpc_service=service, grpc_method=name, grpc_code=code.name).inc()
        exemplar = self._exemplars[method].of(trace) if method in self._exemplars else None
        self._seconds.labels(grpc_service=service, grpc_method=name).observe(seconds, exemplar)

    def unread(self, method: str) -> None:
        """A call has ended before its handler was called."""
        service, name = service_and_name(method)
        self._unread.labels(grpc_service=service, grpc_method=name).inc()


def service_and_name(method: str) -> tuple[str, str]:
    """Of a full name, `/package.Service/Method`."""
    service, _, name = method.removeprefix("/").rpartition("/")
    return service, name
