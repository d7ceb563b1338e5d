"""Writing instructions: what the service adds to the engine, and what the order of a prompt saves.

One engine answers the same prompts four ways: offline by vLLM's own `LLM.generate`, which is the peer, through the
worker on the embedded log, through it on Kafka, and through the call GenerateStream. Then one style is asked for beside
three, with the document first and with the request first. Each run has documents that the engine has not seen, of equal
length. The last figure is arithmetic on what was measured: tokens written for each row of a release, if the longest
tenth is ranked first and asked about after, and if every document is asked about.

    python -m benchmarks.instructor [--model FOLDER] [--documents N] [--rounds N] [--kafka HOST:PORT | --no-kafka]
        [--json]

Without a model one of random weights is made: it writes noise, at the speed of its size.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from prometheus_client import CollectorRegistry

from benchmarks.curator_state import LAYOUT, opened
from benchmarks.instructor_model import documents, make_model, salted
from benchmarks.instructor_offline import IN_FLIGHT, MEAN, WARM, offline, options, task
from benchmarks.kafka_worker import a_broker
from benchmarks.report import Figure, emit
from longstream.bus import Bus, Output
from longstream.channel import channel
from longstream.ids import digest
from longstream.llm.types import LanguageModel
from longstream.llm.vllm_engine import VllmModel
from longstream.server import GrpcServer, ServerSettings
from longstream.telemetry import Metrics
from longstream.topics import READERS, ROWS, SELECTED, PipelineTopics
from longstream.v1 import instructor_pb2 as pb
from longstream.v1.instructor_pb2_grpc import InstructorServiceStub, add_InstructorServiceServicer_to_server
from longstream.v1.records_pb2 import Example, SelectedTask
from longstream.worker import Consumption, Worker, WorkerOptions
from longstream.worker_metrics import WorkerMetrics
from longstream_instructor.metrics import InstructorMetrics
from longstream_instructor.service import InstructorService

_PATIENCE_S = 590.0


@dataclass(slots=True)
class Service:
    """The instructor over one engine."""

    model: LanguageModel
    texts: Sequence[str]
    folder: Path
    salt: int = 5_000

    def fresh(self) -> list[str]:
        """Documents that the engine has not seen."""
        self.salt += 1
        return salted(self.texts, self.salt)

    def log_s(self, bus: Bus) -> float:
        """Seconds from the first task in the log to the last row in it."""
        began_at = dict(bus.ends(bus.partitions(ROWS)))
        metrics = Metrics("instructor", CollectorRegistry())
        keys = PipelineTopics(LAYOUT.control_partitions)
        service = InstructorService(self.model, keys, InstructorMetrics(metrics), timeout_s=_PATIENCE_S)
        consumption = Consumption(
            group=READERS[SELECTED],
            topics=(SELECTED,),
            member="benchmark",
            metrics=WorkerMetrics(metrics, (SELECTED,)),
        )
        how = WorkerOptions(threads=IN_FLIGHT, window=2 * IN_FLIGHT)
        worker = Worker(bus, consumption, service, how)
        texts = self.fresh()
        worker.start()
        try:
            began = time.perf_counter()
            bus.publish([_task_output(text, number) for number, text in enumerate(texts)])
            while sum(end - began_at[one] for one, end in bus.ends(bus.partitions(ROWS)).items()) < len(
                texts
            ):
                if (error := worker.failed()) is not None:
                    raise error
                time.sleep(0.01)
            return time.perf_counter() - began
        finally:
            worker.drain(10.0)

    def call_s(self) -> float:
        """Seconds of one call of GenerateStream."""
        metrics = Metrics("instructor", CollectorRegistry())
        keys = PipelineTopics(LAYOUT.control_partitions)
        service = InstructorService(
            self.model, keys, InstructorMetrics(metrics), timeout_s=_PATIENCE_S, in_flight=IN_FLIGHT
        )
        register = partial(add_InstructorServiceServicer_to_server, service)
        server = GrpcServer(ServerSettings(address="127.0.0.1:0"), [register], metrics)
        server.start()
        server.set_ready(True)
        how = task().model_dump_json(exclude={"seed"})
        requests = [
            pb.GenerateStreamRequest(
                request_id=str(number),
                request=pb.GenerateRequest(document=text, style="instruction", options=how, seed=number),
            )
            for number, text in enumerate(self.fresh())
        ]
        try:
            with channel(f"127.0.0.1:{server.port}", timeout_s=_PATIENCE_S) as way:
                began = time.perf_counter()
                answers = list(InstructorServiceStub(way).GenerateStream(iter(requests), timeout=_PATIENCE_S))
                took = time.perf_counter() - began
        finally:
            server.stop()
        if failed := [one.failure.message for one in answers if one.HasField("failure")]:
            raise RuntimeError(failed[0])
        return took


def _task_output(text: str, number: int) -> Output:
    example = Example(id=digest("example", text), response=text, source="benchmark")
    asked = SelectedTask(
        pipeline="benchmark",
        release_id="r",
        row_id=f"{number}-{text[:9]}",
        example=example,
        task=task().model_dump_json(),
    )
    return Output(topic=SELECTED, key=example.id.encode(), value=asked.SerializeToString())


def figures(folder: Path, args: argparse.Namespace) -> Iterator[Figure]:
    """All figures, the peer's first: two engines beside each other would measure each other."""
    alone = _alone(folder, args)
    one = _fastest(alone["one"])["s"]
    yield Figure(name="offline", value=args.documents / one, unit="documents/s")
    for name, few, many, target in (
        ("three_styles_of_long_documents", "long_one", "long_three", 1.2),
        ("three_styles", "one", "three", 1.2),
        ("three_styles_request_first", "one", "request_first", None),
    ):
        yield from _styles(name, _fastest(alone[few]), _fastest(alone[many]), target)
    for name, seconds in _served(folder, documents(args.documents, MEAN), args):
        yield Figure(
            name=name,
            value=args.documents / seconds,
            unit="documents/s",
            against=f"LLM.generate, {args.documents / one:.2f} documents/s",
            ratio=one / seconds,
            target=0.95,
        )


