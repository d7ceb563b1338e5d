"""What compaction and retention remove, and what they must leave."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from longstream.bus import Output, Partition, Topic
from longstream.bus.embedded import EmbeddedBus
from longstream.bus.embedded_store import Store
from longstream.bus.housekeeping import Housekeeper, Housekept, Policy, _doomed, _Entry, _Tally
from tests.support.buses import contents, ends_of, gain, numbered, take

HOUR_S = 3_600.0
POLICY = Policy(superseded_grace_s=60.0, tombstone_grace_s=HOUR_S)
STATE = Partition("state", 0)


class Clock:
    """A time of day that the test moves."""

    def __init__(self) -> None:
        self.now_s = 1_700_000_000.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def bus(tmp_path: Path, clock: Clock) -> Iterator[EmbeddedBus]:
    with EmbeddedBus(tmp_path / "log.db", clock=clock) as opened:
        opened.create_topics(
            [
                Topic(name="state", partitions=1, cleanup="compact"),
                Topic(name="work", partitions=1, cleanup="delete", retention_s=HOUR_S),
            ]
        )
        yield opened


def put(bus: EmbeddedBus, *pairs: tuple[bytes, bytes | None]) -> None:
    bus.publish([Output(topic="state", key=key, value=value) for key, value in pairs])


def pairs(bus: EmbeddedBus, topic: str = "state") -> list[tuple[int, bytes, bytes | None]]:
    return [(record.offset, record.key, record.value) for record in contents(bus, topic)]


def test_compaction_keeps_the_last_record_of_each_key_at_its_offset(bus: EmbeddedBus, clock: Clock) -> None:
    put(bus, (b"a", b"1"), (b"b", b"1"), (b"a", b"2"), (b"c", b"1"), (b"a", b"3"))
    clock.now_s += 61
    assert bus.housekeep(clock.now_s, POLICY) == Housekept(compacted=2)
    assert pairs(bus) == [(1, b"b", b"1"), (3, b"c", b"1"), (4, b"a", b"3")]
    put(bus, (b"d", b"1"))
    assert pairs(bus)[-1] == (5, b"d", b"1")


def test_a_superseded_record_stays_for_its_grace(bus: EmbeddedBus, clock: Clock) -> None:
    put(bus, (b"a", b"1"))
    clock.now_s += HOUR_S
    put(bus, (b"a", b"2"))
    clock.now_s += 59
    assert bus.housekeep(clock.now_s, POLICY) == Housekept()
    clock.now_s += POLICY.rescan_s
    assert bus.housekeep(clock.now_s, POLICY) == Housekept(compacted=1)


def test_a_tombstone_removes_at_once_and_goes_after_its_grace(bus: EmbeddedBus, clock: Clock) -> None:
    put(bus, (b"a", b"1"), (b"a", None), (b"b", b"1"))
    clock.now_s += 61
    bus.housekeep(clock.now_s, POLICY)
    assert pairs(bus) == [(1, b"a", None), (2, b"b", b"1")]
    clock.now_s += HOUR_S
    bus.housekeep(clock.now_s, POLICY)
    assert pairs(bus) == [(2, b"b", b"1")]


def test_a_reader_passes_over_gaps_and_reaches_the_end(bus: EmbeddedBus, clock: Clock) -> None:
    reader = bus.reader([STATE])
    put(bus, *[(b"a", b"%d" % n) for n in range(50)], (b"a", None))
    clock.now_s += 2 * HOUR_S
    bus.housekeep(clock.now_s, POLICY)
    assert reader.poll(10, 0.0) == []
    assert reader.position(STATE) == bus.ends([STATE])[STATE] == 51


def test_a_partition_is_not_read_again_while_nothing_is_due(
    bus: EmbeddedBus, clock: Clock, tmp_path: Path
) -> None:
    put(bus, *[(b"%d" % n, b"1") for n in range(100)])
    clock.now_s += HOUR_S
    bus.housekeep(clock.now_s, POLICY)
    put(bus, *[(b"%d" % n, b"2") for n in range(50)])
    clock.now_s += 120
    assert bus.housekeep(clock.now_s, POLICY) == Housekept()
    put(bus, (b"50", b"2"))
    clock.now_s += 61
    assert bus.housekeep(clock.now_s, POLICY) == Housekept(compacted=51)


entries = st.lists(st.tuples(st.sampled_from([b"a", b"b"]), st.booleans(), st.integers(0, 60)), max_size=30)


@example([(b"a", False, 0), (b"a", True, 0)], 10, (50.0, 10.0))
@given(entries, st.integers(0, 120), st.sampled_from([(10.0, 50.0), (50.0, 10.0)]))
def test_removal_never_changes_what_the_last_records_say(
    raw: list[tuple[bytes, bool, int]], now_s: int, graces_s: tuple[float, float]
) -> None:
    times = sorted(at for _, _, at in raw)
    log = [_Entry(n, key, times[n] * 1000, tombstone) for n, (key, tombstone, _) in enumerate(raw)]
    policy = Policy(superseded_grace_s=graces_s[0], tombstone_grace_s=graces_s[1])
    tally = _Tally()
    doomed = list(_doomed(sorted(log, key=lambda e: (e.key, e.place)), policy, now_s, tally))
    assert tally.kept == len(log) - len(doomed)

    def table(left: list[_Entry]) -> dict[bytes, int]:
        state = {entry.key: entry.place for entry in left}
        return {key: place for key, place in state.items() if not log[place].tombstone}

    # At every moment of the removal, not only at its end: a crash may come between two chunks.
    for done in range(len(doomed) + 1):
        assert table([entry for entry in log if entry.place not in doomed[:done]]) == table(log)
    young = [e.place for e in log if e.tombstone and now_s - e.timestamp_ms / 1000 < 10]
    assert not set(young) & set(doomed)


def test_old_records_go_only_below_what_every_group_has_read(bus: EmbeddedBus, clock: Clock) -> None:
    bus.publish(numbered("work", 30))
    fast, slow = (bus.subscribe(name, ["work"], "member") for name in ("fast", "slow"))
    for subscription, count in ((fast, 30), (slow, 12)):
        gain(subscription, 1)
        subscription.commit([], ends_of(take(subscription, count, max_records=count)))
    clock.now_s += HOUR_S + 1
    assert bus.housekeep(clock.now_s, POLICY) == Housekept(expired=12)
    assert [offset for offset, _, _ in pairs(bus, "work")] == list(range(12, 30))
    slow.close()
    returned = bus.subscribe("slow", ["work"], "member")
    gain(returned, 1)
    assert take(returned, 18)[0].offset == 12


def test_a_group_that_has_not_committed_yet_holds_everything(bus: EmbeddedBus, clock: Clock) -> None:
    bus.publish(numbered("work", 5))
    bus.subscribe("slow", ["work"], "member").close()
    clock.now_s += 100 * HOUR_S
    assert bus.housekeep(clock.now_s, POLICY) == Housekept()


def test_a_topic_without_groups_keeps_its_retention(bus: EmbeddedBus, clock: Clock) -> None:
    bus.publish(numbered("work", 5))
    clock.now_s += HOUR_S / 2
    bus.publish(numbered("work", 2_500, first=5))
    clock.now_s += HOUR_S / 2 + 1
    assert bus.housekeep(clock.now_s, POLICY) == Housekept(expired=5)
    clock.now_s += HOUR_S
    assert bus.housekeep(clock.now_s, POLICY) == Housekept(expired=2_500)
    work = Partition("work", 0)
    assert bus.ends([work])[work] == 2_505
    assert bus.publish(numbered("work", 1))[0].offset == 2_505


def test_a_new_group_starts_at_what_is_left(bus: EmbeddedBus, clock: Clock) -> None:
    bus.publish(numbered("work", 5))
    clock.now_s += 2 * HOUR_S
    bus.publish(numbered("work", 5))
    bus.housekeep(clock.now_s, POLICY)
    subscription = bus.subscribe("late", ["work"], "member")
    gain(subscription, 1)
    assert subscription.committed(Partition("work", 0)) == 5
    assert [record.offset for record in take(subscription, 5)] == [5, 6, 7, 8, 9]


def test_one_of_several_housekeepers_does_the_work(tmp_path: Path, clock: Clock) -> None:
    store = Store(tmp_path / "log.db")
    policy = Policy(every_s=1_000.0)
    one, two = (Housekeeper(store, policy, clock) for _ in range(2))
    assert [one._is_ours(), two._is_ours(), one._is_ours()] == [True, False, True]
    clock.now_s += 3 * policy.every_s + 1
    assert [two._is_ours(), one._is_ours()] == [True, False]
    clock.now_s -= 1_000_000
    assert one._is_ours()
    one.close()
    two.close()
    store.close()


def test_a_housekeeping_thread_tidies_by_itself(bus: EmbeddedBus, tmp_path: Path, clock: Clock) -> None:
    put(bus, *[(b"a", b"%d" % n) for n in range(10)])
    clock.now_s += HOUR_S
    store = Store(tmp_path / "log.db")
    keeper = Housekeeper(store, Policy(every_s=0.05), clock)
    deadline = time.monotonic() + 20
    while len(pairs(bus)) > 1:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    keeper.close()
    store.close()
