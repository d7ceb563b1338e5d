"""What must hold for ever in an endless stream: records that fit, and a full disk that passes."""

from __future__ import annotations

import io
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from longstream.batches import BatchLimits
from longstream.bodies import MAX_BODY_BYTES
from longstream.bus import MAX_RECORD_BYTES
from longstream.data import ReadLimits
from longstream.errors import StorageFull
from longstream.ids import digest
from longstream.server import ServerSettings
from longstream.storage import OCTETS, Address
from longstream.storage.files import FileStorage
from longstream.topics import CURATOR_STATE, EXAMPLES
from longstream.v1 import curator_pb2 as pb
from longstream.v1.records_pb2 import CuratorStateRecord, Example, ExamplesRecord, KeptExample, Rank
from longstream_curator import snapshot
from longstream_curator.kept import MAX_SOURCES, OTHER_SOURCES, KeptSet, pipeline_metric
from longstream_curator.submission import MAX_EXAMPLE_BYTES, SubmissionLimits
from tests.support.curating import CuratorHouse, a_pipeline, document, pair
from tests.support.house import headers, opened, soon


class FullOnce(FileStorage):
    """Has no space for the first object."""

    full = True

    def put(self, content: bytes, media_type: str = OCTETS) -> Address:
        if self.full:
            self.full = False
            raise StorageFull("no space left in the storage; nothing was written")
        return super().put(content, media_type)


def test_a_release_for_which_there_is_no_space_waits_and_becomes_final(tmp_path: Path) -> None:
    storage = FullOnce(tmp_path / "objects")
    with opened(CuratorHouse(tmp_path, storage=storage)) as curator:
        curator.submit_pairs([pair("a"), pair("bb")])
        release = curator.final(curator.cut())
        assert not storage.full
        assert (release.rows_ready, release.exact) == (2, True)


@pytest.mark.parametrize("unit", ["x", "é"])
def test_the_longest_document_that_is_accepted_passes_through_every_record(tmp_path: Path, unit: str) -> None:
    most = SubmissionLimits().max_document_bytes // len(unit.encode())
    with opened(CuratorHouse(tmp_path)) as curator:
        answer = curator.submit(
            [document(unit * most, licence="l" * 60_000, provenance={"url": "u" * 60_000})]
        )
        assert answer.accepted == 1
        release = curator.cut()
        soon(lambda: curator.house.records("selected"))
        assert curator.releases.get(f"p/{release.id}") is not None
        assert all(worker.failed() is None for worker in curator.workers)


def test_one_item_that_is_too_large_does_not_take_its_message_with_it(tmp_path: Path) -> None:
    most = SubmissionLimits().max_document_bytes
    with opened(CuratorHouse(tmp_path)) as curator:
        crowded = document("b" * (most - 10), provenance={str(n): "u" * 60_000 for n in range(55)})
        sent = [document("a"), document("x" * (most + 1)), crowded]
        answer = curator.submit(sent[:2], sent[2:])
        assert (answer.accepted, answer.rejected) == (1, 2)
        assert [(r.index, r.reason) for r in answer.rejections] == [(n, "too_large") for n in (1, 2)]
        dead = [record.value or b"" for record in curator.house.dead(EXAMPLES)]
        assert [pb.Document.FromString(value) for value in dead] == sent[1:]


def test_an_example_that_another_program_wrote_too_large_does_not_stop_the_keeper(tmp_path: Path) -> None:
    with opened(CuratorHouse(tmp_path)) as curator:
        example = Example(id="big", response="x" * MAX_EXAMPLE_BYTES, source="s")
        value = ExamplesRecord(example=example).SerializeToString()
        curator.house.publish(EXAMPLES, value, key=digest("r", "x").encode())
        curator.submit([document("a")])
        (dead,) = soon(lambda: curator.house.dead(EXAMPLES))
        assert headers(dead)["x-error-reason"] == "too_large"
        assert dead.value == value
        soon(lambda: [r for r in curator.house.records(CURATOR_STATE) if b"/" in r.key])
        assert all(worker.failed() is None for worker in curator.workers)


def test_a_stream_with_a_source_for_each_document_keeps_marks_that_fit_a_record() -> None:
    kept = KeptSet(a_pipeline().revision(), lambda pipeline: pipeline_metric(pipeline, None))
    for number in range(3 * MAX_SOURCES):
        kept.offer(Example(id=str(number), response="abc", source=f"source-{number}"))
    kept.offer(Example(id="again", response="abcdef", source="source-0"))
    sources = kept.marks.sources
    assert len(sources) == MAX_SOURCES + 1
    assert sources[OTHER_SOURCES].seen == 2 * MAX_SOURCES
    assert (sources["source-0"].seen, sources["source-0"].length) == (2, 9)
    assert sum(source.seen for source in sources.values()) == kept.marks.seen


def test_a_source_that_is_not_a_name_is_refused(tmp_path: Path) -> None:
    with opened(CuratorHouse(tmp_path)) as curator:
        answer = curator.submit([document("a", source="s" * 257)])
        assert [rejection.reason for rejection in answer.rejections] == ["too_large"]


def test_every_partitions_marks_and_a_full_account_of_requests_fit_into_the_owners_record(
    tmp_path: Path,
) -> None:
    with opened(CuratorHouse(tmp_path)) as curator:
        documents = [document(f"text {n}", source=f"{n:03d}" + "s" * 250) for n in range(4 * MAX_SOURCES)]
        curator.submit(documents)
        curator.cut()
        state = soon(lambda: s if (s := curator.states.get("p")) and len(s.curation.snapshots) == 4 else None)
        assert state.ByteSize() < MAX_RECORD_BYTES / 2
        facts = curator.house.facts(CURATOR_STATE, CuratorStateRecord)
        assert all(fact.marks.revision.revision for fact in facts if fact.HasField("marks"))


def test_an_example_as_large_as_may_be_comes_by_one_message_and_lies_in_one_value() -> None:
    assert SubmissionLimits().max_document_bytes < MAX_EXAMPLE_BYTES < ServerSettings().max_message_bytes
    assert MAX_EXAMPLE_BYTES < MAX_BODY_BYTES
    assert BatchLimits().max_item_bytes == MAX_EXAMPLE_BYTES
    assert BatchLimits().max_text_bytes == SubmissionLimits().max_document_bytes
    assert ReadLimits().max_document_bytes == SubmissionLimits().max_document_bytes


def test_a_kept_set_is_read_back_from_its_snapshot_in_whichever_parts_it_was_written() -> None:
    kept = [
        KeptExample(
            pipeline="p",
            rank=Rank(length=n, example_id=str(n), source_index=n if n % 2 else None),
            example=Example(id=str(n), response=f"{n} " * 100),
        )
        for n in range(50)
    ]
    for group_bytes in (1, 1_000, snapshot.GROUP_BYTES):
        file = snapshot.encode(kept, group_bytes)
        assert (pq.ParquetFile(io.BytesIO(file)).num_row_groups == 1) == (group_bytes == snapshot.GROUP_BYTES)
        assert snapshot.decode(io.BytesIO(file), "p") == kept
    assert snapshot.decode(io.BytesIO(snapshot.encode([])), "p") == []
