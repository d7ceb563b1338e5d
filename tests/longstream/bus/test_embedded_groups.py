"""Membership, leases and positions where the contract cannot look: the embedded log's own cases."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from longstream.bus import Partition, Topic
from longstream.bus.embedded import EmbeddedBus
from longstream.bus.embedded_group import Member, incarnation_of, rejoin
from longstream.bus.embedded_store import Store
from longstream.errors import Corrupt, Fenced
from tests.support.buses import change, contents, copies, ends_of, gain, numbered, take

ONE = Partition("in", 0)


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "log.db"


@pytest.fixture
def bus(log: Path) -> Iterator[EmbeddedBus]:
    with EmbeddedBus(log) as opened:
        opened.create_topics(
            [
                Topic(name="in", partitions=2, cleanup="delete"),
                Topic(name="out", partitions=2, cleanup="delete"),
            ]
        )
        yield opened


def tamper(log: Path, sql: str) -> None:
    """Change the file from outside, as a fault would."""
    with closing(sqlite3.connect(log, isolation_level=None, timeout=10.0)) as connection:
        connection.execute(sql)


def test_a_member_that_was_put_out_loses_its_work_and_joins_anew(bus: EmbeddedBus, log: Path) -> None:
    bus.publish(numbered("in", 10))
    sleeper = bus.subscribe("group", ["in"], "sleeper")
    gain(sleeper, 2)
    stale = take(sleeper, 10)
    tamper(log, "DELETE FROM members WHERE name = 'sleeper'")
    other = bus.subscribe("group", ["in"], "other")
    gain(other, 2)
    assert change(sleeper).lost == frozenset(bus.partitions("in"))
    with pytest.raises(Fenced):
        sleeper.commit(copies(stale, "out"), ends_of(stale))
    back = change(other).lost
    assert len(back) == 1
    assert gain(sleeper, 1) == back
    fresh = take(sleeper, len([r for r in stale if r.partition in back]))
    sleeper.commit(copies(fresh, "out"), ends_of(fresh))
    assert len(contents(bus, "out")) == len(fresh)


def test_one_who_was_put_out_and_replaced_by_name_does_not_come_back(bus: EmbeddedBus, log: Path) -> None:
    older = bus.subscribe("group", ["in"], "member")
    gain(older, 2)
    tamper(log, "DELETE FROM members WHERE name = 'member'")
    newer = bus.subscribe("group", ["in"], "member")
    gain(newer, 2)
    with pytest.raises(Fenced, match="another process"):
        older.poll(1, 0.1)
    older.close()
    assert newer.poll(1, 0.1).lost == frozenset()


def test_one_who_returns_gives_way_to_a_newer_self_that_came_in_between(log: Path) -> None:
    EmbeddedBus(log).close()
    store = Store(log)
    lives = [
        Member(group="group", name="member", incarnation=life, topics=("in",), session_s=10.0)
        for life in ("older", "newer")
    ]
    with store.write() as writer:
        assert rejoin(writer, lives[1])
        assert not rejoin(writer, lives[0])
        assert incarnation_of(writer, "group", "member") == "newer"
    store.close()


def test_a_position_that_moved_under_its_owner_refuses_the_commit_and_is_read_again(
    bus: EmbeddedBus, log: Path
) -> None:
    bus.publish(numbered("in", 20))
    subscription = bus.subscribe("group", ["in"], "member")
    gain(subscription, 2)
    records = [record for record in take(subscription, 20) if record.partition == ONE]
    tamper(log, "INSERT INTO positions VALUES ('group', (SELECT min(partition_id) FROM partitions), 2)")
    with pytest.raises(Fenced):
        subscription.commit(copies(records, "out"), ends_of(records))
    assert contents(bus, "out") == []
    assert change(subscription).lost == {ONE}
    assert change(subscription).gained == {ONE}
    assert [record.offset for record in take(subscription, len(records) - 2)] == [
        r.offset for r in records[2:]
    ]


def test_a_position_below_the_logs_start_stops_the_member_with_what_to_do(
    bus: EmbeddedBus, log: Path
) -> None:
    bus.publish(numbered("in", 20))
    first = bus.subscribe("group", ["in"], "member")
    gain(first, 2)
    first.commit([], {ONE: 1})
    first.close()
    tamper(log, "UPDATE partitions SET begins_at = 3")
    second = bus.subscribe("group", ["in"], "member")
    for _ in range(2):
        with pytest.raises(Corrupt, match="another group name"):
            second.poll(1, 0.1)
    newcomer = bus.subscribe("new group", ["in"], "member")
    gain(newcomer, 2)
    assert min(record.offset for record in take(newcomer, len(contents(bus, "in")))) == 3


def test_a_position_beyond_the_logs_end_stops_the_member(bus: EmbeddedBus, log: Path) -> None:
    bus.publish(numbered("in", 20))
    tamper(log, "INSERT INTO positions VALUES ('group', (SELECT min(partition_id) FROM partitions), 999)")
    with pytest.raises(Corrupt):
        bus.subscribe("group", ["in"], "member").poll(1, 0.1)


def test_a_heartbeat_goes_on_without_a_poll(log: Path) -> None:
    with EmbeddedBus(log, session_timeout_s=0.5) as bus:
        bus.create_topics([Topic(name="in", partitions=2, cleanup="delete")])
        busy, idle = (bus.subscribe("group", ["in"], name) for name in ("busy", "idle"))
        gain(busy, 1)
        gain(idle, 1)
        time.sleep(1.5)
        assert busy.poll(1, 0.0).lost == frozenset()
        assert idle.poll(1, 0.0).gained == frozenset()


def test_closing_the_bus_leaves_its_groups(log: Path) -> None:
    with EmbeddedBus(log) as bus:
        bus.create_topics([Topic(name="in", partitions=2, cleanup="delete")])
        bus.subscribe("group", ["in"], "member")
    with EmbeddedBus(log) as bus:
        other = bus.subscribe("group", ["in"], "other")
        assert len(change(other).gained) == 2


def test_closing_wakes_a_waiting_poll(bus: EmbeddedBus) -> None:
    subscription = bus.subscribe("group", ["in"], "member")
    gain(subscription, 2)
    closer = threading.Timer(0.2, subscription.close)
    closer.start()
    began = time.monotonic()
    assert subscription.poll(1, 30.0).records == ()
    assert time.monotonic() - began < 10.0
    closer.join()


def test_a_member_may_read_topics_that_others_do_not(bus: EmbeddedBus) -> None:
    both = bus.subscribe("group", ["in", "out"], "both")
    one = bus.subscribe("group", ["in"], "one")
    shares = gain(both, 3), gain(one, 1)
    assert {partition.topic for partition in shares[0]} == {"in", "out"}
    assert {partition.topic for partition in shares[1]} == {"in"}
