"""An engine's life on its loop: requests in, deaths seen, restarts with pauses, a clean end."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest
from hypothesis import given
from hypothesis import strategies as st

from longstream.errors import DeadlineExceeded, EngineDied, EngineUnavailable, InvalidInput
from longstream.llm.engine_loop import EngineLoop, RestartPolicy

POLICY = RestartPolicy(
    max_restarts=2, restart_backoff_s=0.02, restart_backoff_max_s=0.1, healthy_after_s=60.0, poll_s=0.01
)
PATIENT_S = 10.0


class Lamp:
    """The least that can be run: alight until broken or shut down."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.errored = False
        self.shut_down = False
        self.cancelled = threading.Event()

    def shutdown(self) -> None:
        self.shut_down = True

    async def shine(self, seconds: float) -> int:
        try:
            await asyncio.sleep(seconds)
        except asyncio.CancelledError:
            self.cancelled.set()
            raise
        return self.number


class Shop:
    """Hands out lamps; a start may be told to fail."""

    def __init__(self, *failures: Exception | None) -> None:
        self.failures = list(failures)
        self.starts = 0
        self.lamps: list[Lamp] = []

    def start(self) -> Lamp:
        self.starts += 1
        failure = self.failures.pop(0) if self.failures else None
        if failure is not None:
            raise failure
        self.lamps.append(Lamp(len(self.lamps) + 1))
        return self.lamps[-1]


@contextmanager
def opened(shop: Shop, policy: RestartPolicy = POLICY) -> Iterator[EngineLoop[Lamp]]:
    loop = EngineLoop(shop.start, policy)
    try:
        yield loop
    finally:
        loop.close()


def shine(loop: EngineLoop[Lamp], seconds: float = 0.0, timeout_s: float = PATIENT_S) -> int:
    return loop.call(lambda lamp: lamp.shine(seconds), timeout_s)


def eventually(true: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENT_S
    while not true():
        assert time.monotonic() < end
        time.sleep(0.005)


def test_many_threads_are_served_side_by_side() -> None:
    with opened(Shop()) as loop, ThreadPoolExecutor(20) as pool:
        loop.wait_ready(PATIENT_S)
        began = time.monotonic()
        assert list(pool.map(lambda _: shine(loop, 0.2), range(20))) == [1] * 20
        assert time.monotonic() - began < 2.0  # one after the other would take 4 s


def test_a_request_before_the_engine_serves_is_not_begun() -> None:
    gate = threading.Event()

    def late() -> Lamp:
        gate.wait(PATIENT_S)
        return Lamp(1)

    loop = EngineLoop(late, POLICY)
    try:
        assert not loop.ready
        with pytest.raises(EngineUnavailable):
            shine(loop)
        with pytest.raises(EngineUnavailable):
            loop.wait_ready(0.01)
        gate.set()
        loop.wait_ready(PATIENT_S)
        assert shine(loop) == 1
    finally:
        gate.set()
        loop.close()


def test_requests_in_a_dying_engine_are_told_and_the_next_engine_serves() -> None:
    shop = Shop()
    with opened(shop) as loop, ThreadPoolExecutor(3) as pool:
        loop.wait_ready(PATIENT_S)
        asked = [pool.submit(shine, loop, 60.0) for _ in range(3)]
        time.sleep(0.1)
        shop.lamps[0].errored = True
        assert not loop.ready
        with pytest.raises(EngineUnavailable):
            shine(loop)
        for future in asked:
            with pytest.raises(EngineDied):
                future.result(PATIENT_S)
        loop.wait_ready(PATIENT_S)
        assert shine(loop) == 2
        assert shop.lamps[0].shut_down


def test_a_model_that_cannot_be_loaded_is_tried_once_and_said_to_everyone() -> None:
    shop = Shop(InvalidInput("no such model"))
    with opened(shop) as loop:
        with pytest.raises(InvalidInput, match="no such model"):
            loop.wait_ready(PATIENT_S)
        with pytest.raises(InvalidInput, match="no such model"):
            shine(loop)
        time.sleep(0.1)
        assert shop.starts == 1


def test_a_start_that_fails_otherwise_is_tried_again() -> None:
    shop = Shop(EngineUnavailable("killed while loading"), RuntimeError("no port was free"))
    with opened(shop) as loop:
        loop.wait_ready(PATIENT_S)
        assert shop.starts == 3


def test_a_model_that_has_served_is_not_blamed_for_a_bad_restart() -> None:
    shop = Shop(None, InvalidInput("out of memory"))
    with opened(shop) as loop:
        loop.wait_ready(PATIENT_S)
        shop.lamps[0].errored = True
        eventually(lambda: shop.starts == 3)
        loop.wait_ready(PATIENT_S)


def test_an_engine_that_keeps_dying_is_given_up() -> None:
    shop = Shop(*[RuntimeError("again")] * 9)
    with opened(shop) as loop:
        with pytest.raises(EngineUnavailable, match="given up"):
            loop.wait_ready(PATIENT_S)
        with pytest.raises(EngineUnavailable, match="given up"):
            shine(loop)
        assert shop.starts == POLICY.max_restarts + 1


def test_an_engine_that_lived_long_is_forgiven() -> None:
    patient = RestartPolicy(
        max_restarts=1, restart_backoff_s=0.0, restart_backoff_max_s=0.0, healthy_after_s=0.0, poll_s=0.01
    )
    shop = Shop()
    with opened(shop, patient) as loop:
        for life in range(5):
            eventually(lambda life=life: len(shop.lamps) == life + 1 and loop.ready)  # type: ignore[misc]
            shop.lamps[life].errored = True
        eventually(lambda: len(shop.lamps) == 6)


def test_a_deadline_cancels_the_request() -> None:
    shop = Shop()
    with opened(shop) as loop:
        loop.wait_ready(PATIENT_S)
        with pytest.raises(DeadlineExceeded):
            shine(loop, 60.0, timeout_s=0.05)
        assert shop.lamps[0].cancelled.wait(PATIENT_S)
        assert shine(loop) == 1


def test_closing_ends_engine_and_requests_and_is_final() -> None:
    shop = Shop()
    with opened(shop) as loop, ThreadPoolExecutor(1) as pool:
        loop.wait_ready(PATIENT_S)
        asked = pool.submit(shine, loop, 60.0)
        time.sleep(0.1)
        loop.close()
        with pytest.raises(EngineUnavailable):
            asked.result(PATIENT_S)
        assert shop.lamps[0].shut_down
        with pytest.raises(EngineUnavailable, match="closed"):
            shine(loop)
        assert not loop.ready


@given(st.integers(1, 200))
def test_pauses_double_up_to_a_cap(deaths: int) -> None:
    pause, next_pause = POLICY.backoff_s(deaths), POLICY.backoff_s(deaths + 1)
    assert 0 < pause <= next_pause <= POLICY.restart_backoff_max_s
    assert next_pause in (2 * pause, POLICY.restart_backoff_max_s)
