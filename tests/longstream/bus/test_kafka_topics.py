"""Topics as code on a real broker."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from kafka.admin import ConfigResource, ConfigResourceType

from longstream.bus import MAX_RECORD_BYTES, Output, Topic
from longstream.bus.kafka.bus import KafkaBus
from longstream.bus.kafka.expiry import expire
from longstream.bus.kafka.wire import parse_servers, topic_partition
from longstream.errors import InvalidInput, NotFound, Refused, Unavailable
from longstream.topics import Layout, topics
from scripts.kafka import LocalBroker
from tests.support.buses import contents, gain, take

pytestmark = pytest.mark.kafka


@pytest.fixture
def kafka(broker: LocalBroker) -> Iterator[KafkaBus]:
    with KafkaBus(parse_servers(broker.address)) as bus:
        yield bus


def configured(broker: LocalBroker, topic: str) -> dict[str, str]:
    with parse_servers(broker.address).administrating() as admin:
        found: dict[str, Any] = admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, topic)])[
            "topic"
        ]
        return {name: entry["value"] for name, entry in found[topic].items()}


def test_the_suites_topics_are_created_and_created_again(kafka: KafkaBus) -> None:
    wanted = topics(Layout())
    kafka.create_topics(wanted)
    kafka.create_topics(wanted)
    assert {topic.name: len(kafka.partitions(topic.name)) for topic in wanted} == {
        topic.name: topic.partitions for topic in wanted
    }


def test_a_new_retention_is_taken_over_and_another_clean_up_is_refused(
    kafka: KafkaBus, broker: LocalBroker, group: str
) -> None:
    for seconds in (60.0, 90.0):
        kafka.create_topics([Topic(name=group, partitions=1, cleanup="delete", retention_s=seconds)])
        assert configured(broker, group)["retention.ms"] == str(int(seconds * 1000))
    with pytest.raises(Refused, match="cleaned up by delete, not by compact"):
        kafka.create_topics([Topic(name=group, partitions=1, cleanup="compact")])
    assert configured(broker, group)["cleanup.policy"] == "delete"


def test_changes_are_told_before_they_are_made_and_not_again_after(kafka: KafkaBus, group: str) -> None:
    wanted = [
        Topic(name=f"{group}-work", partitions=3, cleanup="delete", retention_s=60.0),
        Topic(name=f"{group}-state", partitions=3, cleanup="compact"),
    ]
    assert [(change.topic, change.kind) for change in kafka.topic_changes(wanted)] == [
        (f"{group}-work", "create"),
        (f"{group}-state", "create"),
    ]
    kafka.create_topics(wanted)
    assert kafka.topic_changes(wanted) == []
    [longer] = kafka.topic_changes([replace(wanted[0], retention_s=90.0)])
    assert (longer.kind, longer.text) == ("alter", "retention.ms=90000, now retention.ms=60000")


def test_another_number_of_partitions_is_refused_for_all_and_nothing_is_changed(
    kafka: KafkaBus, group: str
) -> None:
    first, second = (Topic(name=f"{group}-{n}", partitions=2, cleanup="delete") for n in (1, 2))
    kafka.create_topics([first])
    with pytest.raises(Refused, match=r"2 partitions, not 4.*side by side"):
        kafka.create_topics([second, replace(first, partitions=4)])
    with pytest.raises(NotFound, match="topics apply"):
        kafka.partitions(second.name)


def test_copies_that_the_cluster_lacks_are_left_to_people(kafka: KafkaBus, group: str) -> None:
    topic = Topic(name=group, partitions=1, cleanup="delete")
    kafka.create_topics([topic])
    [note] = kafka.topic_changes([replace(topic, copies=3)])
    assert (note.kind, note.text[:31]) == ("note", "has 1 copies instead of 3; Kafk")


def test_a_program_waits_for_its_topics_and_refuses_to_run_on_others(kafka: KafkaBus, group: str) -> None:
    topic = Topic(name=group, partitions=2, cleanup="delete")
    with pytest.raises(Unavailable, match=f"{group}.*longstream topics apply"):
        kafka.prepare_topics([topic])
    kafka.create_topics([topic])
    kafka.prepare_topics([topic])
    with pytest.raises(Refused, match="has 2 partitions and this program was told 3"):
        kafka.prepare_topics([replace(topic, partitions=3)])


def test_only_what_is_old_and_read_is_dropped(kafka: KafkaBus, broker: LocalBroker, group: str) -> None:
    topic = Topic(name=group, partitions=1, cleanup="delete", retention_s=3_600.0, read_by=f"{group}-readers")
    kafka.create_topics([topic])
    [partition] = kafka.partitions(group)
    kafka.publish([Output(topic=group, key=b"k", value=b"%d" % n) for n in range(6)])
    cluster, later_s = parse_servers(broker.address), time.time() + 7_200.0
    assert expire(cluster, topic, later_s) == {}, "nobody has read anything"
    member = kafka.subscribe(topic.read_by, [group], "member")
    gain(member, 1)
    records = take(member, 6)
    member.commit([], {partition: records[3].offset})
    assert expire(cluster, topic, time.time()) == {}, "nothing is old"
    assert expire(cluster, topic, later_s) == {topic_partition(partition): records[3].offset}
    assert [record.value for record in contents(kafka, group)] == [b"3", b"4", b"5"]
    assert expire(cluster, topic, later_s) == {}
    member.close()


def test_the_largest_record_fits(kafka: KafkaBus, group: str) -> None:
    kafka.create_topics([Topic(name=group, partitions=1, cleanup="delete")])
    value = bytes(range(256)) * (MAX_RECORD_BYTES // 256)
    kafka.publish([Output(topic=group, key=b"", value=value), Output(topic=group, key=b"k", value=value[1:])])
    assert [record.value for record in contents(kafka, group)] == [value, value[1:]]


@pytest.mark.parametrize("address", ["", "host", "host:", ":9092", "host:0", "host:x", "a:1,,b:2"])
def test_an_address_without_host_and_port_is_refused_with_what_to_write(address: str) -> None:
    with pytest.raises(InvalidInput, match="kafka:HOST:PORT"):
        parse_servers(address)
