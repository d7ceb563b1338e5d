"""The one event loop of the suite: a thread that starts an engine, watches it, and restarts it when it dies.

Callers are plain threads that block in `call`. Requests in an engine that dies get EngineDied; later ones get
EngineUnavailable at once, until the next engine serves. The engine itself comes in as a function that starts
one, so this file knows nothing of vLLM.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Coroutine
from concurrent.futures import CancelledError
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

from longstream.errors import (
    DeadlineExceeded,
    EngineDied,
    EngineGone,
    EngineUnavailable,
    InvalidInput,
    SuiteError,
)

_log = logging.getLogger(__name__)

_GRACE_S = 2.0
"""How long a caller waits beyond its deadline for a loop that is busy starting an engine."""


class Engine(Protocol):
    """What the loop needs of an engine."""

    @property
    def errored(self) -> bool:
        """Whether it has died."""

    def shutdown(self) -> None:
        """Free everything it holds, dead or alive."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RestartPolicy:
    """When an engine that died is started again; see the knobs of the same names in `EngineOptions`."""

    max_restarts: int
    restart_backoff_s: float
    restart_backoff_max_s: float
    healthy_after_s: float
    poll_s: float = 0.2

    def backoff_s(self, deaths: int) -> float:
        """Pause before the restart that follows this many deaths in a row (1 or more), in seconds."""
        return min(self.restart_backoff_max_s, self.restart_backoff_s * 2.0 ** (deaths - 1))


E = TypeVar("E", bound=Engine)
T = TypeVar("T")


class EngineLoop(Generic[E]):
    """Runs one engine at a time on a thread of its own.

    start: called on that thread, may block. If it raises InvalidInput before any engine has served, that is
    what every caller gets from then on; any other failure counts as a death and is tried again.
    """

    def __init__(self, start: Callable[[], E], policy: RestartPolicy) -> None:
        self._start = start
        self._policy = policy
        self._engine: E | None = None
        self._failure: SuiteError | None = None
        self._has_served = False
        self._changed = threading.Condition()
        self._asking: set[asyncio.Task[Any]] = set()
        self._closing = threading.Event()
        self._loop = asyncio.new_event_loop()
        # The kernel kills engines when the thread that started them ends: this one lives until close().
        self._thread = threading.Thread(target=self._run, name="engine-loop", daemon=True)
        self._thread.start()

    @property
    def ready(self) -> bool:
        """Whether a request would be begun now."""
        engine = self._engine
        return engine is not None and not engine.errored

    def wait_ready(self, timeout_s: float) -> None:
        """Return when ready. Raises what `call` would if that takes longer than timeout_s or never comes."""
        with self._changed:
            self._changed.wait_for(lambda: self.ready or self._failure is not None, timeout_s)
        self._serving()

    def call(self, ask: Callable[[E], Coroutine[Any, Any, T]], timeout_s: float) -> T:
        """Run ask with the engine on the loop and return its result.

        Raises what ask raises; EngineUnavailable if no engine serves; EngineDied if it died in between;
        DeadlineExceeded after timeout_s, when ask has been cancelled.
        """
        self._serving()
        asking = self._ask(ask, timeout_s)
        try:
            future = asyncio.run_coroutine_threadsafe(asking, self._loop)
        except RuntimeError:
            asking.close()
            raise EngineUnavailable("the engine is closed") from None
        try:
            return future.result(timeout_s + _GRACE_S)
        except TimeoutError:
            future.cancel()
            raise DeadlineExceeded(f"the engine did not answer within {timeout_s:g} s") from None
        except CancelledError:
            raise EngineUnavailable("the engine is closed") from None

    def close(self) -> None:
        """Stop the engine and the thread; requests in flight get EngineUnavailable. Again: does nothing."""
        self._closing.set()
        self._thread.join()
        self._fail(EngineUnavailable("the engine is closed"))

    def _serving(self) -> E:
        engine, failure = self._engine, self._failure
        if failure is not None:
            raise type(failure)(failure.message)
        if engine is None or engine.errored:
            raise EngineUnavailable("the engine is loading or restarting")
        return engine

    async def _ask(self, ask: Callable[[E], Coroutine[Any, Any, T]], timeout_s: float) -> T:
        engine = self._serving()
        task = asyncio.current_task()
        assert task is not None
        self._asking.add(task)
        try:
            async with asyncio.timeout(timeout_s):
                return await ask(engine)
        except asyncio.CancelledError:
            if engine.errored:
                raise EngineDied("the engine died while it worked on this request") from None
            raise
        finally:
            self._asking.discard(task)

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._supervise())

    async def _supervise(self) -> None:
        deaths = 0
        while not self._closing.is_set():
            lived_s = await self._serve_once()
            deaths = 1 if lived_s >= self._policy.healthy_after_s else deaths + 1
            if self._closing.is_set():
                return
            if deaths > self._policy.max_restarts and self._failure is None:
                self._fail(EngineGone(f"the engine died {deaths} times in a row and was given up"))
            if self._failure is not None:
                return
            await self._pause(self._policy.backoff_s(deaths))

    async def _serve_once(self) -> float:
        """Start one engine and watch it to its end. Returns how long it served, in seconds."""
        try:
            engine = self._start()
        except InvalidInput as error:
            _log.error("engine cannot start", extra={"why": error.message})
            if not self._has_served:
                self._fail(error)
            return 0.0
        except Exception:
            _log.exception("engine start failed")
            return 0.0
        began = time.monotonic()
        self._show(engine)
        _log.info("engine serves")
        while not self._closing.is_set() and not engine.errored:
            await asyncio.sleep(self._policy.poll_s)
        if engine.errored:
            _log.error("engine died", extra={"served_s": round(time.monotonic() - began, 1)})
        self._show(None)
        await self._settle()
        engine.shutdown()
        return time.monotonic() - began

    async def _settle(self) -> None:
        # A dead engine fails its requests itself, in its own words; none may be left waiting if it does not.
        if self._asking and not self._closing.is_set():
            await asyncio.wait(set(self._asking), timeout=_GRACE_S)
        for task in self._asking:
            task.cancel()
        with suppress(asyncio.CancelledError):
            await asyncio.gather(*self._asking, return_exceptions=True)

    def _show(self, engine: E | None) -> None:
        with self._changed:
            self._engine = engine
            self._has_served = self._has_served or engine is not None
            self._changed.notify_all()

    def _fail(self, failure: SuiteError) -> None:
        with self._changed:
            self._failure = failure
            self._changed.notify_all()

    async def _pause(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while not self._closing.is_set() and time.monotonic() < end:
            await asyncio.sleep(min(self._policy.poll_s, seconds))
