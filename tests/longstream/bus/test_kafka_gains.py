"""Partitions that come while the broker falters, on a real broker: all are told, or none is taken up."""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import pytest
from kafka import KafkaConsumer
from kafka import errors as kafka_errors

from longstream.bus import Polled, Topic
from longstream.bus.kafka.bus import KafkaBus
from longstream.bus.kafka.wire import Cluster, parse_servers
from longstream.errors import Unavailable
from scripts.kafka import LocalBroker
from tests.support.buses import PATIENCE_S, gain, keys, numbered, take

pytestmark = pytest.mark.kafka


@dataclass(frozen=True)
class Faltering(Cluster):
    """Answers a member's questions for committed positions with these errors, None being the real answer."""

    troubles: list[Exception | None] = field(default_factory=list)

    def consumer(self, **options: Any) -> KafkaConsumer:
        consumer = super().consumer(**options)
        real = consumer.committed

        def committed(*arguments: Any, **named: Any) -> Any:
            trouble = self.troubles.pop(0) if self.troubles else None
            if trouble is not None:
                raise trouble
            return real(*arguments, **named)

        if options.get("group_id"):
            consumer.committed = committed
        return consumer


def test_a_broker_that_falters_between_two_partitions_costs_neither(broker: LocalBroker, group: str) -> None:
    cluster = Faltering(
        parse_servers(broker.address).servers, troubles=[None, kafka_errors.KafkaTimeoutError("away")]
    )
    with KafkaBus(cluster) as bus:
        bus.create_topics([Topic(name=group, partitions=2, cleanup="delete")])
        bus.publish(numbered(group, 20))
        subscription = bus.subscribe(group, [group], "member")
        deadline = time.monotonic() + PATIENCE_S
        while cluster.troubles:
            assert time.monotonic() < deadline, "the partitions do not come"
            with suppress(Unavailable):
                assert subscription.poll(1, 0.5) == Polled()
        assert subscription.behind() == {}
        assert gain(subscription, 2) == set(bus.partitions(group))
        assert keys(take(subscription, 20)) == keys(numbered(group, 20))
