"""Topics as code on a real broker."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from kafka.admin import ConfigResource, ConfigResourceType

from longstream.bus import MAX_RECORD_BYTES, Output, Topic
from longstream.bus.kafka.bus import KafkaBus
from longstream.bus.kafka.wire import parse_servers
from longstream.errors import InvalidInput, Refused
from longstream.topics import Layout, topics
from scripts.kafka import LocalBroker
from tests.support.buses import contents

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
    with pytest.raises(Refused, match="by hand"):
        kafka.create_topics([Topic(name=group, partitions=1, cleanup="compact")])
    assert configured(broker, group)["cleanup.policy"] == "delete"


def test_the_largest_record_fits(kafka: KafkaBus, group: str) -> None:
    kafka.create_topics([Topic(name=group, partitions=1, cleanup="delete")])
    value = bytes(range(256)) * (MAX_RECORD_BYTES // 256)
    kafka.publish([Output(topic=group, key=b"", value=value), Output(topic=group, key=b"k", value=value[1:])])
    assert [record.value for record in contents(kafka, group)] == [value, value[1:]]


@pytest.mark.parametrize("address", ["", "host", "host:", ":9092", "host:0", "host:x", "a:1,,b:2"])
def test_an_address_without_host_and_port_is_refused_with_what_to_write(address: str) -> None:
    with pytest.raises(InvalidInput, match="kafka:HOST:PORT"):
        parse_servers(address)
