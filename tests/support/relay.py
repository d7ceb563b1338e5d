"""A process that feeds or relays over a bus until SIGTERM, to be disturbed: `python -m tests.support.relay`.

feed: publishes batches of records into `in`. relay: the suite's own worker, which copies `in` to `out` and keeps
the count of each partition in `state`. What both want and are told stands in a journal; see tests/support/checker.py.
Exit status: 0 when told to end, 75 if starting again can help, 1 for what should not have happened.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import signal
import sys
import threading
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from prometheus_client import CollectorRegistry

from longstream.app import DONE, RETRY
from longstream.bus import Bus, Output, Partition, Polled, Record, Subscription, Topic
from longstream.bus.opening import open_bus
from longstream.errors import Fenced, SuiteError, Unavailable
from longstream.telemetry import Metrics
from longstream.view import read_to_end
from longstream.worker import Consumption, Worker, WorkerOptions
from longstream.worker_metrics import WorkerMetrics
from tests.support.checker import Told
from tests.support.journal import Journal

PARTITIONS = 4
GROUP = "relays"
IN, OUT, STATE = "in", "out", "state"
TOPICS = (
    Topic(name=IN, partitions=PARTITIONS, cleanup="delete"),
    Topic(name=OUT, partitions=PARTITIONS, cleanup="delete"),
    Topic(name=STATE, partitions=PARTITIONS, cleanup="compact"),
)
BROKEN = 1
_DRAIN_S = 10.0
_COUNT = b"count"


class Counting:
    """Handler: each record is copied with its partition's running count, which is restored from `state`."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._counts: dict[int, int] = {}
        self._next: dict[int, int] = {}

    def gained(self, partition: Partition) -> None:
        told = [json.loads(record.value or b"") for record in read_to_end(self._bus, [_state(partition)])]
        self._counts[partition.index] = told[-1]["nth"] if told else 0

    def lost(self, partition: Partition) -> None:
        self._counts.pop(partition.index, None)
        self._next.pop(partition.index, None)

    def handle(self, record: Record) -> Sequence[Output]:
        index = record.partition.index
        self._counts[index] += 1
        self._next[index] = record.offset + 1
        value = json.dumps({"of": record.offset, "nth": self._counts[index]}).encode()
        return [Output(topic=OUT, key=record.key, value=value, partition=index)]

    def refuse(self, record: Record, error: SuiteError) -> Sequence[Output]:
        raise AssertionError(f"nothing here is to be refused: {error}")

    def tick(self, partition: Partition) -> Sequence[Output]:
        end = self._next.pop(partition.index, None)
        if end is None:
            return []
        value = json.dumps({"nth": self._counts[partition.index], "next": end}).encode()
        return [Output(topic=STATE, key=_COUNT, value=value, partition=partition.index)]


def _state(partition: Partition) -> Partition:
    return Partition(STATE, partition.index)


class JournaledBus:
    """A bus whose subscriptions note each attempt to commit, and name it in all that it writes."""

    def __init__(self, bus: Bus, journal: Journal) -> None:
        self._bus = bus
        self._journal = journal

    def subscribe(self, group: str, topics: Sequence[str], member: str) -> Subscription:
        return JournaledSubscription(self._bus.subscribe(group, topics, member), self._journal, member)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._bus, name)


class JournaledSubscription:
    """See JournaledBus."""

    def __init__(self, inner: Subscription, journal: Journal, member: str) -> None:
        self._inner = inner
        self._journal = journal
        self._life = f"{member}-{uuid.uuid4().hex[:8]}"
        self._attempts = 0

    def commit(self, outputs: Sequence[Output], positions: Mapping[Partition, int]) -> None:
        self._attempts += 1
        name = f"{self._life}-{self._attempts}"
        named = [one._replace(headers=(*one.headers, ("attempt", name.encode()))) for one in outputs]
        copies = sum(one.topic == OUT for one in outputs)
        self._journal.note(attempt=name, outputs=copies, states=len(positions))
        try:
            self._inner.commit(named, positions)
        except SuiteError as error:
            self._journal.note(attempt=name, told=Told.REFUSED.value, why=str(error))
            raise
        self._journal.note(attempt=name, told=Told.DONE.value)

    def poll(self, max_records: int, timeout_s: float) -> Polled:
        return self._inner.poll(max_records, timeout_s)

    def pause(self, partitions: Iterable[Partition]) -> None:
        self._inner.pause(partitions)

    def resume(self, partitions: Iterable[Partition]) -> None:
        self._inner.resume(partitions)

    def committed(self, partition: Partition) -> int:
        return self._inner.committed(partition)

    def behind(self) -> Mapping[Partition, int]:
        return self._inner.behind()

    def close(self) -> None:
        self._inner.close()


def relay(bus: Bus, options: argparse.Namespace, ending: threading.Event) -> None:
    """Work until told to end. Raises what ended the worker."""
    consumption = Consumption(
        group=GROUP,
        topics=(IN,),
        member=options.member,
        metrics=WorkerMetrics(Metrics("relay", CollectorRegistry()), (IN,)),
    )
    journaled: Any = JournaledBus(bus, Journal(options.journal))
    worker = Worker(journaled, consumption, Counting(bus), WorkerOptions(window=options.batch))
    worker.start()
    while not ending.wait(0.1) and worker.failed() is None:
        pass
    worker.drain(_DRAIN_S)
    if (error := worker.failed()) is not None:
        raise error


def feed(bus: Bus, options: argparse.Namespace, ending: threading.Event) -> None:
    """Publish one batch after the other, each of records that nobody has published before."""
    journal, life = Journal(options.journal), uuid.uuid4().hex[:8]
    number = 0
    while not ending.wait(options.pause_s):
        number += 1
        batch = f"{life}-{number}"
        keys = [f"{batch}-{n}" for n in range(options.batch)]
        journal.note(batch=batch, keys=keys)
        told = _publish(bus, [Output(topic=IN, key=key.encode(), value=b"") for key in keys])
        journal.note(batch=batch, told=told.value)


def _publish(bus: Bus, outputs: Sequence[Output]) -> Told:
    try:
        bus.publish(outputs)
    except Unavailable:
        return Told.NOTHING  # over a broker it may have been written all the same
    return Told.DONE


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("act", choices=["feed", "relay"])
    parser.add_argument("bus", help="URL of the bus")
    parser.add_argument("--member", default="member")
    parser.add_argument("--journal", type=Path, required=True)
    parser.add_argument("--batch", type=int, default=8, help="records per act; of a relay: at most")
    parser.add_argument("--pause-s", type=float, default=0.15)
    parser.add_argument("--session-s", type=float, default=6.0)
    options = parser.parse_args()
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(name)s %(message)s")
    ending = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: ending.set())
    act: Callable[..., None] = relay if options.act == "relay" else feed
    return _ended_by(partial(_on_the_bus, act, options, ending))


def _on_the_bus(act: Callable[..., None], options: argparse.Namespace, ending: threading.Event) -> None:
    with open_bus(options.bus, session_timeout_s=options.session_s) as bus:
        act(bus, options, ending)


def _ended_by(act: Callable[[], None]) -> int:
    try:
        act()
    except (Unavailable, Fenced) as error:
        logging.warning("%s: %s", type(error).__name__, error)
        return RETRY
    except BaseException:
        logging.exception("this should not have happened")
        return BROKEN
    return DONE


if __name__ == "__main__":
    code = main()
    logging.shutdown()
    sys.stdout.flush()
    os._exit(code)  # a call that hangs in a thread must not keep the process
