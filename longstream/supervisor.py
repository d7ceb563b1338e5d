"""Runs the services as child processes: restarts what crashes, drains all when asked, says what happens.

The loop is single-threaded; signals only raise a count that it reads, so nothing has to be locked.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from longstream.childprocess import (
    PERMANENT,
    ChildProcess,
    RotatingLog,
    ServiceProgram,
    how_it_ended,
)

Kind = Literal["started", "waiting", "ready", "crashed", "refused", "draining", "stopped", "killed"]


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened to a service, in words for people."""

    service: str
    kind: Kind
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How patient the supervisor is."""

    drain_s: float = 90.0
    """From SIGTERM to SIGKILL. The trainer gives a training run 60 s of it to write a checkpoint."""
    first_restart_s: float = 0.5
    """Wait before the first restart; doubled with each further one."""
    last_restart_s: float = 30.0
    """Longest wait before a restart."""
    stable_s: float = 60.0
    """A service that has lived this long starts again with the shortest wait."""
    look_every_s: float = 0.1
    """Between two looks at the children."""
    ask_every_s: float = 0.5
    """Between two questions whether a starting service is ready."""
    tell_after_s: float = 30.0
    """A service that is not ready by then is told, and again whenever the time has doubled."""


@dataclass(slots=True)
class _Service:
    """A service's place in the suite, whatever process fills it."""

    program: ServiceProgram
    log: RotatingLog
    child: ChildProcess | None = None
    started_s: float = 0.0
    ready: bool = False
    next_look_s: float = 0.0
    next_word_s: float = 0.0
    crashes: int = 0
    restart_s: float = 0.0


class Supervisor:
    """Keeps programs running until told to stop. Use from one thread; only `stop` may come from elsewhere."""

    def __init__(
        self,
        programs: Sequence[ServiceProgram],
        logs: Path,
        *,
        is_ready: Callable[[str], bool],
        tell: Callable[[Event], None],
        limits: Limits | None = None,
    ) -> None:
        """is_ready: asked with a program's address, quickly. logs: folder of <service>.log."""
        self._services = [
            _Service(program, RotatingLog(logs / f"{program.name}.log")) for program in programs
        ]
        self._is_ready = is_ready
        self._tell = tell
        self._limits = limits or Limits()
        self._environ: Mapping[str, str] = {}
        self._stops = 0
        self._failed = False

    @property
    def pids(self) -> dict[str, int]:
        """Process ids of the services that run."""
        return {item.program.name: item.child.pid for item in self._services if item.child is not None}

    @property
    def all_ready(self) -> bool:
        """Whether every service answers that it is ready."""
        return all(item.ready for item in self._services)

    def stop(self) -> None:
        """Drain and end; asked a second time, end without draining. Safe inside a signal handler."""
        self._stops += 1

    def run(self, environ: Mapping[str, str]) -> bool:
        """Start everything and stay until `stop` or a failure that no restart mends; False for the latter.

        environ: what the children get beside their programs' own settings. However this returns or raises, no
        child is left.
        """
        self._environ = environ
        try:
            for item in self._services:
                self._start(item)
            while not self._stops and not self._failed:
                self._look()
                time.sleep(self._limits.look_every_s)
            self._drain()
        finally:
            self._kill_all()
            for item in self._services:
                item.log.close()
        return not self._failed

    def _look(self) -> None:
        now = time.monotonic()
        for item in self._services:
            if item.child is None:
                if now >= item.restart_s:
                    self._start(item)
                continue
            code = item.child.exit_code()
            if code is not None:
                self._ended(item, item.child, code)
            elif not item.ready and now >= item.next_look_s:
                self._ask(item)

    def _start(self, item: _Service) -> None:
        item.started_s = time.monotonic()
        item.ready = False
        item.next_look_s = 0.0
        item.next_word_s = self._limits.tell_after_s
        try:
            item.child = ChildProcess(item.program, item.log, self._environ)
        except OSError as error:
            self._again_later(item, str(error))
            return
        again = f" again (restart {item.crashes})" if item.crashes else ""
        self._say(item, "started", f"started{again}, process {item.child.pid}, log {item.log.path}")

    def _ask(self, item: _Service) -> None:
        item.ready = self._is_ready(item.program.address)
        now = time.monotonic()
        item.next_look_s = now + self._limits.ask_every_s
        waited_s = now - item.started_s
        if item.ready:
            self._say(item, "ready", f"ready at {item.program.address} after {waited_s:.1f} s")
        elif waited_s >= item.next_word_s:
            item.next_word_s = 2 * waited_s
            self._say(item, "waiting", f"still starting after {waited_s:.0f} s, log {item.log.path}")

    def _ended(self, item: _Service, child: ChildProcess, code: int) -> None:
        item.child, item.ready = None, False
        # After a signal the log's last error would only be an older one.
        words = child.last_words() if code > 0 else ""
        why = f"{how_it_ended(code)}{': ' + words if words else ''}"
        if code == PERMANENT:
            self._failed = True
            self._say(
                item, "refused", f"cannot run as it is set up ({why}); the log has more: {item.log.path}"
            )
            return
        self._again_later(item, why)

    def _again_later(self, item: _Service, why: str) -> None:
        now = time.monotonic()
        if now - item.started_s >= self._limits.stable_s:
            item.crashes = 0
        # Above 2**16 every wait is the longest one, and a float would overflow after some hundred crashes.
        wait_s = min(self._limits.first_restart_s * 2 ** min(item.crashes, 16), self._limits.last_restart_s)
        item.crashes += 1
        item.restart_s = now + wait_s
        self._say(item, "crashed", f"ended unasked ({why}); restart in {wait_s:.1f} s, log {item.log.path}")

    def _drain(self) -> None:
        running = [item for item in self._services if item.child is not None]
        for item in running:
            assert item.child is not None
            item.child.terminate()
            self._say(
                item, "draining", f"finishing what it has begun, for at most {self._limits.drain_s:.0f} s"
            )
        deadline = time.monotonic() + self._limits.drain_s
        # One stop began the drain, unless a failure did; one more ends it.
        patience = max(self._stops, 1)
        while running and time.monotonic() < deadline and self._stops <= patience:
            running = [item for item in running if not self._has_stopped(item)]
            time.sleep(self._limits.look_every_s)

    def _has_stopped(self, item: _Service) -> bool:
        code = item.child.exit_code() if item.child is not None else 0
        if code is None:
            return False
        item.child = None
        self._say(item, "stopped", f"stopped ({how_it_ended(code)})")
        return True

    def _kill_all(self) -> None:
        for item in self._services:
            if item.child is not None:
                item.child.kill()
                item.child = None
                self._say(item, "killed", "killed; what it had not committed will be done again")

    def _say(self, item: _Service, kind: Kind, text: str) -> None:
        self._tell(Event(item.program.name, kind, text))
