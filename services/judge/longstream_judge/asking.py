"""Many questions to one engine at a time: enough of them in flight that it never runs dry."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextvars import copy_context
from dataclasses import dataclass
from threading import Event
from typing import ClassVar, TypeVar

from longstream.errors import SuiteError, Unavailable
from longstream.llm.types import LanguageModel

Item = TypeVar("Item")
Reply = TypeVar("Reply")

Progress = Callable[[str, int, int], None]
"""Called with stage, number done, number in all; always from the thread that runs the evaluation."""


class Cancelled(SuiteError):
    """The evaluation was told to stop; nothing was decided, and it may be asked for anew."""

    code: ClassVar[str] = "CANCELLED"
    reason: ClassVar[str] = "cancelled"


@dataclass(frozen=True, slots=True)
class Lost:
    """What stands in a reply's place. reason: that of the error, for the count of lost rows."""

    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How many questions are in flight, how long one may take, and how often it is put."""

    in_flight: int = 64
    timeout_s: float = 300.0
    attempts: int = 3


class Asker:
    """Puts questions to language models from a pool of threads, and stops when told to."""

    def __init__(self, patience: Patience, progress: Progress, stop: Event) -> None:
        self.patience = patience
        self._progress = progress
        self._stop = stop

    def ask_all(
        self, stage: str, model: LanguageModel, items: Sequence[Item], ask: Callable[[Item], Reply]
    ) -> list[Reply | Lost]:
        """Replies in the order of items; Lost for an item that the model refuses or fails at again and again.

        Raises Cancelled once told to stop, and Unavailable if the engine does not come back.
        """
        self._progress(stage, 0, len(items))
        if not items:
            return []
        model.wait_ready(self.patience.timeout_s)
        with ThreadPoolExecutor(min(self.patience.in_flight, len(items)), stage) as pool:
            # A pool's threads inherit no trace; each item gets its own copy of what is worked for here.
            futures = [pool.submit(copy_context().run, self._persist, model, ask, item) for item in items]
            try:
                for done, future in enumerate(as_completed(futures), start=1):
                    future.result()
                    self._progress(stage, done, len(items))
            except BaseException:
                pool.shutdown(wait=True, cancel_futures=True)
                raise
        return [future.result() for future in futures]

    def _persist(self, model: LanguageModel, ask: Callable[[Item], Reply], item: Item) -> Reply | Lost:
        for attempt in range(1, self.patience.attempts + 1):
            if self._stop.is_set():
                raise Cancelled("the evaluation was cancelled")
            try:
                return ask(item)
            except SuiteError as error:
                last = attempt == self.patience.attempts
                if last and isinstance(error, Unavailable):
                    raise
                if last or not error.retryable:
                    return Lost(error.reason)
            # A dead engine is restarted by its owner; asking it before it is back would use up the attempts.
            model.wait_ready(self.patience.timeout_s)
        raise ValueError("attempts must be at least 1")
