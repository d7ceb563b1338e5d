"""Small parts of a program."""

from __future__ import annotations

from longstream.app import Component
from longstream.components import Closing, Condition


def test_closing_closes_at_the_end_and_not_before() -> None:
    closed: list[str] = []
    part: Component = Closing(lambda: closed.append("closed"))
    part.start()
    assert part.ready
    assert part.failed() is None
    assert closed == []
    part.drain(1.0)
    assert closed == ["closed"]


def test_closing_closes_also_where_there_was_no_drain() -> None:
    closed: list[str] = []
    part = Closing(lambda: closed.append("closed"))
    part.stop()
    assert closed == ["closed"]


def test_a_condition_holds_readiness_back_until_it_is_true_and_whenever_it_is_not() -> None:
    facts = {"there": False}
    part: Component = Condition(lambda: facts["there"])
    part.start()
    assert not part.ready
    facts["there"] = True
    assert part.ready
    facts["there"] = False
    assert not part.ready
    assert part.failed() is None
    part.drain(1.0)
    part.stop()
