"""A worker's lag as it is scraped, on both buses: true while its loop is stuck, gone with the partition."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

import pytest

from longstream.bus import Bus
from longstream.worker import WorkerOptions
from tests.support.working import Shop, opened, soon

Opener = Callable[[], Bus]


@pytest.fixture
def shop(bus: Bus, group: str) -> Iterator[Shop]:
    with opened(bus, group) as shop:
        yield shop


def test_a_partition_appears_when_it_is_gained_and_shows_nothing_once_it_is_worked_off(shop: Shop) -> None:
    shop.send(0, b"a", b"b", b"c")
    bench = shop.work(shop.handler())
    soon(lambda: len(shop.copied()) == 3)
    soon(lambda: bench.records() == {0: 0.0, 1: 0.0})
    assert bench.seconds() == {0: 0.0, 1: 0.0}


def test_while_the_loop_is_stuck_in_a_handler_its_lag_grows_in_records_and_in_seconds(shop: Shop) -> None:
    handler = shop.handler()
    handler.held[b"stuck"] = threading.Event()
    shop.send(0, b"stuck", b"next")
    bench = shop.work(handler)
    soon(lambda: handler.tries[b"stuck"] == 1)
    assert bench.records()[0] >= 2.0
    shop.send(0, b"later")
    shop.send(1, b"beside")
    soon(lambda: bench.records()[0] >= 3.0 and bench.records()[1] >= 1.0)
    before = bench.seconds()
    soon(lambda: bench.seconds()[0] > before[0] + 0.2 and bench.seconds()[1] > before[1] + 0.2)
    handler.held[b"stuck"].set()
    soon(lambda: bench.records() == {0: 0.0, 1: 0.0})
    assert bench.seconds() == {0: 0.0, 1: 0.0}


def test_a_full_window_that_rests_still_grows(shop: Shop) -> None:
    handler = shop.handler()
    handler.held[b"stuck"] = threading.Event()
    bench = shop.work(handler, options=WorkerOptions(threads=1, window=2, idle_poll_s=0.05))
    shop.send(0, b"stuck", *(b"%d" % n for n in range(9)))
    soon(lambda: bench.records().get(0, 0.0) >= 10.0)
    shop.send(0, *(b"1%d" % n for n in range(10)))
    soon(lambda: bench.records()[0] >= 20.0)
    assert bench.sample("worker_in_flight_records", topic=shop.source) < 20.0
    handler.held[b"stuck"].set()
    soon(lambda: bench.records() == {0: 0.0, 1: 0.0})
    assert bench.sample("worker_in_flight_records", topic=shop.source) == 0.0


def test_a_record_that_waits_for_its_retry_counts_as_lag_while_others_go_on(shop: Shop) -> None:
    handler = shop.handler()
    handler.away.add(b"waits")
    shop.send(0, b"waits", b"behind")
    bench = shop.work(handler)
    soon(lambda: handler.tries[b"waits"] > 1)
    shop.send(1, b"beside")
    soon(lambda: shop.copied() == [b"beside"])
    soon(lambda: bench.records() == {0: 2.0, 1: 0.0} or bench.records() == {0: 3.0, 1: 0.0})  # 3: a marker
    assert bench.seconds()[0] > 0.0
    handler.away.clear()
    soon(lambda: bench.records() == {0: 0.0, 1: 0.0})


def test_the_series_of_a_partition_go_with_it_and_all_go_with_the_worker(
    shop: Shop, open_another: Opener
) -> None:
    older = shop.work(shop.handler(), "older")
    soon(lambda: older.records().keys() == {0, 1})
    younger = shop.work(shop.handler(), "younger", bus=open_another())
    soon(lambda: len(older.records()) == len(younger.records()) == 1)
    assert (
        older.records().keys() | younger.records().keys() == older.seconds().keys() | younger.seconds().keys()
    )
    assert older.records().keys() != younger.records().keys()
    older.worker.drain(10.0)
    assert older.records() == older.seconds() == {}
    soon(lambda: younger.records().keys() == {0, 1})
    younger.worker.stop()
    assert younger.records() == younger.seconds() == {}


def test_a_worker_that_is_shut_out_by_its_newer_self_shows_nothing_any_more(
    shop: Shop, open_another: Opener
) -> None:
    handler = shop.handler()
    handler.held[b"stuck"] = threading.Event()
    shop.send(0, b"stuck")
    older = shop.work(handler)
    soon(lambda: handler.tries[b"stuck"] == 1)
    newer = shop.work(shop.handler(), bus=open_another())
    soon(lambda: shop.copied() == [b"stuck"])
    handler.held[b"stuck"].set()
    soon(lambda: older.worker.failed() is not None)
    soon(lambda: older.records() == older.seconds() == {})
    soon(lambda: newer.records() == {0: 0.0, 1: 0.0})
    assert shop.copied() == [b"stuck"]
