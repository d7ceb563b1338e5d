"""Replies come in order, errors become lost rows or end the run, and a stop is obeyed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from threading import Barrier, Event, Lock

import pytest

from longstream.errors import DeadlineExceeded, EngineDied, EngineUnavailable, InvalidInput, SuiteError
from longstream_judge.asking import Asker, Cancelled, Lost, Patience, Progress
from tests.support.ruledmodel import RuledModel


def nothing(stage: str, done: int, total: int) -> None:
    """Nobody looks."""


def asker(progress: Progress = nothing, stop: Event | None = None, **patience: int) -> Asker:
    return Asker(Patience(**patience), progress, stop or Event())


def failing(times: int, error: type[SuiteError]) -> Callable[[int], int]:
    """Fails so many times for each item, then answers with the item."""
    seen: Counter[int] = Counter()
    lock = Lock()

    def ask(item: int) -> int:
        with lock:
            seen[item] += 1
        if seen[item] <= times:
            raise error("not now")
        return item

    return ask


def test_replies_come_in_the_order_of_the_items() -> None:
    assert asker().ask_all("s", RuledModel(), range(200), lambda n: n * n) == [n * n for n in range(200)]


def test_many_items_are_in_flight_at_once() -> None:
    together = Barrier(8, timeout=10)
    replies = asker(in_flight=8).ask_all("s", RuledModel(), range(16), lambda n: together.wait() >= 0)
    assert replies == [True] * 16


def test_progress_counts_up_to_the_number_of_items() -> None:
    seen: list[tuple[str, int, int]] = []
    asker(lambda *step: seen.append(step)).ask_all("answers", RuledModel(), "abc", str.upper)
    assert seen == [("answers", done, 3) for done in range(4)]


@pytest.mark.parametrize("error", [EngineDied, EngineUnavailable, DeadlineExceeded])
def test_an_error_that_may_pass_is_tried_again_once_the_engine_is_back(error: type[SuiteError]) -> None:
    model = RuledModel()
    assert asker(attempts=3).ask_all("s", model, [1, 2], failing(2, error)) == [1, 2]
    assert model.waited == 1 + 2 * 2


def test_wrong_input_is_lost_at_once_with_its_reason() -> None:
    model = RuledModel()
    assert asker().ask_all("s", model, [1], failing(1, InvalidInput)) == [Lost("invalid_input")]
    assert model.waited == 1


@pytest.mark.parametrize("error", [EngineDied, DeadlineExceeded])
def test_an_item_that_keeps_failing_is_lost_and_the_others_are_not(error: type[SuiteError]) -> None:
    poison = failing(99, error)
    replies = asker().ask_all("s", RuledModel(), [1, 2, 3], lambda n: poison(n) if n == 2 else n)
    assert replies == [1, Lost(error.reason), 3]


def test_an_engine_that_does_not_come_back_ends_the_run() -> None:
    with pytest.raises(EngineUnavailable):
        asker().ask_all("s", RuledModel(), [1], failing(99, EngineUnavailable))


def test_an_error_of_our_own_is_not_hidden() -> None:
    with pytest.raises(ZeroDivisionError):
        asker().ask_all("s", RuledModel(), [1, 0], lambda n: 1 // n)


def test_a_stop_ends_the_run_between_two_items() -> None:
    stop, asked = Event(), []

    def ask(item: int) -> int:
        asked.append(item)
        stop.set()
        return item

    with pytest.raises(Cancelled):
        asker(stop=stop, in_flight=1).ask_all("s", RuledModel(), range(50), ask)
    assert asked == [0]


def test_without_items_the_engine_is_left_alone() -> None:
    model = RuledModel()
    assert asker().ask_all("s", model, [], str) == []
    assert model.waited == 0
