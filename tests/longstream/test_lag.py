"""Lags: ages by hand-set clocks, and the sum written - committed for any schedule on a real log."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from longstream.bus import Output, Partition, Topic
from longstream.bus.embedded import EmbeddedBus
from longstream.lag import Lag, LagWatch
from longstream.window import InHand, Window
from tests.support.buses import gain

HERE, THERE = Partition("in", 0), Partition("in", 1)


class Clock:
    """Stands still until it is set."""

    def __init__(self, now: float) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


def test_the_first_uncommitted_record_tells_the_age_and_all_records_count() -> None:
    watch = LagWatch(Clock(1_000.0))
    assert watch.look({HERE: 7}, {HERE: InHand(3, 940_000, 990_000)}) == {HERE: Lag(10, 60.0)}


def test_a_partition_that_is_worked_off_shows_nothing_however_old_its_records_are() -> None:
    watch = LagWatch(Clock(1_000.0))
    assert watch.look({HERE: 0, THERE: 0}, {HERE: InHand(0, None, 1_000)}) == {
        HERE: Lag(0, 0.0),
        THERE: Lag(0, 0.0),
    }


def test_what_was_not_handed_out_is_as_old_as_the_last_look_that_saw_nothing() -> None:
    clock = Clock(1_000.0)
    watch = LagWatch(clock)
    watch.look({HERE: 0}, {HERE: InHand()})
    clock.now = 1_001.0
    assert watch.look({HERE: 4}, {HERE: InHand()}) == {HERE: Lag(4, 1.0)}
    clock.now = 1_090.0
    assert watch.look({HERE: 4}, {HERE: InHand()}) == {HERE: Lag(4, 90.0)}  # it grows while nobody polls


def test_it_is_no_older_than_the_last_record_that_was_handed_out() -> None:
    clock = Clock(1_000.0)
    watch = LagWatch(clock)
    watch.look({HERE: 5}, {})
    clock.now = 9_000.0
    assert watch.look({HERE: 5}, {HERE: InHand(0, None, 8_998_000)}) == {HERE: Lag(5, 2.0)}


def test_a_partition_that_has_just_come_waits_since_then() -> None:
    clock = Clock(1_000.0)
    watch = LagWatch(clock)
    assert watch.look({HERE: 9}, {}) == {HERE: Lag(9, 0.0)}
    clock.now = 1_030.0
    assert watch.look({HERE: 9}, {}) == {HERE: Lag(9, 30.0)}  # a restore that takes long


def test_a_partition_that_went_is_forgotten_and_comes_back_as_new() -> None:
    clock = Clock(1_000.0)
    watch = LagWatch(clock)
    watch.look({HERE: 1, THERE: 1}, {})
    assert watch.look({THERE: 1}, {HERE: InHand(1, 0, 0)}).keys() == {THERE}
    clock.now = 2_000.0
    assert watch.look({HERE: 1, THERE: 1}, {}) == {HERE: Lag(1, 0.0), THERE: Lag(1, 1_000.0)}


def test_a_clock_that_steps_back_makes_no_age_negative() -> None:
    clock = Clock(1_000.0)
    watch = LagWatch(clock)
    watch.look({HERE: 0, THERE: 0}, {})
    clock.now = 900.0
    assert watch.look({HERE: 1, THERE: 2}, {THERE: InHand(1, 999_000, 999_000)}) == {
        HERE: Lag(1, 0.0),
        THERE: Lag(3, 0.0),
    }


class Schedules(RuleBasedStateMachine):
    """Records are written, handed out, finished and committed in any order; partitions rest in between."""

    @initialize()
    def open_log(self) -> None:
        self.folder = tempfile.TemporaryDirectory()
        self.bus = EmbeddedBus(Path(self.folder.name) / "log.db", session_timeout_s=60.0)
        self.bus.create_topics([Topic(name="in", partitions=2, cleanup="delete")])
        self.now = Clock(0.0)
        self.watch = LagWatch(self.now)
        self.join()

    @rule(partition=st.integers(0, 1), count=st.integers(1, 5))
    def write(self, partition: int, count: int) -> None:
        self.bus.publish([Output(topic="in", key=b"k", value=b"v", partition=partition)] * count)

    @rule(at_most=st.integers(1, 7))
    def poll(self, at_most: int) -> None:
        for record in self.subscription.poll(at_most, 0.0).records:
            self.windows[record.partition].take([record])

    @rule(data=st.data())
    def finish_any(self, data: st.DataObject) -> None:
        window = self.windows[data.draw(st.sampled_from((HERE, THERE)))]
        if window.todo:
            window.todo.rotate(data.draw(st.integers(0, 5)))
            window.todo.popleft().outputs = []

    @rule(partition=st.sampled_from((HERE, THERE)))
    def commit(self, partition: Partition) -> None:
        prefix = self.windows[partition].finished()
        self.subscription.commit(prefix.outputs, {partition: prefix.position})
        self.windows[partition].committed(prefix)

    @rule(partition=st.sampled_from((HERE, THERE)))
    def rest(self, partition: Partition) -> None:
        self.subscription.pause([partition])

    @rule(partition=st.sampled_from((HERE, THERE)))
    def go_on(self, partition: Partition) -> None:
        self.subscription.resume([partition])

    @rule()
    def start_anew(self) -> None:
        self.subscription.close()
        self.join()

    def join(self) -> None:
        self.subscription = self.bus.subscribe("group", ["in"], "member")
        gain(self.subscription, 2)
        self.windows = {p: Window(self.subscription.committed(p)) for p in (HERE, THERE)}

    @invariant()
    def lag_is_what_was_written_and_not_committed(self) -> None:
        if not hasattr(self, "windows"):
            return
        self.now.now += 1.0
        lags = self.watch.look(
            self.subscription.behind(), {p: window.in_hand() for p, window in self.windows.items()}
        )
        ends = self.bus.ends((HERE, THERE))
        wanted = {p: ends[p] - (self.bus.committed("group", p) or 0) for p in (HERE, THERE)}
        assert {p: lag.records for p, lag in lags.items()} == wanted
        assert all(lag.oldest_s >= 0.0 for lag in lags.values())
        assert all(lag.oldest_s == 0.0 for lag in lags.values() if not lag.records)

    def teardown(self) -> None:
        if hasattr(self, "bus"):
            self.bus.close()
            self.folder.cleanup()


TestSchedules: Any = Schedules.TestCase
TestSchedules.settings = settings(max_examples=12, stateful_step_count=25, deadline=None)
