"""What a worker writes at once: one act for all its partitions, and each alone where one of them is not its own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from longstream.bus import Bus, Output, Partition, Record, Topic
from longstream.bus.embedded import EmbeddedBus
from longstream.errors import ControlFailed, Fenced, InvalidInput
from tests.support.working import Shop, Told, opened, soon

PARTITIONS = 4


@dataclass
class Watched:
    """A bus that notes what its subscriptions were asked to commit, and refuses one partition for a while."""

    bus: Bus
    asked: list[set[int]] = field(default_factory=list)
    refused: int | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self.bus, name)

    def subscribe(self, group: str, topics: Sequence[str], member: str) -> Any:
        inner = self.bus.subscribe(group, topics, member)
        real = inner.commit

        def commit(outputs: Sequence[Output], positions: Mapping[Partition, int]) -> None:
            numbers = {partition.index for partition in positions}
            self.asked.append(numbers)
            if self.refused in numbers:
                raise Fenced("another has it")
            real(outputs, positions)

        inner.commit = commit  # type: ignore[method-assign]
        return inner


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    with EmbeddedBus(tmp_path / "log.sqlite") as bus, opened(bus, "shop", PARTITIONS) as shop:
        yield shop


def in_each(shop: Shop, value: bytes) -> None:
    shop.bus.publish(
        [Output(topic=shop.source, key=b"k", value=value, partition=n) for n in range(PARTITIONS)]
    )


def test_what_is_finished_in_several_partitions_is_one_act(shop: Shop) -> None:
    in_each(shop, b"a")
    watched = Watched(shop.bus)
    shop.work(shop.handler(), bus=watched)
    soon(lambda: len(shop.copied()) == PARTITIONS)
    assert watched.asked == [set(range(PARTITIONS))]


def test_a_partition_that_is_another_s_takes_none_of_the_others_along(shop: Shop) -> None:
    in_each(shop, b"a")
    watched, handler = Watched(shop.bus, refused=2), shop.handler()
    worker = shop.work(handler, bus=watched).worker
    soon(lambda: len(shop.copied()) == PARTITIONS - 1)
    soon(lambda: {p.index for p in handler.owned} == {0, 1, 3})
    first, *then = watched.asked
    assert first == {0, 1, 2, 3}
    assert sorted(map(sorted, then)) == [[0], [1], [2], [3]]
    assert handler.tries[b"a"] == PARTITIONS
    assert worker.failed() is None


@dataclass
class Stopping(Told):
    """One partition's record cannot be applied."""

    def handle(self, record: Record) -> Sequence[Output]:
        if record.partition.index == PARTITIONS - 1:
            raise ControlFailed("this barrier cannot be applied")
        return super().handle(record)


def test_a_partition_that_stops_the_worker_undoes_no_other_s_work(shop: Shop) -> None:
    in_each(shop, b"a")
    worker = shop.work(Stopping(shop.target)).worker
    soon(lambda: worker.failed() is not None)
    assert isinstance(worker.failed(), ControlFailed)
    assert len(shop.copied()) == PARTITIONS - 1


@dataclass
class Picky(Told):
    """Refuses one value, and copies the others."""

    def handle(self, record: Record) -> Sequence[Output]:
        if record.value == b"bad":
            raise InvalidInput("cannot be read")
        return super().handle(record)


def test_a_record_is_counted_once_by_its_outcome_when_it_is_committed(shop: Shop) -> None:
    shop.bus.create_topics([Topic(name=f"{shop.source}.dlq", partitions=1, cleanup="delete")])
    in_each(shop, b"a")
    shop.send(1, b"bad")
    watched = Watched(shop.bus, refused=2)  # what is refused was handled, twice in part, and is not committed
    bench = shop.work(Picky(shop.target), bus=watched)

    def counted() -> dict[str, float]:
        outcomes = ("handled", "dead_lettered")
        return {
            told: bench.sample("worker_records_total", topic=shop.source, outcome=told) for told in outcomes
        }

    soon(lambda: counted()["dead_lettered"] == 1)
    soon(lambda: bench.sample("worker_in_flight_records", topic=shop.source) == 0)
    assert counted() == {"handled": PARTITIONS - 1, "dead_lettered": 1}
