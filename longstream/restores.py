"""Partitions that are a worker's own and not restored yet: each is tried again, with growing waits, until it is."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from longstream.attempts import Backoff
from longstream.bus import Partition, Subscription
from longstream.errors import SuiteError
from longstream.worker_metrics import WorkerMetrics

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Coming:
    failures: int = 0
    due: float = 0.0
    """No try before this, by `time.monotonic`."""


class Restores:
    """What a worker has gained and cannot take records of yet."""

    def __init__(
        self, restore: Callable[[Partition], None], backoff: Backoff, metrics: WorkerMetrics
    ) -> None:
        """restore: brings a partition's state back; called again after an error that a retry can help."""
        self._restore = restore
        self._backoff = backoff
        self._metrics = metrics
        self._coming: dict[Partition, _Coming] = {}

    def begin(self, partition: Partition) -> None:
        """It has come, or come again."""
        self._coming[partition] = _Coming()

    def drop(self, partition: Partition) -> None:
        """It has gone."""
        self._coming.pop(partition, None)

    def waiting(self) -> set[Partition]:
        """Those that are not restored yet; they must stay paused."""
        return set(self._coming)

    def rests_s(self, now: float) -> list[float]:
        """How long each waits for its next try."""
        return [coming.due - now for coming in self._coming.values()]

    def restored(self, subscription: Subscription) -> Iterator[tuple[Partition, int]]:
        """Try those that are due; yields each that is restored with its position. Raises what no retry can help."""
        for partition, coming in list(self._coming.items()):
            if time.monotonic() < coming.due:
                continue
            try:
                self._restore(partition)
                position = subscription.committed(partition)
            except SuiteError as error:
                if not error.retryable:
                    raise
                coming.failures += 1
                coming.due = time.monotonic() + self._backoff.drawn_s(coming.failures)
                self._metrics.retried(partition.topic, error.reason)
                _log.warning("restore waits", extra={"partition": str(partition), "reason": error.reason})
            else:
                del self._coming[partition]
                yield partition, position
