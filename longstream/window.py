"""Records in flight of one partition: finished in any order, committed as the longest finished prefix."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass

from longstream.bus import Output, Record


@dataclass(frozen=True, slots=True)
class Prefix:
    """Finished records at the head of a window: what they write, and the offset after the last of them."""

    outputs: list[Output]
    position: int
    records: int


class Window:
    """A partition's records in flight, in the order of their offsets."""

    def __init__(self, position: int) -> None:
        self._position = position
        self._flights: deque[tuple[Record, Future[Sequence[Output]]]] = deque()

    @property
    def position(self) -> int:
        """Offset of the first record that is not committed."""
        return self._position

    def __len__(self) -> int:
        return len(self._flights)

    def add(self, record: Record, outcome: Future[Sequence[Output]]) -> None:
        """Take a record whose handling has begun."""
        self._flights.append((record, outcome))

    def finished(self) -> Prefix:
        """The longest finished prefix, left in place until `committed`. Raises what its handling raised."""
        outputs: list[Output] = []
        position, records = self._position, 0
        for record, outcome in self._flights:
            if not outcome.done():
                break
            outputs.extend(outcome.result())
            position, records = record.offset + 1, records + 1
        return Prefix(outputs, position, records)

    def committed(self, prefix: Prefix) -> None:
        """Forget a prefix that is written."""
        for _ in range(prefix.records):
            self._flights.popleft()
        self._position = prefix.position
