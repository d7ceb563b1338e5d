"""A process that works on an embedded log, to be killed or stopped: `python -m tests.support.log_actor`.

relay: reads `in`, writes each record to `out` and a mark to the compacted `state`, until all of `in` is
committed. publish: writes numbered batches to `in`, one act per batch. housekeep: one round long after all
graces.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from longstream.bus import Output, Polled, Record, Topic
from longstream.bus.embedded import EmbeddedBus
from longstream.errors import Fenced
from tests.support.buses import ends_of

TOPICS = (
    Topic(name="in", partitions=3, cleanup="delete"),
    Topic(name="out", partitions=2, cleanup="delete"),
    Topic(name="state", partitions=3, cleanup="compact"),
)
FENCED = 3
"""Exit status of a relay whose commit or poll was refused."""


def outputs_of(records: Sequence[Record]) -> list[Output]:
    """Each record once to `out`, and its number to `state` in the partition that it came from."""
    copied = [Output(topic="out", key=record.key, value=record.value) for record in records]
    marks = [
        Output(topic="state", key=b"last", value=record.key, partition=record.partition.index)
        for record in records
    ]
    return copied + marks


def relay(bus: EmbeddedBus, arguments: argparse.Namespace) -> None:
    """Copy until nothing is left. With --hold, wait for a line on standard input before each commit."""
    subscription = bus.subscribe("relays", ["in"], arguments.member)
    partitions = bus.partitions("in")
    ends = bus.ends(partitions)
    while any((bus.committed("relays", partition) or 0) < end for partition, end in ends.items()):
        polled: Polled = subscription.poll(arguments.batch, 0.2)
        if not polled.records:
            continue
        if arguments.hold:
            print("holding", flush=True)
            sys.stdin.readline()
        subscription.commit(outputs_of(polled.records), ends_of(polled.records))
    subscription.close()


def publish(bus: EmbeddedBus, arguments: argparse.Namespace) -> None:
    """--batches acts of --batch records each, keyed by this member's name and a number."""
    for batch in range(arguments.batches):
        first = batch * arguments.batch
        numbers = range(first, first + arguments.batch)
        bus.publish(
            [Output(topic="in", key=b"%s-%06d" % (arguments.member.encode(), n), value=b"v") for n in numbers]
        )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("act", choices=["relay", "publish", "housekeep"])
    parser.add_argument("log", type=Path)
    parser.add_argument("--member", default="member")
    parser.add_argument("--batch", type=int, default=10)
    parser.add_argument("--batches", type=int, default=5)
    parser.add_argument("--session-s", type=float, default=10.0)
    parser.add_argument("--now-s", type=float, default=0.0)
    parser.add_argument("--hold", action="store_true")
    arguments = parser.parse_args()
    with EmbeddedBus(arguments.log, session_timeout_s=arguments.session_s) as bus:
        bus.create_topics(TOPICS)
        try:
            match arguments.act:
                case "relay":
                    relay(bus, arguments)
                case "publish":
                    publish(bus, arguments)
                case _:
                    bus.housekeep(arguments.now_s)
        except Fenced:
            return FENCED
    return 0


if __name__ == "__main__":
    sys.exit(main())
