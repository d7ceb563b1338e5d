"""What every service is made of: settings from the environment, bus, storage, pipelines, metrics, life cycle.

A service's `__main__` opens a Runtime, builds its handlers and servicer on it, and calls `run`. Embedded and
on a cluster the same code runs; only settings differ.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, NoReturn, TypeVar

from google.protobuf.message import Message
from prometheus_client import REGISTRY

from longstream import pipeline as pipelines
from longstream import settings as typed_settings
from longstream.app import App, Component, exit_code, run_program
from longstream.bodies_bus import BodiesBus
from longstream.bus import Bus
from longstream.bus.opening import open_bus
from longstream.bus.security import KafkaSecurity
from longstream.errors import InvalidInput, SuiteError
from longstream.owner import CommandPort
from longstream.pipeline import Pipeline
from longstream.records import parse
from longstream.server import GrpcServer, Registration, ServerSettings
from longstream.storage import Storage, open_storage
from longstream.storage.s3_settings import S3Settings
from longstream.telemetry import Metrics, MetricsServer, configure_logging, export_spans, sample_traces
from longstream.topics import READERS, Layout, PipelineTopics, topics
from longstream.v1.records_pb2 import OwnerState
from longstream.view import View
from longstream.worker import Consumption, Handler, Worker, WorkerOptions
from longstream.worker_metrics import WorkerMetrics

M = TypeVar("M", bound=Message)
S = TypeVar("S")

PREFIX = "LONGSTREAM_"
_NOT_SETTINGS = frozenset(
    {
        "LONGSTREAM_CRASH_AT",
        "LONGSTREAM_TEST_CLUSTER",
        "LONGSTREAM_TEST_DATA",
        "LONGSTREAM_TEST_KAFKA",
        "LONGSTREAM_TEST_PROMETHEUS",
        "LONGSTREAM_TEST_S3",
    }
)
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class RuntimeSettings:
    """What all services of a suite are told alike."""

    bus_url: str
    """Where the log is: sqlite:PATH or kafka:HOST:PORT[,HOST:PORT...]."""
    storage_url: str
    """Where objects are: file:///FOLDER or s3://BUCKET[/PREFIX]."""
    s3: S3Settings = field(default_factory=S3Settings)
    pipelines: tuple[str, ...] = ()
    """Paths of the pipeline files that this suite runs."""
    grpc_address: str = "127.0.0.1:7400"
    """host:port of the gRPC server."""
    metrics_address: str = "127.0.0.1:7410"
    """host:port of /metrics."""
    member: str = "0"
    """Name in consumer groups: the same after a restart, another one for each replica."""
    examples_partitions: int = 4
    selected_partitions: int = 4
    control_partitions: int = 2
    """How topics are cut; must be what they were created with."""
    gpu_hour_cost: float = 0.0
    """What a GPU costs in an hour, in any currency; shown as a metric, from which costs are derived."""
    revision: str = "unknown"
    """Source revision of the running code, as an image states it."""
    traces_url: str = ""
    """http(s)://HOST:PORT of an OpenTelemetry collector that takes spans by OTLP over gRPC; empty: no traces."""
    traces_share: float = 1.0
    """Share, 0 to 1, of the traces that begin here which are told; callers decide about their own."""
    log_level: str = "INFO"
    drain_s: float = 75.0
    """From SIGTERM until what is not finished is given up."""
    kafka: KafkaSecurity = field(default_factory=KafkaSecurity)
    """How a Kafka cluster is reached."""
    reflection: bool = True
    """Whether callers may ask the gRPC server what it offers."""

    def __post_init__(self) -> None:
        for name in ("grpc_address", "metrics_address"):
            host, colon, port = getattr(self, name).rpartition(":")
            if not (host and colon and port.isdecimal() and int(port) < 65_536):
                raise ValueError(f"{name} must be host:port")
        for name in ("examples_partitions", "selected_partitions", "control_partitions"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1")
        if self.traces_url and not self.traces_url.startswith(("http://", "https://")):
            raise ValueError("traces_url must be http://HOST:PORT or https://HOST:PORT")
        if not 0 <= self.traces_share <= 1:
            raise ValueError("traces_share must be between 0 and 1")
        if self.gpu_hour_cost < 0:
            raise ValueError("gpu_hour_cost must not be below 0")
        if self.drain_s <= 0:
            raise ValueError("drain_s must be above 0")

    @property
    def layout(self) -> Layout:
        """The topics' partitions."""
        return Layout(
            examples_partitions=self.examples_partitions,
            selected_partitions=self.selected_partitions,
            control_partitions=self.control_partitions,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Runtime:
    """A service's resources, open until its program ends."""

    service: str
    settings: RuntimeSettings
    bus: Bus
    storage: Storage
    pipelines: Mapping[str, Pipeline]
    metrics: Metrics
    worker_metrics: WorkerMetrics
    keys: PipelineTopics
    views: list[View[Any]] = field(default_factory=list)

    def view(self, topic: str, message: type[M]) -> View[M]:
        """A table of the topic's messages, started with the program."""
        return self.view_of(topic, partial(parse, message))

    def view_of(self, topic: str, parse_record: Callable[[Any], S]) -> View[S]:
        """A table of what parse_record makes of the topic's records, started with the program."""
        view = View(self.bus, topic, parse_record)
        self.views.append(view)
        return view

    def port(self, topic: str, states: View[OwnerState]) -> CommandPort:
        """Sends commands into the control topic and waits for the owner's answer in states."""
        return CommandPort(self.bus, topic, self.keys, states)

    def worker(self, topic: str, handler: Handler, options: WorkerOptions | None = None) -> Worker:
        """The loop that runs handler over this member's share of the topic."""
        consumption = Consumption(
            group=READERS[topic],
            topics=(topic,),
            member=self.settings.member,
            metrics=self.worker_metrics,
        )
        return Worker(self.bus, consumption, handler, options or WorkerOptions())

    def run(self, registrations: Sequence[Registration], components: Sequence[Component]) -> NoReturn:
        """Serve until told to end. The views start first and end last."""
        host, _, port = self.settings.metrics_address.rpartition(":")
        server = GrpcServer(
            ServerSettings(address=self.settings.grpc_address, reflection=self.settings.reflection),
            registrations,
            self.metrics,
        )
        run_program(
            App(
                name=self.service,
                server=server,
                workers=[*self.views, *components],
                metrics=MetricsServer(self.metrics.registry, host=host, port=int(port)),
                drain_s=self.settings.drain_s,
            )
        )


@contextmanager
def open_runtime(service: str, read_topics: Sequence[str]) -> Iterator[Runtime]:
    """Open what the environment names. read_topics: what the service's workers read, for their metrics.

    A SuiteError inside the block, or in opening, ends the program with the exit code that tells whether
    starting it again can help.
    """
    configure_logging(service, stream=sys.stderr, level=os.environ.get(f"{PREFIX}LOG_LEVEL", "INFO"))
    # The one tells every request, each look at readiness among them; the other every connection, and at DEBUG every
    # record and a password. Its selector tells each time that it waited for a core.
    logging.getLogger("httpx").setLevel(logging.WARNING)
    logging.getLogger("kafka").setLevel(logging.WARNING)
    logging.getLogger("kafka.net.selector").setLevel(logging.ERROR)
    try:
        settings = load(RuntimeSettings, PREFIX)
        files = [pipelines.load(Path(path)) for path in settings.pipelines]
        with _exported(service, settings), open_storage(settings.storage_url, settings.s3) as storage:
            log = open_bus(settings.bus_url, housekeeping=True, security=settings.kafka)
            bus = BodiesBus(log, storage)
            try:
                bus.prepare_topics(topics(settings.layout))
                metrics = Metrics(service, REGISTRY)
                declare_common(metrics, settings.revision, settings.gpu_hour_cost)
                yield Runtime(
                    service=service,
                    settings=settings,
                    bus=bus,
                    storage=storage,
                    pipelines=_by_name(files),
                    metrics=metrics,
                    worker_metrics=WorkerMetrics(metrics, read_topics),
                    keys=PipelineTopics(settings.control_partitions),
                )
            finally:
                bus.close()
    except SuiteError as error:
        _log.error("cannot run", exc_info=error)
        sys.exit(exit_code(error))


@contextmanager
def _exported(service: str, settings: RuntimeSettings) -> Iterator[None]:
    """Tell spans to the collector of the settings, if they name one, inside the block."""
    if not settings.traces_url:
        yield
        return
    from longstream.telemetry.otlp import OtlpExporter

    sample_traces(settings.traces_share)
    exporter = OtlpExporter(service, _version(), settings.traces_url)
    export_spans(exporter)
    try:
        yield
    finally:
        export_spans(None)
        exporter.close()


def declare_common(metrics: Metrics, revision: str, gpu_hour_cost: float) -> None:
    """What every program shows of itself and its settings."""
    metrics.build_info(_version(), revision)
    cost = metrics.gauge("longstream_gpu_hour_cost", "What a GPU costs in an hour, as the settings tell.")
    cost.labels().set(gpu_hour_cost)


def load(cls: type[S], prefix: str, environ: Mapping[str, str] = os.environ) -> S:
    """Settings of that class from an environment, this process's by default. Raises InvalidInput."""
    kept = {name: value for name, value in environ.items() if name not in _NOT_SETTINGS}
    return typed_settings.load(cls, file=None, env_prefix=prefix, environ=kept)


def _by_name(files: Sequence[Pipeline]) -> dict[str, Pipeline]:
    found = {pipeline.name: pipeline for pipeline in files}
    if len(found) < len(files):
        raise InvalidInput("two pipeline files have the same name", field="pipelines")
    return found


def _version() -> str:
    try:
        return version("longstream")
    except PackageNotFoundError:
        return "unknown"
