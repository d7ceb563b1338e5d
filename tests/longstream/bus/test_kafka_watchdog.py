"""Calls that may never return."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from longstream.bus.kafka.watchdog import Watchdog
from longstream.errors import Unavailable

LONG_S = 60.0


@pytest.fixture
def watchdog() -> Iterator[Watchdog]:
    watchdog = Watchdog()
    yield watchdog
    watchdog.close()


def test_calls_one_after_the_other_are_made_by_one_thread(watchdog: Watchdog) -> None:
    made: list[threading.Thread] = []
    for _ in range(3):
        watchdog.run(lambda: made.append(threading.current_thread()), LONG_S)
    assert len(set(made)) == 1
    assert made[0] is not threading.current_thread()


def test_what_a_call_raises_is_raised_and_the_next_call_is_made(watchdog: Watchdog) -> None:
    made: list[int] = []
    with pytest.raises(ZeroDivisionError):
        watchdog.run(lambda: 1 // 0, LONG_S)
    watchdog.run(lambda: made.append(1), LONG_S)
    assert made == [1]


def test_a_call_that_does_not_return_is_left_behind_and_answers_for_no_later_one(watchdog: Watchdog) -> None:
    go_on, made = threading.Event(), list[int]()

    def late() -> None:
        go_on.wait(LONG_S)
        raise ZeroDivisionError

    with pytest.raises(Unavailable, match="did not answer"):
        watchdog.run(late, 0.05)
    go_on.set()
    watchdog.run(lambda: made.append(1), LONG_S)
    assert made == [1]


def test_a_closed_watchdog_leaves_no_thread(watchdog: Watchdog) -> None:
    made: list[threading.Thread] = []
    watchdog.run(lambda: made.append(threading.current_thread()), LONG_S)
    watchdog.close()
    made[0].join(LONG_S)
    assert not made[0].is_alive()
