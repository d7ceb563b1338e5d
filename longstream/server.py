"""gRPC bootstrap: one server for every program, with health, reflection, limits, and a drain that loses
nothing.

Health (grpc.health.v1) answers for "", "readiness" and "liveness". A draining server is alive: liveness
stays SERVING to the end, or the supervisor would kill what is just finishing. A probe, a refusal and a
watcher have threads of their own, so a server full of calls still answers.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import grpc
from grpc_health.v1 import health_pb2_grpc
from grpc_health.v1.health import HealthServicer
from grpc_health.v1.health_pb2 import HealthCheckResponse
from grpc_reflection.v1alpha import reflection

from longstream.errors import Unavailable
from longstream.rpc_admission import CallLimits, Phase, Room, Rooms
from longstream.rpc_calls import CallInterceptor
from longstream.rpc_metrics import RpcMetrics
from longstream.telemetry import Metrics

Registration = Callable[[Any], None]
"""Adds a servicer to a server: `partial(add_CuratorServiceServicer_to_server, servicer)`."""

HEALTH = "grpc.health.v1.Health"
_LONGEST_WAIT_S = 3_600.0
_STOP_GRACE_S = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerSettings:
    """How a program answers calls."""

    address: str = "127.0.0.1:0"
    """host:port to listen on; port 0 takes any free one."""
    health_address: str | None = None
    """A second host:port that serves health alone, in plain text, for probes that cannot do TLS."""
    reflection: bool = True
    """Whether callers may ask which services and messages there are."""
    threads: int = 16
    """Calls that are worked on at once."""
    max_calls: int = 64
    """Calls at once, those that wait for a thread included; more are told to come again."""
    max_watches: int = 16
    """Watch streams at once; each holds a thread."""
    max_message_bytes: int = 8 << 20
    """Largest request and largest answer; larger data goes by address."""
    max_deadline_s: float = 600.0
    """Longest a caller may wait; a call with no deadline is refused, Watch streams apart."""
    max_connection_age_s: float = 600.0
    """After this a connection is closed gently, so that clients find new replicas; bounds a Watch stream."""

    def __post_init__(self) -> None:
        for name in ("threads", "max_calls", "max_watches", "max_message_bytes"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1")
        for name in ("max_deadline_s", "max_connection_age_s"):
            if getattr(self, name) <= 0:
                raise ValueError(f"{name} must be above 0")
        if self.max_calls < self.threads:
            raise ValueError("max_calls must be at least threads")


def time_left_s(context: grpc.ServicerContext) -> float:
    """Seconds until the caller's deadline, at least 0; an hour at most, also for a caller that set none."""
    return min(float(context.time_remaining()), _LONGEST_WAIT_S)


