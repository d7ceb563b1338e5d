"""Whether another process has a member's name: asked beside the polls, and believed of the id that was asked about."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest
from kafka.structs import ConsumerGroupMetadata

from longstream.bus.kafka import refusal
from longstream.bus.kafka.refusal import Succession
from longstream.bus.kafka.wire import parse_servers
from longstream.errors import Unavailable
from tests.support.findings import hanging


def named(member_id: str) -> Callable[[], ConsumerGroupMetadata]:
    return lambda: ConsumerGroupMetadata("group", 1, member_id, "member")


def told(succession: Succession, member_id: str) -> bool:
    """Whether it is ever said, asked as often as polls do."""
    until = time.monotonic() + 0.5
    while time.monotonic() < until:
        if succession.taken(named(member_id), doubtful=False):
            return True
        time.sleep(0.01)
    return False


@pytest.fixture
def present(monkeypatch: pytest.MonkeyPatch) -> list[str | Unavailable | None]:
    """What the group says, one answer after the other; the last one for ever."""
    answers: list[str | Unavailable | None] = []

    def say(*_: object) -> str | None:
        answer = answers.pop(0) if len(answers) > 1 else answers[0]
        if isinstance(answer, Unavailable):
            raise answer
        return answer

    monkeypatch.setattr(refusal, "present_member_id", say)
    return answers


def succession(session_s: float = 0.02) -> Succession:
    return Succession(parse_servers("127.0.0.1:1"), "group", "member", session_s)


def test_polls_do_not_wait_for_a_broker_that_takes_calls_and_does_not_answer() -> None:
    with hanging() as mute:
        asking = Succession(parse_servers(mute), "group", "member", 0.0)
        begun = time.monotonic()
        assert not any(asking.taken(named("mine"), doubtful=True) for _ in range(100))
        assert time.monotonic() - begun < 2.0


def test_another_id_under_the_name_is_a_successor(present: list[str | Unavailable | None]) -> None:
    present += [Unavailable("away"), None, "mine", "another"]
    assert told(succession(), "mine")


@pytest.mark.parametrize("said", ["mine", None])
def test_the_own_id_or_none_is_not(present: list[str | Unavailable | None], said: str | None) -> None:
    present.append(said)
    assert not told(succession(), "mine")


def test_who_has_no_id_yet_or_another_one_since_has_no_successor(
    present: list[str | Unavailable | None],
) -> None:
    present.append("new")
    assert not told(succession(), "")
    asking = succession(0.0)
    assert not asking.taken(named("old"), doubtful=False)
    time.sleep(0.2)
    assert not asking.taken(named("new"), doubtful=False)
    assert not told(asking, "new")


def test_while_in_doubt_it_is_asked_sooner(present: list[str | Unavailable | None]) -> None:
    present.append("another")
    asking = succession(600.0)
    assert not told(asking, "mine")
    until = time.monotonic() + 10.0
    while not asking.taken(named("mine"), doubtful=True):
        assert time.monotonic() < until
        time.sleep(0.05)
