"""The embedded log: records a second from poll to commit, against plain SQLite moving the same bytes.

Each step polls a batch of 2 kB records, writes as many to another topic and commits, as a worker does. The
peer is the least that any durable log in this file could do: select a batch, executemany it into a second
table, move a number, one commit with synchronous=FULL; no keys' partitions, no leases, no headers, no offsets
per partition. The two take turns, and the best round of each counts, so that a neighbour's load hits both.

    python benchmarks/embedded_log.py [--records N] [--rounds N] [--json]
"""

from __future__ import annotations

import argparse
import os
import random
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from benchmarks.report import Figure, emit
from longstream.bus import Output, Partition, Topic
from longstream.bus.embedded import EmbeddedBus
from longstream.bus.embedded_store import CHECKPOINT_PAGES, PAGE_BYTES

RECORD_BYTES = 2_048
PARTITIONS = 4
BATCHES = (64, 512)
TOPICS = (
    Topic(name="in", partitions=PARTITIONS, cleanup="delete"),
    Topic(name="out", partitions=PARTITIONS, cleanup="delete"),
)
WRITER = """
import sys, time
from pathlib import Path
from longstream.bus import Output
from longstream.bus.embedded import EmbeddedBus
with EmbeddedBus(Path(sys.argv[1])) as bus:
    for pause in map(float, sys.stdin):
        time.sleep(pause)
        bus.publish([Output(topic="in", key=b"k", value=b"%r" % time.time())])
"""


def bodies(count: int) -> list[bytes]:
    """Incompressible values, the same in every run."""
    chance = random.Random(7)
    few = [chance.randbytes(RECORD_BYTES) for _ in range(256)]
    return [few[n % len(few)] for n in range(count)]


def bus_rate(folder: Path, values: list[bytes], batch: int) -> float:
    """Records per second from poll to commit over the whole input."""
    with EmbeddedBus(folder / "bus.db") as bus:
        bus.create_topics(TOPICS)
        outputs = [Output(topic="in", key=b"%032d" % n, value=value) for n, value in enumerate(values)]
        for first in range(0, len(outputs), 512):
            bus.publish(outputs[first : first + 512])
        subscription = bus.subscribe("group", ["in"], "member")
        subscription.poll(1, 1.0)
        began, done = time.perf_counter(), 0
        while done < len(values):
            records = subscription.poll(batch, 1.0).records
            copies = [Output(topic="out", key=record.key, value=record.value) for record in records]
            subscription.commit(copies, {record.partition: record.offset + 1 for record in records})
            done += len(records)
        return done / (time.perf_counter() - began)


def plain_rate(folder: Path, values: list[bytes], batch: int) -> float:
    """Records per second that SQLite alone moves from one table to another, with a position, durably."""
    with closing(sqlite3.connect(folder / "plain.db", isolation_level=None)) as connection:
        for setting in (f"page_size = {PAGE_BYTES}", "journal_mode = WAL", "synchronous = FULL"):
            connection.execute(f"PRAGMA {setting}")
        connection.execute(f"PRAGMA wal_autocheckpoint = {CHECKPOINT_PAGES}")
        for table in ("source", "target"):
            connection.execute(f"CREATE TABLE {table} (place INTEGER PRIMARY KEY, key BLOB, value BLOB)")
        connection.execute("CREATE TABLE position (at INTEGER)")
        connection.execute("INSERT INTO position VALUES (0)")
        rows = [(n, b"%032d" % n, value) for n, value in enumerate(values)]
        connection.execute("BEGIN")
        connection.executemany("INSERT INTO source VALUES (?, ?, ?)", rows)
        connection.execute("COMMIT")
        began, done = time.perf_counter(), 0
        while done < len(values):
            found = connection.execute(
                "SELECT place, key, value FROM source WHERE place >= ? ORDER BY place LIMIT ?", (done, batch)
            ).fetchall()
            connection.execute("BEGIN IMMEDIATE")
            connection.executemany("INSERT INTO target VALUES (?, ?, ?)", found)
            done += len(found)
            connection.execute("UPDATE position SET at = ?", (done,))
            connection.execute("COMMIT")
        return done / (time.perf_counter() - began)


