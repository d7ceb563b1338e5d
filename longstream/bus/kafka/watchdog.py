"""Calls that may never return: kafka-python's transaction calls wait without a time limit.

A thread makes the call and the caller waits for it, but not for ever. The thread is kept for the next call, since to
start one costs about as much as a round trip to the broker; after a call that did not return it is left behind.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from queue import Empty, SimpleQueue

from longstream.errors import Unavailable


class Watchdog:
    """Makes calls one after the other; used by one thread at a time."""

    def __init__(self) -> None:
        self._hand: _Hand | None = None

    def run(self, act: Callable[[], object], timeout_s: float) -> None:
        """Make a call. Raises what it raises, or Unavailable after timeout_s."""
        hand, self._hand = self._hand or _Hand(), None
        failed = hand.make(act, timeout_s)
        self._hand = hand
        if failed is not None:
            raise failed

    def close(self) -> None:
        """Let the thread go."""
        hand, self._hand = self._hand, None
        if hand is not None:
            hand.end()


class _Hand:
    """A thread that makes one call after the other."""

    def __init__(self) -> None:
        self._calls: SimpleQueue[Callable[[], object] | None] = SimpleQueue()
        self._answers: SimpleQueue[BaseException | None] = SimpleQueue()
        threading.Thread(target=self._work, name="kafka-act", daemon=True).start()

    def make(self, act: Callable[[], object], timeout_s: float) -> BaseException | None:
        """What the call raised, if it did. Raises Unavailable after timeout_s; then the hand is lost."""
        self._calls.put(act)
        try:
            return self._answers.get(timeout=timeout_s)
        except Empty:
            self.end()
            raise Unavailable(f"Kafka did not answer within {timeout_s:.0f} s; is the broker up?") from None

    def end(self) -> None:
        """End after the call that is being made, if it ever returns."""
        self._calls.put(None)

    def _work(self) -> None:
        while (act := self._calls.get()) is not None:
            try:
                act()
            except BaseException as error:
                self._answers.put(error)
            else:
                self._answers.put(None)


def watched(act: Callable[[], object], timeout_s: float) -> None:
    """Make a single call under a watchdog of its own."""
    watchdog = Watchdog()
    try:
        watchdog.run(act, timeout_s)
    finally:
        watchdog.close()
