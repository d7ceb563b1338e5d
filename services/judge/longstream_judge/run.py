"""An evaluation under way: a thread that works, and a place where the owner sees how far it has come."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from longstream_judge.planning import Plan

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Stage:
    """How far a stage has come."""

    name: str = ""
    done: int = 0
    total: int = 0


class EvaluationRun(Generic[Result]):
    """Runs the work in a thread of its own; it may take minutes, and the owner must go on polling.

    stage, plan: what the work tells of itself through `progressed` and `planned`.
    """

    def __init__(self, work: Callable[[EvaluationRun[Result], threading.Event], Result]) -> None:
        self.stage = Stage()
        self.plan: Plan | None = None
        self.result: Result | None = None
        self.error: Exception | None = None
        self._work = work
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="evaluation", daemon=True)
        self._thread.start()

    @property
    def ended(self) -> bool:
        """Whether result or error is there."""
        return not self._thread.is_alive()

    def stop(self) -> None:
        """Ask it to end; what it has found so far is dropped."""
        self._stop.set()

    def join(self, timeout_s: float) -> None:
        """Wait for its end."""
        self._thread.join(timeout_s)

    def _run(self) -> None:
        try:
            self.result = self._work(self, self._stop)
        except Exception as error:
            self.error = error

    def progressed(self, name: str, done: int, total: int) -> None:
        """A stage has come so far."""
        self.stage = Stage(name, done, total)

    def planned(self, plan: Plan) -> None:
        """What the work will ask for is known."""
        self.plan = plan
