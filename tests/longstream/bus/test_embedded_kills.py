"""Killed, stopped and crowded: an independent reader of the file finds each record exactly once.

The reader is plain SQL, so that no rule of the bus can hide what lies in the file.
"""

from __future__ import annotations

import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

import pytest

import longstream.bus
from longstream.bus import Partition
from longstream.bus.embedded import EmbeddedBus
from longstream.faults import crash_points
from tests.support.buses import PATIENCE_S, change, ends_of, gain, numbered, take
from tests.support.log_actor import FENCED, TOPICS, outputs_of

KILLED = -signal.SIGKILL
DAY_S = 86_400.0
POINTS = [p for p in crash_points(Path(longstream.bus.__file__).parent) if p.startswith("bus.")]
RELAYED = [point for point in POINTS if point.split(".")[1] in ("join", "commit")]
PUBLISHED = [point for point in POINTS if point.split(".")[1] == "publish"]
TIDIED = [point for point in POINTS if point.split(".")[1] in ("compact", "expire")]

Process = subprocess.Popen[str]


def start(act: str, log: Path, *options: str, crash_at: str = "") -> Process:
    environment = {**os.environ, "LONGSTREAM_CRASH_AT": crash_at}
    command = [sys.executable, "-m", "tests.support.log_actor", act, f"sqlite:{log}", *options]
    return subprocess.Popen(
        command,
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[3],
    )


def run(act: str, log: Path, *options: str, crash_at: str = "") -> int:
    with start(act, log, *options, crash_at=crash_at) as process:
        return process.wait(timeout=60)


@contextmanager
def stopped_on_exit(process: Process) -> Iterator[Process]:
    with process:
        try:
            yield process
        finally:
            process.kill()


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / "log.db"
    with EmbeddedBus(path) as bus:
        bus.create_topics(TOPICS)
    return path


def fill(log: Path, count: int) -> list[bytes]:
    with EmbeddedBus(log) as bus:
        bus.publish(numbered("in", count))
    return [output.key for output in numbered("in", count)]


def rows(log: Path, topic: str) -> list[tuple[int, int, bytes, bytes]]:
    """Partition, offset, key and value of every record in the file."""
    with closing(sqlite3.connect(log)) as connection:
        return connection.execute(
            "SELECT number, place & ((1 << 40) - 1), key, value FROM records "
            "JOIN partitions ON partition_id = place >> 40 JOIN topics USING (topic_id) "
            "WHERE name = ? ORDER BY place",
            (topic,),
        ).fetchall()


def keys_in(log: Path, topic: str) -> list[bytes]:
    return sorted(row[2] for row in rows(log, topic))


def offsets_are_dense(log: Path, topic: str) -> bool:
    found = rows(log, topic)
    return all(
        [offset for number, offset, _, _ in found if number == partition] == list(range(count))
        for partition in {row[0] for row in found}
        for count in [sum(row[0] == partition for row in found)]
    )


def test_every_crash_point_of_the_bus_is_tried_below() -> None:
    assert set(RELAYED) | set(PUBLISHED) | set(TIDIED) == set(POINTS)
    assert len(RELAYED) >= 8
    assert PUBLISHED
    assert TIDIED


@pytest.mark.kills
@pytest.mark.parametrize("at", [1, 3])
@pytest.mark.parametrize("point", RELAYED)
def test_a_relay_killed_in_any_gap_copies_each_record_once(log: Path, point: str, at: int) -> None:
    submitted = fill(log, 60)
    status = run("relay", log, crash_at=f"{point}:{at}")
    assert status == (0 if at > 1 and ".join." in point else KILLED)
    assert run("relay", log) == 0
    assert keys_in(log, "out") == submitted
    assert sorted(row[3] for row in rows(log, "state")) == submitted
    assert offsets_are_dense(log, "out")


@pytest.mark.kills
@pytest.mark.parametrize("point", PUBLISHED)
def test_a_batch_killed_in_any_gap_is_there_whole_or_not_at_all(log: Path, point: str) -> None:
    assert run("publish", log, crash_at=f"{point}:3") == KILLED
    whole = 3 if point == "bus.publish.after" else 2
    assert keys_in(log, "in") == [b"member-%06d" % n for n in range(10 * whole)]


@pytest.mark.kills
@pytest.mark.parametrize("point", TIDIED)
def test_tidying_killed_in_any_gap_is_finished_by_the_next_round(log: Path, point: str) -> None:
    fill(log, 60)
    assert run("relay", log) == 0
    later = ("--now-s", str(time.time() + 30 * DAY_S))
    assert run("housekeep", log, *later, crash_at=f"{point}:2") == KILLED
    assert run("housekeep", log, *later) == 0
    assert rows(log, "in") == []
    last = {number: key for number, _, key, _ in rows(log, "state")}
    assert len(rows(log, "state")) == len(last) == 3
    with EmbeddedBus(log) as bus:
        assert all(bus.committed("relays", p) == bus.ends([p])[p] for p in bus.partitions("in"))


