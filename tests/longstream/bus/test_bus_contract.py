"""What every bus keeps, whichever log it runs on: offsets may have gaps, hand-overs may take time."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import pytest

from longstream.bus import MAX_RECORD_BYTES, Bus, Output, Partition, Polled, Subscription, Topic
from longstream.bus.partitioner import partition_for
from longstream.errors import Fenced, InvalidInput, NotFound, Refused, TooLarge
from tests.support.buses import (
    PATIENCE_S,
    change,
    contents,
    copies,
    ends_of,
    gain,
    keys,
    numbered,
    offsets_grow,
    per_partition,
    take,
)

Opener = Callable[[], Bus]
TopicMaker = Callable[..., str]


def poll_often(subscription: Subscription) -> None:
    until = time.monotonic() + 3 * PATIENCE_S  # a session and more
    while time.monotonic() < until:
        subscription.poll(1, 0.1)


def test_partitions_are_listed_in_order(bus: Bus, new_topic: TopicMaker) -> None:
    topic = new_topic(3)
    assert bus.partitions(topic) == (Partition(topic, 0), Partition(topic, 1), Partition(topic, 2))


def test_a_topic_that_was_never_created_is_not_found(bus: Bus, group: str) -> None:
    with pytest.raises(NotFound):
        bus.partitions("nowhere")
    with pytest.raises(NotFound):
        bus.publish([Output(topic="nowhere", key=b"k", value=b"v")])
    with pytest.raises(NotFound):
        bus.subscribe(group, ["nowhere"], "member")


def test_creating_a_topic_again_is_harmless_but_not_with_other_partitions(
    bus: Bus, new_topic: TopicMaker
) -> None:
    topic = new_topic(2)
    bus.create_topics([Topic(name=topic, partitions=2, cleanup="delete")])
    with pytest.raises(Refused):
        bus.create_topics([Topic(name=topic, partitions=3, cleanup="delete")])
    assert len(bus.partitions(topic)) == 2


def test_a_record_comes_back_as_it_was_written(bus: Bus, new_topic: TopicMaker) -> None:
    topic = new_topic(1)
    before = time.time()
    headers = (("ce_id", b"7"), ("traceparent", bytes(range(256))), ("ce_id", b""))
    written = bus.publish(
        [
            Output(topic=topic, key=b"\x00key", value=b"\xffvalue", headers=headers),
            Output(topic=topic, key=b"", value=None),
        ]
    )
    first, tombstone = contents(bus, topic)
    assert (first.key, first.value, first.headers) == (b"\x00key", b"\xffvalue", headers)
    assert (tombstone.key, tombstone.value, tombstone.headers) == (b"", None, ())
    assert [(r.partition, r.offset) for r in (first, tombstone)] == [(p.partition, p.offset) for p in written]
    assert before - 60 < first.timestamp_ms / 1000 < time.time() + 60


def test_a_key_stays_in_its_murmur2_partition_and_in_order(bus: Bus, new_topic: TopicMaker) -> None:
    topic = new_topic(4)
    outputs = [Output(topic=topic, key=b"key-%d" % (n % 7), value=b"%03d" % n) for n in range(70)]
    bus.publish(outputs[:30])
    bus.publish(outputs[30:])
    records = contents(bus, topic)
    assert {r.partition.index == partition_for(r.key, 4) for r in records} == {True}
    for key in {output.key for output in outputs}:
        assert [r.value for r in records if r.key == key] == [o.value for o in outputs if o.key == key]


def test_an_output_may_name_its_partition(bus: Bus, new_topic: TopicMaker) -> None:
    topic = new_topic(3)
    written = bus.publish([Output(topic=topic, key=b"same", value=b"v", partition=n) for n in (2, 0, 1)])
    assert [position.partition.index for position in written] == [2, 0, 1]
    with pytest.raises(InvalidInput):
        bus.publish([Output(topic=topic, key=b"k", value=b"v", partition=3)])


def test_a_batch_with_one_bad_output_writes_nothing(bus: Bus, new_topic: TopicMaker) -> None:
    topic = new_topic(1)
    good = Output(topic=topic, key=b"good", value=b"v")
    with pytest.raises(TooLarge):
        bus.publish([good, Output(topic=topic, key=bytes(MAX_RECORD_BYTES), value=b"big")])
    with pytest.raises(NotFound):
        bus.publish([good, Output(topic="nowhere", key=b"k", value=b"v")])
    assert contents(bus, topic) == []


def test_an_offset_is_never_used_twice_and_ends_lie_behind_it(bus: Bus, new_topic: TopicMaker) -> None:
    topic = new_topic(2)
    seen: set[tuple[Partition, int]] = set()
    for n in range(5):
        for position in bus.publish(numbered(topic, 10, first=10 * n)):
            assert (position.partition, position.offset) not in seen
            seen.add((position.partition, position.offset))
    ends = bus.ends(bus.partitions(topic))
    assert all(offset < ends[partition] for partition, offset in seen)


def test_partitions_come_before_their_records_and_a_new_group_starts_at_the_beginning(
    bus: Bus, new_topic: TopicMaker, group: str
) -> None:
    topic = new_topic(4)
    bus.publish(numbered(topic, 40))
    subscription = bus.subscribe(group, [topic], "member")
    assert gain(subscription, 4) == set(bus.partitions(topic))
    records = take(subscription, 40)
    assert keys(records) == keys(numbered(topic, 40))
    assert offsets_grow(records)
    assert subscription.poll(10, 0.2).records == ()


def test_what_was_handed_out_comes_again_only_to_the_next_life(
    bus: Bus, new_topic: TopicMaker, group: str
) -> None:
    topic, other = new_topic(2), new_topic(2)
    bus.publish(numbered(topic, 20))
    subscription = bus.subscribe(group, [topic], "member")
    gain(subscription, 2)
    half = take(subscription, 10, max_records=10)
    subscription.commit(copies(half, other), ends_of(half))
    rest = take(subscription, 10)
    subscription.close()

    returned = bus.subscribe(group, [topic], "member")
    gain(returned, 2)
    assert keys(take(returned, 10)) == keys(rest)


def test_outputs_and_positions_move_together(
    bus: Bus, open_another: Opener, new_topic: TopicMaker, group: str
) -> None:
    topic, other = new_topic(1), new_topic(1)
    partition = bus.partitions(topic)[0]
    bus.publish(numbered(topic, 5))
    subscription = bus.subscribe(group, [topic], "member")
    gain(subscription, 1)
    assert bus.committed(group, partition) is None
    assert subscription.committed(partition) == 0
    records = take(subscription, 5)
    subscription.commit(copies(records, other), ends_of(records))
    elsewhere = open_another()
    assert keys(contents(elsewhere, other)) == keys(records)
    assert (
        elsewhere.committed(group, partition) == subscription.committed(partition) == records[-1].offset + 1
    )


def test_a_commit_that_fails_writes_nothing_and_can_be_repeated(
    bus: Bus, new_topic: TopicMaker, group: str
) -> None:
    topic, other = new_topic(1), new_topic(1)
    bus.publish(numbered(topic, 3))
    subscription = bus.subscribe(group, [topic], "member")
    gain(subscription, 1)
    records = take(subscription, 3)
    with pytest.raises(NotFound):
        subscription.commit([*copies(records, other), *copies(records, "nowhere")], ends_of(records))
    assert contents(bus, other) == []
    assert bus.committed(group, Partition(topic, 0)) is None
    subscription.commit(copies(records, other), ends_of(records))
    assert len(contents(bus, other)) == 3


def test_a_commit_may_repeat_its_position_but_not_go_back_or_beyond(
    bus: Bus, new_topic: TopicMaker, group: str
) -> None:
    topic, other = new_topic(1), new_topic(1)
    partition = Partition(topic, 0)
    bus.publish(numbered(topic, 3))
    subscription = bus.subscribe(group, [topic], "member")
    gain(subscription, 1)
    take(subscription, 3)
    subscription.commit([], {partition: 2})
    subscription.commit(numbered(other, 1), {partition: 2})
    for wrong in (1, bus.ends([partition])[partition] + 1):
        with pytest.raises(InvalidInput):
            subscription.commit(numbered(other, 1), {partition: wrong})
    with pytest.raises(InvalidInput):
        subscription.commit(numbered(other, 1), {})
    assert len(contents(bus, other)) == 1
    assert subscription.committed(partition) == 2


def test_an_act_before_the_first_record_commits_the_beginning(
    bus: Bus, new_topic: TopicMaker, group: str
) -> None:
    topic, other = new_topic(1), new_topic(1)
    subscription = bus.subscribe(group, [topic], "member")
    gain(subscription, 1)
    subscription.commit(
        numbered(other, 1), {Partition(topic, 0): subscription.committed(Partition(topic, 0))}
    )
    assert len(contents(bus, other)) == 1


def test_a_member_that_returns_shuts_its_older_self_out_at_once(
    bus: Bus, open_another: Opener, new_topic: TopicMaker, group: str
) -> None:
    topic, other = new_topic(2), new_topic(2)
    bus.publish(numbered(topic, 20))
    older = bus.subscribe(group, [topic], "member")
    gain(older, 2)
    stale = take(older, 20)

    newer = open_another().subscribe(group, [topic], "member")
    gain(newer, 2)
    fresh = take(newer, 20)
    with pytest.raises(Fenced):
        older.commit(copies(stale, other), ends_of(stale))
    assert contents(bus, other) == []
    newer.commit(copies(fresh, other), ends_of(fresh))
    with pytest.raises(Fenced):
        older.commit(copies(stale, other), ends_of(stale))
    with pytest.raises(Fenced):
        poll_often(older)
    assert keys(contents(bus, other)) == keys(fresh)


def test_a_member_that_has_nothing_to_do_learns_from_its_polls_that_another_has_its_name(
    bus: Bus, open_another: Opener, new_topic: TopicMaker, group: str
) -> None:
    """Found by a campaign: on Kafka it waited for records for ever, which came to the other."""
    topic = new_topic(1)
    idle = bus.subscribe(group, [topic], "member")
    gain(idle, 1)
    for _ in range(30):  # until the group is at rest: a member that is joining would be told
        assert idle.poll(1, 0.1) == Polled()
    returned = open_another().subscribe(group, [topic], "member")
    gain(returned, 1)
    with pytest.raises(Fenced):
        poll_often(idle)
    idle.close()
    bus.publish(numbered(topic, 1))
    assert len(take(returned, 1)) == 1


def test_a_partition_that_is_not_owned_cannot_be_committed(
    bus: Bus, new_topic: TopicMaker, group: str
) -> None:
    topic, foreign, other = new_topic(1), new_topic(1), new_topic(1)
    bus.publish(numbered(foreign, 1))
    subscription = bus.subscribe(group, [topic], "member")
    gain(subscription, 1)
    with pytest.raises(Fenced):
        subscription.commit(numbered(other, 1), {Partition(topic, 0): 0, Partition(foreign, 0): 1})
    assert contents(bus, other) == []


def test_members_share_the_partitions_and_the_last_one_gets_them_all(
    bus: Bus, open_another: Opener, new_topic: TopicMaker, group: str
) -> None:
    topic = new_topic(4)
    first = bus.subscribe(group, [topic], "first")
    mine = gain(first, 4)
    second = open_another().subscribe(group, [topic], "second")
    lost = change(first).lost
    theirs = gain(second, 2)
    assert lost == theirs
    assert len(mine - lost) == 2
    second.close()
    assert change(first).gained == theirs


def test_partitions_of_the_same_number_go_to_the_same_member(
    bus: Bus, open_another: Opener, new_topic: TopicMaker, group: str
) -> None:
    topics = [new_topic(4), new_topic(4)]
    first = bus.subscribe(group, topics, "first")
    kept = gain(first, 8)
    second = open_another().subscribe(group, topics, "second")
    kept -= change(first).lost
    got = gain(second, 4)
    for share in (kept, got):
        numbers = [{p.index for p in share if p.topic == topic} for topic in topics]
        assert numbers[0] == numbers[1]
        assert len(numbers[0]) == 2


def test_work_of_a_partition_that_was_handed_over_cannot_be_committed_the_rest_can(
    bus: Bus, open_another: Opener, new_topic: TopicMaker, group: str
) -> None:
    topic, other = new_topic(2), new_topic(2)
    bus.publish([Output(topic=topic, key=b"k%d" % n, value=b"v", partition=n % 2) for n in range(10)])
    first = bus.subscribe(group, [topic], "first")
    gain(first, 2)
    records = per_partition(take(first, 10))
    second = open_another().subscribe(group, [topic], "second")
    (gone,) = change(first).lost
    gain(second, 1)
    (kept,) = set(records) - {gone}
    with pytest.raises(Fenced):
        first.commit(copies(records[gone], other), ends_of(records[gone]))
    first.commit(copies(records[kept], other), ends_of(records[kept]))
    again = take(second, 5)
    second.commit(copies(again, other), ends_of(again))
    assert keys(contents(bus, other)) == sorted(b"k%d" % n for n in range(10))


def test_groups_do_not_disturb_each_other(bus: Bus, new_topic: TopicMaker, group: str) -> None:
    topic = new_topic(2)
    bus.publish(numbered(topic, 10))
    one, two = (
        bus.subscribe(f"{group}-one", [topic], "member"),
        bus.subscribe(f"{group}-two", [topic], "member"),
    )
    for subscription in (one, two):
        gain(subscription, 2)
        records = take(subscription, 10)
        subscription.commit([], ends_of(records))


def test_a_paused_partition_stays_but_hands_out_nothing(bus: Bus, new_topic: TopicMaker, group: str) -> None:
    topic = new_topic(2)
    bus.publish([Output(topic=topic, key=b"k", value=b"v", partition=n % 2) for n in range(20)])
    subscription = bus.subscribe(group, [topic], "member")
    gain(subscription, 2)
    subscription.pause([Partition(topic, 0)])
    assert set(per_partition(take(subscription, 10))) == {Partition(topic, 1)}
    assert subscription.poll(10, 0.3).records == ()
    subscription.resume([Partition(topic, 0)])
    assert set(per_partition(take(subscription, 10))) == {Partition(topic, 0)}


def test_a_poll_hands_out_at_most_what_was_asked_for_and_starves_no_partition(
    bus: Bus, new_topic: TopicMaker, group: str
) -> None:
    topic = new_topic(3)
    sizes = (100, 100, 2)
    bus.publish(
        [
            Output(topic=topic, key=b"k", value=b"v", partition=p)
            for p, size in enumerate(sizes)
            for _ in range(size)
        ]
    )
    subscription = bus.subscribe(group, [topic], "member")
    gain(subscription, 3)
    seen: set[Partition] = set()
    for _ in range(60):
        records = subscription.poll(4, 1.0).records
        assert 1 <= len(records) <= 4
        seen |= {record.partition for record in records}
        if len(seen) == 3:
            return
    raise AssertionError(f"only {seen} were served")


def test_a_poll_for_no_records_is_refused(bus: Bus, new_topic: TopicMaker, group: str) -> None:
    topic = new_topic(1)
    with pytest.raises(InvalidInput):
        bus.subscribe(group, [topic], "member").poll(0, 0.0)


def test_a_waiting_poll_wakes_when_another_writes(
    bus: Bus, open_another: Opener, new_topic: TopicMaker, group: str
) -> None:
    topic = new_topic(1)
    subscription = bus.subscribe(group, [topic], "member")
    gain(subscription, 1)
    writer = threading.Timer(0.3, lambda: open_another().publish(numbered(topic, 1)))
    writer.start()
    started = time.monotonic()
    assert len(subscription.poll(10, 15.0).records) == 1
    assert time.monotonic() - started < 5.0
    writer.join()


def test_a_poll_without_news_ends_at_its_time(bus: Bus, new_topic: TopicMaker, group: str) -> None:
    topic = new_topic(1)
    subscription = bus.subscribe(group, [topic], "member")
    gain(subscription, 1)
    started = time.monotonic()
    polled = subscription.poll(10, 0.3)
    assert (polled.records, polled.gained, polled.lost) == ((), frozenset(), frozenset())
    assert 0.25 < time.monotonic() - started < 5.0


def test_a_closed_subscription_hands_out_nothing(bus: Bus, new_topic: TopicMaker, group: str) -> None:
    topic = new_topic(1)
    bus.publish(numbered(topic, 1))
    subscription = bus.subscribe(group, [topic], "member")
    subscription.close()
    subscription.close()
    assert subscription.poll(10, 0.0).records == ()


def test_a_reader_starts_where_it_is_told(bus: Bus, new_topic: TopicMaker) -> None:
    topic = new_topic(2)
    written = bus.publish(
        [Output(topic=topic, key=b"%d" % n, value=b"v", partition=n % 2) for n in range(10)]
    )
    start = {Partition(topic, 0): written[4].offset}
    records = contents(bus, topic, start)
    assert keys(records) == sorted(b"%d" % n for n in (4, 6, 8, 1, 3, 5, 7, 9))
    assert offsets_grow(records)


def test_a_reader_reaches_the_end_that_was_asked_for(bus: Bus, new_topic: TopicMaker) -> None:
    topic = new_topic(1)
    (partition,) = bus.partitions(topic)
    reader = bus.reader([partition])
    assert reader.poll(10, 0.0) == []
    assert reader.position(partition) == 0
    bus.publish(numbered(topic, 7))
    end = bus.ends([partition])[partition]
    while reader.position(partition) < end:
        reader.poll(3, 1.0)
    assert reader.poll(10, 0.0) == []
