"""The broker of a test run: started with the first test that asks for it, ended with the run."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from scripts.kafka import LocalBroker, NoBroker


@contextmanager
def running(folder: Path, port: int = 0, advertised: str = "") -> Iterator[LocalBroker]:
    """A real broker; port and advertised as LocalBroker takes them.

    Skips where none can be had, fails where LONGSTREAM_TEST_KAFKA=required says that one must.
    """
    with kept(LocalBroker(folder, port, advertised)) as broker:
        yield broker


@contextmanager
def kept(broker: LocalBroker) -> Iterator[LocalBroker]:
    """That broker, started; skips and fails as `running` does."""
    try:
        broker.start()
    except NoBroker as error:
        if os.environ.get("LONGSTREAM_TEST_KAFKA") == "required":
            raise
        pytest.skip(f"no Kafka broker: {error}")
    try:
        yield broker
    finally:
        broker.stop()