def throughput(values: list[bytes], batch: int, rounds: int) -> Figure:
    """The best round of the bus and of its peer, taken in turns."""
    rates: list[float] = []
    peers: list[float] = []
    for _ in range(rounds):
        with tempfile.TemporaryDirectory() as folder:
            rates.append(bus_rate(Path(folder), values, batch))
            peers.append(plain_rate(Path(folder), values, batch))
    return Figure(
        name=f"embedded_log.batch_{batch}",
        value=max(rates),
        unit="records/s",
        against=f"plain SQLite, {max(peers):,.0f} records/s",
        ratio=max(rates) / max(peers),
        target=0.4,
    )


def forced_write_ms(folder: Path, times: int = 200) -> float:
    """Median time to make one written page durable on this disk."""
    took: list[float] = []
    with (folder / "forced").open("wb", buffering=0) as file:
        for _ in range(times):
            began = time.perf_counter()
            file.write(bytes(PAGE_BYTES))
            os.fdatasync(file.fileno())
            took.append(time.perf_counter() - began)
    return statistics.median(took) * 1000


def commit_latency(folder: Path, values: list[bytes]) -> Iterator[Figure]:
    """Median time of a commit of 1, 64 and 512 records, against one forced write."""
    disk_ms = forced_write_ms(folder)
    with EmbeddedBus(folder / "latency.db") as bus:
        bus.create_topics(TOPICS)
        subscription = bus.subscribe("group", ["in"], "member")
        subscription.poll(1, 1.0)
        for count in (1, *BATCHES):
            outputs = [Output(topic="out", key=b"%d" % n, value=values[n]) for n in range(count)]
            took: list[float] = []
            for _ in range(100):
                began = time.perf_counter()
                subscription.commit(outputs, {Partition("in", 0): 0})
                took.append(time.perf_counter() - began)
            median_ms = statistics.median(took) * 1000
            yield Figure(
                name=f"embedded_log.commit_{count}",
                value=median_ms,
                unit="ms",
                against=f"one forced write of this disk, {disk_ms:.2f} ms",
                ratio=median_ms / disk_ms,
            )


def waiting(folder: Path) -> Iterator[Figure]:
    """How soon a waiting poll returns what another process wrote, and what waiting costs."""
    path = folder / "waiting.db"
    with EmbeddedBus(path) as bus:
        bus.create_topics(TOPICS)
        subscription = bus.subscribe("group", ["in"], "member")
        subscription.poll(1, 1.0)
        busy, began = time.process_time(), time.perf_counter()
        while time.perf_counter() - began < 5.0:
            subscription.poll(1, 1.0)
        share = (time.process_time() - busy) / (time.perf_counter() - began)
        yield Figure(name="embedded_log.waiting", value=100 * share, unit="% of a core")
        chance = random.Random(7)
        pauses = "".join(f"{chance.uniform(0.05, 0.15):.3f}\n" for _ in range(30))
        command = [sys.executable, "-c", WRITER, str(path)]
        late: list[float] = []
        with subprocess.Popen(command, stdin=subprocess.PIPE, text=True) as writer:
            assert writer.stdin is not None
            writer.stdin.write(pauses)
            writer.stdin.close()
            while len(late) < 30:
                for record in subscription.poll(1, 10.0).records:
                    late.append(time.time() - float(record.value or b""))
        yield Figure(name="embedded_log.wake_up_median", value=statistics.median(late) * 1000, unit="ms")
        yield Figure(name="embedded_log.wake_up_worst_of_30", value=max(late) * 1000, unit="ms")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--records", type=int, default=40_960, help="records moved in each round")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", action="store_true", help="one JSON object per figure")
    arguments = parser.parse_args()
    values = bodies(arguments.records)
    emit((throughput(values, batch, arguments.rounds) for batch in BATCHES), arguments.json)
    with tempfile.TemporaryDirectory() as folder:
        emit(commit_latency(Path(folder), values), arguments.json)
        emit(waiting(Path(folder)), arguments.json)


if __name__ == "__main__":
    main()
