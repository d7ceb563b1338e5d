"""Buses for the contract: each parameter is one kind of log, empty at the start."""

from __future__ import annotations

import itertools
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from longstream.bodies_bus import BodiesBus
from longstream.bus import Bus, Topic
from longstream.bus.opening import open_bus
from longstream.storage.files import FileStorage

Opener = Callable[[], Bus]
TopicMaker = Callable[..., str]


@pytest.fixture(params=["sqlite", "bodies", pytest.param("kafka", marks=pytest.mark.kafka)])
def bus_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Where the log of this test is. Add a parameter to hold another kind of bus to the same contract.

    bodies: an embedded log whose values lie in storage, all but the shortest.
    """
    if request.param == "kafka":
        return f"kafka:{request.getfixturevalue('broker').address}"
    return f"{request.param}:{tmp_path / 'log.db'}"


@pytest.fixture
def group(request: pytest.FixtureRequest) -> str:
    """A name that no other test uses: groups and topics outlive a test on a broker."""
    return f"{request.node.originalname[:60]}-{uuid.uuid4().hex[:8]}"


@pytest.fixture
def open_another(bus_url: str, tmp_path: Path) -> Iterator[Opener]:
    """Opens the log once more, as another process would."""
    kind, _, path = bus_url.partition(":")

    def opened() -> Bus:
        if kind != "bodies":
            return open_bus(bus_url)
        return BodiesBus(open_bus(f"sqlite:{path}"), FileStorage(tmp_path / "objects"), above_bytes=4)

    with ExitStack() as stack:
        yield lambda: stack.enter_context(opened())


@pytest.fixture
def bus(open_another: Opener) -> Bus:
    return open_another()


@pytest.fixture
def new_topic(bus: Bus, group: str) -> TopicMaker:
    """Creates a topic of a fresh name, since a broker outlives a test."""
    numbers = itertools.count()

    def create(partitions: int = 4) -> str:
        name = f"{group}-{next(numbers)}"
        bus.create_topics([Topic(name=name, partitions=partitions, cleanup="delete")])
        return name

    return create
