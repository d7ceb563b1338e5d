"""Services as real processes over one data folder, some of which are to be killed, and are started again.

Everything that is waited for is waited for by a condition and with an end.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

from longstream.client import Addresses, Client, Patience
from longstream.errors import Refused, SuiteError
from longstream.health import ask_health
from longstream.suite import ORDER, SuiteOptions, check_ports, programs
from longstream.topics import Layout
from scripts import kafka
from tests.support.logfile import LogFile
from tests.support.logreader import broken_after_a_kill

R = TypeVar("R")

ROOT = Path(__file__).resolve().parents[2]
KILLED = -signal.SIGKILL
PATIENCE_S = 120.0
_LOOK_S = 0.02
_RUN = 20
"""Ports of one suite and more: from its base to the last one of its metrics."""
FOLDERS = [ROOT, *(ROOT / "services" / name for name in ORDER)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """What all campaigns of a test run share, so that their releases can be compared."""

    pipeline: Path
    engine: str
    environ: Mapping[str, str] = field(default_factory=dict)
    patience_s: float = 120.0
    """Longest wait for any one thing."""
    layout: Layout = field(default_factory=lambda: Layout(examples_partitions=2, selected_partitions=2))


@dataclass(slots=True)
class _Seat:
    """A member of a service, whatever process fills its place."""

    argv: tuple[str, ...]
    address: str
    environ: Mapping[str, str]
    crashes: list[str]
    """Crash points of the lives to come, the present one's first."""
    process: subprocess.Popen[bytes] | None = None


