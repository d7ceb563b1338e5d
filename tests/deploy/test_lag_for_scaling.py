"""Lag as an autoscaler counts it, a partition's end less the group's position, on a real broker."""

from __future__ import annotations

import uuid
from collections.abc import Iterator

import pytest
from kafka import KafkaConsumer, TopicPartition

from longstream.bus.opening import open_bus
from scripts.kafka import LocalBroker
from tests.support.working import Shop, opened, soon

pytestmark = pytest.mark.kafka


@pytest.fixture
def shop(broker: LocalBroker) -> Iterator[Shop]:
    with open_bus(f"kafka:{broker.address}") as bus, opened(bus, f"scaling-{uuid.uuid4().hex[:8]}") as shop:
        yield shop


@pytest.fixture
def outside(broker: LocalBroker, shop: Shop) -> Iterator[KafkaConsumer]:
    """A client of the shop's group that never joins it."""
    consumer = KafkaConsumer(
        bootstrap_servers=broker.address, group_id=f"{shop.name}-group", enable_auto_commit=False
    )
    yield consumer
    consumer.close()


def lag(outside: KafkaConsumer, shop: Shop) -> dict[int, int]:
    """As KEDA's Kafka scaler works it out where a group with no position begins at the earliest record."""
    names = [TopicPartition(shop.source, number) for number in range(shop.partitions)]
    ends, begins = outside.end_offsets(names), outside.beginning_offsets(names)
    found = {}
    for name in names:
        position = outside.committed(name)
        found[name.partition] = ends[name] - (begins[name] if position is None else position)
    return found


def test_a_partition_that_is_worked_off_keeps_a_lag_of_one_and_an_empty_one_of_none(
    shop: Shop, outside: KafkaConsumer
) -> None:
    assert lag(outside, shop) == {0: 0, 1: 0}
    shop.send(0, b"a", b"b", b"c")
    assert lag(outside, shop)[0] > 1
    shop.work(shop.handler())
    soon(lambda: len(shop.copied()) == 3)
    soon(lambda: lag(outside, shop) == {0: 1, 1: 0})


def test_with_every_partition_used_one_more_record_lifts_the_lag_above_one_for_each(
    shop: Shop, outside: KafkaConsumer
) -> None:
    bench = shop.work(shop.handler())
    for number in range(shop.partitions):
        shop.send(number, b"%d" % number)
    soon(lambda: len(shop.copied()) == shop.partitions)
    soon(lambda: sum(lag(outside, shop).values()) == shop.partitions)
    bench.worker.stop()
    shop.send(0, b"one more")
    assert sum(lag(outside, shop).values()) > shop.partitions
