"""One life cycle for every program: start, ready, serve, SIGTERM, drain, stop. The order is written here
and only here.

Start: metrics, server (it answers UNAVAILABLE until all is ready), then the workers in their order.
Readiness is true while every component says so. Drain: the server first, since calls in flight wait for
what the workers commit, then the workers in reverse, all within one time. Stop: everything in reverse. A
component that fails ends the program, with an exit code that tells its supervisor whether starting it again
can help.
"""

from __future__ import annotations

import faulthandler
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from queue import Empty, SimpleQueue
from typing import NoReturn, Protocol

from longstream.errors import Fenced, SuiteError

DONE, PERMANENT, RETRY = 0, 42, 75
"""Exit codes: asked to end and everything finished; starting again cannot help; starting again can."""

_log = logging.getLogger(__name__)
_LOOK_EVERY_S = 0.1
_STOP_S = 10.0


class Component(Protocol):
    """A part of a program that runs from start to stop. stop may be called at any time, also during start
    or drain."""

    def start(self) -> None:
        """Begin; returns when begun, which need not be ready."""

    @property
    def ready(self) -> bool:
        """Whether it does its work now."""

    def failed(self) -> BaseException | None:
        """Why it has ended by itself, if it has."""

    def drain(self, timeout_s: float) -> None:
        """Take no new work and finish what is in hand, within timeout_s."""

    def stop(self) -> None:
        """End now and free everything; a second call does nothing."""


class Door(Component, Protocol):
    """The component that others see: it tells them whether the program is ready."""

    def set_ready(self, ready: bool) -> None:
        """What to tell from now on."""


class Stop:
    """How a program is asked to end: once to drain, twice to stop at once. May be used by signal handlers."""

    def __init__(self) -> None:
        # An Event's lock is not reentrant: set() by a handler that interrupts wait() would block for ever.
        self._asked: SimpleQueue[None] = SimpleQueue()
        self._times = 0

    def ask(self) -> None:
        """Ask once (more)."""
        self._asked.put(None)

    def times(self, wait_s: float) -> int:
        """How often it was asked, after waiting up to wait_s for the next; for one thread, the one that
        runs the app."""
        try:
            self._asked.get(timeout=wait_s)
            self._times += 1
        except Empty:
            pass
        return self._times


@dataclass(frozen=True, slots=True, kw_only=True)
class App:
    """A program of components; `run` is its whole life."""

    name: str
    server: Door
    workers: Sequence[Component]
    metrics: Component | None = None
    drain_s: float = 75.0
    """From the wish to end until what is not finished is given up; below what the supervisor waits."""

    def run(self, stop: Stop) -> int:
        """Live until asked to end or a component fails; returns the exit code. Leaves no thread behind that
        ends."""
        life = _Life(self, stop)
        error = life.start() or life.serve()
        if error is not None:
            _log.error("component failed", exc_info=error, extra={"app": self.name})
        finished = life.drain()
        stopped = life.stop_each()
        code = exit_code(error) if error is not None else DONE if finished and stopped else RETRY
        _log.info("ended", extra={"app": self.name, "exit_code": code, "drained": finished})
        return code

    @property
    def components(self) -> tuple[Component, ...]:
        """All parts in the order of their start."""
        first = (self.metrics,) if self.metrics is not None else ()
        return (*first, self.server, *self.workers)


def exit_code(error: BaseException) -> int:
    """PERMANENT for an error of the suite that no retry helps; RETRY for any other, the unexpected
    included."""
    permanent = isinstance(error, SuiteError) and type(error) is not SuiteError and not error.retryable
    return PERMANENT if permanent and not isinstance(error, Fenced) else RETRY


def run_program(app: App) -> NoReturn:
    """Run until SIGTERM or SIGINT and end the process with the exit code, also if some thread heeds
    nothing. SIGUSR2 writes to stderr where every thread stands."""
    faulthandler.register(signal.SIGUSR2)
    stop = Stop()
    with signals_to(stop):
        code = app.run(stop)
    leave(code)


@contextmanager
def signals_to(stop: Stop) -> Iterator[None]:
    """Let SIGTERM and SIGINT ask for the end inside the block; main thread only."""
    numbers = (signal.SIGTERM, signal.SIGINT)
    before = [signal.signal(number, lambda *_: stop.ask()) for number in numbers]
    try:
        yield
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)


