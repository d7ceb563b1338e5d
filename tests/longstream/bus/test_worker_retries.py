"""Retries in place: while a record waits, the group is followed, others go on, and a drain or a loss ends the wait."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from longstream.bus import Bus, Output, Partition, Polled, Subscription
from longstream.errors import Unavailable
from longstream.worker import WorkerOptions
from tests.support.working import Shop, opened, soon

Opener = Callable[[], Bus]
LONG = WorkerOptions(idle_poll_s=0.05, busy_poll_s=0.01, backoff_s=600.0, max_backoff_s=600.0)
ONE_BUS = pytest.mark.parametrize("bus_url", ["sqlite"], indirect=True)
"""For what the worker does whichever bus it runs on."""
POOL = WorkerOptions(threads=2, idle_poll_s=0.05, busy_poll_s=0.01, backoff_s=0.02, max_backoff_s=0.05)


@pytest.fixture
def shop(bus: Bus, group: str) -> Iterator[Shop]:
    with opened(bus, group) as shop:
        yield shop


def test_in_order_what_stands_behind_a_waiting_record_waits_and_other_partitions_go_on(shop: Shop) -> None:
    handler = shop.handler()
    handler.away.add(b"waits")
    shop.send(0, b"first", b"waits", b"behind")
    bench = shop.work(handler)
    soon(lambda: handler.tries[b"waits"] >= 3)
    shop.send(1, b"beside")
    soon(lambda: sorted(shop.copied()) == [b"beside", b"first"])
    assert handler.tries[b"behind"] == 0
    handler.away.clear()
    soon(lambda: len(shop.copied()) == 4)
    assert shop.copied()[-2:] == [b"waits", b"behind"]
    retried = bench.sample("worker_retries_total", topic=shop.source, reason="unavailable")
    assert retried == handler.tries[b"waits"] - 1


@pytest.mark.parametrize("options", [LONG, POOL], ids=["in order", "in a pool"])
def test_others_get_their_partitions_while_a_record_waits_and_its_loss_ends_the_tries(
    shop: Shop, open_another: Opener, options: WorkerOptions
) -> None:
    handler = shop.handler()
    handler.away |= {b"0", b"1"}
    shop.send(0, b"0")
    shop.send(1, b"1")
    shop.work(handler, "older", options)
    soon(lambda: min(handler.tries[value] for value in (b"0", b"1")) >= 1)
    younger = shop.handler()
    shop.work(younger, "younger", bus=open_another())
    soon(lambda: len(handler.owned) == len(younger.owned) == 1)
    (moved,) = younger.owned
    value = b"%d" % moved.index
    soon(lambda: shop.copied() == [value])
    tries = handler.tries[value]
    time.sleep(0.5)  # ten of the pool's waits
    assert handler.tries[value] == tries
    assert younger.tries[value] == 1


def test_a_drain_ends_the_wait_after_one_more_try_and_commits_what_is_finished(shop: Shop) -> None:
    handler = shop.handler()
    handler.away.add(b"waits")
    shop.send(0, b"first", b"waits", b"behind")
    first = shop.work(handler, options=LONG)
    soon(lambda: shop.copied() == [b"first"])
    assert handler.tries[b"waits"] == 1
    before = time.monotonic()
    first.worker.drain(300.0)
    assert time.monotonic() - before < 150.0
    assert handler.tries == {b"first": 1, b"waits": 2}
    assert first.worker.failed() is None
    second = shop.handler()
    shop.work(second)
    soon(lambda: shop.copied() == [b"first", b"waits", b"behind"])
    assert second.tries == {b"waits": 1, b"behind": 1}


def test_in_a_pool_a_drain_commits_what_the_one_more_try_sets_free(shop: Shop) -> None:
    handler = shop.handler()
    handler.away.add(b"waits")
    shop.send(0, b"waits", b"behind")
    bench = shop.work(handler, options=WorkerOptions(threads=2, backoff_s=600.0, max_backoff_s=600.0))
    soon(lambda: handler.tries == {b"waits": 1, b"behind": 1})
    handler.away.clear()
    bench.worker.drain(300.0)
    assert shop.copied() == [b"waits", b"behind"]


def test_a_stop_ends_the_wait_at_once_and_is_no_failure(shop: Shop) -> None:
    handler = shop.handler()
    handler.away.add(b"waits")
    shop.send(0, b"waits")
    bench = shop.work(handler, options=LONG)
    soon(lambda: handler.tries[b"waits"] == 1)
    bench.worker.stop()
    assert bench.worker.failed() is None
    assert handler.tries[b"waits"] == 1
    assert shop.copied() == []


@ONE_BUS
def test_a_restore_that_a_retry_can_help_is_tried_again_and_no_record_comes_before_it(shop: Shop) -> None:
    shop.send(0, b"a")
    handler = shop.handler()
    handler.restores = [Unavailable("the view is not there yet") for _ in range(4)]
    bench = shop.work(handler)
    soon(lambda: shop.copied() == [b"a"])
    assert handler.restores == []
    assert bench.sample("worker_retries_total", topic=shop.source, reason="unavailable") == 4.0


@dataclass
class Flaky:
    """A bus whose subscriptions say Unavailable to their first polls, and to commits until they are closed."""

    bus: Bus
    failing_polls: int = 0
    failing_commits: bool = False
    commits: int = 0
    closed: threading.Event = field(default_factory=threading.Event)

    def subscribe(self, group: str, topics: Sequence[str], member: str) -> Any:
        return FlakySubscription(self, self.bus.subscribe(group, topics, member))

    def __getattr__(self, name: str) -> Any:
        return getattr(self.bus, name)


@dataclass
class FlakySubscription:
    """See `Flaky`."""

    flaky: Flaky
    inner: Subscription

    def poll(self, max_records: int, timeout_s: float) -> Polled:
        if self.flaky.failing_polls > 0:
            self.flaky.failing_polls -= 1
            raise Unavailable("the broker is away")
        return self.inner.poll(max_records, timeout_s)

    def commit(self, outputs: Sequence[Output], positions: Mapping[Partition, int]) -> None:
        if self.flaky.failing_commits:
            self.flaky.commits += 1
            assert self.flaky.closed.wait(60.0), "nobody closed the subscription"
            raise Unavailable("closing while a commit's outcome is not known")
        self.inner.commit(outputs, positions)

    def close(self) -> None:
        self.flaky.closed.set()
        self.inner.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)


@ONE_BUS
def test_a_log_that_cannot_be_polled_is_waited_for(shop: Shop) -> None:
    shop.send(0, b"a")
    flaky: Any = Flaky(shop.bus, failing_polls=3)
    bench = shop.work(shop.handler(), bus=flaky)
    soon(lambda: shop.copied() == [b"a"])
    assert bench.sample("worker_retries_total", topic=shop.source, reason="unavailable") == 3.0


@ONE_BUS
def test_a_stop_ends_a_commit_that_asks_an_absent_broker_for_its_outcome(shop: Shop) -> None:
    shop.send(0, b"a")
    flaky: Any = Flaky(shop.bus, failing_commits=True)
    bench = shop.work(shop.handler(), bus=flaky)
    soon(lambda: flaky.commits == 1)
    bench.worker.stop()
    assert bench.worker.failed() is None
    assert flaky.commits == 1
    assert shop.copied() == []
