"""Who is let in: how many calls and watchers at once, how large, how long, and in which phase of the
server's life."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class CallLimits:
    """What one call may be. message_bytes: of a request; deadline_s: longest a caller may wait."""

    message_bytes: int
    deadline_s: float


@dataclass(frozen=True, slots=True)
class Phase:
    """Where in its life the server is."""

    opened: threading.Event = field(default_factory=threading.Event)
    """Set once everything behind the calls has been ready; calls before that are told to come again."""
    draining: threading.Event = field(default_factory=threading.Event)
    """Set when no new work is wanted; watchers are sent elsewhere."""


class Room:
    """A place for so many calls at once, those that wait for a thread of its pool included."""

    def __init__(self, size: int, pool: ThreadPoolExecutor) -> None:
        self.pool = pool
        self._free = threading.BoundedSemaphore(size)

    def enter(self) -> bool:
        """Whether there was room; `leave` gives it back."""
        return self._free.acquire(blocking=False)

    def leave(self) -> None:
        """One call fewer."""
        self._free.release()


@dataclass(frozen=True, slots=True, kw_only=True)
class Rooms:
    """Calls, watchers (each holds its thread for as long as it watches), and what must be answered at
    once."""

    calls: Room
    watches: Room
    aside: ThreadPoolExecutor


def is_watch(method: str) -> bool:
    """Whether the call streams changes for as long as the caller listens; such a call has no deadline."""
    return method.rpartition("/")[2].startswith("Watch")


class Arrival:
    """A call between its arrival and its end; as a context manager, the time in which it is handled."""

    def __init__(self, room: Room, on_unread: Callable[[], None]) -> None:
        self.room = room
        self._on_unread = on_unread
        self._begun = False

    def __enter__(self) -> None:
        self._begun = True

    def __exit__(self, *_: object) -> None:
        self.room.leave()

    def __del__(self) -> None:
        # gRPC drops the handler of a call that ended before its request could be read.
        if not self._begun:
            self.room.leave()
            self._on_unread()
