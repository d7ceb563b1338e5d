"""Asks a service whether it is ready, by the standard health protocol (grpc.health.v1, service
`readiness`)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

State = Literal["ready", "starting", "failing", "down"]
READINESS = "readiness"

# A connection that was refused once must be tried anew at once, not after gRPC's shared back-off.
_OPTIONS = (("grpc.use_local_subchannel_pool", 1), ("grpc.enable_http_proxy", 0))


@dataclass(frozen=True, slots=True)
class Health:
    """ready: calls are served. starting: it answers, but starts, drains or waits. down: it does not
    answer."""

    state: State
    detail: str = ""


def ask_health(address: str, timeout_s: float = 1.0) -> Health:
    """The health of the service at host:port; never raises for a service that is away."""
    request = health_pb2.HealthCheckRequest(service=READINESS)
    with grpc.insecure_channel(address, options=_OPTIONS) as channel:
        try:
            answer = health_pb2_grpc.HealthStub(channel).Check(request, timeout=timeout_s)
        except grpc.RpcError as error:
            return _of_error(error.code(), address, timeout_s)
    if answer.status == health_pb2.HealthCheckResponse.SERVING:
        return Health("ready")
    return Health("starting", "it starts, drains, or waits for what it needs")


def _of_error(code: grpc.StatusCode, address: str, timeout_s: float) -> Health:
    if code is grpc.StatusCode.NOT_FOUND:
        return Health("starting", "it answers but does not tell its readiness yet")
    if code is grpc.StatusCode.DEADLINE_EXCEEDED:
        return Health("down", f"no answer from {address} within {timeout_s:g} s")
    return Health("down", f"nothing answers at {address}")
