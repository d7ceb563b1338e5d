"""Ports, health, metrics and clocks: what answers, what is mute, what is closed."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

from prometheus_client import CollectorRegistry

from longstream.doctor import network
from longstream.doctor.place import Place
from longstream.telemetry import Metrics, MetricsServer
from tests.support import echo
from tests.support.findings import hanging, levels, only

COMMON = {"LONGSTREAM_BUS_URL": "sqlite:log.sqlite", "LONGSTREAM_STORAGE_URL": "file:///data"}


def closed() -> str:
    with hanging() as address:
        return address


def listening(grpc: str, metrics: str, data: Path | None = None, **running: str) -> Place:
    told = {**COMMON, "LONGSTREAM_GRPC_ADDRESS": grpc, "LONGSTREAM_METRICS_ADDRESS": metrics}
    return Place(environ={}, services={"curator": told}, data=data, running=running)


@contextmanager
def telling() -> Iterator[str]:
    metrics = Metrics("curator", CollectorRegistry())
    metrics.build_info("0.1.0", "unknown")
    server = MetricsServer(metrics.registry, host="127.0.0.1", port=0)
    server.start()
    try:
        yield f"127.0.0.1:{server.port}"
    finally:
        server.stop()


def test_free_ports_are_well_and_anothers_are_not() -> None:
    assert levels(network.ports, listening(closed(), closed())) == ["ok", "ok"]
    with hanging() as taken:
        assert levels(network.ports, listening(taken, closed())) == ["fail", "ok"]


def test_a_pods_own_service_may_hold_the_ports() -> None:
    with echo.running() as running, telling() as metrics:
        address = f"127.0.0.1:{running.server.port}"
        assert levels(network.ports, listening(address, metrics)) == ["ok", "ok"]
        assert only(network.services, listening(address, metrics)).level == "ok"
        assert only(network.metrics, listening(address, metrics)).level == "ok"


def test_another_folders_suite_may_not_hold_the_ports(tmp_path: Path) -> None:
    with echo.running() as running:
        address = f"127.0.0.1:{running.server.port}"
        assert levels(network.ports, listening(address, closed(), tmp_path)) == ["fail", "ok"]
        assert levels(network.ports, listening(address, closed(), tmp_path, curator=address)) == ["ok", "ok"]


def test_an_address_of_another_machine_cannot_be_listened_on() -> None:
    assert levels(network.ports, listening("192.0.2.1:7400", closed())) == ["fail", "ok"]


def test_a_service_is_ready_or_starting_or_down_or_mute() -> None:
    def level(address: str) -> str:
        return only(network.services, Place(environ={}, running={"judge": address})).level

    with echo.running() as ready, echo.running(ready=False) as starting, hanging() as mute:
        assert level(f"127.0.0.1:{ready.server.port}") == "ok"
        assert level(f"127.0.0.1:{starting.server.port}") == "warn"
        assert level(mute) == "fail"
    assert level(closed()) == "fail"


def test_metrics_are_told_or_not() -> None:
    def level(address: str) -> str:
        return only(network.metrics, Place(environ={}, metrics={"curator": address})).level

    with telling() as address, hanging() as mute:
        assert level(address) == "ok"
        assert level(mute) == "fail"
    assert level(closed()) == "fail"


@contextmanager
def dated(ahead_s: float) -> Iterator[str]:
    class Dated(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self.send_error(403)

        def date_time_string(self, timestamp: float | None = None) -> str:
            return formatdate(time.time() + ahead_s, usegmt=True)

        def log_message(self, *_: object) -> None:
            """Nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Dated) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_the_stores_clock_is_compared_with_ours() -> None:
    def level(ahead_s: float) -> str:
        with dated(ahead_s) as url:
            environ = {"LONGSTREAM_S3_ENDPOINT_URL": url}
            return only(network.clock, Place(environ=environ, storage_url="s3://bucket")).level

    assert [level(0), level(-60), level(3600)] == ["ok", "warn", "fail"]


def test_where_no_other_clock_is_seen_that_is_said() -> None:
    with hanging() as mute:
        environ = {"LONGSTREAM_S3_ENDPOINT_URL": f"http://{mute}"}
        place = Place(environ=environ, storage_url="s3://bucket")
        assert only(network.clock, place).what == "no other clock can be seen from here"
