"""Small parts of a program: something that must be closed, something that readiness depends on."""

from __future__ import annotations

from collections.abc import Callable


class Closing:
    """Closes a thing when the program drains, after the workers that are listed behind it."""

    def __init__(self, close: Callable[[], None]) -> None:
        self._close = close

    def start(self) -> None:
        """Nothing to begin."""

    @property
    def ready(self) -> bool:
        """Always: it does nothing until the end."""
        return True

    def failed(self) -> BaseException | None:
        """It cannot fail before the end."""
        return None

    def drain(self, timeout_s: float) -> None:
        """Close."""
        del timeout_s
        self._close()

    def stop(self) -> None:
        """Close, also where there was no drain; closing twice must do no harm."""
        self._close()


class Condition(Closing):
    """Holds readiness back until something is true."""

    def __init__(self, holds: Callable[[], bool]) -> None:
        super().__init__(lambda: None)
        self._holds = holds

    @property
    def ready(self) -> bool:
        """Whether it is true now."""
        return self._holds()
