"""Processes that are killed, stopped and cut off on purpose, and come back as a supervisor would bring them back.

Whatever ends in another way than was meant is noted in `wrong`, with what it wrote last.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

from longstream.app import DONE, RETRY
from tests.support.campaign import KILLED, ROOT

_LOOK_S = 0.05
_REST_S = 0.3
"""Before a process is started again that gave up by itself."""

_TOLD = (DONE, RETRY, -signal.SIGTERM)
"""How a process may end when it is told to: also while the broker was away, or before it could listen."""

Process = subprocess.Popen[bytes]


@dataclass(slots=True)
class _Seat:
    """A member, whatever process fills its place."""

    argv: Sequence[str]
    environ: Mapping[str, str]
    process: Process
    crash_at: str = ""
    """Where the present life may end."""
    leaving: bool = False
    back_at: float = 0.0


@dataclass(frozen=True, slots=True)
class _Zombie:
    """A process that sleeps, or slept, while another one took its place."""

    name: str
    process: Process
    may_crash: bool
    """It was begun to end at a crash point, and may still pass it."""


@dataclass(slots=True)
class Crew:
    """Starts processes and, whenever it is asked to mend, those again that ended as was meant or as may happen."""

    folder: Path
    wrong: list[str] = field(default_factory=list)
    returns: int = 0
    """Processes that gave up in a way that starting again can help, and were started again."""
    _seats: dict[str, _Seat] = field(default_factory=dict)
    _zombies: list[_Zombie] = field(default_factory=list)

    def __enter__(self) -> Self:
        self.folder.mkdir(parents=True, exist_ok=True)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        for process in [seat.process for seat in self._seats.values()] + [
            zombie.process for zombie in self._zombies
        ]:
            process.kill()
            process.wait()

    def start(self, name: str, argv: Sequence[str], **environ: str) -> None:
        """Fill a new seat."""
        self._seats[name] = _Seat(argv, environ, self._run(name, argv, environ))

    def names(self, prefix: str) -> list[str]:
        """The seats whose names begin so."""
        return sorted(name for name in self._seats if name.startswith(prefix))

    def kill(self, name: str, crash_at: str = "") -> None:
        """kill -9, and at once a next life, which may end at a crash point."""
        seat = self._seats[name]
        seat.process.kill()
        seat.process.wait()
        seat.crash_at, seat.back_at = crash_at, 0.0
        self._revive(name, seat)

    def crashed(self, name: str) -> bool:
        """Whether the crash point that was asked for has been reached, and the next life has begun."""
        self.mend()
        return not self._seats[name].crash_at

    def signal(self, name: str, number: signal.Signals) -> None:
        os.kill(self._seats[name].process.pid, number)

    def replace(self, name: str, **environ: str) -> Process:
        """Put the member's process to sleep, and another one into its seat, told this besides. Returns the sleeper."""
        seat = self._seats[name]
        sleeper = seat.process
        sleeper.send_signal(signal.SIGSTOP)
        self._zombies.append(_Zombie(name, sleeper, bool(seat.crash_at)))
        seat.environ = {**seat.environ, **environ}
        seat.crash_at, seat.back_at = "", 0.0
        self._revive(name, seat)
        return sleeper

    def leave(self, name: str) -> None:
        """Ask the member to end in order; its seat is given up."""
        self._seats[name].leaving = True
        self._seats[name].process.terminate()

    def mend(self) -> None:
        """Start again what has ended, and note what ended in a way that nothing here explains."""
        for name, seat in list(self._seats.items()):
            code = seat.process.poll()
            if code is not None and seat.leaving:
                if code not in _TOLD and not (seat.crash_at and code == KILLED):
                    self._complain(name, f"{name} ended with {code} when told to")
                del self._seats[name]
            elif code is not None:
                self._mend(name, seat, code)
        for zombie in list(self._zombies):
            if (code := zombie.process.poll()) is not None:
                self._zombies.remove(zombie)
                if code not in (DONE, RETRY) and not (zombie.may_crash and code == KILLED):
                    self._complain(zombie.name, f"the replaced {zombie.name} ended with {code}")

    def until(self, question: Callable[[], bool], patience_s: float, what: str) -> None:
        """Mend until the question is answered with yes; complains after patience_s."""
        deadline = time.monotonic() + patience_s
        while not question():
            self.mend()
            if time.monotonic() > deadline:
                self.wrong.append(f"not within {patience_s:.0f} s: {what}")
                self._ask_where_they_stand()
                return
            time.sleep(_LOOK_S)

    def rest(self, seconds: float) -> None:
        """Let time pass."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.mend()
            time.sleep(_LOOK_S)

    def all_ended(self) -> bool:
        """Whether nobody is left, sleepers included."""
        self.mend()
        return not self._seats and not self._zombies

    @property
    def sleepers(self) -> int:
        """Replaced processes that have not ended yet."""
        return len(self._zombies)

    def _mend(self, name: str, seat: _Seat, code: int) -> None:
        if code == RETRY and not seat.back_at:
            self.returns += 1
            seat.back_at = time.monotonic() + _REST_S
        if time.monotonic() < seat.back_at:
            return
        if code == KILLED and seat.crash_at:
            seat.crash_at = ""
        elif code != RETRY:
            self._complain(name, f"{name} ended with {code}, which nobody wanted")
        seat.back_at = 0.0
        self._revive(name, seat)

    def _revive(self, name: str, seat: _Seat) -> None:
        crash = {"LONGSTREAM_CRASH_AT": seat.crash_at} if seat.crash_at else {}
        seat.process = self._run(name, seat.argv, {**seat.environ, **crash})

    def _ask_where_they_stand(self) -> None:
        """Let those that should have ended write their stacks into their logs."""
        late = [(zombie.name, zombie.process) for zombie in self._zombies]
        late += [(name, seat.process) for name, seat in self._seats.items() if seat.leaving]
        for name, process in late:
            process.send_signal(signal.SIGUSR2)
            time.sleep(1.0)
            self._complain(name, f"{name} stands")

    def _complain(self, name: str, what: str) -> None:
        told = (self.folder / f"{name}.log").read_text()[-5_000:]
        self.wrong.append(f"{what}: {told}")

    def _run(self, name: str, argv: Sequence[str], environ: Mapping[str, str]) -> Process:
        clean = {key: value for key, value in os.environ.items() if not key.startswith("LONGSTREAM_")}
        with (self.folder / f"{name}.log").open("ab") as log:
            return subprocess.Popen(
                argv,
                env={**clean, **environ},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=ROOT,
            )
