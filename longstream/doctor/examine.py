"""Runs the checks side by side, so that one which hangs holds up neither the others nor the doctor."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from longstream.doctor import engine, log, machine, network, storage, told
from longstream.doctor.finding import Finding, fail
from longstream.doctor.place import Place
from longstream.errors import SuiteError


@dataclass(frozen=True, slots=True)
class Check:
    """Something to look at, by the name under which its findings stand."""

    name: str
    look: Callable[[Place], Iterable[Finding]]


CHECKS = (
    Check("python", machine.python),
    Check("disk", machine.disk),
    Check("memory", machine.memory),
    Check("gpu", machine.gpu),
    Check("settings", told.settings),
    Check("pipelines", told.pipelines),
    Check("engine", engine.engines),
    Check("log", log.log),
    Check("storage", storage.storage),
    Check("ports", network.ports),
    Check("services", network.services),
    Check("metrics", network.metrics),
    Check("clock", network.clock),
)


def examine(place: Place, checks: Sequence[Check] = CHECKS) -> Iterator[Finding]:
    """Every check's findings in order; a check that takes longer than the place's patience is a failure."""
    jobs = [_Job(check, place) for check in checks]
    deadline = time.monotonic() + place.patience_s
    for job in jobs:
        yield from job.findings_by(deadline)


class _Job:
    def __init__(self, check: Check, place: Place) -> None:
        self._check = check
        self._place = place
        self._found: list[Finding] = []
        # A daemon: what hangs must not hold the program's end.
        self._thread = threading.Thread(target=self._run, name=f"doctor-{check.name}", daemon=True)
        self._thread.start()

    def findings_by(self, deadline: float) -> list[Finding]:
        self._thread.join(max(0.0, deadline - time.monotonic()))
        found = list(self._found)
        if self._thread.is_alive():
            what = f"no end within {self._place.patience_s:g} s"
            todo = "what it asks takes calls and does not answer; --patience-s N waits longer"
            found.append(fail(self._check.name, what, todo))
        return found

    def _run(self) -> None:
        try:
            for finding in self._check.look(self._place):
                self._found.append(finding)
        except SuiteError as error:
            self._found.append(fail(self._check.name, error.message, "mend what it names"))
        except Exception as error:
            # Another library's words may hold anything, so its kind alone is told.
            told = error.strerror if isinstance(error, OSError) and error.strerror else type(error).__name__
            self._found.append(fail(self._check.name, f"cannot be looked at: {told}", "look at it by hand"))