@pytest.mark.kills
def test_two_relays_killed_at_random_copy_each_record_once(log: Path) -> None:
    chance = random.Random(20_261_121)
    submitted = fill(log, 3_000)
    options = ("--session-s", "1.0", "--batch", "2")
    killed = 0
    for _ in range(8):
        before = len(rows(log, "out"))
        with ExitStack() as stack:
            pair = [
                stack.enter_context(stopped_on_exit(start("relay", log, "--member", name, *options)))
                for name in ("one", "two")
            ]
            while len(rows(log, "out")) == before and any(process.poll() is None for process in pair):
                time.sleep(0.005)
            time.sleep(chance.uniform(0.0, 0.05))
            for process in pair:
                process.kill()
                killed += process.wait() == KILLED
    assert killed >= 8
    assert run("relay", log, "--member", "one", *options) == 0
    assert keys_in(log, "out") == submitted
    assert sorted(row[3] for row in rows(log, "state")) == submitted


@pytest.mark.kills
def test_a_dead_members_partitions_move_to_the_living(log: Path) -> None:
    submitted = fill(log, 30)
    with stopped_on_exit(start("relay", log, "--member", "dead", "--hold", "--session-s", "1.0")) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "holding\n"
        holder.kill()
        holder.wait()
        with EmbeddedBus(log, session_timeout_s=1.0) as bus:
            began = time.monotonic()
            subscription = bus.subscribe("relays", ["in"], "alive")
            gain(subscription, 3)
            assert time.monotonic() - began < 10.0
            records = take(subscription, 30)
            subscription.commit(outputs_of(records), ends_of(records))
    assert keys_in(log, "out") == submitted


@pytest.mark.kills
@pytest.mark.parametrize("successor", ["other", "stopped"])
def test_a_stopped_member_that_wakes_after_its_replacement_is_shut_out(log: Path, successor: str) -> None:
    """The successor has another name and waits for the session's end, or the same and takes over at once."""
    submitted = fill(log, 30)
    options = ("--member", "stopped", "--hold", "--session-s", "1.0")
    with stopped_on_exit(start("relay", log, *options)) as sleeper:
        assert sleeper.stdout is not None
        assert sleeper.stdin is not None
        assert sleeper.stdout.readline() == "holding\n"
        sleeper.send_signal(signal.SIGSTOP)
        with EmbeddedBus(log, session_timeout_s=1.0) as bus:
            subscription = bus.subscribe("relays", ["in"], successor)
            gain(subscription, 3)
            records = take(subscription, 30)
            subscription.commit(outputs_of(records), ends_of(records))
            sleeper.send_signal(signal.SIGCONT)
            sleeper.stdin.write("go on\n")
            sleeper.stdin.flush()
            assert sleeper.wait(timeout=PATIENCE_S) == FENCED
    assert keys_in(log, "out") == submitted


@pytest.mark.kills
def test_a_member_in_a_long_handler_keeps_its_partitions(log: Path) -> None:
    fill(log, 30)
    with EmbeddedBus(log, session_timeout_s=0.5) as bus:
        slow = bus.subscribe("relays", ["in"], "slow")
        mine = gain(slow, 3)
        records = take(slow, 30)
        with EmbeddedBus(log, session_timeout_s=0.5) as other:
            waiting = other.subscribe("relays", ["in"], "waiting")
            assert waiting.poll(1, 1.5).gained == frozenset()
            slow.commit(outputs_of(records), ends_of(records))
            lost = change(slow).lost
            assert gain(waiting, len(lost)) == lost
            assert lost < mine


@pytest.mark.kills
def test_processes_that_create_and_write_at_once_keep_offsets_dense(tmp_path: Path) -> None:
    log = tmp_path / "new.db"
    names = [f"writer{n}" for n in range(4)]
    writers = [start("publish", log, "--member", name, "--batches", "25") for name in names]
    for writer in writers:
        with writer:
            assert writer.wait(timeout=60) == 0
    assert keys_in(log, "in") == sorted(f"{name}-{n:06d}".encode() for name in names for n in range(250))
    assert offsets_are_dense(log, "in")
    for partition in (Partition("in", number) for number in range(3)):
        found = [row[2] for row in rows(log, "in") if row[0] == partition.index]
        for name in names:
            run_of = [key for key in found if key.startswith(name.encode())]
            assert run_of == sorted(run_of)
