"""What the independent reader says of a run that nobody disturbs, and of logs that were tampered with."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests.support.logfile import LogFile
from tests.support.logreader import broken, finals, missing, rows_of
from tests.support.stages import SUBMITTED, K, Stages

pytestmark = pytest.mark.slow

TOPIC = "(SELECT partition_id FROM partitions JOIN topics USING (topic_id) WHERE name = '{}')"
AGAIN = (
    "INSERT INTO records SELECT partition_id << 40 | next, timestamp_ms, key, headers, value "
    "FROM records JOIN partitions ON partition_id = place >> 40 WHERE partition_id IN {0} LIMIT 1;"
    "UPDATE partitions SET next = (SELECT max(place & ((1 << 40) - 1)) + 1 FROM records "
    "WHERE place >> 40 = partition_id) WHERE partition_id IN {0} AND next > 0"
)
DROP = "DELETE FROM records WHERE place = (SELECT max(place) FROM records WHERE place >> 40 IN {0})"
BACK = "UPDATE positions SET next = next - 5 WHERE consumers = '{0}' AND next > 5"


def test_an_undisturbed_run_breaks_no_promise(stages: Stages) -> None:
    data = stages.at("judged")
    assert broken(data) == []
    assert missing(data, SUBMITTED) == []
    [release] = finals(LogFile(data / "log.sqlite"))
    splits = [row["split"] for row in rows_of(data, release)]
    assert splits.count("train") == K
    assert splits.count("test") > 0
    assert sum(release.refused.values()) > 0


@pytest.mark.parametrize(
    ("act", "on"),
    [
        *((AGAIN, topic) for topic in ("selected", "rows", "releases", "training-jobs", "training-events")),
        *((AGAIN, topic) for topic in ("models", "evaluations", "verdicts", "promotions")),
        *((DROP, topic) for topic in ("rows", "curator-state", "models", "promotions", "verdicts")),
        *((BACK, group) for group in ("curator-owners", "curator-keepers")),
    ],
)
def test_the_reader_finds_what_was_doubled_lost_or_set_back(
    act: str, on: str, stages: Stages, tmp_path: Path
) -> None:
    data = stages.copy("judged", tmp_path / "data")
    with closing(sqlite3.connect(data / "log.sqlite")) as connection:
        connection.executescript(act.format(on if act == BACK else TOPIC.format(on)))
    assert broken(data) != []


def test_the_reader_finds_a_damaged_shard_and_a_lost_example(stages: Stages, tmp_path: Path) -> None:
    data = stages.copy("judged", tmp_path / "data")
    [release] = finals(LogFile(data / "log.sqlite"))
    name = release.shards[0].address.removeprefix("sha256:")
    path = data / "objects" / "objects" / name[:2] / name[2:]
    path.chmod(0o644)
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    assert broken(data) != []
    assert missing(data, [*SUBMITTED, ("", "another")]) != []
