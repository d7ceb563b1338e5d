"""Views and restores over a real embedded log."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from longstream.bus import Bus, Output, Partition, Topic
from longstream.bus.opening import open_bus
from longstream.errors import DeadlineExceeded, Unavailable
from longstream.view import View, read_to_end

TABLE = "table"


@pytest.fixture
def bus(tmp_path: Path) -> Iterator[Bus]:
    bus = open_bus(f"sqlite:{tmp_path / 'log.sqlite'}")
    bus.create_topics([Topic(name=TABLE, partitions=2, cleanup="compact")])
    yield bus
    bus.close()


@pytest.fixture
def view(bus: Bus) -> Iterator[View[bytes]]:
    view: View[bytes] = View(bus, TABLE, lambda record: record.value or b"")
    view.start()
    yield view
    view.stop()


def put(bus: Bus, key: str, value: bytes | None, partition: int = 0) -> None:
    bus.publish([Output(topic=TABLE, key=key.encode(), value=value, partition=partition)])


def test_a_view_knows_what_was_written_before_it_started(bus: Bus) -> None:
    put(bus, "a", b"1")
    view: View[bytes] = View(bus, TABLE, lambda record: record.value or b"")
    view.start()
    view.catch_up(10)
    assert view.ready
    assert view.get("a") == b"1"
    view.stop()


def test_a_tombstone_removes_and_a_later_value_replaces(bus: Bus, view: View[bytes]) -> None:
    put(bus, "a", b"1")
    put(bus, "b", b"1")
    put(bus, "a", None)
    put(bus, "b", b"2")
    view.catch_up(10)
    assert view.get("a") is None
    assert view.get("b") == b"2"


def test_keys_under_a_prefix_come_in_the_order_of_their_first_appearance(bus: Bus, view: View[bytes]) -> None:
    for key in ("p/2", "q/1", "p/1"):
        put(bus, key, b"x")
    view.catch_up(10)
    assert [key for key, _ in view.under("p/")] == ["p/2", "p/1"]


def test_waiting_ends_when_the_view_can_answer(bus: Bus, view: View[bytes]) -> None:
    put(bus, "late", b"here", partition=1)
    assert view.wait(lambda view: view.get("late"), 10) == b"here"


def test_waiting_for_what_never_comes_ends_with_the_deadline(view: View[bytes]) -> None:
    with pytest.raises(DeadlineExceeded):
        view.wait(lambda view: view.get("never"), 0.05)


def test_a_stopped_view_frees_who_waits(view: View[bytes]) -> None:
    view.stop()
    with pytest.raises(Unavailable):
        view.wait(lambda view: view.get("never"), 10)


def test_a_value_that_cannot_be_parsed_ends_the_view_and_tells(bus: Bus) -> None:
    def refuse(record: object) -> bytes:
        raise ValueError("no")

    view: View[bytes] = View(bus, TABLE, refuse)
    view.start()
    put(bus, "a", b"1")
    with pytest.raises(Unavailable):
        view.wait(lambda view: view.get("a"), 10)
    assert isinstance(view.failed(), ValueError)
    view.stop()


def test_reading_to_the_end_stops_at_the_end_of_its_beginning(bus: Bus) -> None:
    for number in range(5):
        put(bus, f"k{number}", b"%d" % number)
    seen = []
    for record in read_to_end(bus, [Partition(TABLE, 0)]):
        put(bus, "more", b"later")
        seen.append(record.value)
    assert seen == [b"0", b"1", b"2", b"3", b"4"]
