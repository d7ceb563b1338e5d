"""Drops what is old and read: Kafka's own retention looks at the age alone, and would drop work that waits.

Topics with a reader (`Topic.read_by`) are kept by the cluster for ever; the members of that group delete what is
older than the retention and below the group's committed position. Any number of members may do so at once: what is
deleted is decided from facts that only become truer.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable
from typing import Any

from kafka import KafkaConsumer, TopicPartition

from longstream.bus import Topic
from longstream.bus.kafka.positions import position_now
from longstream.bus.kafka.wire import CALL_TIMEOUT_S, Cluster, translated
from longstream.errors import SuiteError

_log = logging.getLogger(__name__)
_EVERY_S = 300.0
_CALL_MS = int(CALL_TIMEOUT_S * 1000)


def expire(cluster: Cluster, topic: Topic, now_s: float) -> dict[TopicPartition, int]:
    """One round; returns the new beginning of each partition that lost records. now_s: seconds since 1970."""
    with translated():
        consumer = cluster.consumer(group_id=topic.read_by)
        try:
            due = _due(consumer, topic, now_s)
        finally:
            consumer.close(autocommit=False, timeout_ms=1_000)
    if due:
        with cluster.administrating() as admin:
            admin.delete_records(due, timeout_ms=_CALL_MS)
    return due


def _due(consumer: KafkaConsumer, topic: Topic, now_s: float) -> dict[TopicPartition, int]:
    names = [TopicPartition(topic.name, number) for number in range(topic.partitions)]
    # Asked in this order: a record that comes between is younger than all that may go.
    begins = consumer.beginning_offsets(names, timeout_ms=_CALL_MS)
    ends = consumer.end_offsets(names, timeout_ms=_CALL_MS)
    young_ms = int((now_s - topic.retention_s) * 1000)
    young = consumer.offsets_for_times(dict.fromkeys(names, young_ms), timeout_ms=_CALL_MS)
    due = {}
    for name in names:
        first_young: Any = young.get(name)
        old_until = ends[name] if first_young is None else first_young.offset
        read_until = position_now(consumer, name) or 0
        if (until := min(old_until, read_until)) > begins[name]:
            due[name] = until
    return due


class Expiry:
    """A thread that drops, every few minutes, what the groups of this process have read and nobody needs."""

    def __init__(
        self, cluster: Cluster, mine: Callable[[], Iterable[Topic]], clock: Callable[[], float]
    ) -> None:
        """mine: the topics that groups of this process read now. clock: seconds since 1970."""
        self._cluster = cluster
        self._mine = mine
        self._clock = clock
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="expiry", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End after the round in hand."""
        self._closing.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._closing.wait(_EVERY_S):
            for topic in self._mine():
                try:
                    for name, begin in expire(self._cluster, topic, self._clock()).items():
                        _log.info(
                            "dropped what was read and old", extra={"partition": str(name), "begins": begin}
                        )
                except SuiteError as error:
                    _log.warning("expiry failed and is tried again later: %s", error.message)
