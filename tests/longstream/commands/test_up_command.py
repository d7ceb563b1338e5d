"""`longstream up` over small services that answer for their health: start, find, crash, refuse, drain."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from longstream.cli import main

SERVICE = """
import os, signal, sys, threading
from prometheus_client import CollectorRegistry
from longstream.server import GrpcServer, ServerSettings
from longstream.telemetry import Metrics

settings = ServerSettings(address=os.environ["LONGSTREAM_GRPC_ADDRESS"])
server = GrpcServer(settings, [], Metrics("x", CollectorRegistry()))
server.start()
server.set_ready(True)
signal.signal(signal.SIGTERM, lambda *_: server.stop() or sys.exit(0))
threading.Event().wait(60)
"""

UP = """
import json, sys
from pathlib import Path
from longstream.childprocess import ServiceProgram
from longstream.commands.up import serve
from longstream.errors import SuiteError

told = json.loads(sys.argv[1])
services = [
    ServiceProgram(
        name=name,
        argv=(sys.executable, "-c", code),
        address=f"127.0.0.1:{port}",
        environ={"LONGSTREAM_GRPC_ADDRESS": f"127.0.0.1:{port}"},
    )
    for name, code, port in told["services"]
]
try:
    sys.exit(serve(Path(told["data"]), ["demo"], services))
except SuiteError as error:
    sys.exit(error.message)
"""


def free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


class Up:
    """`up` in a process of its own."""

    def __init__(self, data: Path, *codes: tuple[str, str], ports: list[int] | None = None) -> None:
        self.data = data
        self.ports = ports or free_ports(len(codes))
        services = [(name, code, port) for (name, code), port in zip(codes, self.ports, strict=True)]
        self._out = data.with_name(f"{data.name}-{self.ports[0]}.out")
        with self._out.open("w") as out:
            words = json.dumps({"data": str(data), "services": services})
            self.process = subprocess.Popen(
                [sys.executable, "-c", UP, words], stdout=out, stderr=subprocess.STDOUT, env=os.environ
            )

    @property
    def out(self) -> str:
        return self._out.read_text()

    def until(self, fact: Callable[[str], bool], timeout_s: float = 20.0) -> None:
        deadline = time.monotonic() + timeout_s
        while not fact(self.out):
            assert time.monotonic() < deadline, self.out
            time.sleep(0.05)

    def end(self, signum: int = signal.SIGINT) -> int:
        if self.process.poll() is None:
            self.process.send_signal(signum)
        return self.process.wait(20)


@contextmanager
def up(data: Path, *codes: tuple[str, str], ports: list[int] | None = None) -> Iterator[Up]:
    running = Up(data, *codes, ports=ports)
    try:
        yield running
    finally:
        running.end()


def test_a_suite_starts_is_found_and_drains(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = tmp_path / "data"
    with up(data, ("curator", SERVICE), ("judge", SERVICE)) as running:
        running.until(lambda out: "Everything is ready" in out)
        assert f"longstream submit FILE-OR-FOLDER --source NAME --data {data}" in running.out
        assert main(["status", "--data", str(data)]) == 0
        told = capsys.readouterr().out
        assert "curator" in told
        assert "judge" in told
        assert "down" not in told
        assert "instructor" not in told
        assert running.end() == 0
    assert running.out.count("stopped (exit status 0)") == 2
    assert main(["status", "--data", str(data)]) == 1


def test_a_killed_service_comes_back_under_another_process_id(tmp_path: Path) -> None:
    data = tmp_path / "data"

    def pid() -> int:
        return int(json.loads((data / "suite.json").read_text())["services"]["curator"]["pid"])

    with up(data, ("curator", SERVICE)) as running:
        running.until(lambda out: "ready at" in out)
        first = pid()
        os.kill(first, signal.SIGKILL)
        running.until(lambda out: out.count("ready at") == 2)
        assert pid() != first
        assert "killed by SIGKILL" in running.out


def test_a_service_that_cannot_run_ends_the_suite_with_its_reason(tmp_path: Path) -> None:
    broken = "import sys; print('no model at ./missing'); sys.exit(42)"
    with up(tmp_path / "data", ("curator", SERVICE), ("instructor", broken)) as running:
        assert running.process.wait(20) == 1
    assert "instructor cannot run as it is set up (exit status 42: no model at ./missing)" in running.out


def test_a_second_suite_on_the_folder_is_refused(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with up(data, ("curator", SERVICE)) as first:
        first.until(lambda out: "ready at" in out)
        with up(data, ("curator", SERVICE)) as second:
            assert second.process.wait(20) == 1
        assert "already (process" in second.out
        assert "started" not in second.out
        assert first.process.poll() is None


def test_a_taken_port_is_told_before_anything_starts(tmp_path: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen(1)
        with up(tmp_path / "data", ("curator", SERVICE), ports=[other.getsockname()[1]]) as running:
            assert running.process.wait(20) == 1
    assert "ports in use" in running.out
    assert "started" not in running.out


def test_sigterm_drains_as_ctrl_c_does(tmp_path: Path) -> None:
    with up(tmp_path / "data", ("curator", SERVICE)) as running:
        running.until(lambda out: "ready at" in out)
        assert running.end(signal.SIGTERM) == 0
    assert "stopped (exit status 0)" in running.out


def test_a_pipeline_file_that_is_wrong_is_told_before_anything_starts(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "demo.yaml"
    file.write_text("name: demo\nbase_model: small\nselect: {k: 0}\n")
    assert main(["up", "--pipeline", str(file), "--data", str(tmp_path / "data")]) == 2
    assert "select.k" in capsys.readouterr().err
    assert not (tmp_path / "data").exists()


def test_two_pipelines_of_one_name_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("a.yaml", "b.yaml"):
        (tmp_path / name).write_text("name: demo\nbase_model: small\n")
    files = [str(tmp_path / name) for name in ("a.yaml", "b.yaml")]
    assert main(["up", "--pipeline", files[0], "--pipeline", files[1], "--data", str(tmp_path / "data")]) == 2
    assert "name demo" in capsys.readouterr().err


@pytest.mark.parametrize(
    "words", [("--port-base", "80"), ("--examples-partitions", "0"), ("--port-base", "x")]
)
def test_a_number_out_of_range_is_wrong_usage(words: tuple[str, str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["up", "--pipeline", "demo.yaml", *words])
    assert ended.value.code == 2
