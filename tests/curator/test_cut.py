"""An open release between its snapshots and its rows."""

from __future__ import annotations

from longstream.v1.records_pb2 import Example, KeptExample, PartitionMarks, Rank
from longstream_curator.cut import CHUNK, OpenCut
from longstream_curator.gathering import PartitionCut
from tests.support.curating import a_pipeline


def kept(number: int) -> KeptExample:
    example = Example(id=f"{number:04}", response="x")
    return KeptExample(pipeline="p", rank=Rank(length=9_999 - number, example_id=example.id), example=example)


def test_tasks_go_out_in_chunks() -> None:
    """What one commit writes is bounded, however large the release."""
    count = 2 * CHUNK + 50
    cut = OpenCut(
        a_pipeline(k=count, reserve=0),
        [PartitionCut(kept=[kept(number) for number in range(count)], marks=PartitionMarks(seen=count))],
        cut_ms=0,
        taken={},
    )
    chunks = [cut.advance("r", lambda row_id: None) for _ in range(4)]
    assert [len(tasks) for tasks in chunks] == [CHUNK, CHUNK, 50, 0]
    assert cut.taken == {"": count}
