"""A service killed while it keeps house loses nothing that is still needed: the next release shows it."""

from __future__ import annotations

import sqlite3
import time
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from longstream.bus.embedded import EmbeddedBus
from longstream.suite import ORDER
from longstream.v1 import records_pb2 as pb
from tests.support.campaign import Campaign
from tests.support.logfile import LogFile
from tests.support.stages import Stages, cut, final, same_bytes

pytestmark = [pytest.mark.kills, pytest.mark.slow]

POINTS = ("bus.compact.deleted", "bus.expire.deleted")
DAYS_MS = 40 * 86_400_000
COMPACTED = ("curator-state", "rows", "releases", "training-jobs", "models", "evaluations", "promotions")


def aged(data: Path) -> Path:
    """The same log 40 days later: beyond every grace and retention. Returns data."""
    with closing(sqlite3.connect(data / "log.sqlite")) as connection, connection:
        connection.execute("UPDATE records SET timestamp_ms = timestamp_ms - ?", (DAYS_MS,))
        connection.execute("DELETE FROM compactions")
        connection.execute("DELETE FROM chores")
    return data


def tidied(log: LogFile) -> bool:
    """Whether what was read by all is gone, and of every key only the last record is left."""
    keys = [(line.partition, line.key) for topic in COMPACTED for line in log.lines(topic)]
    return not log.lines("examples") and len(keys) == len(set(keys))


def test_every_service_killed_in_its_housekeeping_leaves_a_log_to_go_on_with(
    stages: Stages, tmp_path: Path
) -> None:
    """All at once, since each waits half a minute for its first round."""
    with ExitStack() as stack:
        campaigns = {}
        for service in ORDER:
            for point in POINTS:
                data = aged(stages.copy("judged", tmp_path / service / point))
                campaign = stack.enter_context(Campaign(data, stages.setting, complete=False))
                campaign.start(service, crashes=[f"{point}:1"])
                campaigns[service, point] = campaign
        for campaign in campaigns.values():
            campaign.until(lambda campaign=campaign: campaign.kills == 1)  # type: ignore[misc]
        whole = {topic: LogFile(stages.at("judged") / "log.sqlite").net(topic) for topic in COMPACTED}
        for campaign in campaigns.values():
            campaign.stop()
            with EmbeddedBus(campaign.data / "log.sqlite") as bus:
                bus.housekeep(time.time())
            assert tidied(campaign.log)
            assert {topic: campaign.log.net(topic) for topic in COMPACTED} == whole
        assert_releases_alike(stages, campaigns["curator", POINTS[0]], campaigns["curator", POINTS[1]])


def assert_releases_alike(stages: Stages, *campaigns: Campaign) -> None:
    """A further cut takes what was kept and the rows that exist, though `examples` is empty."""
    with Campaign(stages.copy("judged", campaigns[0].data.parent / "whole"), stages.setting) as untouched:
        wanted = cut_again(untouched)
    for campaign in campaigns:
        assert same_bytes(cut_again(campaign), wanted)


def cut_again(campaign: Campaign) -> pb.Release:
    campaign.start("curator")
    release = final(campaign, cut(campaign, "cut-2"))
    campaign.stop()
    return release
