"""How late a worker is, per partition: records not committed yet, and the age of the oldest of them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from longstream.bus import Partition
from longstream.window import InHand

_NOTHING = InHand()


@dataclass(frozen=True, slots=True)
class Lag:
    """Of one partition."""

    records: int
    """In the log and not committed, in hand or not; see `Subscription.behind` for what gaps may add."""
    oldest_s: float
    """Age of the oldest of them, by its own time; 0.0 if there is none."""


class LagWatch:
    """Turns what is behind and what is in hand into lags. Any thread may look.

    A record that was not handed out yet shows its time to nobody. But it came after the last one that was handed out,
    and after the moment at which the partition was last seen worked off (or came to this member): its age is taken
    from the later of the two, so it may be shown older than it is by the time between two looks, never younger, except
    in a partition that has just come.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        """clock: seconds since 1970, as it stamps the records."""
        self._clock = clock
        self._lock = threading.Lock()
        self._clear: dict[Partition, float] = {}

    def look(
        self, behind: Mapping[Partition, int], in_hand: Mapping[Partition, InHand]
    ) -> dict[Partition, Lag]:
        """The lag of each partition that `behind` names. Called at least every few seconds, it stays exact."""
        now = self._clock()
        with self._lock:
            self._clear = {partition: self._clear.get(partition, now) for partition in behind}
            return {
                partition: self._lag(partition, beyond, in_hand.get(partition, _NOTHING), now)
                for partition, beyond in behind.items()
            }

    def _lag(self, partition: Partition, beyond: int, held: InHand, now: float) -> Lag:
        if held.oldest_ms is not None:
            return Lag(held.records + beyond, max(0.0, now - held.oldest_ms / 1000))
        if not beyond:
            self._clear[partition] = now
            return Lag(0, 0.0)
        since = max(self._clear[partition], (held.newest_ms or 0) / 1000)
        return Lag(beyond, max(0.0, now - since))
