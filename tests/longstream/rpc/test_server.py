"""The server's life: health, reflection, ports, and a drain that loses nothing and leaves nothing."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from typing import Any

import grpc
import pytest
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse
from grpc_health.v1.health_pb2_grpc import HealthStub
from grpc_reflection.v1alpha.reflection_pb2 import ServerReflectionRequest
from grpc_reflection.v1alpha.reflection_pb2_grpc import ServerReflectionStub
from prometheus_client import CollectorRegistry

from longstream.errors import Unavailable
from longstream.rpc_errors import errors_from_rpc
from longstream.server import GrpcServer, ServerSettings
from longstream.telemetry import Metrics
from tests.support.echo import SERVICE, Running, eventually, running, text

SERVING, NOT_SERVING = HealthCheckResponse.SERVING, HealthCheckResponse.NOT_SERVING


@pytest.fixture
def up() -> Iterator[Running]:
    with running() as started:
        yield started


def health(way: grpc.Channel) -> dict[str, int]:
    stub = HealthStub(way)
    return {
        service: stub.Check(HealthCheckRequest(service=service), timeout=5).status
        for service in ("", "liveness", "readiness")
    }


def services(way: grpc.Channel) -> list[str]:
    asked = iter([ServerReflectionRequest(list_services="")])
    answer = next(ServerReflectionStub(way).ServerReflectionInfo(asked, timeout=5))
    return [service.name for service in answer.list_services_response.service]


def test_readiness_is_said_and_liveness_does_not_depend_on_it(up: Running) -> None:
    assert set(health(up.way).values()) == {SERVING}
    up.server.set_ready(False)
    assert health(up.way) == {"": NOT_SERVING, "liveness": SERVING, "readiness": NOT_SERVING}
    with pytest.raises(grpc.RpcError) as caught:
        HealthStub(up.way).Check(HealthCheckRequest(service="other"), timeout=5)
    assert caught.value.code() is grpc.StatusCode.NOT_FOUND


def test_health_can_be_watched_for_longer_than_any_deadline() -> None:
    with running(ServerSettings(max_deadline_s=0.5)) as up:
        watch = HealthStub(up.way).Watch(HealthCheckRequest(service="readiness"))
        assert next(watch).status == SERVING
        time.sleep(0.8)
        up.server.set_ready(False)
        assert next(watch).status == NOT_SERVING
        watch.cancel()


def test_a_probe_is_answered_while_every_thread_is_busy() -> None:
    with running(ServerSettings(threads=1)) as up:
        done = threading.Event()
        up.echo.act = lambda text, _context: done.wait(10) and text
        calls = [up.client.say.future(text("a")) for _ in range(5)]
        assert up.echo.entered.acquire(timeout=5)
        begun = time.monotonic()
        assert health(up.way)["liveness"] == SERVING
        assert time.monotonic() - begun < 1.0
        done.set()
        assert [call.result(5).value for call in calls] == ["a"] * 5


def test_reflection_lists_the_services_only_where_it_is_wanted(up: Running) -> None:
    assert {SERVICE, "grpc.health.v1.Health"} <= set(services(up.way))
    with running(ServerSettings(reflection=False)) as closed, pytest.raises(grpc.RpcError) as caught:
        services(closed.way)
    assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED


def test_the_health_listener_serves_health_and_nothing_else() -> None:
    with running(ServerSettings(health_address="127.0.0.1:0")) as up:
        way = grpc.insecure_channel(f"127.0.0.1:{up.server.health_port}")
        assert set(health(way).values()) == {SERVING}
        with pytest.raises(grpc.RpcError) as caught:
            services(way)
        assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED
        way.close()


def test_the_methods_that_are_served_are_known(up: Running) -> None:
    assert f"/{SERVICE}/Say" in up.server.methods
    assert len(up.server.methods) == 5


def test_a_taken_port_is_told_at_the_start(up: Running) -> None:
    second = GrpcServer(
        ServerSettings(address=f"127.0.0.1:{up.server.port}"), [], Metrics("echo", CollectorRegistry())
    )
    assert not second.ready
    with pytest.raises(Unavailable, match="cannot listen"):
        second.start()
    with pytest.raises(Unavailable, match="not been started"):
        _ = second.port
    second.stop()


def test_a_drain_lets_calls_finish_and_takes_no_new_ones(up: Running) -> None:
    done = threading.Event()
    up.echo.act = lambda text, _context: done.wait(10) and text
    inside = up.client.say.future(text("kept"))
    assert up.echo.entered.acquire(timeout=5)
    draining = threading.Thread(target=up.server.drain, args=(10.0,))
    draining.start()
    assert eventually(lambda: refused(up))
    done.set()
    assert inside.result(5).value == "kept"
    draining.join(5)
    assert not draining.is_alive()


def refused(up: Running) -> bool:
    with grpc.insecure_channel(f"127.0.0.1:{up.server.port}") as fresh:
        asked = HealthStub(fresh).Check.future(HealthCheckRequest(service=""), timeout=5)
        failure = asked.exception(5)
        return failure is not None and failure.code() is grpc.StatusCode.UNAVAILABLE


def test_a_drain_is_bounded_and_cancels_what_takes_too_long(up: Running) -> None:
    ended = threading.Event()

    def act(_text: str, context: Any) -> str:
        eventually(lambda: not context.is_active(), 10.0)
        ended.set()
        return "late"

    up.echo.act = act
    inside = up.client.say.future(text("a"))
    assert up.echo.entered.acquire(timeout=5)
    begun = time.monotonic()
    up.server.drain(0.3)
    assert time.monotonic() - begun < 2.0
    assert ended.wait(5)
    with pytest.raises(grpc.RpcError):
        inside.result(5)


def test_a_drain_sends_watchers_away_at_once(up: Running) -> None:
    watch = up.client.watch(text("a"))
    assert next(watch).value == "first"
    begun = time.monotonic()
    up.server.drain(10.0)
    assert time.monotonic() - begun < 2.0
    with pytest.raises(grpc.RpcError) as caught:
        next(watch)
    error = errors_from_rpc(caught.value)
    assert type(error) is Unavailable
    assert "watch again" in error.message


def test_a_drained_server_does_not_become_ready_again(up: Running) -> None:
    watch = HealthStub(up.way).Watch(HealthCheckRequest(service="readiness"))
    assert next(watch).status == SERVING
    draining = threading.Thread(target=up.server.drain, args=(1.0,))
    draining.start()
    assert next(watch).status == NOT_SERVING
    up.server.set_ready(True)
    watch.cancel()
    draining.join(5)


def test_stop_does_not_wait_for_a_handler_that_heeds_nothing(up: Running) -> None:
    done = threading.Event()
    up.echo.act = lambda text, _context: done.wait(30) and text
    inside = up.client.say.future(text("a"))
    assert up.echo.entered.acquire(timeout=5)
    begun = time.monotonic()
    up.server.stop()
    assert time.monotonic() - begun < 5.0
    done.set()
    assert inside.exception(5) is not None


def test_stop_during_a_drain_ends_it(up: Running) -> None:
    up.echo.act = lambda text, context: eventually(lambda: not context.is_active(), 20.0) and text
    inside = up.client.say.future(text("a"))
    assert up.echo.entered.acquire(timeout=5)
    draining = threading.Thread(target=up.server.drain, args=(60.0,))
    draining.start()
    assert eventually(lambda: refused(up))
    up.server.stop()
    draining.join(5)
    assert not draining.is_alive()
    assert inside.exception(5) is not None


def test_a_server_leaves_no_thread_and_no_descriptor_behind() -> None:
    def once() -> None:
        with running(ServerSettings(health_address="127.0.0.1:0")) as up:
            up.client.say(text("a"))
            next(watch := up.client.watch(text("a")))
            watch.cancel()

    once()  # gRPC keeps some of its own from the first use on
    threads, descriptors = threading.active_count(), len(os.listdir("/proc/self/fd"))
    for _ in range(3):
        once()
    assert eventually(lambda: threading.active_count() <= threads)
    assert eventually(lambda: len(os.listdir("/proc/self/fd")) <= descriptors)


@pytest.mark.parametrize(
    "wrong",
    [
        {"threads": 0},
        {"max_calls": 8},
        {"max_message_bytes": 0},
        {"max_deadline_s": 0.0},
        {"max_watches": -1},
    ],
)
def test_settings_out_of_bounds_are_refused_by_name(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        ServerSettings(**wrong)
