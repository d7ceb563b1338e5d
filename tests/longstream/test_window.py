"""A window commits its longest finished prefix, and knows whether anything in it may still finish."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from longstream.bus import Output, Partition, Record
from longstream.errors import ControlFailed
from longstream.window import InHand, Window


def window_of(count: int) -> Window:
    window = Window(10)
    for n in range(count):
        window.take([Record(Partition("in", 0), 10 + 2 * n, b"", b"", (), 1000 + n)])  # gaps, as on a broker
    return window


@given(finished=st.lists(st.booleans(), max_size=12))
def test_the_longest_finished_prefix_is_committed_and_the_rest_stays(finished: list[bool]) -> None:
    window = window_of(len(finished))
    for n, done in enumerate(finished):
        flight = window.todo.popleft()
        flight.outputs = [Output(topic="out", key=b"%d" % n, value=b"")] if done else None
    prefix = window.finished()
    length = next((n for n, done in enumerate(finished) if not done), len(finished))
    assert [output.key for output in prefix.outputs] == [b"%d" % n for n in range(length)]
    assert (prefix.records, prefix.position) == (length, 10 + 2 * length - 1 if length else 10)
    window.committed(prefix)
    assert (len(window), window.position) == (len(finished) - length, prefix.position)
    newest_ms = 999 + len(finished) if finished else None
    oldest_ms = 1000 + length if length < len(finished) else None
    assert window.in_hand() == InHand(len(finished) - length, oldest_ms, newest_ms)


def test_what_its_handling_raised_comes_out_at_the_record_and_not_before_it_is_reached() -> None:
    window = window_of(2)
    first, second = window.todo
    second.error = ControlFailed("no")
    assert window.finished().records == 0
    first.outputs = []
    with pytest.raises(ControlFailed):
        window.finished()


def test_in_order_nothing_may_finish_behind_a_record_that_was_given_up() -> None:
    window = window_of(3)
    assert window.working()
    window.todo[0].given_up = True
    assert not window.working()


def test_in_a_pool_what_is_being_handled_may_finish_beside_a_record_that_was_given_up() -> None:
    window = window_of(2)
    first, second = window.todo.popleft(), window.todo.popleft()
    first.given_up = True
    assert window.working()
    second.outputs = []
    assert not window.working()


def test_the_head_tells_how_long_it_waits() -> None:
    window = window_of(2)
    assert window.rest_s(5.0) == 0.0
    window.todo[0].due = 7.5
    assert window.rest_s(5.0) == 2.5
    assert window.rest_s(8.0) == 0.0
    assert Window(0).rest_s(5.0) == 0.0


def test_a_dropped_window_has_nothing_left_to_begin() -> None:
    window = window_of(2)
    window.drop()
    assert window.dropped
    assert not window.todo
