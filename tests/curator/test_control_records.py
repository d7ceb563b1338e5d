"""Revisions and barriers: they stand in every partition, count where they stand, and are never passed over."""

from __future__ import annotations

import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import NoReturn

import pytest

from longstream.bus import Output, Partition
from longstream.errors import ControlFailed
from longstream.pipeline import Pipeline
from longstream.records import parse
from longstream.topics import CURATION, CURATION_STATE, CURATOR_STATE, EXAMPLES, SELECTED, Layout
from longstream.v1.records_pb2 import (
    Barrier,
    CurationRecord,
    CutCommand,
    Example,
    ExamplesRecord,
    OwnerState,
    PartitionSnapshot,
    Release,
    SelectedTask,
)
from longstream.view import read_to_end
from longstream_curator import snapshot
from longstream_curator.keeper import Keeper
from longstream_curator.kept import pipeline_metric
from longstream_curator.metrics import CuratorMetrics
from tests.curator.test_curation import Curator, Instructor
from tests.support.curating import a_pipeline
from tests.support.house import House, opened, soon


class Keeping:
    """A keeper alone over one partition; it is given no pipeline file, so the stream alone can tell it what to do."""

    def __init__(self, folder: Path) -> None:
        self.house = House(folder, "curator", (EXAMPLES,), Layout(examples_partitions=1))
        metrics = CuratorMetrics(self.house.metrics, ("p", "q"))
        make_metric = partial(pipeline_metric, nltk_data=None)
        keeper = Keeper(self.house.bus, self.house.storage, self.house.keys, make_metric, metrics)
        self.worker = self.house.worker(EXAMPLES, keeper)

    def say(self, *facts: ExamplesRecord) -> None:
        values = [fact.SerializeToString() for fact in facts]
        self.house.bus.publish(
            [Output(topic=EXAMPLES, key=b"", value=value, partition=0) for value in values]
        )

    def snapshots(self) -> list[PartitionSnapshot]:
        facts = self.house.facts(CURATION, CurationRecord)
        return [fact.snapshot for fact in facts if fact.HasField("snapshot")]

    def kept(self, arrived: PartitionSnapshot) -> list[str]:
        with self.house.storage.open(arrived.address) as file:
            return [item.example.response for item in snapshot.decode(file, "p")]

    def close(self) -> None:
        self.house.close()


@pytest.fixture
def keeping(tmp_path: Path) -> Iterator[Keeping]:
    with opened(Keeping(tmp_path)) as keeping:
        yield keeping


def revision(pipeline: Pipeline) -> ExamplesRecord:
    return ExamplesRecord(revision=pipeline.revision())


def barrier(pipeline: Pipeline, release: str = "r1") -> ExamplesRecord:
    named = pipeline.revision()
    return ExamplesRecord(
        barrier=Barrier(pipeline=named.pipeline, release_id=release, revision=named.revision)
    )


def examples(*texts: str) -> list[ExamplesRecord]:
    return [
        ExamplesRecord(example=Example(id=text, response=text, instruction="i", source="s")) for text in texts
    ]


@pytest.mark.parametrize("before", [[], [revision(a_pipeline(metric="bytes"))]])
def test_a_barrier_that_cannot_be_applied_stops_the_partition_and_is_no_dead_letter(
    keeping: Keeping, before: list[ExamplesRecord]
) -> None:
    """None of its pipeline, or one that is for another revision than the stream is at."""
    keeping.say(*before, barrier(a_pipeline()), *examples("a"))
    assert isinstance(soon(keeping.worker.failed), ControlFailed)
    assert keeping.house.dead(EXAMPLES) == []
    assert keeping.snapshots() == []
    assert keeping.house.bus.committed(f"of-{EXAMPLES}", Partition(EXAMPLES, 0)) in {None, len(before)}


