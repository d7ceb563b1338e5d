"""The log: a file that is sound, damaged, foreign, newer or new; a cluster that is right, empty, away or mute."""

from __future__ import annotations

import sqlite3
import time
from pathlib import Path

import pytest

from longstream.bus import Output
from longstream.bus.embedded import EmbeddedBus
from longstream.bus.opening import open_bus
from longstream.doctor.log import log
from longstream.doctor.place import Place
from longstream.topics import EXAMPLES, Layout, topics
from scripts.kafka import LocalBroker
from tests.support import broker as brokers
from tests.support.findings import hanging, levels, only

STORAGE = {"LONGSTREAM_STORAGE_URL": "file:///data"}


def place_of(url: str, **told: str) -> Place:
    environ = {"LONGSTREAM_BUS_URL": url, **STORAGE, **told}
    return Place(environ=environ, services={"curator": environ}, bus_url=url)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A log with some records."""
    file = tmp_path / "log.sqlite"
    with EmbeddedBus(file) as bus:
        bus.create_topics(topics(Layout()))
        bus.publish([Output(EXAMPLES, f"{n}".encode(), bytes(2000)) for n in range(50)])
    return file


def test_a_sound_file_is_read_and_nothing_is_written(path: Path) -> None:
    before = {file.name: file.read_bytes() for file in path.parent.iterdir()}
    finding = only(log, place_of(f"sqlite:{path}"))
    assert finding.level == "ok"
    assert "sound" in finding.what
    assert {file.name: file.read_bytes() for file in path.parent.iterdir()} == before


def test_a_log_in_use_is_read_beside_its_writers(path: Path) -> None:
    with open_bus(f"sqlite:{path}") as bus:
        bus.publish([Output(EXAMPLES, b"k", b"v")])
        assert levels(log, place_of(f"sqlite:{path}")) == ["ok"]
        bus.publish([Output(EXAMPLES, b"k", b"v")])


def test_a_damaged_file_fails(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[3 * 8192 : 4 * 8192] = b"\xff" * 8192
    path.write_bytes(content)
    assert "fail" in levels(log, place_of(f"sqlite:{path}"))
    path.write_bytes(b"no database at all" * 1000)
    assert levels(log, place_of(f"sqlite:{path}")) == ["fail"]


def test_another_programs_database_and_a_newer_format_fail(path: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.sqlite"
    with sqlite3.connect(other) as connection:
        connection.execute("CREATE TABLE things (name TEXT)")
    assert "another program" in only(log, place_of(f"sqlite:{other}")).what
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA user_version = 99")
    assert "format 99" in only(log, place_of(f"sqlite:{path}")).what


def test_other_partitions_than_the_log_was_made_with_fail(path: Path) -> None:
    found = list(log(place_of(f"sqlite:{path}", LONGSTREAM_EXAMPLES_PARTITIONS="9")))
    assert [finding.level for finding in found] == ["fail", "fail", "ok"]
    assert "has 4 partitions" in found[0].what


def test_a_record_from_the_future_tells_of_a_clock_that_was_set_back(tmp_path: Path) -> None:
    path = tmp_path / "log.sqlite"
    with EmbeddedBus(path, clock=lambda: time.time() + 7200) as bus:
        bus.create_topics(topics(Layout()))
        bus.publish([Output(EXAMPLES, b"k", b"v")])
    assert levels(log, place_of(f"sqlite:{path}")) == ["warn", "ok"]


def test_a_new_log_needs_a_folder_unless_the_suite_makes_it(tmp_path: Path) -> None:
    assert levels(log, place_of(f"sqlite:{tmp_path}/log.sqlite")) == ["ok"]
    missing = f"sqlite:{tmp_path}/none/log.sqlite"
    assert levels(log, place_of(missing)) == ["fail"]
    assert levels(log, Place(environ={}, bus_url=missing, data=tmp_path / "none")) == ["ok"]
    assert list(tmp_path.iterdir()) == []


def test_a_log_that_is_not_named_or_of_no_kind_is_told() -> None:
    assert levels(log, Place(environ={})) == ["warn"]
    assert levels(log, Place(environ={}, bus_url="amqp://me:hunter2@host")) == ["fail"]
    assert "hunter2" not in only(log, Place(environ={}, bus_url="amqp://me:hunter2@host")).line()


def test_brokers_that_are_away_fail_at_once() -> None:
    with hanging() as address:
        pass
    assert "no broker takes a connection" in only(log, place_of(f"kafka:{address}")).what


@pytest.mark.kafka
def test_a_cluster_is_right_once_its_topics_are_there(tmp_path: Path) -> None:
    with brokers.running(tmp_path) as broker:
        place = place_of(f"kafka:{broker.address}")
        assert only(log, place).todo == "run `longstream topics apply`"
        apply(broker)
        assert only(log, place).level == "ok"
        more = place_of(f"kafka:{broker.address}", LONGSTREAM_SELECTED_PARTITIONS="8")
        assert levels(log, more) == ["fail"]
        away = place_of(f"kafka:127.0.0.1:1,{broker.address}")
        assert levels(log, away) == ["warn", "ok"]
        wrong = {"LONGSTREAM_KAFKA_SECURITY_PROTOCOL": "SSL"}
        assert levels(log, place_of(f"kafka:{broker.address}", **wrong)) == ["fail"]


def apply(broker: LocalBroker) -> None:
    with open_bus(f"kafka:{broker.address}") as bus:
        bus.create_topics(topics(Layout()))
