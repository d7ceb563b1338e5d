"""How far a partition is behind, on both buses; and on a broker, what transactions leave behind in a log."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import pytest
from kafka import KafkaProducer

from longstream.bus import Bus, Output, Subscription, Topic
from longstream.bus.kafka.bus import KafkaBus
from longstream.bus.kafka.wire import parse_servers
from scripts.kafka import LocalBroker
from tests.support.buses import PATIENCE_S, change, ends_of, gain, numbered, take

TopicMaker = Callable[..., str]


def comes_true(subscription: Subscription, fact: Callable[[], bool]) -> None:
    """Poll, for no records, until it is so."""
    deadline = time.monotonic() + PATIENCE_S
    while not fact():
        assert time.monotonic() < deadline, f"it is {dict(subscription.behind())}"
        assert subscription.poll(1, 0.1).records == ()


def test_a_partition_is_behind_by_what_was_not_handed_out_and_by_nothing_once_all_was(
    bus: Bus, new_topic: TopicMaker, group: str
) -> None:
    topic = new_topic(2)
    first, second = bus.partitions(topic)
    bus.publish([Output(topic=topic, key=b"k", value=b"v", partition=n % 2) for n in range(20)])
    subscription = bus.subscribe(group, [topic], "member")
    assert subscription.behind() == {}
    gain(subscription, 2)
    assert all(subscription.behind()[partition] >= 10 for partition in (first, second))
    half = take(subscription, 10, max_records=10)
    assert sum(subscription.behind().values()) >= 10
    rest = take(subscription, 10)
    comes_true(subscription, lambda: subscription.behind() == {first: 0, second: 0})
    subscription.commit([], ends_of(half + rest))  # behind does not ask what is committed
    assert subscription.behind() == {first: 0, second: 0}
    bus.publish([Output(topic=topic, key=b"k", value=b"v", partition=0)])
    assert take(subscription, 1)[0].partition == first
    comes_true(subscription, lambda: subscription.behind() == {first: 0, second: 0})
    subscription.close()
    assert subscription.behind() == {}


def test_a_paused_partition_falls_behind_also_while_nobody_polls(
    bus: Bus, new_topic: TopicMaker, group: str
) -> None:
    topic = new_topic(1)
    (partition,) = bus.partitions(topic)
    subscription = bus.subscribe(group, [topic], "member")
    gain(subscription, 1)
    comes_true(subscription, lambda: subscription.behind() == {partition: 0})
    subscription.pause([partition])
    bus.publish(numbered(topic, 7))
    comes_true(subscription, lambda: subscription.behind()[partition] >= 7)
    bus.publish(numbered(topic, 7))
    deadline = time.monotonic() + PATIENCE_S
    while subscription.behind()[partition] < 14:
        assert time.monotonic() < deadline, "a busy member does not see its partition grow"
        time.sleep(0.05)
    subscription.resume([partition])
    take(subscription, 14)
    comes_true(subscription, lambda: subscription.behind() == {partition: 0})


def test_a_partition_that_goes_is_not_behind_any_more(bus: Bus, new_topic: TopicMaker, group: str) -> None:
    topic = new_topic(2)
    older = bus.subscribe(group, [topic], "older")
    assert gain(older, 2) == older.behind().keys()
    younger = bus.subscribe(group, [topic], "younger")
    joining = threading.Thread(target=gain, args=(younger, 1))
    joining.start()
    lost = change(older).lost
    assert lost
    assert older.behind().keys() == set(bus.partitions(topic)) - lost
    joining.join()
    assert younger.behind().keys() == lost


@pytest.mark.kafka
def test_what_ends_a_transaction_keeps_no_worked_off_partition_behind(
    broker: LocalBroker, group: str
) -> None:
    with KafkaBus(parse_servers(broker.address)) as bus:
        bus.create_topics([Topic(name=group, partitions=1, cleanup="delete")])
        (partition,) = bus.partitions(group)
        for n in range(5):
            bus.publish(numbered(group, 2, first=2 * n))
        subscription = bus.subscribe(group, [group], "member")
        gain(subscription, 1)
        subscription.commit([], ends_of(take(subscription, 10)))
        assert subscription.committed(partition) < bus.ends([partition])[partition]  # this would never be 0
        comes_true(subscription, lambda: subscription.behind() == {partition: 0})
        subscription.close()
        again = bus.subscribe(group, [group], "member")
        gain(again, 1)
        comes_true(again, lambda: again.behind() == {partition: 0})


@pytest.mark.kafka
def test_an_open_transaction_counts_and_an_aborted_one_at_the_end_is_passed_over(
    broker: LocalBroker, group: str
) -> None:
    with KafkaBus(parse_servers(broker.address)) as bus:
        bus.create_topics([Topic(name=group, partitions=1, cleanup="delete")])
        (partition,) = bus.partitions(group)
        subscription = bus.subscribe(group, [group], "member")
        gain(subscription, 1)
        producer = KafkaProducer(bootstrap_servers=broker.address, transactional_id=group)
        producer.init_transactions()
        producer.begin_transaction()
        for n in range(3):
            producer.send(group, key=b"k", value=b"%d" % n)
        producer.flush()
        comes_true(subscription, lambda: subscription.behind() == {partition: 3})
        producer.abort_transaction()
        producer.close()
        comes_true(subscription, lambda: subscription.behind() == {partition: 0})
        assert bus.ends([partition])[partition] == 4
