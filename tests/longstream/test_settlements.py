"""Who may settle dead letters, and that each is settled once, whatever is killed or begun twice."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from longstream.bus import Bus, Output, Position
from longstream.bus.embedded import EmbeddedBus
from longstream.bus.opening import open_bus
from longstream.dead_letter_settle import MAX_LETTERS, Report, Wish, foresee, settle
from longstream.dead_letters import position_of
from longstream.errors import Corrupt, Fenced, NotFound
from longstream.faults import crash_points
from longstream.settlements import Act, settlements, settling
from longstream.topics import EXAMPLES, SETTLEMENTS, TRAINING, Layout, topics
from longstream.v1.records_pb2 import Settlement
from tests.support.letters import die, example, letters, refuse, replayed

REPLAY = Wish(outcome=Settlement.OUTCOME_REPLAYED, by="me")
AGAIN = Wish(outcome=Settlement.OUTCOME_REPLAYED, by="me", again=True)
DROP = Wish(outcome=Settlement.OUTCOME_DROPPED, by="me", why="not ours")
ROOT = Path(__file__).resolve().parents[2]
GAPS = [gap for gap in crash_points(ROOT / "longstream" / "bus") if gap.startswith("bus.commit.")]


@pytest.fixture
def log(tmp_path: Path) -> str:
    return f"sqlite:{tmp_path / 'log.sqlite'}"


@pytest.fixture
def bus(log: str) -> Iterator[Bus]:
    with open_bus(log) as bus:
        bus.create_topics(topics(Layout()))
        yield bus


def settled(bus: Bus, ids: list[str], wish: Wish) -> Report:
    report = Report()
    settle(bus, map(position_of, ids), wish, report)
    return report


def test_a_replay_writes_the_record_and_what_became_of_the_letter(bus: Bus) -> None:
    letter = die(bus, EXAMPLES, example("e"), partition=2, key=b"key")
    assert settled(bus, [letter], REPLAY).done == [letter]
    [record] = replayed(bus, EXAMPLES)
    assert (record.partition.index, record.key) == (2, b"key")
    fact = settlements(bus)[letter]
    assert (fact.letter, fact.outcome, fact.by) == (letter, Settlement.OUTCOME_REPLAYED, "me")
    assert fact.time.seconds > 1_600_000_000


def test_what_was_settled_is_not_settled_again_unasked(bus: Bus) -> None:
    one, two = (die(bus, EXAMPLES, example(name)) for name in "ab")
    assert settled(bus, [one, two], DROP).done == [one, two]
    assert settlements(bus)[one].why == "not ours"
    assert replayed(bus, EXAMPLES) == []
    assert "dropped before" in settled(bus, [one], REPLAY).refused[one]
    assert settled(bus, [one], AGAIN).done == [one]
    assert "replayed before" in settled(bus, [one], DROP).refused[one]
    assert len(replayed(bus, EXAMPLES)) == 1


def test_what_cannot_be_replayed_does_not_hold_up_the_rest(bus: Bus) -> None:
    ids = [die(bus, EXAMPLES, example("a")), refuse(bus), die(bus, EXAMPLES, example("b"))]
    beyond = ids[-1].removesuffix("2") + "3"
    report = settled(bus, [*ids, beyond], REPLAY)
    assert report.done == [ids[0], ids[2]]
    assert set(report.refused) == {ids[1], beyond}
    assert "no letter lies there" in report.refused[beyond]
    assert settled(bus, [ids[1]], DROP).done == [ids[1]]


def test_to_foresee_writes_nothing_and_takes_nobodys_place(bus: Bus) -> None:
    letter = die(bus, EXAMPLES, example("a"))
    with settling(bus) as settler:
        report = foresee(bus, [position_of(letter)], REPLAY)
        assert (report.done, report.refused) == ([letter], {})
        assert replayed(bus, EXAMPLES) == replayed(bus, SETTLEMENTS) == []
        settler.settle([Act(Settlement(letter=letter))])


def test_many_letters_are_settled_in_several_acts_and_each_once(bus: Bus) -> None:
    ids = [die(bus, TRAINING, b"%d" % n) for n in range(MAX_LETTERS + 20)]
    assert settled(bus, ids, REPLAY).done == ids
    assert [record.value for record in replayed(bus, TRAINING)] == [b"%d" % n for n in range(len(ids))]


def test_an_unknown_partition_is_told(bus: Bus) -> None:
    with pytest.raises(NotFound, match=r"examples.dlq/7"):
        settled(bus, ["examples.dlq/7/0"], REPLAY)


def test_who_begins_later_goes_on_and_who_was_first_writes_nothing_more(log: str, bus: Bus) -> None:
    letter = die(bus, EXAMPLES, example("a"))
    first = Act(Settlement(letter=letter, by="first"), Output(topic=EXAMPLES, key=b"first", value=b"v"))
    with open_bus(log) as other, settling(bus) as early, settling(other) as late:
        assert late.known == {}
        with pytest.raises(Fenced, match="somebody else"):
            early.settle([first])
        late.settle(
            [Act(Settlement(letter=letter, by="late"), Output(topic=EXAMPLES, key=b"late", value=b"v"))]
        )
    assert [record.key for record in replayed(bus, EXAMPLES)] == [b"late"]
    assert settlements(bus)[letter].by == "late"


def test_who_comes_after_another_knows_what_that_one_settled(log: str, bus: Bus) -> None:
    letter = die(bus, EXAMPLES, example("a"))
    with open_bus(log) as other, settling(other) as early:
        early.settle([Act(Settlement(letter=letter, outcome=Settlement.OUTCOME_DROPPED))])
        assert settled(bus, [letter], REPLAY).done == []
    assert replayed(bus, EXAMPLES) == []


@pytest.mark.kills
@pytest.mark.parametrize("gap", GAPS)
def test_a_replay_killed_anywhere_and_repeated_writes_each_record_once(
    log: str, bus: Bus, tmp_path: Path, gap: str
) -> None:
    ids = [die(bus, EXAMPLES, example(name), partition=n) for n, name in enumerate("abcd")]
    program = "import sys; from longstream.cli import main; sys.exit(main())"
    command = [sys.executable, "-c", program, "dlq", "replay", *ids, "--bus", log]
    environ = {**os.environ, "LONGSTREAM_CRASH_AT": f"{gap}:1"}
    killed = subprocess.run(command, env=environ, cwd=ROOT, capture_output=True, check=False)
    assert killed.returncode == -9, killed.stderr
    report = settled(bus, ids, REPLAY)
    assert set(report.done) | set(report.refused) == set(ids)
    assert all("replayed before" in why for why in report.refused.values())
    values = sorted(record.value or b"" for record in replayed(bus, EXAMPLES))
    assert values == [example(name).SerializeToString() for name in "abcd"]
    assert set(settlements(bus)) == set(ids)


def test_settlements_of_letters_that_the_log_has_dropped_go_with_the_next_act(tmp_path: Path) -> None:
    now_s = [1_700_000_000.0]
    with EmbeddedBus(tmp_path / "log.sqlite", clock=lambda: now_s[0]) as bus:
        bus.create_topics(topics(Layout()))
        old = die(bus, EXAMPLES, example("a"))
        settled(bus, [old], DROP)
        now_s[0] += 40 * 86_400
        young = die(bus, EXAMPLES, example("b"))
        bus.housekeep(now_s[0])
        assert set(letters(bus)) == {young}
        settled(bus, [young], DROP)
        assert set(settlements(bus)) == {young}
        assert position_of(young) == Position(position_of(old).partition, 1)


def test_a_log_from_before_there_were_settlements_says_what_is_missing(log: str) -> None:
    with open_bus(log) as bus:
        bus.create_topics(topic for topic in topics(Layout()) if topic.name != SETTLEMENTS)
        assert settlements(bus) == {}
        with pytest.raises(NotFound, match=SETTLEMENTS), settling(bus):
            pytest.fail("nobody can own what is not there")


def test_what_is_no_settlement_is_not_passed_over(bus: Bus) -> None:
    bus.publish([Output(topic=SETTLEMENTS, key=b"k", value=b"\xff")])
    with pytest.raises(Corrupt, match="no Settlement"):
        settlements(bus)
