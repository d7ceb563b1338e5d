"""The instructor as a program: an engine, a worker over `selected` that keeps it full, and the call."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from longstream.llm import open_model
from longstream.llm.component import ModelComponent
from longstream.llm.devices import gpus_held
from longstream.llm.metered import EngineMetrics
from longstream.llm.replies import RememberingModel, ReplyStore
from longstream.llm.types import LanguageModel
from longstream.runtime import load, open_runtime
from longstream.topics import SELECTED
from longstream.v1.instructor_pb2_grpc import add_InstructorServiceServicer_to_server
from longstream.worker import WorkerOptions
from longstream_instructor.metrics import InstructorMetrics
from longstream_instructor.service import InstructorService
from longstream_instructor.settings import InstructorSettings


def main() -> None:
    """Run until SIGTERM."""
    with open_runtime("instructor", (SELECTED,)) as runtime:
        settings = load(InstructorSettings, "INSTRUCTOR_")
        url = settings.engine_url
        metrics = InstructorMetrics(runtime.metrics)
        model: LanguageModel = EngineMetrics(runtime.metrics).metered(
            open_model(url, settings.engine), partial(gpus_held, url)
        )
        if settings.replies:
            store = ReplyStore(Path(settings.replies), int(settings.replies_mib * 1024**2))
            model = RememberingModel(model, store, metrics.remembered)
        service = InstructorService(
            model,
            runtime.keys,
            metrics,
            timeout_s=settings.timeout_s,
            in_flight=settings.in_flight,
        )
        options = WorkerOptions(threads=settings.in_flight, window=2 * settings.in_flight)
        runtime.run(
            [partial(add_InstructorServiceServicer_to_server, service)],
            [ModelComponent(model), runtime.worker(SELECTED, service, options)],
        )


if __name__ == "__main__":
    main()
