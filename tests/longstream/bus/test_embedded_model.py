"""Random acts of several members on the embedded log, held against a model that fits on a page.

The model: what each partition holds, how far the group has come, and which life of which member was told that
it owns what. Members come, return under their old names, go, poll and commit in any order, also with stale
work.
"""

from __future__ import annotations

import shutil
import tempfile
from collections import defaultdict
from pathlib import Path
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, initialize, invariant, rule

from longstream.bus import Output, Partition, Record, Subscription, Topic
from longstream.bus.embedded import EmbeddedBus
from longstream.errors import Fenced
from tests.support.buses import contents, copies, ends_of, gain, keys, per_partition

PARTITIONS = 3
NAMES = ("anna", "bert", "cleo")


class Life:
    """One life of a member, as it sees itself."""

    def __init__(self, name: str, subscription: Subscription) -> None:
        self.name = name
        self.subscription = subscription
        self.replaced = False
        self.owned: set[Partition] = set()
        self.work: dict[Partition, list[Record]] = defaultdict(list)


class LogMachine(RuleBasedStateMachine):
    """Bus against model."""

    lives: Bundle[Life] = Bundle("lives")

    @initialize()
    def open_log(self) -> None:
        self.folder = Path(tempfile.mkdtemp())
        # Two openings of one file, as two processes would have.
        self.buses = [EmbeddedBus(self.folder / "log.db", session_timeout_s=60.0) for _ in range(2)]
        topics = [Topic(name=name, partitions=PARTITIONS, cleanup="delete") for name in ("in", "out")]
        self.buses[0].create_topics(topics)
        self.sent: list[bytes] = []
        self.copied: list[bytes] = []
        self.positions: dict[Partition, int] = dict.fromkeys(self.buses[0].partitions("in"), 0)
        self.current: dict[str, Life] = {}

    @rule(count=st.integers(1, 6), bus=st.integers(0, 1))
    def publish(self, count: int, bus: int) -> None:
        new = [b"%05d" % n for n in range(len(self.sent), len(self.sent) + count)]
        before = self.buses[bus].ends(self.positions)
        written = self.buses[bus].publish([Output(topic="in", key=key, value=key) for key in new])
        self.sent += new
        after = self.buses[1 - bus].ends(self.positions)
        assert sum(after.values()) - sum(before.values()) == count
        for position in written:
            assert before[position.partition] <= position.offset < after[position.partition]

    @rule(target=lives, name=st.sampled_from(NAMES), bus=st.integers(0, 1))
    def join(self, name: str, bus: int) -> Life:
        if name in self.current:
            self.current[name].replaced = True
        life = Life(name, self.buses[bus].subscribe("group", ["in"], name))
        self.current[name] = life
        return life

    @rule(life=lives, at_most=st.integers(1, 4))
    def poll(self, life: Life, at_most: int) -> None:
        if life.replaced and life.name not in self.current:
            # Its successor has left: now it is like one that was put out for silence, and joins anew.
            life.replaced, self.current[life.name] = False, life
        try:
            polled = life.subscription.poll(at_most, 0.0)
        except Fenced:
            assert life.replaced
            return
        assert not (polled.records and (polled.gained or polled.lost))
        assert polled.lost <= life.owned
        for partition in polled.lost:
            life.work.pop(partition, None)
        life.owned = (life.owned - polled.lost) | polled.gained
        assert len(polled.records) <= at_most
        for record in polled.records:
            assert record.partition in life.owned
            work = life.work[record.partition]
            expected = work[-1].offset + 1 if work else record.offset
            assert record.offset == expected
            work.append(record)

    @rule(life=lives, data=st.data())
    def commit(self, life: Life, data: Any) -> None:
        ready = [partition for partition in sorted(life.work) if life.work[partition]]
        if not ready:
            return
        chosen = data.draw(st.lists(st.sampled_from(ready), min_size=1, unique=True))
        done = [r for p in chosen for r in life.work[p][: data.draw(st.integers(1, len(life.work[p])))]]
        try:
            life.subscription.commit(copies(done, "out"), ends_of(done))
        except Fenced:
            # A hand-over waits for the owner's next poll: only a newer self of the same name shuts one out.
            assert life.replaced
            return
        assert not life.replaced
        for partition, records in per_partition(done).items():
            assert records[0].offset == self.positions[partition]
            self.positions[partition] = records[-1].offset + 1
            del life.work[partition][: len(records)]
        self.copied += [record.key for record in done]

    @rule(life=consumes(lives))
    def leave(self, life: Life) -> None:
        life.subscription.close()
        if self.current.get(life.name) is life:
            del self.current[life.name]

    @invariant()
    def the_file_holds_what_the_model_holds(self) -> None:
        bus = self.buses[0]
        assert keys(contents(bus, "in")) == self.sent
        assert sorted(self.copied) == keys(contents(bus, "out"))
        assert {p: bus.committed("group", p) or 0 for p in self.positions} == self.positions

    def teardown(self) -> None:
        for life in self.current.values():
            life.subscription.close()
        last = self.buses[0].subscribe("group", ["in"], "last")
        gain(last, PARTITIONS)
        while records := last.poll(100, 0.0).records:
            last.commit(copies(records, "out"), ends_of(records))
        assert keys(contents(self.buses[0], "out")) == self.sent
        for bus in self.buses:
            bus.close()
        shutil.rmtree(self.folder)


LogMachine.TestCase.settings = settings(max_examples=30, stateful_step_count=30, deadline=None)
TestLogAgainstModel = LogMachine.TestCase
