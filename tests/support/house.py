"""A service in the test's own process: real embedded log, file storage and gRPC server on a free port."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import grpc
from google.protobuf.message import Message
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo, PreconditionFailure, RetryInfo
from grpc_status import rpc_status
from prometheus_client import CollectorRegistry

from longstream.bodies_bus import BodiesBus
from longstream.bus import Output, Record
from longstream.bus.opening import open_bus
from longstream.channel import channel
from longstream.owner import CommandPort
from longstream.records import parse
from longstream.server import GrpcServer, Registration, ServerSettings
from longstream.storage import Storage, open_storage
from longstream.telemetry import Metrics
from longstream.topics import Layout, PipelineTopics, topics
from longstream.v1.records_pb2 import OwnerState
from longstream.view import View, read_to_end
from longstream.worker import Consumption, Handler, Worker, WorkerOptions
from longstream.worker_metrics import WorkerMetrics

M = TypeVar("M", bound=Message)
R = TypeVar("R")

FAST = WorkerOptions(idle_poll_s=0.02, busy_poll_s=0.005, backoff_s=0.01, max_backoff_s=0.05)
SOON_S = 20.0
"""How long a fact may take on a busy machine."""


class House:
    """What a program of the suite is made of, for one life; a second house on the folder is the next life."""

    def __init__(
        self,
        folder: Path,
        service: str,
        read: Sequence[str] = (),
        layout: Layout | None = None,
        *,
        storage: Storage | None = None,
    ) -> None:
        """read: the topics that its workers read. storage: in place of the folder's own."""
        self.folder = folder
        self.layout = layout or Layout()
        self.storage = storage or open_storage((folder / "objects").as_uri())
        self.bus = BodiesBus(open_bus(f"sqlite:{folder / 'log.sqlite'}"), self.storage)
        self.bus.create_topics(topics(self.layout))
        self.keys = PipelineTopics(self.layout.control_partitions)
        self.metrics = Metrics(service, CollectorRegistry())
        self.worker_metrics = WorkerMetrics(self.metrics, read)
        self._parts: list[Any] = []
        self._closing: list[Callable[[], None]] = []

    def view(self, topic: str, message: type[M]) -> View[M]:
        """A table of the topic's messages, already following."""
        return self.view_of(topic, partial(parse, message))

    def view_of(self, topic: str, parse_record: Callable[[Record], R]) -> View[R]:
        """A table of what parse_record makes of the topic's records, already following."""
        return self.started(View(self.bus, topic, parse_record))

    def port(self, topic: str, states: View[OwnerState]) -> CommandPort:
        """Sends commands into the control topic."""
        return CommandPort(self.bus, topic, self.keys, states)

    def worker(
        self, topic: str, handler: Handler, options: WorkerOptions = FAST, member: str = "m-0"
    ) -> Worker:
        """The loop over the topic, running."""
        consumption = Consumption(
            group=f"of-{topic}", topics=(topic,), member=member, metrics=self.worker_metrics
        )
        return self.started(Worker(self.bus, consumption, handler, options))

    def serve(self, *registrations: Registration, settings: ServerSettings | None = None) -> str:
        """host:port of a server with these services, opened once the views know the past."""
        server = GrpcServer(settings or ServerSettings(), registrations, self.metrics)
        server.start()
        soon(lambda: all(part.ready for part in self._parts))
        server.set_ready(True)
        self._closing.append(server.stop)
        return f"127.0.0.1:{server.port}"

    def call(self, address: str) -> grpc.Channel:
        """A channel that puts no limit on what it sends, so that the server's own is met."""
        way = channel(address, timeout_s=SOON_S, max_message_bytes=512 << 20)
        self._closing.append(way.close)
        return way

    def started(self, part: R) -> R:
        """Start a part of the program; it is stopped when the house is closed."""
        part.start()  # type: ignore[attr-defined]
        self._parts.append(part)
        return part

    def put(self, topic: str, pipeline: str, identifier: str, fact: Message) -> None:
        """Publish a fact of a pipeline, as another service would."""
        self.bus.publish([self.keys.output(topic, pipeline, identifier, fact.SerializeToString())])

    def publish(self, topic: str, value: bytes, *, key: bytes = b"k", partition: int | None = 0) -> None:
        """Publish any bytes."""
        self.bus.publish([Output(topic=topic, key=key, value=value, partition=partition)])

    def records(self, topic: str) -> list[Record]:
        """Every record of the topic so far, read by nobody's code but the log's."""
        return list(read_to_end(self.bus, self.bus.partitions(topic)))

    def facts(self, topic: str, message: type[M]) -> list[M]:
        """The same as messages, without tombstones."""
        return [parse(message, record) for record in self.records(topic) if record.value is not None]

    def dead(self, topic: str) -> list[Record]:
        """The topic's dead letters."""
        return self.records(f"{topic}.dlq")

    def sample(self, name: str, **labels: str) -> float:
        """A metric's value; 0 if there is no such series."""
        return self.metrics.registry.get_sample_value(name, labels) or 0.0

    def shown(self, name: str, **labels: str) -> float | None:
        """A metric's value; None if there is no such series."""
        return self.metrics.registry.get_sample_value(name, labels)

    def close(self) -> None:
        """Stop everything, the servers first; side by side, since each waits for its own thread."""
        for close in reversed(self._closing):
            close()
        if self._parts:
            with ThreadPoolExecutor(len(self._parts)) as pool:
                list(pool.map(lambda part: part.stop(), self._parts))
        self.bus.close()


@contextmanager
def opened(house: R) -> Iterator[R]:
    """The house, or what is built on one, closed at the end of the block."""
    try:
        yield house
    finally:
        house.close()  # type: ignore[attr-defined]


def soon(question: Callable[[], R | None], timeout_s: float = SOON_S) -> R:
    """The first answer that is true; fails the test if none comes in time."""
    deadline = time.monotonic() + timeout_s
    while True:
        answer = question()
        if answer:
            return answer
        assert time.monotonic() < deadline, f"this did not become true within {timeout_s:g} s"
        time.sleep(0.02)


def details(error: grpc.RpcError) -> dict[str, Any]:
    """The status details of a refused call by the name of their kind."""
    status = rpc_status.from_call(error)
    found: dict[str, Any] = {}
    for packed in status.details if status is not None else ():
        for kind in (ErrorInfo, RetryInfo, BadRequest, PreconditionFailure):
            detail = kind()
            if packed.Unpack(detail):
                found[kind.__name__] = detail
    return found


def told(error: grpc.RpcError) -> tuple[str, str]:
    """Status and reason of a refused call: ("NOT_FOUND", "NOT_FOUND")."""
    assert isinstance(error, grpc.Call)
    info = details(error).get("ErrorInfo")
    return error.code().name, info.reason if info is not None else ""


def headers(record: Record) -> Mapping[str, str]:
    """A record's headers as text."""
    return {name: value.decode() for name, value in record.headers}