def test_a_control_record_that_fails_in_a_way_nobody_foresaw_is_no_dead_letter_either(
    keeping: Keeping, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> NoReturn:
        raise RuntimeError("a defect")

    monkeypatch.setattr(keeping.house.storage, "put", fail)
    keeping.say(revision(a_pipeline()), *examples("a"), barrier(a_pipeline()))
    error = soon(keeping.worker.failed)
    assert isinstance(error, ControlFailed)
    assert isinstance(error.__cause__, RuntimeError)
    assert keeping.house.dead(EXAMPLES) == []


def test_a_keeper_ranks_by_the_revision_that_stands_in_the_stream_from_where_it_stands(
    keeping: Keeping,
) -> None:
    by_bytes, by_chars = a_pipeline(metric="bytes"), a_pipeline(metric="chars")
    keeping.say(revision(by_bytes), *examples("aaa", "éé"), barrier(by_bytes))
    keeping.say(revision(by_chars), barrier(by_chars, "r2"))
    first, second = soon(lambda: found if len(found := keeping.snapshots()) == 2 else None)
    assert keeping.kept(first) == ["éé", "aaa"]
    assert keeping.kept(second) == ["aaa", "éé"]
    assert (first.marks.begun_late, second.marks.begun_late) == (False, True)


def test_a_pipeline_that_begins_in_a_stream_that_has_begun_says_so(keeping: Keeping) -> None:
    early, late = a_pipeline("p"), a_pipeline("q")
    keeping.say(
        revision(early),
        *examples("a"),
        revision(late),
        *examples("b"),
        barrier(early, "1"),
        barrier(late, "2"),
    )
    found = soon(lambda: found if len(found := keeping.snapshots()) == 2 else None)
    first, second = sorted(found, key=lambda arrived: arrived.release_id)
    assert (first.marks.begun_late, second.marks.begun_late) == (False, True)


def test_a_revision_stands_at_the_head_of_every_partition_and_barriers_and_releases_name_it(
    tmp_path: Path,
) -> None:
    curator = Curator(tmp_path, a_pipeline())
    curator.in_force()
    named = curator.pipeline.revision()
    curator.submit("a", "bbb", "cc", "ddddd", "eeee", instruction="Write.")
    release = curator.final(curator.cut())
    facts = {
        partition: [parse(ExamplesRecord, record) for record in read_to_end(curator.bus, [partition])]
        for partition in curator.bus.partitions(EXAMPLES)
    }
    curator.close()
    assert len(facts) == 4
    assert [found[0].revision for found in facts.values()] == [named] * 4
    barriers = [fact.barrier for found in facts.values() for fact in found if fact.HasField("barrier")]
    assert [(one.pipeline, one.revision, one.release_id) for one in barriers] == [
        ("p", named.revision, release.id)
    ] * 4
    assert release.revision == named


def test_the_time_of_a_cut_is_that_of_its_record_however_late_it_is_applied(tmp_path: Path) -> None:
    first = Curator(tmp_path, a_pipeline())
    first.in_force()
    for part in first.parts:
        part.stop()
    command = CurationRecord(pipeline="p", request_id="1", cut=CutCommand()).SerializeToString()
    [position] = first.bus.publish([first.keys.output(CURATION, "p", "", command)])
    record = next(
        record for record in read_to_end(first.bus, [position.partition]) if record.offset == position.offset
    )
    first.bus.close()
    time.sleep(0.5)
    second = Curator(tmp_path, a_pipeline())
    release: Release = soon(lambda: next((one for _, one in second.releases.under("p/")), None))
    barriers = [
        fact.barrier
        for found in read_to_end(second.bus, second.bus.partitions(EXAMPLES))
        if (fact := parse(ExamplesRecord, found)).HasField("barrier")
    ]
    second.close()
    assert release.cut_time.ToMilliseconds() == record.timestamp_ms
    assert {one.time.ToMilliseconds() for one in barriers} == {record.timestamp_ms}


def test_an_owner_that_returns_in_the_midst_of_a_cut_asks_for_nothing_twice(tmp_path: Path) -> None:
    def asked(curator: Curator) -> list[str]:
        records = read_to_end(curator.bus, curator.bus.partitions(SELECTED))
        return [parse(SelectedTask, record).row_id for record in records]

    curator = Curator(tmp_path, a_pipeline())
    curator.in_force()
    curator.submit("a", "bbb", "cc", "ddddd", "eeee")
    release = curator.cut()
    soon(lambda: len(asked(curator)) == 3)
    # Written with the tasks: a successor that read less would ask again for whatever has no row yet.
    *_, state = read_to_end(curator.bus, curator.bus.partitions(CURATION_STATE))
    assert parse(OwnerState, state).curation.sent == 3
    curator.close()
    curator = Curator(tmp_path, a_pipeline())
    with Instructor(curator):
        curator.final(release)
    found = asked(curator)
    curator.close()
    assert len(found) == len(set(found)) == 3


def test_what_is_kept_is_logged_beside_what_it_came_from(tmp_path: Path) -> None:
    """In the partition of the same number, not in the one that its key would choose."""
    curator = Curator(tmp_path, a_pipeline(k=20))
    curator.in_force()
    curator.submit(*(letter * 3 for letter in "abcdefghijkl"))
    release = curator.cut("1")
    curator.releases.wait(lambda view: view.get(f"p/{release}"), 20)
    came = {
        fact.example.id: record.partition.index
        for record in read_to_end(curator.bus, curator.bus.partitions(EXAMPLES))
        if (fact := parse(ExamplesRecord, record)).HasField("example")
    }

    def kept() -> dict[str, int]:
        records = read_to_end(curator.bus, curator.bus.partitions(CURATOR_STATE))
        return {record.key.decode()[2:]: record.partition.index for record in records if b"/" in record.key}

    soon(lambda: len(kept()) == len(came))
    assert kept() == came
    assert len(set(came.values())) > 1
    curator.close()


def test_a_keeper_that_takes_over_knows_what_its_predecessor_has_dropped(tmp_path: Path) -> None:
    """Without the mark of the best that was evicted, a release could not tell whether it is exact."""
    pipeline = a_pipeline(k=2, reserve=0)
    with opened(Keeping(tmp_path)) as first:
        first.say(revision(pipeline), *examples("a", "bb", "ccc", "dddd"))
        group = f"of-{EXAMPLES}"
        soon(lambda: first.house.bus.committed(group, Partition(EXAMPLES, 0)) == 5)
    with opened(Keeping(tmp_path)) as second:
        second.say(barrier(pipeline))
        [arrived] = soon(second.snapshots)
        assert second.kept(arrived) == ["dddd", "ccc"]
    marks = arrived.marks
    [division] = marks.divisions
    assert (division.evicted.length, division.evicted.example_id, marks.seen) == (2, "bb", 4)
    assert dict(marks.dropped) == {"evicted": 2}
