"""What the curator's gauges say of kept sets and releases."""

from __future__ import annotations

from pathlib import Path

from longstream.bus import Partition
from longstream.topics import EXAMPLES
from tests.support.curating import CuratorHouse, a_pipeline, pair
from tests.support.house import opened, soon


def total(curator: CuratorHouse, name: str) -> float:
    return sum(curator.house.sample(name, pipeline="p", partition=str(index)) for index in range(4))


def test_kept_sets_show_what_was_seen_kept_and_dropped_and_why(tmp_path: Path) -> None:
    with opened(CuratorHouse(tmp_path, {"p": a_pipeline(k=1, reserve=0)})) as curator:
        curator.submit_pairs([pair("word " * (number + 1), instruction="ask") for number in range(30)])
        soon(lambda: total(curator, "curator_seen_records") == 30 or None)
        kept = total(curator, "curator_kept_records")
        assert 1 <= kept <= 4
        reasons = {
            reason: curator.house.sample("curator_dropped_records", pipeline="p", reason=reason)
            for reason in ("evicted", "too_short", "duplicate")
        }
        assert sum(reasons.values()) == 30 - kept
        assert reasons["duplicate"] == 0


def test_a_partition_that_was_lost_is_not_shown_any_more(tmp_path: Path) -> None:
    with opened(CuratorHouse(tmp_path)) as curator:
        curator.submit_pairs([pair(f"word {number}", instruction="ask") for number in range(30)])
        soon(lambda: total(curator, "curator_seen_records") == 30 or None)
        held = str(curator.keeper.standings()[0].partition)
        assert curator.house.sample("curator_kept_records", pipeline="p", partition=held) > 0
        for worker in curator.workers:
            worker.stop()
        for index in range(4):
            curator.keeper.lost(Partition(EXAMPLES, index))
        assert curator.house.shown("curator_kept_records", pipeline="p", partition=held) is None


def test_a_release_shows_its_cut_and_its_rows(tmp_path: Path) -> None:
    with opened(CuratorHouse(tmp_path)) as curator:
        curator.submit_pairs([pair(f"word {number}", instruction="ask") for number in range(3)])
        release = curator.final(curator.cut())
        assert curator.house.shown("pipeline_release_timestamp_seconds", pipeline="p") == (
            release.cut_time.ToMicroseconds() / 1e6
        )
        assert curator.house.shown("curator_release_rows", pipeline="p", rows="ready") == release.rows_ready
        assert curator.house.shown("curator_release_exact", pipeline="p") == release.exact
        assert curator.house.shown("curator_open_cut_timestamp_seconds", pipeline="p") is None
