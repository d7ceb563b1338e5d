"""The worker over Kafka: records a second from poll to commit, against bare kafka-python loops on the same broker.

Every contender takes the same 2 kB records from a topic of four partitions, copies each into another and commits after
each poll, in the same process, one after the other. The peers are the least that a program could do with the same
client: poll, send, send the offsets, commit the transaction; and the same without transactions, which may lose and
double. They have the same batch size, compression, back-off and isolation, but no windows, no ownership, no traces,
no dead letters. Beside them: the broker's own limit with a producer alone, and the same worker over the embedded log.
The contenders take turns within each round, and the median round counts, so that a neighbour's load hits all. A round
before the first is not counted: whoever comes first in a process finds its code cold and the broker's too.

    python -m benchmarks.kafka_worker [--records N] [--rounds N] [--kafka HOST:PORT] [--json]

Needs Java for a broker of its own, or the address of one that may be written to.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.embedded_log import bodies, bus_rate
from benchmarks.kafka_loops import (
    Place,
    bare_commit,
    bare_loop,
    bare_transactions,
    fill,
    our_commit,
    producer_alone,
    worker_rate,
)
from benchmarks.report import Figure, emit
from longstream.bus.embedded import EmbeddedBus
from longstream.bus.kafka.wire import parse_servers
from scripts.kafka import LocalBroker

BATCHES = (64, 512)
COMMITS = (1, *BATCHES)
COMMITS_TIMED = 60
TARGET = 0.9
"""Of the bare transactional loop at the same batch size."""


@dataclass(frozen=True, slots=True)
class Bench:
    """A broker's topics, filled, and how much is to be measured."""

    place: Place
    values: list[bytes]
    rounds: int

    def medians(self, *contenders: Callable[[], float]) -> list[float]:
        """The median of each, taken in turns; see above for the round that is not counted."""
        taken = [[contender() for contender in contenders] for _ in range(self.rounds + 1)]
        return [statistics.median(rates) for rates in zip(*taken[1:], strict=True)]


def throughput(bench: Bench, batch: int) -> Iterator[Figure]:
    """The worker and its peers at one batch size."""
    place, count = bench.place, len(bench.values)
    ours, bare, loose, embedded = bench.medians(
        lambda: worker_rate(place.bus, place.source, place.target, count, batch),
        lambda: bare_transactions(place, count, batch),
        lambda: bare_loop(place, count, batch),
        lambda: embedded_worker(bench.values, batch),
    )
    peer = f"a bare transactional loop, {bare:,.0f} records/s"
    name = f"kafka_worker.batch_{batch}"
    yield Figure(name=name, value=ours, unit="records/s", against=peer, ratio=ours / bare, target=TARGET)
    yield Figure(
        name=f"kafka_worker.batch_{batch}_no_transactions",
        value=ours,
        unit="records/s",
        against=f"a bare loop without transactions, {loose:,.0f} records/s",
        ratio=ours / loose,
    )
    yield Figure(
        name=f"kafka_worker.batch_{batch}_embedded",
        value=embedded,
        unit="records/s",
        against="the same worker over Kafka",
        ratio=embedded / ours,
    )


def limits(bench: Bench) -> Iterator[Figure]:
    """What the broker takes from a producer that does nothing else, and the embedded log without a worker."""
    rate = bench.medians(lambda: producer_alone(bench.place, bench.values))[0]
    yield Figure(name="kafka_worker.producer_alone", value=rate, unit="records/s")
    for batch in BATCHES:
        with tempfile.TemporaryDirectory() as folder:
            rate = bus_rate(Path(folder), bench.values, batch)
        yield Figure(name=f"kafka_worker.embedded_log_batch_{batch}", value=rate, unit="records/s")


def latency(bench: Bench) -> Iterator[Figure]:
    """Median time of a commit, against a bare transaction of the same records and one position."""
    with our_commit(bench.place) as ours, bare_commit(bench.place) as bare:
        for count in COMMITS:
            values = [bench.values[n % len(bench.values)] for n in range(count)]
            took: list[tuple[float, float]] = [
                (_timed_ms(ours, values), _timed_ms(bare, values))
                for _ in range(COMMITS_TIMED * bench.rounds // 3 + 1)
            ]
            ours_ms, bare_ms = (statistics.median(times) for times in zip(*took, strict=True))
            yield Figure(
                name=f"kafka_worker.commit_{count}",
                value=ours_ms,
                unit="ms",
                against=f"a bare transaction, {bare_ms:.1f} ms",
                ratio=ours_ms / bare_ms,
            )


def embedded_worker(values: list[bytes], batch: int) -> float:
    """Records a second of the same worker over the embedded log."""
    with tempfile.TemporaryDirectory() as folder, EmbeddedBus(Path(folder) / "bus.db") as bus:
        source, target = fill(bus, values)
        return worker_rate(bus, source, target, len(values), batch)


def _timed_ms(commit: Callable[[list[bytes]], None], values: list[bytes]) -> float:
    began = time.perf_counter()
    commit(values)
    return (time.perf_counter() - began) * 1000


@contextmanager
def a_broker(address: str | None = None) -> Iterator[str]:
    """The given broker, or one of this program's own, whose log is gone with it."""
    if address is not None:
        yield address
        return
    with tempfile.TemporaryDirectory() as folder:
        broker = LocalBroker(Path(folder))
        broker.start()
        try:
            yield broker.address
        finally:
            broker.kill()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--records", type=int, default=20_480, help="records moved in each round")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--kafka", help="HOST:PORT of a broker; without it one is started")
    parser.add_argument("--json", action="store_true", help="one JSON object per figure")
    arguments = parser.parse_args()
    values = bodies(arguments.records)
    with a_broker(arguments.kafka) as address, Place.on(parse_servers(address), values) as place:
        bench = Bench(place, values, arguments.rounds)
        for batch in BATCHES:
            emit(throughput(bench, batch), arguments.json)
        emit(limits(bench), arguments.json)
        emit(latency(bench), arguments.json)


if __name__ == "__main__":
    main()
