"""What an owner must know before it acts, when it takes a pipeline over from another one."""

from __future__ import annotations

from pathlib import Path

from longstream.records import parse
from longstream.topics import CURATION, SELECTED
from longstream.v1.records_pb2 import CurationRecord, CutCommand, SelectedTask
from longstream.view import read_to_end
from tests.curator.test_curation import Curator, Instructor, a_pipeline


def test_an_owner_waits_for_the_rows_that_its_predecessor_knew(tmp_path: Path) -> None:
    """The command to cut is there before its view of the rows reads: it must not ask for them again."""
    first = Curator(tmp_path, a_pipeline())
    first.in_force()
    first.submit("aaaa", "bbb", "ccccc")
    with Instructor(first):
        first.final(first.cut("1"))
    command = CurationRecord(pipeline="p", request_id="2", cut=CutCommand()).SerializeToString()
    for part in first.parts:
        part.stop()
    first.bus.publish([first.keys.output(CURATION, "p", "", command)])
    first.bus.close()

    second = Curator(tmp_path, a_pipeline(), rows_after_s=1.0)
    second.releases.wait(lambda view: len(view.under("p/")) == 2 or None, 20)
    second.final(next(release.id for _, release in second.releases.under("p/") if release.parent_id))
    records = read_to_end(second.bus, second.bus.partitions(SELECTED))
    asked = [parse(SelectedTask, record).row_id for record in records]
    second.close()
    assert len(asked) == len(set(asked)) == 3