class GrpcServer:
    """A component of `App`: serves from `start` on, answers UNAVAILABLE until it is opened by
    `set_ready(True)`."""

    def __init__(self, settings: ServerSettings, services: Sequence[Registration], metrics: Metrics) -> None:
        """services: what adds each servicer. Raises nothing before `start`."""
        self._settings = settings
        self._phase = Phase()
        self._health = HealthServicer()
        self._pools = {
            name: ThreadPoolExecutor(size, thread_name_prefix=f"grpc-{name}")
            for name, size in (("calls", settings.threads), ("watches", settings.max_watches), ("aside", 2))
        }
        listed = _Listed()
        for register in services:
            register(listed)
        self._methods = listed.methods
        self._server = self._built(services, RpcMetrics(metrics, self._methods))
        self._health_server = self._health_alone() if settings.health_address else None
        self._port: int | None = None
        self.health_port: int | None = None
        self._set_health(serving=False)
        self._health.set("liveness", HealthCheckResponse.SERVING)

    @property
    def port(self) -> int:
        """The port that is open. Raises Unavailable before `start`."""
        if self._port is None:
            raise Unavailable("the server has not been started")
        return self._port

    @property
    def ready(self) -> bool:
        """Whether the port is open."""
        return self._port is not None

    @property
    def methods(self) -> tuple[str, ...]:
        """Full names of the calls that are served, `/package.Service/Method`."""
        return self._methods

    def start(self) -> None:
        """Open the ports. Raises Unavailable if one is taken."""
        self._port = _bound(self._server, self._settings.address)
        self._server.start()
        if self._health_server is not None and self._settings.health_address is not None:
            self.health_port = _bound(self._health_server, self._settings.health_address)
            self._health_server.start()

    def set_ready(self, ready: bool) -> None:
        """What readiness says from now on. The first True opens the services; a drain is final."""
        if self._phase.draining.is_set():
            return
        if ready:
            self._phase.opened.set()
        self._set_health(serving=ready)

    def drain(self, timeout_s: float) -> None:
        """Say not ready, take no new calls, send watchers away, and wait for the calls in flight; then
        cancel them."""
        self._set_health(serving=False)
        self._phase.draining.set()
        ended = self._server.stop(grace=timeout_s)
        ended.wait(timeout_s + _STOP_GRACE_S)

    def stop(self) -> None:
        """Cancel what is left and free ports and threads; may be called during a drain."""
        self._phase.draining.set()
        for server in (self._server, self._health_server):
            if server is not None:
                server.stop(grace=0).wait(_STOP_GRACE_S)
        deadline = time.monotonic() + _STOP_GRACE_S
        for pool in self._pools.values():
            # A handler that does not heed its cancellation must not hold up the end of the program.
            closing = threading.Thread(target=pool.shutdown, daemon=True)
            closing.start()
            closing.join(max(0.0, deadline - time.monotonic()))

    def failed(self) -> BaseException | None:
        """Always None: gRPC serves until it is stopped."""
        return None

    def _set_health(self, *, serving: bool) -> None:
        status = HealthCheckResponse.SERVING if serving else HealthCheckResponse.NOT_SERVING
        for service in ("", "readiness"):
            self._health.set(service, status)

    def _built(self, services: Sequence[Registration], metrics: RpcMetrics) -> grpc.Server:
        settings, pools = self._settings, self._pools
        rooms = Rooms(
            calls=Room(settings.max_calls, pools["calls"]),
            watches=Room(settings.max_watches, pools["watches"]),
            aside=pools["aside"],
        )
        limits = CallLimits(message_bytes=settings.max_message_bytes, deadline_s=settings.max_deadline_s)
        server = grpc.server(
            pools["calls"],
            interceptors=[CallInterceptor(limits, rooms, self._phase, metrics)],
            options=list(_options(settings).items()),
            # The last resort, when refusals with details pile up themselves.
            maximum_concurrent_rpcs=2 * (settings.max_calls + settings.max_watches),
        )
        for register in services:
            register(server)
        health_pb2_grpc.add_HealthServicer_to_server(self._health, server)
        if settings.reflection:
            names = {method.split("/")[1] for method in self._methods}
            reflection.enable_server_reflection([*sorted(names), HEALTH, reflection.SERVICE_NAME], server)
        return server

    def _health_alone(self) -> grpc.Server:
        server = grpc.server(self._pools["aside"], options=[("grpc.so_reuseport", 0)])
        health_pb2_grpc.add_HealthServicer_to_server(self._health, server)
        return server


class _Listed:
    """Stands where a server would, to learn which methods a registration adds."""

    def __init__(self) -> None:
        self.methods: tuple[str, ...] = ()

    def add_generic_rpc_handlers(self, handlers: Sequence[grpc.GenericRpcHandler]) -> None:
        """What older generated code relies on; the same methods come by name below."""

    def add_registered_method_handlers(self, service: str, handlers: Mapping[str, Any]) -> None:
        """Note the service's methods."""
        self.methods += tuple(f"/{service}/{name}" for name in handlers)


def _options(settings: ServerSettings) -> dict[str, int]:
    age_ms = int(1_000 * settings.max_connection_age_s)
    return {
        # Else two servers share a port in silence, and calls go to either.
        "grpc.so_reuseport": 0,
        # The transport's limit is above the documented one, so that most of what is too large is told why.
        "grpc.max_receive_message_length": 2 * settings.max_message_bytes,
        "grpc.max_send_message_length": settings.max_message_bytes,
        "grpc.max_connection_age_ms": age_ms,
        "grpc.max_connection_age_grace_ms": int(1_000 * settings.max_deadline_s),
    }


def _bound(server: grpc.Server, address: str) -> int:
    try:
        return int(server.add_insecure_port(address))
    except RuntimeError as error:
        raise Unavailable(f"cannot listen on {address}; it is taken or not of this machine") from error
