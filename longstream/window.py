"""Records in flight of one partition: finished in any order, committed as the longest finished prefix."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from longstream.bus import Output, Record


@dataclass(frozen=True, slots=True)
class Prefix:
    """Finished records at the head of a window: what they write, and the offset after the last of them."""

    outputs: list[Output]
    position: int
    records: int
    dead: tuple[str, ...]
    """The reason of each record that is a dead letter."""


@dataclass(slots=True, eq=False)
class Flight:
    """A record in hand. Who handles it writes `outputs` or `error` when all else is written; the loop reads them."""

    record: Record
    tries: int = 0
    suspected: int = 0
    """How many of them failed in a way that the record itself may have caused."""
    begun_at: float = 0.0
    """When its first try began, by `time.perf_counter`."""
    due: float = 0.0
    """No try before this, by `time.monotonic`."""
    dead: str = ""
    """Why its outputs are its dead letter; empty: they are not."""
    given_up: bool = False
    """No further try in this life; it stays uncommitted and is read again."""
    outputs: Sequence[Output] | None = None
    error: BaseException | None = None

    @property
    def settled(self) -> bool:
        """Whether no further try follows."""
        return self.given_up or self.outputs is not None or self.error is not None


@dataclass(frozen=True, slots=True)
class InHand:
    """What a window holds at one moment. Times are the records' own, in milliseconds since 1970."""

    records: int = 0
    oldest_ms: int | None = None
    """Of the first record that is not committed; None if there is none."""
    newest_ms: int | None = None
    """Of the last record that was ever taken."""


class Window:
    """A partition's records in flight, in the order of their offsets."""

    def __init__(self, position: int) -> None:
        self._position = position
        self._flights: deque[Flight] = deque()
        self._newest_ms: int | None = None
        self.todo: deque[Flight] = deque()
        """Flights whose next try has not begun; a pool's threads put back what is to be tried again."""
        self.dropped = False

    @property
    def position(self) -> int:
        """Offset of the first record that is not committed."""
        return self._position

    def __len__(self) -> int:
        return len(self._flights)

    def take(self, records: Iterable[Record]) -> int:
        """Take records in hand, to be tried; returns how many."""
        flights = [Flight(record) for record in records]
        self._flights.extend(flights)
        self.todo.extend(flights)
        self._newest_ms = flights[-1].record.timestamp_ms if flights else self._newest_ms
        return len(flights)

    def in_hand(self) -> InHand:
        """For any thread, while the loop works."""
        try:
            oldest_ms: int | None = self._flights[0].record.timestamp_ms
        except IndexError:
            oldest_ms = None
        return InHand(len(self._flights), oldest_ms, self._newest_ms)

    def finished(self) -> Prefix:
        """The longest finished prefix, left in place until `committed`. Raises what its handling raised."""
        outputs: list[Output] = []
        position, records = self._position, 0
        dead: list[str] = []
        for flight in self._flights:
            if flight.error is not None:
                raise flight.error
            if flight.outputs is None:
                break
            outputs.extend(flight.outputs)
            position, records = flight.record.offset + 1, records + 1
            if flight.dead:
                dead.append(flight.dead)
        return Prefix(outputs, position, records, tuple(dead))

    def committed(self, prefix: Prefix) -> None:
        """Forget a prefix that is written."""
        for _ in range(prefix.records):
            self._flights.popleft()
        self._position = prefix.position

    def rest_s(self, now: float) -> float:
        """How long the record at the head waits for its next try; 0 if it does not wait."""
        return max(0.0, self._flights[0].due - now) if self._flights else 0.0

    def working(self) -> bool:
        """Whether something in it may still finish. What stands behind a record that was given up cannot in order."""
        stuck = bool(self.todo) and self.todo[0].given_up
        return not stuck and not all(flight.settled for flight in self._flights)

    def drop(self) -> None:
        """Begin nothing more of it: its partition is lost, or the worker ends."""
        self.dropped = True
        self.todo.clear()
