"""What a member asks its group beside the polls: whether another process has its name, believed of the id that was
asked about; and whether a partition is nobody's."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
from kafka.structs import ConsumerGroupMetadata

from longstream.bus import Partition, Topic
from longstream.bus.kafka import rollcall
from longstream.bus.kafka.bus import KafkaBus
from longstream.bus.kafka.membership import Membership
from longstream.bus.kafka.roll import Roll
from longstream.bus.kafka.rollcall import RollCall
from longstream.bus.kafka.wire import parse_servers
from longstream.errors import Unavailable
from scripts.kafka import LocalBroker
from tests.support.buses import change, gain
from tests.support.findings import hanging

ALL = frozenset({Partition("t", 0), Partition("t", 1)})


def named(member_id: str) -> Callable[[], ConsumerGroupMetadata]:
    return lambda: ConsumerGroupMetadata("group", 1, member_id, "member")


def told(roll_call: RollCall, member_id: str) -> bool:
    """Whether it is ever said, asked as often as polls do."""
    until = time.monotonic() + 0.5
    while time.monotonic() < until:
        if roll_call.replaced(named(member_id), doubtful=False):
            return True
        time.sleep(0.01)
    return False


@pytest.fixture
def present(monkeypatch: pytest.MonkeyPatch) -> list[str | Unavailable | None]:
    """What the group says, one answer after the other; the last one for ever."""
    answers: list[str | Unavailable | None] = []

    def say(*_: object) -> Roll:
        answer = answers.pop(0) if len(answers) > 1 else answers[0]
        if isinstance(answer, Unavailable):
            raise answer
        return Roll({} if answer is None else {"member": answer}, ALL)

    monkeypatch.setattr(rollcall, "roll_of", say)
    return answers


def roll_call(session_s: float = 0.02, servers: str = "127.0.0.1:1") -> RollCall:
    who = Membership(group="group", topics={"t": 2}, member="member", session_s=session_s, known={})
    return RollCall(parse_servers(servers), who)


def test_polls_do_not_wait_for_a_broker_that_takes_calls_and_does_not_answer() -> None:
    with hanging() as mute:
        asking = roll_call(0.0, mute)
        begun = time.monotonic()
        assert not any(asking.replaced(named("mine"), doubtful=True) for _ in range(100))
        assert time.monotonic() - begun < 2.0


def test_another_id_under_the_name_is_a_successor(present: list[str | Unavailable | None]) -> None:
    present += [Unavailable("away"), None, "mine", "another"]
    assert told(roll_call(), "mine")


@pytest.mark.parametrize("said", ["mine", None])
def test_the_own_id_or_none_is_not(present: list[str | Unavailable | None], said: str | None) -> None:
    present.append(said)
    assert not told(roll_call(), "mine")


def test_who_has_no_id_yet_or_another_one_since_has_no_successor(
    present: list[str | Unavailable | None],
) -> None:
    present.append("new")
    assert not told(roll_call(), "")
    asking = roll_call(0.0)
    assert not asking.replaced(named("old"), doubtful=False)
    time.sleep(0.2)
    assert not asking.replaced(named("new"), doubtful=False)
    assert not told(asking, "new")


def test_while_in_doubt_it_is_asked_sooner(present: list[str | Unavailable | None]) -> None:
    present.append("another")
    asking = roll_call(600.0)
    assert not told(asking, "mine")
    until = time.monotonic() + 10.0
    while not asking.replaced(named("mine"), doubtful=True):
        assert time.monotonic() < until
        time.sleep(0.05)


def left_over(monkeypatch: pytest.MonkeyPatch, *given: frozenset[Partition] | None) -> list[bool]:
    """What is said after each look at a group that has given out these."""
    answers = list(given)
    monkeypatch.setattr(rollcall, "roll_of", lambda *_: Roll({"member": "mine"}, answers.pop(0)))
    asking = roll_call(0.0)
    told = []
    while answers:
        looks = len(answers)
        asking.replaced(named("mine"), doubtful=False)
        while len(answers) == looks or asking._asking.locked():
            time.sleep(0.001)
        told.append(asking.left_over())
    return told


def test_a_partition_that_is_nobodys_in_two_looks_in_turn_is_left_over(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    first, other = frozenset({Partition("t", 0)}), frozenset({Partition("t", 1)})
    assert left_over(monkeypatch, ALL, first, first) == [False, False, True]
    # What did not help is asked for ever more rarely, until all was given once.
    assert left_over(monkeypatch, *[first] * 6) == [False, True, False, False, False, True]
    assert left_over(monkeypatch, first, first, ALL, first, first) == [False, True, False, False, True]
    assert left_over(monkeypatch, first, other, ALL) == [False, False, False]
    assert left_over(monkeypatch, first, None, first) == [False, False, False]


@pytest.mark.kafka
def test_what_a_member_let_go_of_before_it_died_is_given_away_in_the_end(
    broker: LocalBroker, group: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It comes back under its name and is handed its share of the first round, so nobody asks for the second."""
    cluster = parse_servers(broker.address)
    with KafkaBus(cluster, session_timeout_s=6.0) as bus, KafkaBus(cluster, session_timeout_s=6.0) as later:
        bus.create_topics([Topic(name=group, partitions=2, cleanup="delete")])
        first: Any = bus.subscribe(group, [group], "first")
        gain(first, 2)
        let_go = first._ownership.on_partitions_revoked

        def dies(revoked: Any) -> None:
            """Before it asks for the second round."""
            let_go(revoked)
            monkeypatch.setattr(first._consumer._coordinator, "request_rejoin", lambda: None)

        monkeypatch.setattr(first._ownership, "on_partitions_revoked", dies)
        second: Any = later.subscribe(group, [group], "second")
        joining = threading.Thread(target=gain, args=(second, 1))
        joining.start()
        lost = change(first).lost
        assert len(lost) == 1
        with KafkaBus(cluster, session_timeout_s=6.0) as again:
            successor = again.subscribe(group, [group], "first")
            assert len(gain(successor, 1)) == 1
            joining.join(60)
            assert not joining.is_alive()
            assert set(second._ownership.held()) == lost
