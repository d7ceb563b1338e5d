"""A client's way to a service: retries, sizes, a deadline for every call, and the trace that goes with it."""

from __future__ import annotations

import json
from collections import namedtuple
from collections.abc import Callable
from typing import Any

import grpc

from longstream.rpc_admission import is_watch
from longstream.telemetry import with_trace

SERVICE_CONFIG = {
    "loadBalancingConfig": [{"round_robin": {}}],
    "methodConfig": [
        {
            "name": [{}],
            "retryPolicy": {
                "maxAttempts": 4,
                "initialBackoff": "0.05s",
                "maxBackoff": "1s",
                "backoffMultiplier": 2,
                "retryableStatusCodes": ["UNAVAILABLE"],
            },
        }
    ],
    # Retries stop while more than half of the last calls failed, so that they do not bury a service that is
    # down.
    "retryThrottling": {"maxTokens": 10, "tokenRatio": 0.1},
}
"""gRPC service config: only UNAVAILABLE is retried, since only there the request was not begun."""


def channel(address: str, *, max_message_bytes: int = 8 << 20, timeout_s: float = 60.0) -> grpc.Channel:
    """A channel to `host:port` or `dns:///name:port`; close it after use.

    timeout_s: deadline of a call that names none itself, Watch streams apart. A request over
    max_message_bytes is refused on this side (RESOURCE_EXHAUSTED, which `errors_from_rpc` turns into
    TooLarge).
    """
    options = [
        ("grpc.service_config", json.dumps(SERVICE_CONFIG)),
        ("grpc.enable_retries", 1),
        # gRPC would wait up to two minutes before it looks for a service that has been restarted.
        ("grpc.max_reconnect_backoff_ms", 2_000),
        ("grpc.per_rpc_retry_buffer_size", max_message_bytes),
        ("grpc.max_send_message_length", max_message_bytes),
        ("grpc.max_receive_message_length", max_message_bytes),
    ]
    return grpc.intercept_channel(grpc.insecure_channel(address, options=options), _CallDefaults(timeout_s))


_Details = namedtuple(
    "_Details", ["method", "timeout", "metadata", "credentials", "wait_for_ready", "compression"]
)


class _CallDetails(_Details, grpc.ClientCallDetails):
    """What a call is made with."""


class _CallDefaults(
    grpc.UnaryUnaryClientInterceptor,
    grpc.UnaryStreamClientInterceptor,
    grpc.StreamUnaryClientInterceptor,
    grpc.StreamStreamClientInterceptor,
):
    """Gives every call a deadline and the present trace."""

    def __init__(self, timeout_s: float) -> None:
        self._timeout_s = timeout_s

    def intercept_unary_unary(self, continuation: Callable[..., Any], details: Any, request: Any) -> Any:
        """Call with the defaults."""
        return continuation(self._completed(details), request)

    def intercept_unary_stream(self, continuation: Callable[..., Any], details: Any, request: Any) -> Any:
        """Call with the defaults."""
        return continuation(self._completed(details), request)

    def intercept_stream_unary(self, continuation: Callable[..., Any], details: Any, requests: Any) -> Any:
        """Call with the defaults."""
        return continuation(self._completed(details), requests)

    def intercept_stream_stream(self, continuation: Callable[..., Any], details: Any, requests: Any) -> Any:
        """Call with the defaults."""
        return continuation(self._completed(details), requests)

    def _completed(self, details: Any) -> _CallDetails:
        timeout = details.timeout
        if timeout is None and not is_watch(details.method):
            timeout = self._timeout_s
        return _CallDetails(
            method=details.method,
            timeout=timeout,
            metadata=with_trace(details.metadata),
            credentials=details.credentials,
            wait_for_ready=details.wait_for_ready,
            compression=details.compression,
        )
