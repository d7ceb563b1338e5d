"""A Kafka broker for one run of the demo; its log lies in the run's folder."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from demo.progress import Progress
from demo.setting import Run
from scripts.kafka import LocalBroker

BROKER = "kafka"
"""Folder of the broker's log, in that of the run."""


@contextmanager
def broker_for(run: Run, progress: Progress) -> Iterator[str]:
    """Its address, while the block lasts. Raises NoBroker where none can be had."""
    began_s = time.time()
    progress.say("starting Apache Kafka, which is brought first if it is not here yet")
    broker = LocalBroker(run.folder / BROKER)
    try:
        broker.start()
        progress.measured("Kafka started", began_s)
        progress.say(f"Kafka answers at {broker.address}")
        yield broker.address
    finally:
        broker.stop()
