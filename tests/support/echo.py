"""A small service for the tests of the server: four kinds of call over google.protobuf's own messages."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import grpc
from google.protobuf.wrappers_pb2 import Int64Value, StringValue
from prometheus_client import CollectorRegistry

from longstream.channel import channel
from longstream.server import GrpcServer, ServerSettings
from longstream.telemetry import Metrics

SERVICE = "test.v1.EchoService"


@dataclass
class Echo:
    """Does what the test puts into `act`; says what it saw in `seen`."""

    act: Callable[[str, Any], object] = lambda text, _context: text
    seen: list[object] = field(default_factory=list)
    entered: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))

    def Say(self, request: StringValue, context: Any) -> StringValue:
        self.entered.release()
        return StringValue(value=str(self.act(request.value, context)))

    def Count(self, requests: Iterator[StringValue], context: Any) -> Int64Value:
        self.entered.release()
        number = 0
        try:
            for request in requests:
                number += 1
                self.act(request.value, context)
        except BaseException as error:
            self.seen.append(type(error).__name__)
            raise
        self.seen.append("whole")
        return Int64Value(value=number)

    def Repeat(self, request: StringValue, context: Any) -> Iterator[StringValue]:
        for number in range(3):
            yield StringValue(value=f"{self.act(request.value, context)}{number}")

    def Mirror(self, requests: Iterator[StringValue], context: Any) -> Iterator[StringValue]:
        for request in requests:
            yield StringValue(value=str(self.act(request.value, context)))

    def WatchEcho(self, request: StringValue, context: Any) -> Iterator[StringValue]:
        yield StringValue(value="first")
        while context.is_active():
            time.sleep(0.01)
        self.seen.append("watch ended")


def register(servicer: Echo) -> Callable[[Any], None]:
    """What generated code calls add_EchoServiceServicer_to_server, with the servicer bound."""

    def handler(kind: Callable[..., Any], method: Callable[..., Any]) -> Any:
        return kind(method, StringValue.FromString, lambda message: message.SerializeToString())

    handlers = {
        "Say": handler(grpc.unary_unary_rpc_method_handler, servicer.Say),
        "Count": handler(grpc.stream_unary_rpc_method_handler, servicer.Count),
        "Repeat": handler(grpc.unary_stream_rpc_method_handler, servicer.Repeat),
        "Mirror": handler(grpc.stream_stream_rpc_method_handler, servicer.Mirror),
        "WatchEcho": handler(grpc.unary_stream_rpc_method_handler, servicer.WatchEcho),
    }

    def add(server: Any) -> None:
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, handlers),))
        server.add_registered_method_handlers(SERVICE, handlers)

    return add


class Client:
    """Calls the service through a channel of ours."""

    def __init__(self, way: grpc.Channel) -> None:
        def text(message: StringValue) -> bytes:
            return message.SerializeToString()

        path = f"/{SERVICE}"
        self.say = way.unary_unary(f"{path}/Say", text, StringValue.FromString)
        self.count = way.stream_unary(f"{path}/Count", text, Int64Value.FromString)
        self.repeat = way.unary_stream(f"{path}/Repeat", text, StringValue.FromString)
        self.mirror = way.stream_stream(f"{path}/Mirror", text, StringValue.FromString)
        self.watch = way.unary_stream(f"{path}/WatchEcho", text, StringValue.FromString)
        self.raw = way.unary_unary(f"{path}/Say", lambda raw: raw, StringValue.FromString)
        self.raw_count = way.stream_unary(f"{path}/Count", lambda raw: raw, Int64Value.FromString)
        self.missing = way.unary_unary(f"{path}/Missing", text, StringValue.FromString)


@dataclass(frozen=True)
class Running:
    """A server with its service, a client to it, and its metrics."""

    server: GrpcServer
    echo: Echo
    client: Client
    way: grpc.Channel
    metrics: Metrics

    def sample(self, name: str, **labels: str) -> float:
        """A metric's value; 0 if there is no such series."""
        return self.metrics.registry.get_sample_value(name, labels) or 0.0

    def handled(self, method: str, code: str) -> float:
        """How many calls of the method ended with the code."""
        return self.sample(
            "grpc_server_handled_total", grpc_service=SERVICE, grpc_method=method, grpc_code=code
        )


@contextmanager
def running(settings: ServerSettings | None = None, *, ready: bool = True) -> Iterator[Running]:
    """A server on a free port, opened unless ready is False."""
    echo, metrics = Echo(), Metrics("echo", CollectorRegistry())
    server = GrpcServer(settings or ServerSettings(), [register(echo)], metrics)
    server.start()
    server.set_ready(ready)
    way = channel(f"127.0.0.1:{server.port}", timeout_s=10.0, max_message_bytes=64 << 20)
    try:
        yield Running(server, echo, Client(way), way, metrics)
    finally:
        way.close()
        server.stop()


def text(value: str) -> StringValue:
    """A request."""
    return StringValue(value=value)


def eventually(fact: Callable[[], bool], timeout_s: float = 5.0) -> bool:
    """Whether the fact becomes true in time."""
    deadline = time.monotonic() + timeout_s
    while not fact():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True
