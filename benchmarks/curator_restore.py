"""How long a curator takes to restore what it keeps, on Kafka and on the embedded log.

The keeper of a partition reads its changelog from the beginning and rebuilds the ranking before it takes a record.
The limit is the same records read by a bare consumer, or by plain SQLite, that parses nothing and keeps nothing; what
parsing them as protobuf costs is told beside it. The contenders take turns, and the median counts.

    python -m benchmarks.curator_restore [--kept N ...] [--rounds N] [--kafka HOST:PORT] [--json]

Needs Java for a broker of its own, or the address of one that has no topics of the suite; then with a single N.
"""

from __future__ import annotations

import argparse
import sqlite3
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from benchmarks.curator_state import INPUT, STATE, a_keeper, kept_by, opened, write_state
from benchmarks.kafka_worker import a_broker
from benchmarks.report import Figure, emit
from longstream.bus import Bus
from longstream.bus.kafka.wire import parse_servers, topic_partition
from longstream.v1.records_pb2 import CuratorStateRecord

KEPT = (1_000, 100_000)
_BATCH = 1_000

Values = list[bytes]


@dataclass(frozen=True, slots=True, kw_only=True)
class Changelog:
    """Where a changelog lies, and how it is read by something that knows nothing of the suite."""

    name: str
    bus: Bus
    folder: Path
    kept: int
    peer: str
    read_bare: Callable[[], Values]

    def figures(self, rounds: int) -> Iterator[Figure]:
        """Time and rate of a restore, against reading alone, and reading and parsing."""
        values = self.read_bare()
        taken = [(self._restore_s(), self._bare_s(), _parse_s(values)) for _ in range(rounds)]
        ours_s, bare_s, parse_s = (statistics.median(times) for times in zip(*taken, strict=True))
        name = f"curator_restore.{self.name}_{self.kept}"
        megabytes = sum(map(len, values)) / 1e6
        yield Figure(name=name, value=ours_s, unit="s")
        yield Figure(
            name=f"{name}_records",
            value=len(values) / ours_s,
            unit="records/s",
            against=f"{self.peer}, {len(values) / bare_s:,.0f} records/s",
            ratio=bare_s / ours_s,
        )
        yield Figure(
            name=f"{name}_megabytes",
            value=megabytes / ours_s,
            unit="MB/s",
            against=f"the same and parsing, {megabytes / (bare_s + parse_s):,.0f} MB/s",
            ratio=(bare_s + parse_s) / ours_s,
        )

    def _restore_s(self) -> float:
        keeper = a_keeper(self.bus, self.folder)
        began = time.perf_counter()
        keeper.gained(INPUT)
        took_s = time.perf_counter() - began
        if (found := kept_by(keeper)) != self.kept:
            raise SystemExit(f"{found} examples were restored, not {self.kept}")
        return took_s

    def _bare_s(self) -> float:
        began = time.perf_counter()
        self.read_bare()
        return time.perf_counter() - began


def _parse_s(values: Values) -> float:
    """Time to parse each value as the keeper must."""
    began = time.perf_counter()
    for value in values:
        CuratorStateRecord.FromString(value)
    return time.perf_counter() - began


def on_embedded(folder: Path, kept: int) -> Iterator[Changelog]:
    """A changelog in a SQLite file."""
    file = folder / "log.sqlite"

    def read() -> Values:
        with closing(sqlite3.connect(file)) as connection:
            (home,) = connection.execute(
                "SELECT partition_id FROM partitions JOIN topics USING (topic_id) WHERE name = ? AND number = ?",
                (STATE.topic, STATE.index),
            ).fetchone()
            rows = connection.execute(
                "SELECT place, key, value FROM records WHERE place >= ? AND place < ? ORDER BY place",
                (home << 40, (home + 1) << 40),
            )
            values: Values = []
            while found := rows.fetchmany(_BATCH):
                values.extend(value for _, _, value in found)
            return values

    with opened(f"sqlite:{file}", folder) as bus:
        write_state(bus, folder, kept)
        yield Changelog(
            name="embedded", bus=bus, folder=folder, kept=kept, peer="plain SQLite", read_bare=read
        )


def on_kafka(folder: Path, kept: int, address: str) -> Iterator[Changelog]:
    """A changelog on a broker."""
    name = topic_partition(STATE)

    def read() -> Values:
        consumer = parse_servers(address).consumer()
        consumer.assign([name])
        consumer.seek_to_beginning(name)
        end, values = consumer.end_offsets([name])[name], Values()
        while consumer.position(name) < end:
            for batch in consumer.poll(timeout_ms=250, max_records=_BATCH).values():
                values.extend(message.value for message in batch)
        consumer.close(autocommit=False)
        return values

    with opened(f"kafka:{address}", folder) as bus:
        write_state(bus, folder, kept)
        yield Changelog(
            name="kafka", bus=bus, folder=folder, kept=kept, peer="a bare consumer", read_bare=read
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--kept", type=int, nargs="+", default=KEPT, help="examples kept")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--kafka", help="HOST:PORT of an empty broker; without it one is started for each N")
    parser.add_argument("--json", action="store_true", help="one JSON object per figure")
    arguments = parser.parse_args()
    if arguments.kafka and len(arguments.kept) > 1:
        parser.error("a given broker holds one changelog: give a single --kept")
    for kept in arguments.kept:
        with tempfile.TemporaryDirectory() as folder:
            for changelog in on_embedded(Path(folder), kept):
                emit(changelog.figures(arguments.rounds), arguments.json)
        with tempfile.TemporaryDirectory() as folder, a_broker(arguments.kafka) as address:
            for changelog in on_kafka(Path(folder), kept, address):
                emit(changelog.figures(arguments.rounds), arguments.json)


if __name__ == "__main__":
    main()
