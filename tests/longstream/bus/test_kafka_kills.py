"""Killed, stopped and cut off on a real broker: an independent reader finds each record exactly once.

The reader is kafka-python alone, read-committed, so that no rule of the bus can hide what lies in the log.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from kafka import KafkaConsumer, TopicPartition

import longstream.bus
from longstream.bus.opening import open_bus
from longstream.faults import crash_points
from scripts.kafka import LocalBroker
from tests.support.buses import PATIENCE_S, ends_of, gain, numbered, take
from tests.support.log_actor import FENCED, outputs_of, topics_of

pytestmark = [pytest.mark.kafka, pytest.mark.kills]

KILLED = -signal.SIGKILL
ROOT = Path(__file__).parents[3]
POINTS = [p for p in crash_points(Path(longstream.bus.__file__).parent) if p.startswith("kafka.")]
COMMITTED = [point for point in POINTS if point.startswith("kafka.commit.")]
PUBLISHED = {"kafka.publish.before": 2, "kafka.commit.outputs_sent": 2, "kafka.publish.after": 3}

Process = subprocess.Popen[str]


class Log:
    """The topics of one test on the run's broker."""

    def __init__(self, address: str) -> None:
        self.url = f"kafka:{address}"
        self.address = address
        self.prefix = f"{uuid.uuid4().hex[:8]}-"
        with open_bus(self.url) as bus:
            bus.create_topics(topics_of(self.prefix))

    def start(self, act: str, *options: str, crash_at: str = "") -> Process:
        """A process that works on it."""
        command = [sys.executable, "-m", "tests.support.log_actor", act, self.url, "--prefix", self.prefix]
        return subprocess.Popen(
            [*command, *options],
            env={**os.environ, "LONGSTREAM_CRASH_AT": crash_at},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
        )

    def run(self, act: str, *options: str, crash_at: str = "") -> int:
        """The same, to its end."""
        with self.start(act, *options, crash_at=crash_at) as process:
            return process.wait(timeout=90)

    def fill(self, count: int) -> list[bytes]:
        """Submit so many records; returns their keys."""
        with open_bus(self.url) as bus:
            bus.publish(numbered(f"{self.prefix}in", count))
        return [output.key for output in numbered("in", count)]

    def read(self, topic: str, *, field: str = "key") -> list[bytes]:
        """The committed records' keys or values, sorted, read by nobody's code but kafka-python's."""
        consumer = KafkaConsumer(bootstrap_servers=self.address, isolation_level="read_committed")
        name = f"{self.prefix}{topic}"
        found, deadline = [], time.monotonic() + PATIENCE_S
        try:
            names = [TopicPartition(name, number) for number in sorted(consumer.partitions_for_topic(name))]
            consumer.assign(names)
            consumer.seek_to_beginning(*names)
            while any(consumer.position(n) < end for n, end in consumer.end_offsets(names).items()):
                assert time.monotonic() < deadline, "an open transaction holds the reader up"
                for batch in consumer.poll(timeout_ms=200).values():
                    found += [getattr(message, field) for message in batch]
        finally:
            consumer.close()
        return sorted(found)


@pytest.fixture
def log(broker: LocalBroker) -> Log:
    return Log(broker.address)


@contextmanager
def killed_on_exit(process: Process) -> Iterator[Process]:
    with process:
        try:
            yield process
        finally:
            process.kill()


def each_once(log: Log, submitted: list[bytes]) -> bool:
    return log.read("out") == submitted and log.read("state", field="value") == submitted


def test_every_crash_point_of_the_bus_is_tried_below() -> None:
    assert {*COMMITTED, *PUBLISHED} == set(POINTS)
    assert len(COMMITTED) >= 5


@pytest.mark.parametrize("point", COMMITTED)
def test_a_relay_killed_in_any_gap_copies_each_record_once(log: Log, point: str) -> None:
    submitted = log.fill(60)
    assert log.run("relay", crash_at=f"{point}:2") == KILLED
    assert log.run("relay") == 0
    assert each_once(log, submitted)


@pytest.mark.parametrize(("point", "whole"), PUBLISHED.items())
def test_a_batch_killed_in_any_gap_is_there_whole_or_not_at_all(log: Log, point: str, whole: int) -> None:
    assert log.run("publish", crash_at=f"{point}:3") == KILLED
    assert log.read("in") == [b"member-%06d" % n for n in range(10 * whole)]


@pytest.mark.parametrize("successor", ["other", "stopped"])
def test_a_stopped_member_that_wakes_after_its_replacement_is_shut_out(log: Log, successor: str) -> None:
    """The successor has another name and waits for the session's end, or the same and takes over at once."""
    submitted = log.fill(30)
    options = ("--member", "stopped", "--hold", "--session-s", "1.0", "--batch", "100")
    with killed_on_exit(log.start("relay", *options)) as sleeper:
        assert sleeper.stdout is not None
        assert sleeper.stdin is not None
        assert sleeper.stdout.readline() == "holding\n"
        sleeper.send_signal(signal.SIGSTOP)
        with open_bus(log.url, session_timeout_s=1.0) as bus:
            subscription = bus.subscribe(f"{log.prefix}relays", [f"{log.prefix}in"], successor)
            gain(subscription, 3)
            records = take(subscription, 30)
            subscription.commit(outputs_of(records, log.prefix), ends_of(records))
            sleeper.send_signal(signal.SIGCONT)
            sleeper.stdin.write("go on\n")
            sleeper.stdin.flush()
            assert sleeper.wait(timeout=PATIENCE_S) == FENCED
    assert each_once(log, submitted)


def test_a_broker_that_is_killed_and_comes_back_costs_no_record_and_doubles_none(tmp_path: Path) -> None:
    broker = LocalBroker(tmp_path / "kafka")
    broker.start()
    try:
        log = Log(broker.address)
        submitted = log.fill(600)
        with killed_on_exit(log.start("relay", "--batch", "5")) as relay:
            while not log.read("out"):
                time.sleep(0.05)
            broker.kill()
            time.sleep(1.0)
            broker.start()
            assert relay.wait(timeout=120) == 0
        assert each_once(log, submitted)
    finally:
        broker.stop()
