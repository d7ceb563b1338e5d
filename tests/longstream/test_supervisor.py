"""The supervisor over small real child programs: what starts, crashes, refuses, drains, and dies with it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from longstream.childprocess import ServiceProgram, how_it_ended, last_words
from longstream.supervisor import Event, Limits, Supervisor

QUICK = Limits(drain_s=5.0, first_restart_s=0.05, last_restart_s=0.2, look_every_s=0.02, ask_every_s=0.05)

STEADY = """import signal, sys, time
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
print('up')
time.sleep(60)"""
STUBBORN = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up'); time.sleep(60)"
# It starts a process of its own, as an engine would be, and tells its id.
PARENT = "import subprocess, time; print(subprocess.Popen(['sleep', '60']).pid); time.sleep(60)"


def python(name: str, code: str, **environ: str) -> ServiceProgram:
    return ServiceProgram(name=name, argv=(sys.executable, "-c", code), address=name, environ=environ)


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def eventually(fact: Callable[[], bool], timeout_s: float = 10.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not fact():
        assert time.monotonic() < deadline, "it did not come true in time"
        time.sleep(0.02)


class Run:
    """A supervisor in a thread, and what it has told."""

    def __init__(self, folder: Path, programs: list[ServiceProgram], limits: Limits = QUICK) -> None:
        self.folder = folder
        self.events: list[Event] = []
        self.ended_well: bool | None = None
        self.supervisor = Supervisor(
            programs, folder, is_ready=self._printed_something, tell=self.events.append, limits=limits
        )
        self.began_s = time.monotonic()
        self._thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        self.ended_well = self.supervisor.run(os.environ)

    def _printed_something(self, address: str) -> bool:
        return (self.folder / f"{address}.log").read_text() != ""

    def log(self, name: str) -> str:
        return (self.folder / f"{name}.log").read_text()

    def kinds(self, service: str) -> list[str]:
        return [event.kind for event in self.events if event.service == service]

    def told(self, service: str, kind: str) -> str:
        return next(event.text for event in self.events if (event.service, event.kind) == (service, kind))

    @contextmanager
    def running(self) -> Iterator[None]:
        self._thread.start()
        try:
            yield
        finally:
            self.end()

    def end(self) -> None:
        self.supervisor.stop()
        self._thread.join(20)
        assert not self._thread.is_alive()


def test_every_service_starts_becomes_ready_and_drains(tmp_path: Path) -> None:
    run = Run(tmp_path, [python("curator", STEADY), python("judge", STEADY)])
    with run.running():
        eventually(lambda: run.supervisor.all_ready)
    assert run.kinds("curator") == run.kinds("judge") == ["started", "ready", "draining", "stopped"]
    assert run.ended_well is True


def test_a_child_gets_its_settings_and_the_callers_environment(tmp_path: Path) -> None:
    code = "import os, time; print(os.environ['LONGSTREAM_MEMBER'], bool(os.environ['PATH'])); time.sleep(60)"
    run = Run(tmp_path, [python("curator", code, LONGSTREAM_MEMBER="curator-0")])
    with run.running():
        eventually(lambda: run.log("curator") == "curator-0 True\n")


def test_a_killed_service_is_started_again_and_told(tmp_path: Path) -> None:
    run = Run(tmp_path, [python("curator", STEADY)])
    with run.running():
        eventually(lambda: run.supervisor.all_ready)
        first = run.supervisor.pids["curator"]
        os.kill(first, signal.SIGKILL)
        eventually(lambda: run.kinds("curator").count("ready") == 2)
        assert run.supervisor.pids["curator"] != first
    assert run.kinds("curator")[:5] == ["started", "ready", "crashed", "started", "ready"]
    assert "killed by SIGKILL" in run.told("curator", "crashed")


def test_what_a_killed_service_had_started_dies_with_it(tmp_path: Path) -> None:
    run = Run(tmp_path, [python("judge", PARENT)])
    with run.running():
        eventually(lambda: run.supervisor.all_ready)
        engine = int(run.log("judge"))
        os.kill(run.supervisor.pids["judge"], signal.SIGKILL)
        eventually(lambda: not alive(engine))


def test_a_service_that_takes_long_to_start_is_told_less_and_less_often(tmp_path: Path) -> None:
    limits = Limits(drain_s=5.0, look_every_s=0.02, ask_every_s=0.02, tell_after_s=0.1)
    run = Run(tmp_path, [python("judge", "import time; time.sleep(60)")], limits)
    with run.running():
        eventually(lambda: run.kinds("judge").count("waiting") == 3)
        took_s = time.monotonic() - run.began_s
    assert took_s >= 0.4
    assert "ready" not in run.kinds("judge")


def test_the_wait_before_a_restart_grows(tmp_path: Path) -> None:
    run = Run(tmp_path, [python("trainer", "raise SystemExit('no such device')")])
    with run.running():
        eventually(lambda: run.kinds("trainer").count("crashed") == 4)
    waits = [
        event.text.split("restart in ")[1].split(" s")[0] for event in run.events if event.kind == "crashed"
    ]
    assert waits[:4] == ["0.1", "0.1", "0.2", "0.2"]
    assert "exit status 1: no such device" in run.told("trainer", "crashed")


def test_a_service_that_stays_up_long_enough_starts_again_with_the_shortest_wait(tmp_path: Path) -> None:
    limits = Limits(first_restart_s=0.3, last_restart_s=5.0, stable_s=0.0, look_every_s=0.02)
    run = Run(tmp_path, [python("trainer", "raise SystemExit(1)")], limits)
    with run.running():
        eventually(lambda: run.kinds("trainer").count("crashed") == 3)
    assert all("restart in 0.3 s" in event.text for event in run.events if event.kind == "crashed")


def test_a_program_that_cannot_be_started_is_tried_again(tmp_path: Path) -> None:
    run = Run(tmp_path, [ServiceProgram(name="curator", argv=(str(tmp_path / "missing"),))])
    with run.running():
        eventually(lambda: run.kinds("curator").count("crashed") == 2)
    assert "No such file" in run.told("curator", "crashed")


def test_a_wrong_setting_ends_the_suite_with_its_reason(tmp_path: Path) -> None:
    refusal = """import sys
