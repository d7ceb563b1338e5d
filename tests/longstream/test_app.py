"""The life cycle: its order, its exit codes, and that nothing can hold it up."""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from longstream.app import DONE, PERMANENT, RETRY, App, Stop, exit_code
from longstream.channel import channel
from longstream.errors import (
    Corrupt,
    EngineDied,
    Fenced,
    InvalidInput,
    StorageFull,
    SuiteError,
    Unavailable,
)
from longstream.server import GrpcServer, ServerSettings
from longstream.telemetry import Metrics, MetricsServer
from tests.support.echo import Client, Echo, eventually, register, text

ROOT = Path(__file__).parents[2]


def nothing(*_: object) -> None:
    """Do nothing."""


@dataclass
class Part:
    """A component that notes what it is told, and does what a test gives it to do."""

    name: str
    told: list[str]
    ready: bool = True
    error: BaseException | None = None
    on_start: Callable[[], object] = nothing
    on_drain: Callable[[float], object] = nothing
    on_stop: Callable[[], object] = nothing
    ready_told: list[bool] = field(default_factory=list)

    def start(self) -> None:
        self.told.append(f"start {self.name}")
        self.on_start()

    def failed(self) -> BaseException | None:
        return self.error

    def drain(self, timeout_s: float) -> None:
        self.told.append(f"drain {self.name}")
        self.on_drain(timeout_s)

    def stop(self) -> None:
        self.told.append(f"stop {self.name}")
        self.on_stop()

    def set_ready(self, ready: bool) -> None:
        self.ready_told.append(ready)


@dataclass
class Parts:
    """An app of four parts and what they were told."""

    told: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.metrics, self.server, self.view, self.worker = (
            Part(name, self.told) for name in ("metrics", "server", "view", "worker")
        )
        self.stop = Stop()

    def app(self, drain_s: float = 5.0) -> App:
        return App(
            name="test",
            server=self.server,
            workers=[self.view, self.worker],
            metrics=self.metrics,
            drain_s=drain_s,
        )

    def run(self, drain_s: float = 5.0) -> int:
        return self.app(drain_s).run(self.stop)


@pytest.fixture
def parts() -> Iterator[Parts]:
    threads = threading.active_count()
    yield Parts()
    assert eventually(lambda: threading.active_count() == threads)


def test_the_order_of_a_life_is_start_drain_stop(parts: Parts) -> None:
    parts.worker.on_start = parts.stop.ask
    assert parts.run() == DONE
    assert parts.told == [
        *["start metrics", "start server", "start view", "start worker"],
        *["drain server", "drain worker", "drain view"],
        *["stop worker", "stop view", "stop server", "stop metrics"],
    ]


def test_readiness_follows_all_components(parts: Parts) -> None:
    parts.view.ready = False
    running = threading.Thread(target=parts.run)
    running.start()
    assert not eventually(lambda: bool(parts.server.ready_told), 0.5)
    parts.view.ready = True
    assert eventually(lambda: parts.server.ready_told == [True])
    parts.worker.ready = False
    assert eventually(lambda: parts.server.ready_told == [True, False])
    parts.stop.ask()
    running.join(5)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (InvalidInput("settings"), PERMANENT),
        (Corrupt("object"), PERMANENT),
        (Unavailable("log"), RETRY),
        (StorageFull("disk"), RETRY),
        (EngineDied("engine"), RETRY),
        (Fenced("another owns it"), RETRY),
        (SuiteError("unexpected"), RETRY),
        (ValueError("a bug"), RETRY),
    ],
)
def test_a_failure_tells_whether_starting_again_helps(error: BaseException, code: int, parts: Parts) -> None:
    assert exit_code(error) == code
    parts.worker.error = error
    assert parts.run() == code
    assert parts.told[-7:-4] == ["drain server", "drain worker", "drain view"]


def test_a_component_that_does_not_start_ends_the_program(parts: Parts) -> None:
    def refuse() -> None:
        raise InvalidInput("no such model")

    parts.view.on_start = refuse
    assert parts.run() == PERMANENT
    assert parts.told == [
        *["start metrics", "start server", "start view"],
        *["drain server", "stop view", "stop server", "stop metrics"],
    ]
    assert parts.server.ready_told == []


def test_a_wish_to_end_is_heard_while_a_component_starts(parts: Parts) -> None:
    loading = threading.Event()
    parts.view.on_start = lambda: loading.wait(10)
    parts.view.on_stop = loading.set
    asking = threading.Timer(0.2, parts.stop.ask)
    asking.start()
    begun = time.monotonic()
    assert parts.run() == DONE
    assert time.monotonic() - begun < 3.0
    assert "start worker" not in parts.told
    asking.join()


def test_a_drain_is_bounded_and_its_rest_is_told_as_retry(parts: Parts) -> None:
    released = threading.Event()
    parts.worker.on_drain = lambda _timeout_s: released.wait(10)
    parts.worker.on_stop = released.set
    parts.worker.on_start = parts.stop.ask
    begun = time.monotonic()
    assert parts.run(drain_s=0.5) == RETRY
    assert 0.5 < time.monotonic() - begun < 3.0
    assert parts.told[-1] == "stop metrics"
    assert "drain view" not in parts.told


