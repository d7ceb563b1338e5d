"""Ranking a stream: records a second through the curator's keeper, and where the time of a record goes.

One partition is filled with pairs, and a keeper of k = 1,000 takes them as the service does, on the embedded log and
on Kafka. A record costs its reading, its parsing, its rank (bound, count, state) and its share of a commit; the first
three are timed alone, on the same records in the same run, and what the whole takes beyond them is the commit and the
loop. The limit is reading and parsing: nothing that looks at every record can be faster.

    python -m benchmarks.curator_stream [--pairs FILE] [--records N] [--metric M ...] [--kafka HOST:PORT] [--json]

Needs Java for a broker of its own, or the address of one that has no topics of the suite; then with a single metric.
"""

from __future__ import annotations

import argparse
import random
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from prometheus_client import CollectorRegistry

from benchmarks.curator_state import INPUT, a_keeper, opened
from benchmarks.kafka_worker import a_broker
from benchmarks.report import Figure, emit
from longstream.bus import Bus, Output, Record
from longstream.data import Pair, open_source
from longstream.ids import digest
from longstream.pipeline import parse
from longstream.telemetry import Metrics
from longstream.topics import EXAMPLES, READERS
from longstream.v1.records_pb2 import Example, ExamplesRecord
from longstream.worker import Consumption, Worker, WorkerOptions
from longstream.worker_metrics import WorkerMetrics
from longstream_curator.keeper import Keeper

METRICS = ("chars", "nltk-words")
_K = 1_000
_PUBLISH = 512
_BATCH = 1_000
_PATIENCE_S = 600.0


@dataclass(frozen=True, slots=True)
class Stream:
    """A filled partition. records: as a reader gets them, the pipeline's revision first."""

    name: str
    bus: Bus
    folder: Path
    records: Sequence[Record]

    def figures(self) -> Iterator[Figure]:
        """Records a second in all, against reading and parsing; then each part of a record's time."""
        count = len(self.records)
        read_s, parse_s = self._read_s(), _timed(self._parse)
        handle_s = _timed(lambda: self._handle(a_keeper(self.bus, self.folder)))
        whole_s = self._whole_s()
        yield Figure(
            name=f"{self.name}_records",
            value=count / whole_s,
            unit="records/s",
            against=f"reading and parsing alone, {count / (read_s + parse_s):,.0f} records/s",
            ratio=(read_s + parse_s) / whole_s,
        )
        parts = {
            "read": read_s,
            "parse": parse_s,
            "rank": handle_s - parse_s,
            "commit_and_loop": whole_s - read_s - handle_s,
        }
        for part, seconds in parts.items():
            yield Figure(name=f"{self.name}_{part}", value=1e6 * seconds / count, unit="us/record")

    def _read_s(self) -> float:
        reader, end = self.bus.reader([INPUT]), self.bus.ends([INPUT])[INPUT]
        began = time.perf_counter()
        while reader.position(INPUT) < end:
            reader.poll(_BATCH, 0.25)
        took_s = time.perf_counter() - began
        reader.close()
        return took_s

    def _parse(self) -> None:
        for record in self.records:
            ExamplesRecord.FromString(record.value or b"")

    def _handle(self, keeper: Keeper) -> None:
        keeper.gained(INPUT)
        for record in self.records:
            keeper.handle(record)

    def _whole_s(self) -> float:
        """From the first record that the keeper takes to the commit of the last."""
        keeper, begun = a_keeper(self.bus, self.folder), threading.Event()
        first: list[float] = []
        handle = keeper.handle

        def noted(record: Record) -> Sequence[Output]:
            if not begun.is_set():
                first.append(time.perf_counter())
                begun.set()
            return handle(record)

        keeper.handle = noted  # type: ignore[method-assign]
        metrics = WorkerMetrics(Metrics("curator", CollectorRegistry()), (EXAMPLES,))
        consumption = Consumption(
            group=READERS[EXAMPLES], topics=(EXAMPLES,), member="bench", metrics=metrics
        )
        worker = Worker(self.bus, consumption, keeper, WorkerOptions())
        # On Kafka the end lies behind the mark of the last transaction, which nobody commits.
        end, deadline = self.records[-1].offset + 1, time.monotonic() + _PATIENCE_S
        worker.start()
        while (self.bus.committed(consumption.group, INPUT) or 0) < end:
            if worker.failed() is not None or time.monotonic() > deadline:
                raise SystemExit(f"the worker did not come to the end: {worker.failed()}")
            time.sleep(0.005)
        took_s = time.perf_counter() - first[0]
        worker.drain(10)
        return took_s


def _timed(work: Callable[[], None]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def examples(file: Path | None, count: int) -> list[Example]:
    """Pairs of a file, again and again under other ids; without one, texts of words with lengths as answers have."""
    if file is None:
        draw = random.Random(0)
        texts = [
            " ".join(draw.choices(("the", "river", "froze,", "and", "mills", "stood."), k=size))
            for size in (1 + int(draw.lognormvariate(5.3, 0.8)) for _ in range(min(count, 20_000)))
        ]
    else:
        texts = [item.response for item in islice(open_source(file), count) if isinstance(item, Pair)]
    return [
        Example(id=digest("bench", n), response=texts[n % len(texts)], instruction="Tell.", source="bench")
        for n in range(count)
    ]


def filled(name: str, url: str, folder: Path, metric: str, found: Sequence[Example]) -> Iterator[Stream]:
    """A bus whose partition holds the pipeline and the examples."""
    select = {"metric": metric, "k": _K, "reserve": 100}
    pipeline = parse({"name": "bench", "base_model": "none", "select": select})
    facts = [ExamplesRecord(revision=pipeline.revision()), *(ExamplesRecord(example=one) for one in found)]
    with opened(url, folder) as bus:
        for at in range(0, len(facts), _PUBLISH):
            part = facts[at : at + _PUBLISH]
            bus.publish(
                [
                    Output(topic=EXAMPLES, key=b"", value=fact.SerializeToString(), partition=0)
                    for fact in part
                ]
            )
        reader, end = bus.reader([INPUT]), bus.ends([INPUT])[INPUT]
        records: list[Record] = []
        while reader.position(INPUT) < end:
            records.extend(reader.poll(_BATCH, 0.25))
        reader.close()
        yield Stream(name, bus, folder, records)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--pairs", type=Path, help="JSON lines of pairs; without it texts are made up")
    parser.add_argument("--records", type=int, default=50_000)
    parser.add_argument("--metric", nargs="+", default=METRICS, choices=METRICS)
    parser.add_argument(
        "--kafka", help="HOST:PORT of an empty broker; without it one is started for each metric"
    )
    parser.add_argument("--json", action="store_true", help="one JSON object per figure")
    arguments = parser.parse_args()
    if arguments.kafka and len(arguments.metric) > 1:
        parser.error("a given broker holds one stream: give a single --metric")
    found = examples(arguments.pairs, arguments.records)
    for metric in arguments.metric:
        with tempfile.TemporaryDirectory() as folder:
            url = f"sqlite:{folder}/log.sqlite"
            for stream in filled(f"curator_stream.embedded_{metric}", url, Path(folder), metric, found):
                emit(stream.figures(), arguments.json)
        with tempfile.TemporaryDirectory() as folder, a_broker(arguments.kafka) as address:
            url = f"kafka:{address}"
            for stream in filled(f"curator_stream.kafka_{metric}", url, Path(folder), metric, found):
                emit(stream.figures(), arguments.json)


if __name__ == "__main__":
    main()
