"""Restores on a real broker while another writer's transaction stands open at the end of the log."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from longstream.bus import Output, Partition, Topic
from longstream.bus.kafka.bus import KafkaBus
from longstream.bus.kafka.wire import parse_servers
from longstream.view import read_to_end
from scripts.kafka import LocalBroker
from tests.support.buses import gain, numbered
from tests.support.transactions import left_open

pytestmark = pytest.mark.kafka

WHILE_OPEN_S = 1.5
"""In which a restore that waits for nothing would have ended."""
PATIENCE_S = 60.0


@pytest.fixture
def kafka(broker: LocalBroker, group: str) -> Iterator[KafkaBus]:
    """With the topics `<group>-in` and the compacted `<group>-state`, of one partition each."""
    with KafkaBus(parse_servers(broker.address)) as bus:
        bus.create_topics(
            [
                Topic(name=f"{group}-in", partitions=1, cleanup="delete"),
                Topic(name=f"{group}-state", partitions=1, cleanup="compact"),
            ]
        )
        bus.publish(numbered(f"{group}-in", 5))
        yield bus


class Waiting:
    """Something that runs in a thread of its own, and what it returned."""

    def __init__(self, act: Callable[[], Any]) -> None:
        self._act = act
        self._found: list[Any] = []
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def waits(self) -> bool:
        """Whether it has not ended, for as long as one that waits for nothing would take."""
        self._thread.join(WHILE_OPEN_S)
        return self._thread.is_alive()

    def found(self) -> Any:
        """What it returned, soon."""
        self._thread.join(PATIENCE_S)
        assert not self._thread.is_alive(), "it does not come to its end"
        return self._found[0]

    def _run(self) -> None:
        self._found.append(self._act())


def state(group: str, count: int, first: int = 0) -> list[Output]:
    return [
        Output(topic=f"{group}-state", key=b"%d" % n, value=b"v", partition=0)
        for n in range(first, first + count)
    ]


def restored(bus: KafkaBus, group: str) -> list[bytes]:
    return [record.key for record in read_to_end(bus, [Partition(f"{group}-state", 0)])]


@pytest.mark.parametrize("outcome", ["commit", "abort"])
def test_a_restore_waits_until_it_is_known_what_an_open_transaction_wrote(
    kafka: KafkaBus, broker: LocalBroker, group: str, outcome: str
) -> None:
    """It ends by position: behind an aborted transaction no record comes any more."""
    kafka.publish(state(group, 2))
    with left_open(broker.address, f"{group}/other", state(group, 2, first=2)) as producer:
        restore = Waiting(lambda: restored(kafka, group))
        assert restore.waits(), "a restore ended before an open transaction that may belong to its state"
        getattr(producer, f"{outcome}_transaction")()
        assert restore.found() == [b"%d" % n for n in range(4 if outcome == "commit" else 2)]


def test_a_partition_comes_only_when_its_position_is_known_and_so_with_the_state_beside_it(
    kafka: KafkaBus, broker: LocalBroker, group: str
) -> None:
    partition = Partition(f"{group}-in", 0)
    with left_open(broker.address, f"{group}/other", state(group, 1), {partition: 3}, group) as producer:
        member = kafka.subscribe(group, [partition.topic], "member")
        coming = Waiting(lambda: gain(member, 1))
        assert coming.waits(), "a partition came with a position that a transaction is about to move"
        producer.commit_transaction()
        assert coming.found() == {partition}
        assert member.committed(partition) == 3
        assert restored(kafka, group) == [b"0"]


def test_what_a_dead_life_left_open_is_ended_before_its_successor_restores(
    kafka: KafkaBus, broker: LocalBroker, group: str
) -> None:
    kafka.publish(state(group, 1))
    with left_open(broker.address, f"{group}/member", state(group, 1, first=1)):
        gain(kafka.subscribe(group, [f"{group}-in"], "member"), 1)
        assert Waiting(lambda: restored(kafka, group)).found() == [b"0"]


def test_readers_wait_ten_seconds_at_most_for_a_writer_that_is_gone(
    kafka: KafkaBus, broker: LocalBroker, group: str
) -> None:
    member = kafka.subscribe(group, [f"{group}-in"], "member")
    gain(member, 1)
    member.commit([], {Partition(f"{group}-in", 0): 0})
    name = f"{group}/member"
    with parse_servers(broker.address).administrating() as admin:
        assert admin.describe_transactions([name])[name].transaction_timeout_ms == 10_000
