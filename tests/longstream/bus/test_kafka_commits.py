"""Commits whose answer is lost, and positions that the log no longer has, on a real broker."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, NoReturn

import pytest
from kafka import KafkaProducer, TopicPartition
from kafka import errors as kafka_errors

from longstream.bus import Output, Partition, Subscription, Topic
from longstream.bus.kafka import transactions
from longstream.bus.kafka.bus import KafkaBus
from longstream.bus.kafka.roll import present_member_id, strike_off
from longstream.bus.kafka.transactions import Transactions
from longstream.bus.kafka.watchdog import watched
from longstream.bus.kafka.wire import Cluster, parse_servers
from longstream.errors import Corrupt, Fenced, Unavailable
from scripts.kafka import LocalBroker
from tests.support.buses import contents, copies, ends_of, gain, keys, numbered, take

pytestmark = pytest.mark.kafka

LOST = [kafka_errors.KafkaTimeoutError, kafka_errors.ProducerFencedError, kafka_errors.KafkaConnectionError]


@dataclass(frozen=True)
class Lossy(Cluster):
    """Loses the answers to commits as `losses` says: each is called with the real commit, once."""

    losses: list[Callable[[Callable[[], None]], None]] = field(default_factory=list)

    def producer(self, transactional_id: str) -> KafkaProducer:
        producer = super().producer(transactional_id)
        real = producer.commit_transaction
        producer.commit_transaction = lambda: self.losses.pop(0)(real) if self.losses else real()
        return producer


@contextmanager
def opened(broker: LocalBroker, group: str) -> Iterator[tuple[KafkaBus, Lossy, Subscription]]:
    cluster = Lossy(parse_servers(broker.address).servers)
    with KafkaBus(cluster) as bus:
        bus.create_topics([Topic(name=f"{group}-{n}", partitions=1, cleanup="delete") for n in ("in", "out")])
        bus.publish(numbered(f"{group}-in", 10))
        subscription = bus.subscribe(group, [f"{group}-in"], "member")
        gain(subscription, 1)
        yield bus, cluster, subscription


@pytest.mark.parametrize("lost", LOST)
def test_a_commit_that_took_place_but_was_not_answered_counts_as_done(
    broker: LocalBroker, group: str, lost: type[Exception]
) -> None:
    with opened(broker, group) as (bus, cluster, subscription):

        def after(commit: Callable[[], None]) -> None:
            commit()
            raise lost

        records = take(subscription, 10)
        cluster.losses.append(after)
        subscription.commit(copies(records, f"{group}-out"), ends_of(records))
        assert keys(contents(bus, f"{group}-out")) == keys(records)


@pytest.mark.parametrize("lost", LOST)
def test_a_commit_that_did_not_take_place_wrote_nothing_and_can_be_repeated(
    broker: LocalBroker, group: str, lost: type[Exception]
) -> None:
    with opened(broker, group) as (bus, cluster, subscription):

        def before(_commit: Callable[[], None]) -> None:
            raise lost

        records = take(subscription, 10)
        cluster.losses.append(before)
        with pytest.raises(Unavailable):
            subscription.commit(copies(records, f"{group}-out"), ends_of(records))
        assert contents(bus, f"{group}-out") == []
        subscription.commit(copies(records, f"{group}-out"), ends_of(records))
        assert keys(contents(bus, f"{group}-out")) == keys(records)


def test_a_client_that_begins_anew_in_the_midst_of_a_commit_wrote_nothing_and_it_can_be_repeated(
    broker: LocalBroker, group: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with opened(broker, group) as (bus, _cluster, subscription):
        records = take(subscription, 10)
        real = transactions.send

        def after_a_failed_batch(producer: KafkaProducer, output: Output) -> Any:
            monkeypatch.setattr(transactions, "send", real)
            sent = real(producer, output)
            sent.get(timeout=20)
            manager = producer._transaction_manager
            manager.bump_producer_id_and_epoch()
            until = time.monotonic() + 20.0
            while manager._current_state.name != "READY":
                assert time.monotonic() < until, manager._current_state
                producer._sender.wakeup()  # which raises the epoch itself where a batch has failed
                time.sleep(0.01)
            return sent

        monkeypatch.setattr(transactions, "send", after_a_failed_batch)
        with pytest.raises(Unavailable, match="did not take the commit"):
            subscription.commit(copies(records, f"{group}-out"), ends_of(records))
        assert contents(bus, f"{group}-out") == []
        subscription.commit(copies(records, f"{group}-out"), ends_of(records))
        assert keys(contents(bus, f"{group}-out")) == keys(records)


@pytest.mark.parametrize("lost", LOST)
def test_a_publication_that_was_not_answered_is_told_as_unavailable(
    broker: LocalBroker, group: str, lost: type[Exception]
) -> None:
    with opened(broker, group) as (bus, cluster, _subscription):

        def before(_commit: Callable[[], None]) -> None:
            raise lost

        cluster.losses.append(before)
        with pytest.raises(Unavailable, match="send it again"):
            bus.publish(numbered(f"{group}-out", 3))
        bus.publish(numbered(f"{group}-out", 3))
        assert len(contents(bus, f"{group}-out")) == 3


def test_a_position_that_the_log_no_longer_has_stops_the_reader(broker: LocalBroker, group: str) -> None:
    partition = Partition(f"{group}-in", 0)
    with opened(broker, group) as (bus, cluster, subscription):
        take(subscription, 10)
        subscription.commit([], {partition: 3})
        subscription.close()
        with cluster.administrating() as admin:
            admin.delete_records({TopicPartition(partition.topic, 0): 6})
        again = bus.subscribe(group, [partition.topic], "member")
        with pytest.raises(Corrupt, match="bring back the log"):
            gain(again, 1)


def test_an_act_that_never_returns_is_given_up() -> None:
    begun = time.monotonic()
    forever: Any = lambda: time.sleep(60)  # noqa: E731
    with pytest.raises(Unavailable, match="is the broker up"):
        watched(forever, 0.2)
    assert time.monotonic() - begun < 5.0


def test_a_refused_commit_does_not_hide_a_partition_that_has_come_back(
    broker: LocalBroker, group: str
) -> None:
    cluster = parse_servers(broker.address)
    with KafkaBus(cluster) as bus, KafkaBus(cluster) as other:
        bus.create_topics([Topic(name=group, partitions=2, cleanup="delete")])
        first = bus.subscribe(group, [group], "first")
        gain(first, 2)
        second = other.subscribe(group, [group], "second")
        [moved] = gain(second, 1)  # what only looks after the membership has let go of it meanwhile
        second.close()
        refused_until = time.monotonic() + 5.0
        while time.monotonic() < refused_until:
            with pytest.raises(Fenced):
                first.commit([], {moved: 0})
            time.sleep(0.1)
        assert gain(first, 1) == {moved}


def test_a_member_that_was_put_out_comes_back_though_it_acts_as_soon_as_it_may(
    broker: LocalBroker, group: str
) -> None:
    with opened(broker, group) as (bus, cluster, subscription):
        [partition] = bus.partitions(f"{group}-in")
        member_id = present_member_id(cluster, group, "member")
        assert member_id is not None
        strike_off(cluster, group, "member", member_id)
        for _ in range(20):
            try:
                subscription.commit([], {partition: 0})
                break
            except Fenced:
                gain(subscription, 1)
        else:
            pytest.fail("refused for ever")
        assert present_member_id(cluster, group, "member") not in (None, member_id)


def test_a_member_that_was_refused_and_then_replaced_by_name_ends(
    broker: LocalBroker, group: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Found by a campaign: it only polled from then on, and kafka-python tells nobody who only polls."""

    def refused(*_: object) -> NoReturn:
        raise kafka_errors.IllegalGenerationError

    with opened(broker, group) as (bus, _, subscription), KafkaBus(parse_servers(broker.address)) as other:
        [partition] = bus.partitions(f"{group}-in")
        with monkeypatch.context() as patched:
            patched.setattr(Transactions, "act", refused)
            with pytest.raises(Fenced, match="moved on"):
                subscription.commit([], {partition: 0})
        successor = other.subscribe(group, [f"{group}-in"], "member")
        gain(successor, 1)
        with pytest.raises(Fenced, match="no place"):
            gain(subscription, 1)
        successor.commit([], {partition: 0})