def test_the_server_gets_half_of_the_time_and_the_workers_the_rest(parts: Parts) -> None:
    limits: dict[str, float] = {}
    parts.server.on_drain = lambda timeout_s: limits.update(server=timeout_s)
    parts.worker.on_drain = lambda timeout_s: limits.update(worker=timeout_s)
    parts.worker.on_start = parts.stop.ask
    assert parts.run(drain_s=4.0) == DONE
    assert 1.5 < limits["server"] <= 2.0
    assert 3.5 < limits["worker"] <= 4.0


def test_a_second_wish_stops_at_once(parts: Parts) -> None:
    released = threading.Event()

    def hurry(_timeout_s: float) -> None:
        parts.stop.ask()
        released.wait(10)

    parts.server.on_drain = hurry
    parts.worker.on_stop = released.set
    parts.worker.on_start = parts.stop.ask
    begun = time.monotonic()
    assert parts.run(drain_s=60.0) == RETRY
    assert time.monotonic() - begun < 3.0


def test_a_part_that_fails_to_drain_or_to_stop_does_not_keep_others_from_it(parts: Parts) -> None:
    def fail(*_: object) -> None:
        raise OSError("broken")

    parts.server.on_drain = fail
    parts.worker.on_stop = fail
    parts.worker.on_start = parts.stop.ask
    assert parts.run() == RETRY
    assert "drain view" in parts.told
    assert parts.told[-4:] == ["stop worker", "stop view", "stop server", "stop metrics"]


def test_an_app_over_a_real_server_answers_from_ready_to_drained() -> None:
    echo, metrics = Echo(), Metrics("echo", CollectorRegistry())
    server = GrpcServer(ServerSettings(), [register(echo)], metrics)
    page = MetricsServer(metrics.registry, host="127.0.0.1", port=0)
    stop, codes = Stop(), list[int]()
    app = App(name="echo", server=server, workers=[], metrics=page)
    living = threading.Thread(target=lambda: codes.append(app.run(stop)))
    living.start()
    assert eventually(lambda: server.ready)
    with channel(f"127.0.0.1:{server.port}") as way:
        assert eventually(lambda: Client(way).say(text("a"), wait_for_ready=True).value == "a")
        done = threading.Event()
        echo.act = lambda text, _context: done.wait(10) and text
        inside = Client(way).say.future(text("kept"))
        assert echo.entered.acquire(timeout=5)
        assert echo.entered.acquire(timeout=5)
        stop.ask()
        time.sleep(0.3)
        done.set()
        assert inside.result(5).value == "kept"
    living.join(10)
    assert codes == [DONE]


PROGRAM = """
import sys, threading, time
from prometheus_client import CollectorRegistry
from longstream.app import App, run_program
from longstream.server import GrpcServer, ServerSettings
from longstream.telemetry import Metrics

class Slow:
    ready = True
    def start(self): print("started", flush=True)
    def failed(self): return None
    def drain(self, timeout_s): print("draining", flush=True); time.sleep(float(sys.argv[1]))
    def stop(self): print("stopped", flush=True)

if sys.argv[2] == "stuck":
    threading.Thread(target=time.sleep, args=(60,)).start()
server = GrpcServer(ServerSettings(), [], Metrics("echo", CollectorRegistry()))
run_program(App(name="echo", server=server, workers=[Slow()]))
"""


@pytest.fixture
def program() -> Iterator[Callable[..., subprocess.Popen[str]]]:
    begun: list[subprocess.Popen[str]] = []

    def begin(*arguments: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
        begun.append(process)
        assert process.stdout is not None
        assert process.stdout.readline() == "started\n"
        return process

    yield begin
    for process in begun:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_drains_and_ends_with_zero(
    number: signal.Signals, program: Callable[..., subprocess.Popen[str]]
) -> None:
    process = program("0", "")
    process.send_signal(number)
    assert process.communicate(timeout=20)[0] == "draining\nstopped\n"
    assert process.returncode == DONE


def test_a_second_signal_ends_a_long_drain(program: Callable[..., subprocess.Popen[str]]) -> None:
    process = program("50", "")
    process.send_signal(signal.SIGTERM)
    assert process.stdout is not None
    assert process.stdout.readline() == "draining\n"
    process.send_signal(signal.SIGTERM)
    assert process.communicate(timeout=20)[0] == "stopped\n"
    assert process.returncode == RETRY


def test_a_thread_that_does_not_end_cannot_keep_the_process(
    program: Callable[..., subprocess.Popen[str]],
) -> None:
    process = program("0", "stuck")
    process.send_signal(signal.SIGTERM)
    assert process.communicate(timeout=20)[0] == "draining\nstopped\n"
    assert process.returncode == DONE


def test_who_wants_to_know_is_told_where_every_thread_stands_and_the_program_goes_on(
    program: Callable[..., subprocess.Popen[str]],
) -> None:
    process = program("0", "stuck")
    process.send_signal(signal.SIGUSR2)
    assert process.stderr is not None
    stacks = list(itertools.takewhile(lambda line: "run_program" not in line, process.stderr))
    assert any("longstream/app.py" in line for line in stacks)
    process.send_signal(signal.SIGTERM)
    assert process.communicate(timeout=20)[0] == "draining\nstopped\n"
    assert process.returncode == DONE
