"""The suite for as long as a block lasts, in this process's care, by the supervisor of `longstream up`."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Self

from demo.setting import Run
from longstream.childprocess import ServiceProgram
from longstream.client import Addresses
from longstream.errors import Refused
from longstream.health import ask_health
from longstream.suite import (
    DEFAULT_PORT_BASE,
    METRICS_PORT_OFFSET,
    check_ports,
    forget_suite,
    hold,
    write_suite,
)
from longstream.supervisor import Event, Supervisor

MOST_CRASHES = 3
HURRIED_S = 8.0
"""Drain of a run that has failed or was interrupted; then whatever still runs is killed."""
_PORT_STEP = 2 * METRICS_PORT_OFFSET
_LAST_PORT = 32_000  # below the ports that Linux gives to outgoing connections


class DemoFailed(Exception):
    """The loop cannot come to its end; the message says why and names the log to look into."""


def free_port_base(services_at: Callable[[int], Sequence[ServiceProgram]]) -> int:
    """The first base from the suite's usual one on whose ports are all free. Raises Refused without one."""
    for base in range(DEFAULT_PORT_BASE, _LAST_PORT, _PORT_STEP):
        try:
            check_ports(services_at(base))
        except Refused:
            continue
        return base
    raise Refused(f"no run of ports between {DEFAULT_PORT_BASE} and {_LAST_PORT} is free")


class LocalSuite:
    """Runs the installed services; leaving the block drains and stops them, an error in it hurries them."""

    def __init__(
        self,
        run: Run,
        services: Sequence[ServiceProgram],
        environ: Mapping[str, str],
        tell: Callable[[Event], None],
    ) -> None:
        """environ: of the services, beside what they are told anyway. tell: called from another thread."""
        self._run = run
        self._programs = services
        self._environ = environ
        self._tell = tell
        self._crashes: Counter[str] = Counter()
        self._failure = ""
        logs = run.folder / "logs"
        self._supervisor = Supervisor(self._programs, logs, is_ready=_is_ready, tell=self._heard)
        # A daemon: if this process ends otherwise than by leaving the block, the services end with it.
        self._thread = threading.Thread(target=self._supervise, name="supervisor", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self._supervisor.stop()
        if kind is not None:
            # A run that is broken off will not be taken up again, so nobody waits for what it has in hand.
            self._wait(HURRIED_S)
            self._supervisor.stop()
        self._wait(None)

    @property
    def by_name(self) -> dict[str, str]:
        """Each service's gRPC address."""
        return {program.name: program.address for program in self._programs}

    @property
    def addresses(self) -> Addresses:
        """The same for a client."""
        return Addresses(**self.by_name)

    @property
    def all_ready(self) -> bool:
        """Whether every service answers that it is ready."""
        return self._supervisor.all_ready

    def check(self) -> None:
        """Raises DemoFailed if the suite cannot go on."""
        if self._failure:
            raise DemoFailed(self._failure)

    def wait_for(self, service: str, every_s: float = 0.2) -> None:
        """Return when the service is ready. Raises DemoFailed if it will not be."""
        while not _is_ready(self.by_name[service]):
            self.check()
            time.sleep(every_s)

    def _wait(self, timeout_s: float | None) -> None:
        try:
            self._thread.join(timeout_s)
        except KeyboardInterrupt:
            self._supervisor.stop()
            self._thread.join(timeout_s)

    def _supervise(self) -> None:
        try:
            with hold(self._run.folder):
                try:
                    self._supervisor.run(self._environ)
                finally:
                    forget_suite(self._run.folder)
        except Exception as error:
            self._failure = f"the suite ended: {error}"

    def _heard(self, event: Event) -> None:
        write_suite(self._run.folder, (self._run.pipeline,), self._programs, self._supervisor.pids)
        if event.kind == "ready":
            self._crashes[event.service] = 0
        self._crashes[event.service] += event.kind == "crashed"
        if event.kind == "refused" or self._crashes[event.service] >= MOST_CRASHES:
            self._failure = f"the {event.service} {event.text}"
        self._tell(event)


def _is_ready(address: str) -> bool:
    return ask_health(address).state == "ready"
