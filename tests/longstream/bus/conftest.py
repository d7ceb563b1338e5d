"""Buses for the contract: each parameter is one kind of log, empty at the start."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from longstream.bus import Bus, Topic
from longstream.bus.opening import open_bus

Opener = Callable[[], Bus]
TopicMaker = Callable[..., str]


@pytest.fixture(params=["sqlite"])
def bus_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Where the log of this test is. Add a parameter to hold another kind of bus to the same contract."""
    return f"{request.param}:{tmp_path / 'log.db'}"


@pytest.fixture
def open_another(bus_url: str) -> Iterator[Opener]:
    """Opens the log once more, as another process would."""
    with ExitStack() as stack:
        yield lambda: stack.enter_context(open_bus(bus_url))


@pytest.fixture
def bus(open_another: Opener) -> Bus:
    return open_another()


@pytest.fixture
def new_topic(bus: Bus, request: pytest.FixtureRequest) -> TopicMaker:
    """Creates a topic of a fresh name, since a broker outlives a test."""
    numbers = itertools.count()

    def create(partitions: int = 4) -> str:
        name = f"{request.node.originalname}-{next(numbers)}"
        bus.create_topics([Topic(name=name, partitions=partitions, cleanup="delete")])
        return name

    return create
