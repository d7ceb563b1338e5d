"""A partition that rested goes on where it was, whatever happened beside it, on both buses."""

from __future__ import annotations

from collections.abc import Callable

from longstream.bus import Bus, Output
from tests.support.buses import gain, take

TopicMaker = Callable[..., str]


def test_a_partition_that_rested_with_records_in_hand_goes_on_after_another_was_read(
    bus: Bus, new_topic: TopicMaker, group: str
) -> None:
    topic = new_topic(2)
    first, second = bus.partitions(topic)
    subscription = bus.subscribe(group, [topic], "member")
    gain(subscription, 2)
    bus.publish([Output(topic=topic, key=b"%d" % n, value=b"", partition=0) for n in range(10)])
    keys = [
        record.key for record in take(subscription, 2, max_records=2)
    ]  # eight more wait in a client's hands
    subscription.pause([first])
    assert subscription.poll(2, 0.3).records == ()
    bus.publish([Output(topic=topic, key=b"beside", value=b"", partition=1)])
    assert [record.partition for record in take(subscription, 1)] == [second]
    subscription.resume([first])
    keys += [record.key for record in take(subscription, 8)]
    assert keys == [b"%d" % n for n in range(10)]
