"""What a member owns: told by the group on its own thread, asked by the subscription on its caller's."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping

from kafka import ConsumerRebalanceListener, TopicPartition

from longstream.bus import Partition
from longstream.bus.kafka.wire import partition_of


class Ownership(ConsumerRebalanceListener):  # type: ignore[misc]  # kafka-python has no annotations
    """What the member owns, as the group tells it on its own thread; it only takes notes."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._held: dict[Partition, int] = {}
        self._came: set[Partition] = set()
        self._went: set[Partition] = set()

    def on_partitions_assigned(self, assigned: Iterable[TopicPartition]) -> None:
        """The group has given these."""
        with self._lock:
            self._came |= {partition_of(name) for name in assigned}

    def on_partitions_revoked(self, revoked: Iterable[TopicPartition]) -> None:
        """The group has taken these back."""
        self.let_go(partition_of(name) for name in revoked)

    def on_partitions_lost(self, lost: Iterable[TopicPartition]) -> None:
        """The group has put this member out."""
        self.let_go(partition_of(name) for name in lost)

    def let_go(self, partitions: Iterable[Partition]) -> None:
        """These are not ours; what the caller knew of is told by the next poll."""
        with self._lock:
            for partition in partitions:
                self._came.discard(partition)
                if self._held.pop(partition, None) is not None:
                    self._went.add(partition)

    def come_again(self, partitions: Iterable[Partition]) -> None:
        """These are ours still, but the caller must begin them anew."""
        partitions = list(partitions)
        self.let_go(partitions)
        with self._lock:
            self._came.update(partitions)

    def take_up(self, partition: Partition, committed: int) -> None:
        """The caller is told of a partition, unless it went meanwhile."""
        with self._lock:
            if partition in self._came:
                self._came.discard(partition)
                self._held[partition] = committed

    def held(self) -> dict[Partition, int]:
        """Partitions that the caller was told of, with their committed positions."""
        with self._lock:
            return dict(self._held)

    def moved(self, positions: Mapping[Partition, int]) -> None:
        """These positions are committed; what went meanwhile does not come back by that."""
        with self._lock:
            self._held.update({p: offset for p, offset in positions.items() if p in self._held})

    def went(self) -> frozenset[Partition]:
        """Partitions to be told as lost, once."""
        with self._lock:
            went, self._went = frozenset(self._went), set()
            return went

    def came(self) -> frozenset[Partition]:
        """Partitions to be taken up."""
        with self._lock:
            return frozenset(self._came)

    @property
    def changed(self) -> bool:
        """Whether there is something to tell."""
        return bool(self._came or self._went)
