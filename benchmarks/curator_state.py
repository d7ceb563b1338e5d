"""A partition's changelog of kept examples, as the curator's keeper writes it, for the benchmarks of its restore."""

from __future__ import annotations

import random
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from prometheus_client import CollectorRegistry

from longstream.bodies_bus import BodiesBus
from longstream.bus import Bus, Output, Partition, Record
from longstream.bus.opening import open_bus
from longstream.ids import digest
from longstream.pipeline import parse
from longstream.storage import open_storage
from longstream.telemetry import Metrics
from longstream.topics import CURATOR_STATE, EXAMPLES, Layout, PipelineTopics, topics
from longstream.v1.records_pb2 import Example, ExamplesRecord
from longstream_curator.keeper import Keeper
from longstream_curator.kept import pipeline_metric
from longstream_curator.metrics import CuratorMetrics

RESPONSE_CHARACTERS = 2_048
LAYOUT = Layout(examples_partitions=1)
INPUT = Partition(EXAMPLES, 0)
STATE = Partition(CURATOR_STATE, 0)
_PIPELINE = "bench"
_PUBLISH = 512


def opened(url: str, folder: Path, session_s: float = 10.0) -> BodiesBus:
    """The bus as a service opens it, with its topics. session_s: silence after which a member is out."""
    log = open_bus(url, session_timeout_s=session_s)
    bus = BodiesBus(log, open_storage((folder / "objects").as_uri()))
    bus.create_topics(topics(LAYOUT))
    return bus


def a_keeper(bus: Bus, folder: Path) -> Keeper:
    """The curator's keeper, with nothing restored."""
    metrics = CuratorMetrics(Metrics("curator", CollectorRegistry()), (_PIPELINE,))
    storage = open_storage((folder / "objects").as_uri())
    make_metric = partial(pipeline_metric, nltk_data=None)
    return Keeper(bus, storage, PipelineTopics(LAYOUT.control_partitions), make_metric, metrics)


def write_state(bus: Bus, folder: Path, count: int) -> None:
    """Let a keeper take as many examples as it keeps, and publish what it logs."""
    keeper = a_keeper(bus, folder)
    keeper.gained(INPUT)
    waiting: list[Output] = []
    for record in _inputs(count):
        waiting.extend(output for output in keeper.handle(record) if output.topic == CURATOR_STATE)
        if len(waiting) >= _PUBLISH:
            bus.publish(waiting)
            waiting.clear()
    marks = [output for output in keeper.tick(INPUT) if output.topic == CURATOR_STATE]
    bus.publish([*waiting, *marks])


def kept_by(keeper: Keeper) -> int:
    """How many examples a keeper keeps."""
    return sum(held.kept for held in keeper.standings())


def an_example(number: int) -> ExamplesRecord:
    """A response of its own, the same in every run."""
    response = random.Random(number).randbytes(RESPONSE_CHARACTERS // 2).hex()
    identifier = digest("example", response, number)
    return ExamplesRecord(
        example=Example(id=identifier, response=response, source="bench", source_index=number)
    )


def _inputs(count: int) -> Iterator[Record]:
    pipeline = parse(
        {
            "name": _PIPELINE,
            "base_model": "none",
            "select": {"metric": "chars", "k": count, "reserve": 0, "dedup": "response"},
            "split": {"test": 0},
        }
    )
    yield _record(0, ExamplesRecord(revision=pipeline.revision()))
    for number in range(count):
        yield _record(number + 1, an_example(number))


def _record(offset: int, fact: ExamplesRecord) -> Record:
    return Record(
        partition=INPUT,
        offset=offset,
        key=b"",
        value=fact.SerializeToString(),
        headers=(),
        timestamp_ms=0,
    )