print('{"level": "error", "event": "cannot start", "error": {"message": "no model at ./missing"}}')
print('{"level": "info", "event": "bye"}')
sys.exit(42)"""
    run = Run(tmp_path, [python("instructor", refusal), python("curator", STEADY)])
    with run.running():
        eventually(lambda: run.ended_well is False)
    assert run.kinds("instructor") == ["started", "refused"] or run.kinds("instructor") == [
        "started",
        "ready",
        "refused",
    ]
    assert "cannot start: no model at ./missing" in run.told("instructor", "refused")
    assert run.kinds("curator")[-1] == "stopped"


def test_a_service_that_will_not_drain_is_killed_when_the_time_is_up(tmp_path: Path) -> None:
    run = Run(
        tmp_path, [python("curator", STUBBORN)], Limits(drain_s=0.3, look_every_s=0.02, ask_every_s=0.05)
    )
    with run.running():
        eventually(lambda: run.supervisor.all_ready)
        pid = run.supervisor.pids["curator"]
    assert run.kinds("curator")[-2:] == ["draining", "killed"]
    assert not alive(pid)


def test_a_second_stop_does_not_wait_for_the_drain(tmp_path: Path) -> None:
    run = Run(
        tmp_path, [python("curator", STUBBORN)], Limits(drain_s=60.0, look_every_s=0.02, ask_every_s=0.05)
    )
    began = time.monotonic()
    with run.running():
        eventually(lambda: run.supervisor.all_ready)
        run.supervisor.stop()
        eventually(lambda: "draining" in run.kinds("curator"))
    assert time.monotonic() - began < 20.0
    assert run.kinds("curator")[-1] == "killed"


def test_children_and_grandchildren_die_with_a_killed_supervisor(tmp_path: Path) -> None:
    code = f"""
import os, sys
from pathlib import Path
from longstream.childprocess import ServiceProgram
from longstream.supervisor import Supervisor
program = ServiceProgram(name="judge", argv=(sys.executable, "-c", {PARENT!r}))
tell = lambda event: print(event.text, flush=True)
Supervisor([program], Path({str(tmp_path)!r}), is_ready=lambda _: False, tell=tell).run(os.environ)
"""
    supervisor = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert supervisor.stdout is not None
    child = int(supervisor.stdout.readline().split("process ")[1].split(",")[0])
    log = tmp_path / "judge.log"
    eventually(lambda: log.read_text().endswith("\n"))
    grandchild = int(log.read_text())
    assert alive(child)
    assert alive(grandchild)
    supervisor.kill()
    supervisor.wait()
    supervisor.stdout.close()
    eventually(lambda: not alive(child) and not alive(grandchild))


def test_a_log_stays_bounded(tmp_path: Path) -> None:
    from longstream.childprocess import RotatingLog

    log = RotatingLog(tmp_path / "curator.log", max_bytes=100, kept=2)
    for number in range(50):
        log.write(b"line %02d\n" % number)
    log.close()
    files = sorted(path.name for path in tmp_path.iterdir())
    assert files == ["curator.log", "curator.log.1", "curator.log.2"]
    assert all(path.stat().st_size <= 100 for path in tmp_path.iterdir())
    newest = (tmp_path / "curator.log.1").read_text() + (tmp_path / "curator.log").read_text()
    assert newest.endswith("line 49\n")


@pytest.mark.parametrize(
    ("log", "words"),
    [
        ("", ""),
        (
            "Traceback (most recent call last):\nValueError: k must be positive\n\n",
            "ValueError: k must be positive",
        ),
        (
            '{"level": "error", "event": "cannot start", "why": "no disk"}\n{"level": "info"}',
            "cannot start: no disk",
        ),
        ('{"level": "info", "event": "started"}\n', '{"level": "info", "event": "started"}'),
        ('{"level": "error"}\n[1]\nlast', "last"),
    ],
)
def test_the_last_error_of_a_log_is_what_a_service_died_of(log: str, words: str) -> None:
    assert last_words(log) == words


@pytest.mark.parametrize(
    ("code", "words"), [(3, "exit status 3"), (-9, "killed by SIGKILL"), (-63, "killed by signal 63")]
)
def test_an_exit_code_is_told_in_words(code: int, words: str) -> None:
    assert how_it_ended(code) == words
