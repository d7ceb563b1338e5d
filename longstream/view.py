"""Tables kept from compacted topics: restored once, then followed; a reader can wait until one knows enough."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Generic, TypeVar

from longstream.bus import Bus, Partition, Record
from longstream.errors import DeadlineExceeded, SuiteError, Unavailable
from longstream.topics import ROWS

T = TypeVar("T")
R = TypeVar("R")

_log = logging.getLogger(__name__)

CATCH_UP_S = 120.0
"""How long an owner that takes a pipeline over may read before it is given up as stuck."""

_FIRST_STANDS = frozenset({ROWS})
"""Topics where a later record of a key changes nothing: an engine that is asked twice answers in other words."""
_POLL_S = 0.25
_BATCH = 1_000
_FIRST_WAIT_S = 0.2
_LAST_WAIT_S = 5.0


def read_to_end(bus: Bus, partitions: Iterable[Partition]) -> Iterator[Record]:
    """Every record up to the end that the partitions have now, then stop (streams: a restore).

    It ends by position and not by the last record, since compaction and open transactions leave gaps.
    """
    partitions = tuple(partitions)
    ends = bus.ends(partitions)
    reader = bus.reader(partitions)
    try:
        while any(reader.position(partition) < end for partition, end in ends.items()):
            for record in reader.poll(_BATCH, _POLL_S):
                if record.offset < ends[record.partition]:
                    yield record
    finally:
        reader.close()


class View(Generic[T]):
    """key -> value of a whole compacted topic, in memory, kept up to date by a thread of its own.

    parse turns a record into what is kept; it may drop what its readers do not need.
    """

    def __init__(self, bus: Bus, topic: str, parse: Callable[[Record], T]) -> None:
        self._bus = bus
        self._topic = topic
        self._first_stands = topic in _FIRST_STANDS
        self._parse = parse
        self._items: dict[str, T] = {}
        self._changed = threading.Condition()
        self._version = 0
        self._positions: dict[Partition, int] = {}
        self._wait_s = _FIRST_WAIT_S
        self._caught_up = False
        self._stopping = False
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._follow, name=f"view-{topic}", daemon=True)

    def start(self) -> None:
        """Begin to read; `ready` tells when the past is known."""
        self._thread.start()

    @property
    def ready(self) -> bool:
        """Whether everything written before the start is known."""
        return self._caught_up and self._error is None

    def failed(self) -> BaseException | None:
        """Why the view has stopped following, if it has."""
        return self._error

    def drain(self, timeout_s: float) -> None:
        """A view has nothing to finish."""
        del timeout_s
        self.stop()

    def stop(self) -> None:
        """Stop following."""
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
        if self._thread.ident is not None:
            self._thread.join()

    @property
    def version(self) -> int:
        """Grows with every change."""
        return self._version

    def get(self, key: str) -> T | None:
        """The value of that key, if there is one."""
        with self._changed:
            return self._items.get(key)

    def under(self, prefix: str) -> list[tuple[str, T]]:
        """Keys that begin with prefix, with their values, in the order of their first appearance."""
        with self._changed:
            return [(key, value) for key, value in self._items.items() if key.startswith(prefix)]

    def catch_up(self, timeout_s: float) -> None:
        """Return when everything written before this call is known. Raises DeadlineExceeded, Unavailable.

        An owner calls it when it takes a pipeline over: what its predecessor had seen, it must see too. A call's
        handler does after its command was applied: the view of the owner's states may be ahead of that of the facts
        which were written with them.
        """
        ends = self._bus.ends(self._bus.partitions(self._topic))
        with self._changed:
            self._changed.wait_for(lambda: self._reached(ends) or self._ended(), timeout_s)
            if self._ended():
                raise Unavailable("the service is stopping; ask another replica or try again")
            if not self._reached(ends):
                raise DeadlineExceeded(f"{self._topic} could not be read to its end in time")

    def wait(self, question: Callable[[View[T]], R | None], timeout_s: float) -> R:
        """Ask until the answer is not None. Raises DeadlineExceeded after timeout_s, Unavailable if it stopped."""
        deadline = time.monotonic() + timeout_s
        while True:
            version = self._version
            answer = question(self)
            if answer is not None:
                return answer
            self.wait_change(version, deadline - time.monotonic())
            if time.monotonic() >= deadline:
                raise DeadlineExceeded(f"{self._topic} did not show the answer in time; ask again")

    def wait_change(self, version: int, timeout_s: float) -> int:
        """Return when the view is newer than version, or after timeout_s. Raises Unavailable if it stopped."""
        with self._changed:
            self._changed.wait_for(lambda: self._version != version or self._ended(), max(0.0, timeout_s))
            if self._ended():
                raise Unavailable("the service is stopping; ask another replica or try again")
            return self._version

    def _reached(self, ends: Mapping[Partition, int]) -> bool:
        return all(self._positions.get(partition, 0) >= end for partition, end in ends.items())

    def _ended(self) -> bool:
        return self._stopping or self._error is not None

    def _follow(self) -> None:
        """Read until stopped. An outage is waited for: what was applied stays, and reading goes on behind it."""
        while not self._stopping:
            try:
                self._read_on()
            except SuiteError as error:
                if not error.retryable:
                    return self._end(error)
                _log.warning("view waits", extra={"topic": self._topic, "why": error.message})
                with self._changed:
                    self._changed.wait_for(lambda: self._stopping, self._wait_s)
                self._wait_s = min(2 * self._wait_s, _LAST_WAIT_S)
            except BaseException as error:
                return self._end(error)
        return None

    def _read_on(self) -> None:
        partitions = self._bus.partitions(self._topic)
        ends = self._bus.ends(partitions)
        reader = self._bus.reader(partitions, self._positions)
        try:
            while not self._stopping:
                records = reader.poll(_BATCH, _POLL_S)
                self._apply(records, {partition: reader.position(partition) for partition in partitions})
                self._caught_up = self._caught_up or self._reached(ends)
                self._wait_s = _FIRST_WAIT_S
        finally:
            reader.close()

    def _end(self, error: BaseException) -> None:
        with self._changed:
            self._error = error
            self._changed.notify_all()

    def _apply(self, records: list[Record], positions: dict[Partition, int]) -> None:
        with self._changed:
            for record in records:
                if record.fault is not None:
                    raise record.fault
                key = record.key.decode()
                if record.value is None:
                    self._items.pop(key, None)
                elif not (self._first_stands and key in self._items):
                    self._items[key] = self._parse(record)
            self._positions = positions
            self._version += 1 if records else 0
            self._changed.notify_all()
