"""A group's position is what it is now, whatever became of questions that were asked before."""

from __future__ import annotations

from typing import Any

import pytest
from kafka import KafkaConsumer, TopicPartition
from kafka import errors as kafka_errors
from kafka.structs import OffsetAndMetadata

from longstream.bus import Partition, Topic
from longstream.bus.kafka.bus import KafkaBus
from longstream.bus.kafka.positions import position_now
from longstream.bus.kafka.roll import present_member_id, strike_off
from longstream.bus.kafka.wire import Cluster, parse_servers
from scripts.kafka import LocalBroker
from tests.support.buses import gain, keys, numbered, take

pytestmark = pytest.mark.kafka


@pytest.fixture
def cluster(broker: LocalBroker) -> Cluster:
    return parse_servers(broker.address)


@pytest.fixture
def name(cluster: Cluster, group: str) -> TopicPartition:
    with KafkaBus(cluster) as bus:
        bus.create_topics([Topic(name=group, partitions=2, cleanup="delete")])
        bus.publish([output._replace(partition=0) for output in numbered(group, 20)])
    return TopicPartition(group, 0)


def moved(cluster: Cluster, group: str, name: TopicPartition, to: int) -> None:
    """Another member commits."""
    consumer = cluster.consumer(group_id=group)
    consumer.assign([name])
    consumer.commit({name: OffsetAndMetadata(to, "", -1)})
    consumer.close(autocommit=False)


def asked_in_vain(consumer: KafkaConsumer, name: TopicPartition) -> None:
    """A question that runs out of time, whose answer comes later, as after a poll that was too short for it."""
    consumer.committed(name, timeout_ms=5_000)  # the client knows whom to ask
    with pytest.raises(kafka_errors.KafkaTimeoutError):
        consumer.committed(name, timeout_ms=0)
    consumer.poll(timeout_ms=500)  # the client goes on, and the answer comes
    assert consumer._coordinator._offset_fetch_futures[frozenset([name])].is_done


def test_an_answer_that_nobody_waited_for_is_not_taken_for_the_position_now(
    cluster: Cluster, group: str, name: TopicPartition
) -> None:
    consumer = cluster.consumer(group_id=group)
    moved(cluster, group, name, 3)
    asked_in_vain(consumer, name)
    moved(cluster, group, name, 9)
    assert position_now(consumer, name) == 9
    consumer.close(autocommit=False)


def test_a_group_that_has_read_nothing_has_no_position(
    cluster: Cluster, group: str, name: TopicPartition
) -> None:
    consumer = cluster.consumer(group_id=group)
    assert position_now(consumer, name) is None
    consumer.close(autocommit=False)


def test_a_member_begins_again_where_the_group_is_whatever_its_client_was_told_before(
    cluster: Cluster, group: str, name: TopicPartition
) -> None:
    with KafkaBus(cluster) as bus:
        subscription: Any = bus.subscribe(group, [group], "member")
        gained = gain(subscription, 2)
        with subscription._lock:
            asked_in_vain(subscription._consumer, name)
            subscription._consumer.seek(name, 0)
        take(subscription, 20)
        subscription.commit([], {Partition(group, 0): 9})
        member_id = present_member_id(cluster, group, "member")
        strike_off(cluster, group, "member", str(member_id))  # as if it had been silent for too long
        assert gain(subscription, 2) == gained
        assert keys(take(subscription, 11)) == keys(numbered(group, 20)[9:])
