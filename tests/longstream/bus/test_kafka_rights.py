"""A cluster that lets users do only what they were granted: docs/kafka.md lists what is enough and all needed."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest
from kafka import KafkaAdminClient
from kafka.admin import (
    ACL,
    ACLFilter,
    ACLOperation,
    ACLPermissionType,
    ACLResourcePatternType,
    ConfigResource,
    ConfigResourceType,
    ResourcePattern,
    ResourceType,
)

from longstream import settlements
from longstream.bus import Bus, Output, Partition, Record
from longstream.bus.kafka.expiry import expire
from longstream.bus.kafka.roll import present_member_id
from longstream.bus.kafka.wire import Cluster, parse_servers
from longstream.bus.opening import open_bus
from longstream.bus.security import KafkaSecurity
from longstream.errors import Refused
from longstream.settings import Secret
from longstream.topics import CURATOR_STATE, EXAMPLES, READERS, VERDICTS, Layout, topics
from scripts.kafka import LocalBroker, free_port
from scripts.kafka_listeners import Listener, Secured
from tests.support import broker as brokers
from tests.support.certificates import Authority
from tests.support.working import soon

pytestmark = pytest.mark.kafka

PAGE = Path(__file__).parents[3] / "docs" / "kafka.md"
PASSWORD = "open-sesame-7f3a"
PATIENCE_S = 30.0
PROGRAMS, ADMINISTRATOR = "programs", "administrator"
TOPICS = {topic.name: topic for topic in topics(Layout())}
GROUP = READERS[EXAMPLES]


@dataclass(frozen=True, slots=True, order=True)
class Right:
    """A row of the page, for one operation. A name that ends in - or / stands for all that begin so."""

    user: str
    resource: ResourceType
    names: tuple[str, ...]
    operation: ACLOperation

    def __str__(self) -> str:
        return f"{self.user}-{self.operation.name}-{self.resource.name}"

    def granted(self) -> list[ACL]:
        return [
            ACL(f"User:{self.user}", "*", self.operation, ACLPermissionType.ALLOW, self._pattern(name))
            for name in self.names
        ]

    def _pattern(self, name: str) -> ResourcePattern:
        begins = name.endswith(("-", "/"))
        kind = ACLResourcePatternType.PREFIXED if begins else ACLResourcePatternType.LITERAL
        return ResourcePattern(self.resource, name, kind)


def on_the_page() -> list[Right]:
    """The rows of the table under *Rights*."""
    found: list[Right] = []
    for line in PAGE.read_text().partition("## Rights\n")[2].partition("\n## ")[0].splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if len(cells) != 4 or cells[0] not in (PROGRAMS, ADMINISTRATOR):
            continue
        user, resource, names, operations = cells
        named = tuple(re.findall(r"`([^`]+)`", names)) or tuple(TOPICS)
        for operation in operations.split(", "):
            found.append(
                Right(
                    user,
                    ResourceType[resource.upper().replace(" ", "_")],
                    tuple(name for name in named if " " not in name),
                    ACLOperation[re.sub(r"\B(?=[A-Z])", "_", operation).upper()],
                )
            )
    return found


RIGHTS = on_the_page()


@dataclass(frozen=True, slots=True, kw_only=True)
class House:
    """A broker that grants, and the port for its users; by its other port everything may be done."""

    broker: LocalBroker
    address: str

    def security(self, user: str) -> KafkaSecurity:
        return KafkaSecurity(security_protocol="SASL_PLAINTEXT", username=user, password=Secret(PASSWORD))

    def cluster(self, user: str) -> Cluster:
        return parse_servers(self.address, self.security(user))

    def bus(self, user: str) -> Bus:
        return open_bus(f"kafka:{self.address}", security=self.security(user))

    @contextmanager
    def ruling(self) -> Iterator[KafkaAdminClient]:
        admin = KafkaAdminClient(bootstrap_servers=[self.broker.address])
        try:
            yield admin
        finally:
            admin.close()

    @contextmanager
    def without(self, right: Right) -> Iterator[None]:
        """The right is not there inside the block."""
        with self.ruling() as admin:
            admin.delete_acls(
                [
                    ACLFilter(
                        acl.principal, acl.host, acl.operation, acl.permission_type, acl.resource_pattern
                    )
                    for acl in right.granted()
                ]
            )
            try:
                yield
            finally:
                admin.create_acls(right.granted())


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    authority = Authority(tmp_path_factory.mktemp("certificates"), "authority")
    users = Listener(name="USERS", protocol="SASL_PLAINTEXT", port=free_port())
    secured = Secured(
        listeners=(users,),
        keystore=authority.issue("broker", "127.0.0.1").both_file,
        truststore=authority.file,
        users={PROGRAMS: PASSWORD, ADMINISTRATOR: PASSWORD},
        granting=True,
    )
    with brokers.kept(LocalBroker(tmp_path_factory.mktemp("granting"), secured=secured)) as broker:
        house = House(broker=broker, address=users.address)
        with house.ruling() as admin:
            admin.create_acls([acl for right in RIGHTS for acl in right.granted()])
        yield house


def seen(admin: KafkaAdminClient) -> set[str]:
    """The topics that are there."""
    return {str(topic["name"]) for topic in admin.describe_topics()}


def what_the_administrator_does(house: House) -> None:
    """Create a topic that is missing, and set right what another has changed."""
    with house.ruling() as admin:
        there = seen(admin)
        if CURATOR_STATE in there:
            admin.delete_topics([CURATOR_STATE])
            soon(lambda: CURATOR_STATE not in seen(admin))
        if VERDICTS in there:
            other = {"retention.ms": "1000"}
            admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, VERDICTS, other)], incremental=True)
    with house.bus(ADMINISTRATOR) as bus:
        bus.create_topics(TOPICS.values())
        assert bus.topic_changes(TOPICS.values()) == []


def what_the_programs_do(house: House) -> None:
    """Publish, take, commit in a transaction, read what was committed, look at the group, and drop what is old."""
    with house.bus(PROGRAMS) as bus:
        bus.prepare_topics(TOPICS.values())
        bus.publish([Output(topic=EXAMPLES, key=b"k", value=b"in", partition=0)])
        subscription = bus.subscribe(GROUP, [EXAMPLES], "member")
        try:
            records: list[Record] = []
            while not records:
                records = list(subscription.poll(10, 1.0).records)
            (partition,) = {record.partition for record in records}
            position = records[-1].offset + 1
            subscription.commit(
                [Output(topic=CURATOR_STATE, key=b"k", value=b"out", partition=0)], {partition: position}
            )
            assert bus.committed(GROUP, partition) == position
            assert present_member_id(house.cluster(PROGRAMS), GROUP, "member")
        finally:
            subscription.close()
        reader = bus.reader([Partition(CURATOR_STATE, 0)])
        while not reader.poll(10, 1.0):
            pass
    later_s = time.time() + 2 * TOPICS[EXAMPLES].retention_s
    assert expire(house.cluster(PROGRAMS), TOPICS[EXAMPLES], later_s)


ACTS: Mapping[str, Callable[[House], None]] = {
    ADMINISTRATOR: what_the_administrator_does,
    PROGRAMS: what_the_programs_do,
}


def test_the_rights_on_the_page_are_enough(house: House) -> None:
    what_the_administrator_does(house)  # from nothing
    what_the_administrator_does(house)
    what_the_programs_do(house)


def test_every_group_of_the_suite_is_among_them() -> None:
    for kind, name in ((ResourceType.GROUP, "{}"), (ResourceType.TRANSACTIONAL_ID, "{}/member")):
        (right,) = [right for right in RIGHTS if right.resource is kind]
        for group in (*READERS.values(), settlements.GROUP):
            assert any(covers(granted, name.format(group)) for granted in right.names), group


def covers(granted: str, name: str) -> bool:
    return name.startswith(granted) if granted.endswith(("-", "/")) else name == granted


def until_refused(right: Right, house: House) -> None:
    """Act until the broker has heard that the right is gone."""
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        ACTS[right.user](house)


def test_who_may_see_no_topic_is_not_told_that_there_is_none(house: House) -> None:
    what_the_administrator_does(house)
    with ExitStack() as rights:
        for right in RIGHTS:
            if (right.user, right.resource) == (PROGRAMS, ResourceType.TOPIC):
                rights.enter_context(house.without(right))
        with house.bus(PROGRAMS) as bus:
            soon(partial(refused, bus))


def refused(bus: Bus) -> bool:
    """Whether the broker has heard of it, and tells it as it is."""
    try:
        bus.prepare_topics(TOPICS.values())
    except Refused as error:
        return "docs/kafka.md" in error.message
    return False


@pytest.mark.parametrize("right", RIGHTS, ids=str)
def test_each_is_needed_and_its_lack_is_told(house: House, right: Right) -> None:
    what_the_administrator_does(house)
    with house.without(right), pytest.raises(Refused, match=r"docs/kafka\.md"):
        until_refused(right, house)
