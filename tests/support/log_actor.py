"""A process that works on a log, to be killed or stopped: `python -m tests.support.log_actor`.

relay: reads `in`, writes each record to `out` and a mark to the compacted `state`, until all of `in` is
committed. publish: writes numbered batches to `in`, one act per batch. housekeep: one round long after all
graces.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import TypeVar

from longstream.bus import Bus, Output, Partition, Polled, Record, Topic
from longstream.bus.embedded import EmbeddedBus
from longstream.bus.opening import open_bus
from longstream.errors import Fenced, Unavailable
from longstream.view import read_to_end
from tests.support.buses import ends_of

R = TypeVar("R")


def topics_of(prefix: str = "") -> tuple[Topic, ...]:
    """The topics of one test; a broker, which outlives it, needs a prefix."""
    return (
        Topic(name=f"{prefix}in", partitions=3, cleanup="delete"),
        Topic(name=f"{prefix}out", partitions=2, cleanup="delete"),
        Topic(name=f"{prefix}state", partitions=3, cleanup="compact"),
    )


TOPICS = topics_of()
FENCED = 3
"""Exit status of a relay whose commit or poll was refused."""


def outputs_of(records: Sequence[Record], prefix: str = "") -> list[Output]:
    """Each record once to `out`, and its number to `state` in the partition that it came from."""
    copied = [Output(topic=f"{prefix}out", key=record.key, value=record.value) for record in records]
    marks = [
        Output(topic=f"{prefix}state", key=b"last", value=record.key, partition=record.partition.index)
        for record in records
    ]
    return copied + marks


def relay(bus: Bus, arguments: argparse.Namespace) -> None:
    """Copy until nothing is left. With --hold, wait for a line on standard input before each commit."""
    group, read = f"{arguments.prefix}relays", f"{arguments.prefix}in"
    subscription = bus.subscribe(group, [read], arguments.member)
    # Up to the last record and not up to the end: what ends a transaction takes an offset too.
    ends = ends_of(read_to_end(bus, bus.partitions(read)))

    def left(partition: Partition) -> bool:
        return (patiently(lambda: bus.committed(group, partition)) or 0) < ends[partition]

    while any(map(left, ends)):
        polled: Polled = patiently(lambda: subscription.poll(arguments.batch, 0.2))
        if not polled.records:
            continue
        if arguments.hold:
            print("holding", flush=True)
            sys.stdin.readline()
        outputs = outputs_of(polled.records, arguments.prefix)
        patiently(partial(subscription.commit, outputs, ends_of(polled.records)))
    subscription.close()


def patiently(act: Callable[[], R]) -> R:
    """As a worker does: while the log is away, try again."""
    while True:
        try:
            return act()
        except Unavailable:
            time.sleep(0.1)


def publish(bus: Bus, arguments: argparse.Namespace) -> None:
    """--batches acts of --batch records each, keyed by this member's name and a number."""
    for batch in range(arguments.batches):
        first = batch * arguments.batch
        numbers = range(first, first + arguments.batch)
        bus.publish(
            [
                Output(
                    topic=f"{arguments.prefix}in", key=b"%s-%06d" % (arguments.member.encode(), n), value=b"v"
                )
                for n in numbers
            ]
        )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("act", choices=["relay", "publish", "housekeep"])
    parser.add_argument("log", help="URL of the bus")
    parser.add_argument("--prefix", default="", help="of its topics and its group")
    parser.add_argument("--member", default="member")
    parser.add_argument("--batch", type=int, default=10)
    parser.add_argument("--batches", type=int, default=5)
    parser.add_argument("--session-s", type=float, default=10.0)
    parser.add_argument("--now-s", type=float, default=0.0)
    parser.add_argument("--hold", action="store_true")
    arguments = parser.parse_args()
    with open_bus(arguments.log, session_timeout_s=arguments.session_s) as bus:
        bus.create_topics(topics_of(arguments.prefix))
        try:
            match arguments.act:
                case "relay":
                    relay(bus, arguments)
                case "publish":
                    publish(bus, arguments)
                case _:
                    assert isinstance(bus, EmbeddedBus)
                    bus.housekeep(arguments.now_s)
        except Fenced:
            return FENCED
    return 0


if __name__ == "__main__":
    sys.exit(main())
