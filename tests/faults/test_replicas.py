"""Two curators on one log make one curator's release, and one that slept through its session adds nothing."""

from __future__ import annotations

import signal
import sqlite3
from contextlib import closing
from dataclasses import replace
from functools import partial
from itertools import count
from pathlib import Path

import pytest

from longstream.client import Client, Pair
from longstream.topics import Layout
from longstream.v1 import records_pb2 as pb
from tests.support.campaign import Campaign, Setting
from tests.support.logreader import broken, held_out
from tests.support.stages import MORE_PAIRS, TESTED, cut, final, same_bytes

pytestmark = [pytest.mark.kills, pytest.mark.slow]

FOUR = Layout(examples_partitions=4)


def owners(campaign: Campaign) -> list[str]:
    """Who holds the partitions of `examples` or is about to get them, each partition once."""
    query = "SELECT coalesce(heir, owner) FROM leases WHERE consumers = 'curator-keepers'"
    return sorted(name for (name,) in campaign.log.ask(query))


def shared(campaign: Campaign) -> bool:
    return owners(campaign) == ["curator-0"] * 2 + ["curator-b"] * 2


def test_two_replicas_over_four_partitions_make_the_release_of_one_over_two(
    undisturbed: pb.Release, setting: Setting, tmp_path: Path
) -> None:
    with Campaign(tmp_path / "data", replace(setting, layout=FOUR)) as campaign:
        campaign.start("curator")
        campaign.start_replica("curator")
        campaign.until(lambda: shared(campaign))
        campaign.ask(partial(Client.submit_pairs, pairs=MORE_PAIRS[::2]))
        campaign.ask(partial(Client.submit_pairs, pairs=MORE_PAIRS[1::2]), curator="curator-b")
        release = final(campaign, cut(campaign))
        assert shared(campaign)
        campaign.stop()
    assert broken(campaign.data) == []
    assert same_bytes(release, undisturbed)


def flood(number: int) -> list[Pair]:
    """Many pairs, each too short to be selected, none to be tested with: work that changes no release."""
    texts = (f"{number} {n}" for n in range(4_000))
    return [
        Pair(response=text, instruction="Count.", source="book")
        for text in texts
        if not held_out(text, TESTED)
    ]


def can_write(campaign: Campaign) -> bool:
    """Whether the sleeper does not hold the log's one write lock."""
    with closing(
        sqlite3.connect(campaign.data / "log.sqlite", timeout=2, isolation_level=None)
    ) as connection:
        try:
            connection.executescript("BEGIN IMMEDIATE; ROLLBACK")
        except sqlite3.OperationalError:
            return False
        return True


def put_to_sleep_at_work(campaign: Campaign, seat: str) -> None:
    """Stop the seat while it has records in hand that are not committed."""
    for number in count():
        assert number < 20, "it is never met at work"
        campaign.ask(partial(Client.submit_pairs, pairs=flood(number)), curator="curator-b")
        campaign.signal(seat, signal.SIGSTOP)
        held = [n for n, owner in enumerate(by_partition(campaign)) if owner == "curator-0"]
        positions, ends = campaign.log.positions("examples", "curator-keepers"), campaign.log.ends("examples")
        if can_write(campaign) and any(positions.get(n, 0) < ends[n] for n in held):
            return
        campaign.signal(seat, signal.SIGCONT)


def by_partition(campaign: Campaign) -> list[str]:
    """The owner of each partition of `examples`."""
    query = (
        "SELECT owner FROM leases JOIN partitions USING (partition_id) JOIN topics USING (topic_id) "
        "WHERE consumers = 'curator-keepers' AND name = 'examples' ORDER BY number"
    )
    return [name for (name,) in campaign.log.ask(query)]


def test_a_curator_that_wakes_after_its_session_doubles_nothing_and_joins_again(
    undisturbed: pb.Release, setting: Setting, tmp_path: Path
) -> None:
    with Campaign(tmp_path / "data", replace(setting, layout=FOUR)) as campaign:
        campaign.start("curator")
        campaign.start_replica("curator")
        campaign.until(lambda: shared(campaign) and campaign.ready("curator-b"))
        campaign.ask(partial(Client.submit_pairs, pairs=MORE_PAIRS[::2]))
        put_to_sleep_at_work(campaign, "curator")
        campaign.until(lambda: owners(campaign) == ["curator-b"] * 4)
        campaign.ask(partial(Client.submit_pairs, pairs=MORE_PAIRS[1::2]), curator="curator-b")
        ask = partial(Client.cut_release, pipeline="faults", request_id="cut-1")
        release = final(campaign, campaign.ask(ask, curator="curator-b").id)
        campaign.signal("curator", signal.SIGCONT)
        campaign.until(lambda: shared(campaign))
        again = final(campaign, cut(campaign, "cut-2"))
        campaign.stop()
    assert broken(campaign.data) == []
    assert same_bytes(release, undisturbed)
    assert same_bytes(again, undisturbed)
