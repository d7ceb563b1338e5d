"""Members of a group that act a moment too late, on a real broker: refused, and what they still own begins anew."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest
from kafka import KafkaConsumer
from kafka import errors as kafka_errors

from longstream.bus import Output, Partition, Subscription, Topic
from longstream.bus.kafka.bus import KafkaBus
from longstream.bus.kafka.wire import Cluster, parse_servers
from longstream.errors import Fenced, Unavailable
from scripts.kafka import LocalBroker
from tests.support.buses import change, contents, copies, ends_of, gain, keys, numbered, take

pytestmark = pytest.mark.kafka

PATIENCE_S = 120.0
"""For a group that moves on while a commit waits for it, on a machine that does other work beside."""

Moment = list[Callable[[], Any]]
"""What is to happen at a moment; each is called once."""


@dataclass(frozen=True)
class Halting(Cluster):
    """Lets something happen just before a member asks its group for the metadata, or a transaction is to end."""

    asked: Moment = field(default_factory=list)
    metadata: list[Any] = field(default_factory=list)
    """Metadata of an earlier time that a member gets in place of the present one; each once."""
    ending: Moment = field(default_factory=list)

    def consumer(self, *, committed_only: bool = True, **options: Any) -> KafkaConsumer:
        consumer = super().consumer(committed_only=committed_only, **options)
        real = consumer.group_metadata

        def group_metadata() -> Any:
            if self.asked:
                self.asked.pop(0)()
            return self.metadata.pop(0) if self.metadata else real()

        consumer.group_metadata = group_metadata
        return consumer

    def producer(self, transactional_id: str) -> Any:
        producer = super().producer(transactional_id)
        real = producer.commit_transaction

        def commit_transaction() -> None:
            if self.ending:
                self.ending.pop(0)()
            real()

        producer.commit_transaction = commit_transaction
        return producer


class HaltingBus(KafkaBus):
    """Lets something happen after a commit has looked at what its member owns, and before anything is written."""

    def __init__(self, cluster: Halting) -> None:
        super().__init__(cluster)
        self.cluster = cluster
        self.looked: Moment = []

    def _complete(self, outputs: Sequence[Output]) -> list[Output]:
        if self.looked:
            self.looked.pop(0)()
        return super()._complete(outputs)


@pytest.fixture
def halting(broker: LocalBroker, group: str) -> Iterator[HaltingBus]:
    """With `<group>-in` of two partitions and ten records, and `<group>-out`."""
    with HaltingBus(Halting(parse_servers(broker.address).servers)) as bus:
        bus.create_topics(
            [Topic(name=f"{group}-{name}", partitions=2, cleanup="delete") for name in ("in", "out")]
        )
        bus.publish(
            [Output(topic=f"{group}-in", key=b"%d" % n, value=b"v", partition=n % 2) for n in range(10)]
        )
        yield bus


@pytest.fixture
def other(broker: LocalBroker) -> Iterator[KafkaBus]:
    """The bus of another process."""
    with KafkaBus(parse_servers(broker.address)) as bus:
        yield bus


@pytest.mark.parametrize("moment", ["metadata is taken", "ownership is looked at"])
def test_a_partition_handed_on_in_the_midst_of_a_commit_cannot_be_committed(
    halting: HaltingBus, other: KafkaBus, group: str, moment: str
) -> None:
    """Fresh metadata would let the commit through: the member is alive, and only its snapshot is old."""
    first = halting.subscribe(group, [f"{group}-in"], "first")
    gain(first, 2)
    records = take(first, 10)
    given: list[Partition] = []

    def hand_on() -> None:
        second = other.subscribe(group, [f"{group}-in"], "second")
        deadline = time.monotonic() + PATIENCE_S
        while not given:
            assert time.monotonic() < deadline, "no partition was handed on"
            first.poll(100, 0.05)
            given.extend(second.poll(1, 0.05).gained)
        mine = take(second, 5)
        second.commit(copies(mine, f"{group}-out"), ends_of(mine))

    (halting.cluster.asked if moment == "metadata is taken" else halting.looked).append(hand_on)
    with pytest.raises(Fenced):
        first.commit(copies(records, f"{group}-out"), ends_of(records))
    assert keys(contents(other, f"{group}-out")) == keys(r for r in records if r.partition == given[0])


def test_a_member_that_was_refused_and_still_owns_is_told_to_drop_its_work_and_begins_anew(
    halting: HaltingBus, other: KafkaBus, group: str
) -> None:
    topic = f"{group}-out"
    first = halting.subscribe(group, [topic], "first")
    gain(first, 2)
    halting.publish(numbered(topic, 4))
    records = take(first, 4)
    old = first._consumer.group_metadata()
    second = other.subscribe(group, [f"{group}-in"], "second")  # takes nothing from the first
    gain_beside(second, first, 2)
    halting.cluster.metadata.append(old)
    with pytest.raises(Fenced):
        first.commit([], ends_of(records))
    assert change(first).lost == {record.partition for record in records}
    assert change(first).gained == {record.partition for record in records}
    assert keys(take(first, 4)) == keys(records)


def gain_beside(subscription: Subscription, beside: Subscription, count: int) -> None:
    """Let the other one poll too, without which the group cannot move on."""
    gained: set[Partition] = set()
    deadline = time.monotonic() + PATIENCE_S
    while len(gained) < count:
        assert time.monotonic() < deadline, f"gained only {sorted(gained)}"
        beside.poll(1, 0.05)
        gained |= subscription.poll(1, 0.05).gained


def test_after_a_commit_that_was_not_taken_nothing_comes_again_by_itself(
    halting: HaltingBus, group: str
) -> None:
    def lost() -> None:
        raise kafka_errors.KafkaTimeoutError

    member = halting.subscribe(group, [f"{group}-in"], "member")
    gain(member, 2)
    records = take(member, 10)
    halting.cluster.ending.append(lost)
    with pytest.raises(Unavailable):
        member.commit(copies(records, f"{group}-out"), ends_of(records))
    assert member.poll(100, 1.0).records == (), "records in flight came twice"
    member.commit(copies(records, f"{group}-out"), ends_of(records))
    assert keys(contents(halting, f"{group}-out")) == keys(records)


@pytest.mark.parametrize("successor", ["of the same name", "of another name"])
def test_an_act_that_no_record_caused_is_refused_to_a_member_that_was_replaced(
    halting: HaltingBus, other: KafkaBus, broker: LocalBroker, group: str, successor: str
) -> None:
    first = halting.subscribe(group, [f"{group}-in"], "first")
    positions = {partition: first.committed(partition) for partition in gain(first, 2)}
    second = other.subscribe(group, [f"{group}-in"], "first" if successor == "of the same name" else "second")
    if successor == "of another name":
        gain_beside(second, first, 1)
    else:
        gain(second, 2)
    with pytest.raises(Fenced):
        first.commit(numbered(f"{group}-out", 1), positions)
    assert contents(other, f"{group}-out") == []