def _fastest(runs: Sequence[dict[str, float]]) -> dict[str, float]:
    return min(runs, key=lambda run: run["s"])


def _styles(
    name: str, few: dict[str, float], many: dict[str, float], target: float | None
) -> Iterator[Figure]:
    """Time of three styles beside one; what the tokens alone would make of it; what was found again."""
    against = f"one style, {few['s']:.1f} s"
    yield Figure(
        name=name, value=many["s"], unit="s", against=against, ratio=many["s"] / few["s"], target=target
    )
    yield Figure(
        name=f"{name}_tokens",
        value=many["computed"],
        unit="tokens computed",
        against=f"one style, {few['computed']:,.0f}",
        ratio=many["computed"] / few["computed"],
    )
    yield Figure(name=f"{name}_prefix_hits", value=100 * many["hits"], unit="% of prompt tokens")


def _alone(folder: Path, args: argparse.Namespace) -> dict[str, Any]:
    words = [
        "--model",
        str(folder),
        "--documents",
        str(args.documents),
        "--rounds",
        str(args.rounds),
        "--offline",
    ]
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.instructor", *words], stdout=subprocess.PIPE, check=True
    )
    # The engine logs to standard output too.
    line = next(line for line in reversed(done.stdout.splitlines()) if line.startswith(b"{"))
    told: dict[str, Any] = json.loads(line)
    return told


def _served(folder: Path, texts: Sequence[str], args: argparse.Namespace) -> Iterator[tuple[str, float]]:
    with ExitStack() as stack:
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        model = VllmModel(str(folder), options())
        stack.callback(model.close)
        model.wait_ready(_PATIENCE_S)
        service = Service(model, texts, scratch)
        warm = Service(model, texts[:WARM], scratch, salt=4_000)
        ways: dict[str, Callable[[Service], float]] = {"grpc_stream": Service.call_s}
        embedded = stack.enter_context(_bus(f"sqlite:{scratch / 'log'}", scratch))
        ways["embedded_log"] = lambda one: one.log_s(embedded)
        if not args.no_kafka:
            address = stack.enter_context(a_broker(args.kafka))
            kafka = stack.enter_context(_bus(f"kafka:{address}", scratch))
            ways["kafka"] = lambda one: one.log_s(kafka)
        for way in ways.values():
            way(warm)
        for name, way in ways.items():
            yield name, min(way(service) for _ in range(args.rounds))


@contextmanager
def _bus(url: str, folder: Path) -> Iterator[Bus]:
    bus = opened(url, folder)
    try:
        yield bus
    finally:
        bus.close()


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--model", type=Path, help="folder of a model that vLLM runs; without it one is made")
    parser.add_argument("--documents", type=int, default=128, help="of each run")
    parser.add_argument("--rounds", type=int, default=3, help="of each figure; the fastest counts")
    parser.add_argument("--width", type=int, default=384, help="of the model that is made")
    parser.add_argument("--layers", type=int, default=12, help="of the model that is made")
    parser.add_argument("--kafka", help="HOST:PORT of a broker; without it one is started")
    parser.add_argument("--no-kafka", action="store_true", help="leave Kafka out")
    parser.add_argument("--offline", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--json", action="store_true", help="one JSON object per figure")
    args = parser.parse_args()
    if args.offline:
        print(json.dumps(offline(args.model, args.documents, args.rounds)))
        return
    with tempfile.TemporaryDirectory() as scratch:
        folder = args.model or make_model(Path(scratch, "model"), args.width, args.layers)
        emit(figures(folder, args), args.json)


if __name__ == "__main__":
    main()
