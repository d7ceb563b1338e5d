"""What a training Job's pod shows of its own attempt, whether the log is there or not.

The service shows the same facts from the log, also of short jobs, whose pod no scrape may meet; a pod shows them at
once, and goes on while the log is away. Names differ (`training_` here, `trainer_` there), so that none counts twice.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from longstream.telemetry import Metrics, MetricsServer
from longstream.telemetry.at_scrape import Told
from longstream.v1.records_pb2 import TrainingJob
from longstream_trainer.facts import progressed
from longstream_trainer.metrics import LATEST_STEP, RUNNING, latest_step, running
from longstream_trainer.report import Event

SERVICE = "training"
_log = logging.getLogger(__name__)


class PodMetrics:
    """Gauges of one attempt, from its child's events."""

    def __init__(self, metrics: Metrics, pipeline: str, attempt: int) -> None:
        self._job = TrainingJob(pipeline=pipeline, attempt=attempt)
        self._lock = threading.Lock()
        metrics.at_scrape(_here(RUNNING), lambda: {(pipeline,): running(self._now())}, pipeline=(pipeline,))
        metrics.at_scrape(_here(LATEST_STEP), self._latest, pipeline=(pipeline,))

    def seen(self, event: Event) -> None:
        """The child has said something."""
        with self._lock:
            progressed(self._job, event)

    def _latest(self) -> Told:
        job = self._now()
        return {(job.pipeline,): latest_step(job.latest)} if job.HasField("latest") else {}

    def _now(self) -> TrainingJob:
        with self._lock:
            told = TrainingJob()
            told.CopyFrom(self._job)
            return told


@contextmanager
def shown(metrics: Metrics, address: str) -> Iterator[int | None]:
    """/metrics at host:port inside; the port that it is.

    None: nowhere, because no address was given, or it is taken, as by another pod in the host's own network. Training
    goes on without.
    """
    host, _, port = address.rpartition(":")
    server = MetricsServer(metrics.registry, host=host, port=int(port or 0)) if address else None
    try:
        if server is not None:
            server.start()
    except OSError as error:
        _log.warning("no metrics here", extra={"address": address, "why": str(error)})
        server = None
    try:
        yield server.port if server is not None else None
    finally:
        if server is not None:
            server.stop()


def _here(docs: Mapping[str, str]) -> Mapping[str, str]:
    return {name.replace("trainer_", "training_", 1): doc for name, doc in docs.items()}
