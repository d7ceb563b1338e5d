"""TLS and SASL/SCRAM against a real broker: who is let in, who is told what, and that no secret is written down."""

from __future__ import annotations

import logging
import random
import re
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Literal

import pytest
from kafka import KafkaAdminClient
from kafka.admin import ScramMechanism, UserScramCredentialUpsertion

from longstream.bus import Bus, Output, Record, Subscription, Topic
from longstream.bus.kafka.wire import Cluster
from longstream.bus.opening import open_bus
from longstream.bus.security import KafkaSecurity
from longstream.errors import InvalidInput, Refused, Unavailable
from longstream.settings import Secret
from scripts.kafka import LocalBroker, free_port
from scripts.kafka_listeners import Listener, Secured
from tests.support import broker as brokers
from tests.support.certificates import Authority, Identity
from tests.support.proxy import Proxy

pytestmark = pytest.mark.kafka

PASSWORD = "open-sesame-7f3a"
Mechanism = Literal["SCRAM-SHA-256", "SCRAM-SHA-512"]
LISTENERS = {
    "TLS": ("SSL", False),
    "MUTUAL": ("SSL", True),
    "SCRAM": ("SASL_SSL", True),
    "BEHIND": ("SASL_SSL", True),
    "BARE": ("SASL_PLAINTEXT", False),
    "LOST": ("SSL", False),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class House:
    """A broker with many doors, and what its clients need."""

    broker: LocalBroker
    doors: Mapping[str, Listener]
    proxy: Proxy
    """The only way to the door BEHIND."""
    authority: Authority
    stranger: Authority
    client: Identity

    def address(self, door: str) -> str:
        return self.broker.address if door == "PLAIN" else self.doors[door].address

    def mutual(self, user: str = "loop", password: str = PASSWORD) -> KafkaSecurity:
        """SASL_SSL, with a client certificate besides."""
        return KafkaSecurity(
            security_protocol="SASL_SSL",
            ca_file=self.authority.file,
            cert_file=self.client.cert_file,
            key_file=self.client.key_file,
            username=user,
            password=Secret(password),
        )

    def tls(self) -> KafkaSecurity:
        return KafkaSecurity(security_protocol="SSL", ca_file=self.authority.file)


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    folder = tmp_path_factory.mktemp("certificates")
    authority, stranger = Authority(folder, "authority"), Authority(folder, "stranger")
    doors = {
        name: Listener(name=name, protocol=protocol, port=free_port(), client_certificate=asks)
        for name, (protocol, asks) in LISTENERS.items()
    }
    doors["LOST"] = replace(doors["LOST"], advertised=f"localhost:{doors['LOST'].port}")
    proxy = Proxy(doors["BEHIND"].port)
    doors["BEHIND"] = replace(doors["BEHIND"], advertised=proxy.address)
    secured = Secured(
        listeners=tuple(doors.values()),
        keystore=authority.issue("broker", "127.0.0.1").both_file,
        truststore=authority.file,
        users={"loop": PASSWORD, "leaver": PASSWORD},
    )
    broker = LocalBroker(tmp_path_factory.mktemp("secured"), secured=secured)
    with proxy, brokers.kept(broker):
        yield House(
            broker=broker,
            doors=doors,
            proxy=proxy,
            authority=authority,
            stranger=stranger,
            client=authority.issue("client"),
        )


def read(subscription: Subscription) -> list[Record]:
    """The next records."""
    records: list[Record] = []
    while not records:
        records = list(subscription.poll(10, 1.0).records)
    return records


def the_main_facts(bus: Bus, topic: str, group: str) -> None:
    """Create, publish, subscribe, commit in a transaction, and read what was committed."""
    bus.create_topics([Topic(name=topic, partitions=2, cleanup="delete")])
    bus.publish([Output(topic=topic, key=b"k", value=b"in", partition=0)])
    subscription = bus.subscribe(group, [topic], "member")
    try:
        (record,) = read(subscription)
        subscription.commit(
            [Output(topic=topic, key=b"k", value=b"out", partition=1)], {record.partition: record.offset + 1}
        )
        assert bus.committed(group, record.partition) == record.offset + 1
    finally:
        subscription.close()
    reader = bus.reader(bus.partitions(topic))
    found: list[Record] = []
    while len(found) < 2:
        found += reader.poll(10, 1.0)
    assert {(each.value, each.partition.index) for each in found} == {(b"in", 0), (b"out", 1)}


def test_the_bus_keeps_its_promises_over_tls_with_a_user_and_a_client_certificate(
    house: House, group: str
) -> None:
    with open_bus(f"kafka:{house.address('SCRAM')}", security=house.mutual()) as bus:
        the_main_facts(bus, f"{group}-topic", group)


@pytest.mark.parametrize(
    ("door", "mechanism"), [("SCRAM", "SCRAM-SHA-256"), ("BARE", "SCRAM-SHA-256"), ("BARE", "SCRAM-SHA-512")]
)
def test_a_user_logs_in_by_either_mechanism_with_a_password_from_a_file(
    house: House, group: str, tmp_path: Path, door: str, mechanism: Mechanism
) -> None:
    file = tmp_path / "password"
    file.write_text(f"{PASSWORD}\n", encoding="utf-8")
    security = replace(house.mutual(), password=None, password_file=file, sasl_mechanism=mechanism)
    if door == "BARE":
        security = replace(
            security, security_protocol="SASL_PLAINTEXT", ca_file=None, cert_file=None, key_file=None
        )
    with open_bus(f"kafka:{house.address(door)}", security=security) as bus:
        bus.create_topics([Topic(name=group, partitions=1, cleanup="delete")])
        assert len(bus.publish([Output(topic=group, key=b"k", value=b"v")])) == 1


def test_a_broker_is_checked_and_encrypted_without_any_user(house: House, group: str) -> None:
    with open_bus(f"kafka:{house.address('TLS')}", security=house.tls()) as bus:
        bus.create_topics([Topic(name=group, partitions=1, cleanup="delete")])
        assert len(bus.publish([Output(topic=group, key=b"k", value=b"v")])) == 1


def refused_at_last(act: Callable[[], object], limit_s: float = 120.0) -> Refused:
    """What an act is refused with, once it is: a machine that is too busy to answer shows nothing at first."""
    deadline = time.monotonic() + limit_s
    while time.monotonic() < deadline:
        try:
            act()
        except Refused as error:
            return error
        except Unavailable:
            continue
    raise AssertionError("never refused")


Change = Callable[[House], KafkaSecurity]
SHUT_OUT: dict[str, tuple[str, Change, str]] = {
    "wrong password": ("SCRAM", lambda h: h.mutual(password="guessed"), "does not let user 'loop' in"),
    "unknown user": ("SCRAM", lambda h: h.mutual(user="nobody"), "does not let user 'nobody' in"),
    "foreign authority": ("TLS", lambda h: replace(h.tls(), ca_file=h.stranger.file), "not signed by what"),
    "only the system's authorities": ("TLS", lambda h: replace(h.tls(), ca_file=None), "this system's"),
    "a broker that sends clients to another name": ("LOST", lambda h: h.tls(), "for another name"),
    "no client certificate": ("MUTUAL", lambda h: h.tls(), "it was shown no certificate"),
    "a client certificate of a stranger": (
        "MUTUAL",
        lambda h: showing(h.tls(), h.stranger.issue("strangers-client")),
        "it was shown the certificate in",
    ),
    "plaintext to a TLS port": ("TLS", lambda h: KafkaSecurity(), "speaks TLS; set"),
    "TLS to a plaintext port": ("PLAIN", lambda h: h.tls(), "speaks no TLS"),
    "no user where one is needed": ("SCRAM", lambda h: showing(h.tls(), h.client), "to SASL_SSL"),
    "no user where one is needed, in plaintext": ("BARE", lambda h: KafkaSecurity(), "to SASL_PLAINTEXT"),
    "a user where none is asked for": ("MUTUAL", lambda h: h.mutual(), "asks for no user"),
}


def showing(security: KafkaSecurity, identity: Identity) -> KafkaSecurity:
    """The settings with that client certificate."""
    return replace(security, cert_file=identity.cert_file, key_file=identity.key_file)


@pytest.mark.parametrize("case", SHUT_OUT)
def test_who_is_shut_out_is_told_why_and_that_no_retry_helps(house: House, case: str) -> None:
    door, change, words = SHUT_OUT[case]
    security = change(house)
    error = refused_at_last(lambda: open_bus(f"kafka:{house.address(door)}", security=security).close())
    assert words in error.message
    assert house.address(door).rpartition(":")[2] in error.message
    assert not error.retryable


def test_a_broker_with_a_certificate_for_another_host_is_refused(house: House) -> None:
    address = f"kafka:localhost:{house.doors['TLS'].port}"
    error = refused_at_last(lambda: open_bus(address, security=house.tls()).close())
    assert "Hostname mismatch" in error.message


def test_each_kind_of_client_is_shut_out_alike(house: House) -> None:
    cluster = Cluster((house.address("SCRAM"),), house.mutual(password="guessed"))

    def administrate() -> None:
        with cluster.administrating():
            pass

    for act in (lambda: cluster.producer("id"), cluster.consumer, administrate):
        assert "does not let user" in refused_at_last(act).message


def test_one_server_that_lets_us_in_is_enough(house: House) -> None:
    servers = f"127.0.0.1:{free_port()},{house.address('TLS')}"
    open_bus(f"kafka:{servers}", security=house.tls()).close()


def test_a_file_that_cannot_be_used_is_named_before_any_connection(house: House, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=f"cannot read ca_file {tmp_path / 'gone'}"):
        open_bus(f"kafka:{house.address('TLS')}", security=replace(house.tls(), ca_file=tmp_path / "gone"))
    with pytest.raises(InvalidInput, match="cannot read password_file"):
        open_bus(
            f"kafka:{house.address('SCRAM')}",
            security=replace(house.mutual(), password=None, password_file=tmp_path / "gone"),
        )


class Everything(logging.Handler):
    """Keeps all that is logged, in words and with its arguments."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(f"{record.name} {self.format(record)} {record.args!r} {vars(record)!r}")


@pytest.fixture
def logged() -> Iterator[list[str]]:
    """What any logger says at DEBUG, kafka-python's among them."""
    handler, root = Everything(), logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    try:
        yield handler.lines
    finally:
        root.setLevel(level)
        root.removeHandler(handler)


def test_no_password_is_logged_or_told(house: House, group: str, logged: list[str]) -> None:
    with open_bus(f"kafka:{house.address('SCRAM')}", security=house.mutual()) as bus:
        the_main_facts(bus, f"{group}-topic", group)
    wrong = PASSWORD + "-guessed"
    address = f"kafka:{house.address('SCRAM')}"
    error = refused_at_last(lambda: open_bus(address, security=house.mutual(password=wrong)).close())
    told = "".join(traceback.format_exception(error))
    # The line that would hold it is there: kafka-python writes its whole configuration down.
    assert [line for line in logged if "Starting KafkaAdminClient with configuration" in line]
    assert [line for line in logged if "sasl_plain_password" in line]
    assert [line for line in logged if PASSWORD in line] == []
    assert PASSWORD not in told


def change_password(house: House, user: str, password: str) -> None:
    admin = KafkaAdminClient(bootstrap_servers=[house.broker.address])
    try:
        for mechanism in (ScramMechanism.SCRAM_SHA_256, ScramMechanism.SCRAM_SHA_512):
            admin.alter_user_scram_credentials([UserScramCredentialUpsertion(user, mechanism, password)])
    finally:
        admin.close()


def test_members_and_readers_come_back_and_end_when_their_password_is_no_longer_taken(
    house: House, group: str
) -> None:
    address, security = f"kafka:{house.proxy.address}", house.mutual(user="leaver")
    with open_bus(address, security=security) as bus:
        bus.create_topics([Topic(name=group, partitions=1, cleanup="delete")])
        reader, subscription = bus.reader(bus.partitions(group)), bus.subscribe(group, [group], "member")
        while not subscription.poll(1, 1.0).gained:
            pass
        assert house.proxy.reset(random.Random(1)) > 0
        with open_bus(address, security=security) as other:
            other.publish([Output(topic=group, key=b"k", value=b"v")])
        assert [record.value for record in read(subscription)] == [b"v"]
        change_password(house, "leaver", "another")
        try:
            house.proxy.reset(random.Random(1))
            for poll in (subscription.poll, reader.poll):
                told = refused_at_last(partial(poll, 1, 1.0)).message
                assert re.search("does not let (user 'leaver'|the user) in", told), told
        finally:
            change_password(house, "leaver", PASSWORD)