class Campaign:
    """Starts services, restarts those that a crash point has killed, and ends all with the block."""

    def __init__(self, data: Path, setting: Setting, *, complete: bool = True) -> None:
        """complete: whether the log still holds all that was ever written, so that it can be checked."""
        self.data = data
        self.log = LogFile(data / "log.sqlite")
        self.kills = 0
        self._complete = complete
        self._setting = setting
        self._seats: dict[str, _Seat] = {}
        self._bases = [take_ports(self._options(0))]
        (data / "logs").mkdir(parents=True, exist_ok=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        for seat in self._seats.values():
            if seat.process is not None:
                seat.process.kill()
                seat.process.wait()
        for base in self._bases:
            give_ports(base)

    def start(self, *services: str, crashes: Sequence[str] = (), **environ: str) -> None:
        """Start services; the last one is to be killed at each crash point, in one life after another."""
        for name in services:
            self._seat(name, name, self._bases[0], environ, crashes if name == services[-1] else ())

    def start_replica(self, service: str, **environ: str) -> str:
        """A second member of the service; returns the name of its seat."""
        seat = f"{service}-b"
        self._bases.append(take_ports(self._options(0)))
        self._seat(seat, service, self._bases[-1], {**environ, "LONGSTREAM_MEMBER": seat}, ())
        return seat

    def signal(self, seat: str, number: signal.Signals) -> None:
        os.kill(self.pid(seat), number)

    def pid(self, seat: str) -> int:
        process = self._seats[seat].process
        assert process is not None
        return process.pid

    def address(self, seat: str) -> str:
        return self._seats[seat].address

    def environ(self, seat: str) -> Mapping[str, str]:
        """The settings that the process was given."""
        return self._seats[seat].environ

    def kill(self, seat: str) -> None:
        """kill -9 a process from outside, and start it again."""
        kills, self._seats[seat].crashes = self.kills, ["from outside"]
        self.signal(seat, signal.SIGKILL)
        self.until(lambda: self.kills > kills)

    def mend(self) -> None:
        """Start again what was killed as planned; nothing else may have ended."""
        for name, seat in self._seats.items():
            code = seat.process.poll() if seat.process is not None else None
            if code is None:
                continue
            told = (self.data / "logs" / f"{name}.log").read_text()[-3_000:]
            assert seat.crashes, f"{name} ended with {code}: {told}"
            assert code == KILLED, f"{name} ended with {code} before {seat.crashes[0]}: {told}"
            if self._complete and len(self._seats) == 1:  # nothing else writes
                assert broken_after_a_kill(self.data, self.data / "copy") == [], seat.crashes[0]
            self.kills += 1
            seat.crashes = seat.crashes[1:]
            self._run(name, seat)

    def until(self, question: Callable[[], R | bool | None]) -> R:
        """What the question answers once that is true. Looks after the killed meanwhile."""
        patience_s = self._setting.patience_s
        deadline = time.monotonic() + patience_s
        while True:
            self.mend()
            answer = question()
            if answer:
                return answer  # type: ignore[return-value]
            assert time.monotonic() < deadline, f"not within {patience_s:.0f} s; logs in {self.data / 'logs'}"
            time.sleep(_LOOK_S)

    def ask(self, act: Callable[[Client], R], **at: str) -> R:
        """The outcome of a client's act, repeated while it fails in a way that a retry may help.

        at: by service, the seat of the replica to be asked; else all services in their usual seats.
        """
        seats = at or {name: name for name in self._seats if name in ORDER}

        def tried() -> tuple[R] | None:
            if not all(map(self.ready, seats.values())):
                return None
            addresses = {name: self._seats[seats[name]].address if name in seats else "" for name in ORDER}
            with Client(
                Addresses(**addresses), patience=Patience(call_s=20, submit_s=20, attempts=1)
            ) as client:
                try:
                    return (act(client),)
                except SuiteError as error:
                    if not error.retryable:
                        raise
                    return None

        return self.until(tried)[0]

    def ready(self, seat: str) -> bool:
        return ask_health(self._seats[seat].address, 5.0).state == "ready"

    def stop(self) -> None:
        """Drain everything; each process must end well."""
        self.until(lambda: all(map(self.ready, self._seats)))
        for seat in self._seats.values():
            assert seat.process is not None
            seat.process.terminate()
        for name, seat in self._seats.items():
            assert seat.process is not None
            assert not seat.crashes, f"{name} never came to {seat.crashes[0]}"
            code = seat.process.wait(PATIENCE_S)
            assert code == 0, f"{name} ended with {code} when told to stop"
        self._seats.clear()

    def _options(self, port_base: int) -> SuiteOptions:
        setting = self._setting
        return SuiteOptions(
            data=self.data,
            pipelines=(setting.pipeline,),
            port_base=port_base,
            instructor_engine=setting.engine,
            judge_engine=setting.engine,
            layout=setting.layout,
        )

    def _seat(
        self, name: str, service: str, ports: int, environ: Mapping[str, str], crashes: Sequence[str]
    ) -> None:
        [program] = programs(self._options(ports), [service])
        own = {"JUDGE_CACHE_DIR": str(self.data / "judge")} if service == "judge" else {}
        told = {**program.environ, **own, **self._setting.environ, **environ}
        seat = _Seat(program.argv, program.address, told, list(crashes))
        self._seats[name] = seat
        self._run(name, seat)

    def _run(self, name: str, seat: _Seat) -> None:
        path = os.pathsep.join(map(str, FOLDERS))
        environ = {key: value for key, value in os.environ.items() if not key.startswith("LONGSTREAM_")}
        crash = {"LONGSTREAM_CRASH_AT": seat.crashes[0]} if seat.crashes else {}
        with (self.data / "logs" / f"{name}.log").open("ab") as log:
            seat.process = subprocess.Popen(
                seat.argv,
                env={**environ, "PYTHONPATH": path, **seat.environ, **crash},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )


def take_ports(options: SuiteOptions) -> int:
    """The base of a run of free ports, which nothing else in this program is given until `give_ports`.

    That they are free is not enough: a service takes seconds until it listens, and others start meanwhile.
    """
    bases = list(kafka.port_range[::_RUN])
    random.Random(os.getpid() + time.monotonic_ns()).shuffle(bases)
    for base in bases:
        if kafka.given.isdisjoint(range(base, base + _RUN)):
            with suppress(Refused):
                check_ports(programs(replace(options, port_base=base), ORDER))
                kafka.given.update(range(base, base + _RUN))
                return base
    raise AssertionError("no free ports")


def give_ports(base: int) -> None:
    """Let others have the run of ports that began at base."""
    kafka.given.difference_update(range(base, base + _RUN))