def leave(code: int) -> NoReturn:
    """End the process with the code. Python alone would wait for ever for a thread that does not end."""
    others = [t for t in threading.enumerate() if t is not threading.current_thread() and not t.daemon]
    deadline = time.monotonic() + 1.0
    for thread in others:
        thread.join(max(0.0, deadline - time.monotonic()))
    if stuck := [thread.name for thread in others if thread.is_alive()]:
        _log.warning("threads did not end", extra={"threads": ", ".join(stuck)})
        logging.shutdown()
        sys.stdout.flush()
        os._exit(code)
    sys.exit(code)


class _Life:
    """One run of an app. Its phases work in a thread of their own, so that a second wish to end is heard at
    once."""

    def __init__(self, app: App, stop: Stop) -> None:
        self._app = app
        self._stop = stop
        self._ending = threading.Event()
        self._given_up = threading.Event()
        self._begun: list[Component] = []
        self._started: list[Component] = []

    def start(self) -> BaseException | None:
        """The error of the component that did not start; None also if asked to end meanwhile."""
        phase = _Phase(self._start_each, "start")
        while not phase.ended(_LOOK_EVERY_S):
            if self._stop.times(0.0):
                return None
        return phase.error

    def serve(self) -> BaseException | None:
        """Until asked to end (None), or a component fails (its error)."""
        told = False
        asked = self._stop.times(0.0)
        while not asked:
            for component in self._started:
                if (error := component.failed()) is not None:
                    return error
            ready = all(component.ready for component in self._started)
            if ready != told:
                _log.info("ready" if ready else "not ready", extra={"app": self._app.name})
                self._app.server.set_ready(ready)
            told = ready
            asked = self._stop.times(_LOOK_EVERY_S)
        return None

    def drain(self) -> bool:
        """Whether everything in hand was finished in time."""
        _log.info("draining", extra={"app": self._app.name})
        self._ending.set()
        deadline = time.monotonic() + self._app.drain_s
        phase = _Phase(lambda: self._drain_each(deadline), "drain")
        while not phase.ended(_LOOK_EVERY_S):
            if self._stop.times(0.0) > 1 or time.monotonic() > deadline:
                self._given_up.set()
                return False
        return phase.error is None

    def stop_each(self) -> bool:
        """Whether every component ended, and in time."""
        backwards = [component.stop for component in reversed(self._begun)]
        phase = _Phase(lambda: _try_all(backwards), "stop")
        return phase.ended(_STOP_S) and phase.error is None

    def _start_each(self) -> None:
        for component in self._app.components:
            if self._ending.is_set():
                return
            self._begun.append(component)
            component.start()
            self._started.append(component)

    def _drain_each(self, deadline: float) -> None:
        server, workers = self._app.server, tuple(reversed(self._app.workers))
        # Half of the time at most: a caller that waits for long must not cost the workers their commits.
        halfway = deadline - self._app.drain_s / 2
        order = [(server, halfway), *((worker, deadline) for worker in workers)]
        _try_all(
            [
                partial(self._drain_by, component, end)
                for component, end in order
                if any(component is started for started in self._started)
            ]
        )

    def _drain_by(self, component: Component, deadline: float) -> None:
        if not self._given_up.is_set():  # else it is being stopped by now
            component.drain(max(0.0, deadline - time.monotonic()))


def _try_all(acts: Sequence[Callable[[], None]]) -> None:
    """Do every act, whatever the others do; raises the first error at the end."""
    errors: list[BaseException] = []
    for act in acts:
        try:
            act()
        except BaseException as error:
            _log.exception("component did not end well")
            errors.append(error)
    if errors:
        raise errors[0]


class _Phase:
    """A step of the life in a thread of its own."""

    def __init__(self, work: Callable[[], None], name: str) -> None:
        self.error: BaseException | None = None
        self._work = work
        self._thread = threading.Thread(target=self._run, name=f"app-{name}", daemon=True)
        self._thread.start()

    def ended(self, timeout_s: float) -> bool:
        """Whether it ended, after waiting up to timeout_s."""
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _run(self) -> None:
        try:
            self._work()
        except BaseException as error:
            self.error = error
