"""Where a group begins to read on a real broker that has forgotten, or dropped, where it was."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from kafka import TopicPartition
from kafka.structs import OffsetAndMetadata

from longstream.bus import Output, Partition, Subscription, Topic
from longstream.bus.kafka.bus import KafkaBus
from longstream.bus.kafka.wire import parse_servers, topic_partition
from longstream.errors import Corrupt
from longstream.topics import READERS, STATES, Layout, topics
from scripts.kafka import LocalBroker
from tests.support.buses import gain, take

pytestmark = pytest.mark.kafka


class Known:
    """A topic of two partitions that `<group>` reads, with a state topic, as a program of the suite prepares them."""

    def __init__(self, bus: KafkaBus, broker: LocalBroker, group: str, *, by_number: bool) -> None:
        self.bus = bus
        self.group = group
        self._cluster = parse_servers(broker.address)
        topic, state = f"{group}-in", f"{group}-state"
        self.here, self.beside = Partition(topic, 0), Partition(topic, 1)
        known = [
            Topic(
                name=topic,
                partitions=2,
                cleanup="delete",
                read_by=group,
                state=state,
                state_by_number=by_number,
            ),
            Topic(name=state, partitions=2, cleanup="compact"),
        ]
        bus.create_topics(known)
        bus.prepare_topics(known)
        bus.publish([Output(topic=topic, key=b"%d" % n, value=b"v", partition=n % 2) for n in range(8)])

    def member(self) -> Subscription:
        return self.bus.subscribe(self.group, [self.here.topic], "member")

    def work(self, state: int | None) -> None:
        """A first life: reads all, commits four records of one partition, and their state where it is told to."""
        member = self.member()
        gain(member, 2)
        mine = [record for record in take(member, 8) if record.partition == self.here]
        outputs = [] if state is None else [self.state(state)]
        member.commit(outputs, {self.here: mine[-1].offset + 1})
        member.close()

    def state(self, partition: int) -> Output:
        return Output(topic=f"{self.group}-state", key=b"k", value=b"v", partition=partition)

    def forget(self) -> None:
        """What a cluster does seven days after a group's last member has gone."""
        with self._cluster.administrating() as admin:
            admin.delete_group_offsets(self.group, [topic_partition(self.here)])

    def drop(self, before: int) -> None:
        """Delete the beginning of a partition."""
        with self._cluster.administrating() as admin:
            admin.delete_records({TopicPartition(self.here.topic, 0): before})


@pytest.fixture
def kafka(broker: LocalBroker) -> Iterator[KafkaBus]:
    with KafkaBus(parse_servers(broker.address)) as bus:
        yield bus


@pytest.mark.parametrize("by_number", [True, False])
def test_a_group_without_a_position_beside_its_own_state_is_stopped_and_told_how_to_go_on(
    kafka: KafkaBus, broker: LocalBroker, group: str, by_number: bool
) -> None:
    known = Known(kafka, broker, group, by_number=by_number)
    known.work(state=0 if by_number else 1)
    known.forget()
    with pytest.raises(Corrupt, match=rf"{group}-state/.*--reset-offsets --group {group} .*{group}-in:0"):
        gain(known.member(), 2)


def test_a_group_without_a_position_in_a_log_whose_beginning_it_has_worked_off_is_stopped(
    kafka: KafkaBus, broker: LocalBroker, group: str
) -> None:
    known = Known(kafka, broker, group, by_number=True)
    known.work(state=None)
    known.drop(before=2)
    known.forget()
    with pytest.raises(Corrupt, match=r"records before 2 are gone.*--to-earliest"):
        gain(known.member(), 2)


@pytest.mark.parametrize("by_number", [True, False])
def test_a_group_that_was_never_there_begins_at_the_beginning_also_beside_what_was_aborted(
    kafka: KafkaBus, broker: LocalBroker, group: str, by_number: bool
) -> None:
    known = Known(kafka, broker, group, by_number=by_number)
    producer = parse_servers(broker.address).producer(f"{group}/aborted")
    producer.init_transactions()
    producer.begin_transaction()
    output = known.state(0)
    producer.send(output.topic, key=output.key, value=output.value, partition=0).get(timeout=30)
    producer.abort_transaction()
    producer.close(timeout=1.0)
    member = known.member()
    gain(member, 2)
    assert len(take(member, 8)) == 8


def test_a_partition_to_which_nothing_had_come_is_begun_beside_those_that_were_worked_off(
    kafka: KafkaBus, broker: LocalBroker, group: str
) -> None:
    """Rows of every pipeline lie where the pipeline lies: they say nothing about one partition of the tasks."""
    known = Known(kafka, broker, group, by_number=False)
    known.work(state=1)
    again = known.member()
    gain(again, 2)
    assert {record.partition for record in take(again, 4)} == {known.beside}


def test_a_reader_that_no_program_has_named_begins_at_what_is_left(
    kafka: KafkaBus, broker: LocalBroker, group: str
) -> None:
    known = Known(kafka, broker, group, by_number=True)
    known.drop(before=2)
    stranger = kafka.subscribe(f"{group}-other", [known.here.topic], "member")
    gain(stranger, 2)
    assert len(take(stranger, 6)) == 6


def test_a_position_can_be_set_and_work_goes_on(kafka: KafkaBus, broker: LocalBroker, group: str) -> None:
    known = Known(kafka, broker, group, by_number=True)
    known.work(state=0)
    known.forget()
    stopped = known.member()
    with pytest.raises(Corrupt):
        gain(stopped, 2)
    stopped.close()
    with parse_servers(broker.address).administrating() as admin:
        admin.alter_group_offsets(group, {topic_partition(known.here): OffsetAndMetadata(3, "", -1)})
    again = known.member()
    gain(again, 2)
    assert again.committed(known.here) == 3


def test_every_topic_that_a_group_works_off_names_what_the_group_writes() -> None:
    found = {topic.name: topic for topic in topics(Layout())}
    assert STATES.keys() == READERS.keys()
    for name, state in STATES.items():
        assert (found[name].read_by, found[name].state) == (READERS[name], state)
        if found[name].state_by_number:
            assert found[name].partitions == found[state].partitions
