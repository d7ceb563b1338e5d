"""An erased example is gone from all that is not final, for ever, and the call says what still holds it."""

from __future__ import annotations

import io
import uuid
from contextlib import closing
from pathlib import Path
from typing import Any

import grpc
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from longstream.bus import Output
from longstream.records import parse
from longstream.topics import CURATION, CURATOR_STATE, EXAMPLES, MODELS, ROWS
from longstream.v1 import curator_pb2 as pb
from longstream.v1.records_pb2 import (
    CurationRecord,
    CuratorStateRecord,
    EraseCommand,
    ErasedExample,
    ExamplesRecord,
    KeptExample,
    Model,
    Release,
    Row,
)
from longstream.view import read_to_end
from longstream_curator.kept import KeptSet, pipeline_metric
from longstream_curator.submission import example_of
from tests.curator.test_curation import Curator, Instructor
from tests.curator.test_first_row import tasks, write
from tests.curator.test_modes import Arrival, arrivals
from tests.support.curating import CuratorHouse, a_pipeline, document, pair
from tests.support.house import soon


def kept_set(**select: Any) -> KeptSet:
    return KeptSet(a_pipeline(**select).revision(), lambda p: pipeline_metric(p, None))


def responses(curator: CuratorHouse, release: Release) -> list[str]:
    texts: list[str] = []
    for shard in release.shards:
        with curator.house.storage.open(shard.address) as file:
            texts += pq.read_table(io.BytesIO(file.read()))["response"].to_pylist()
    return texts


def selected(curator: CuratorHouse) -> list[int]:
    answer = curator.calls.GetSelection(pb.GetSelectionRequest(pipeline="p"))
    return [one.rank.length for one in answer.selected]


def erase(curator: CuratorHouse, item: pb.Pair | str, request_id: str = "") -> pb.EraseDocumentResponse:
    which = {"example_id": item} if isinstance(item, str) else {"pair": item}
    request = pb.EraseDocumentRequest(request_id=request_id or str(uuid.uuid4()), **which)
    answer: pb.EraseDocumentResponse = curator.calls.EraseDocument(request, timeout=20)
    return answer


def test_what_is_erased_is_in_no_later_release_and_the_earlier_ones_are_told(tmp_path: Path) -> None:
    with closing(CuratorHouse(tmp_path)) as curator:
        texts = [pair("a" * length) for length in (9, 8, 7, 6, 5)]
        curator.submit_pairs(texts)
        soon(lambda: len(selected(curator)) == 5)
        first = curator.final(curator.cut())
        model = Model(pipeline="p", id="m1", release_id=first.id)
        curator.house.bus.publish([curator.house.keys.output(MODELS, "p", "m1", model.SerializeToString())])
        soon(lambda: curator.house.bus.ends(curator.house.bus.partitions(MODELS)))
        answer = soon(lambda: told if (told := erase(curator, texts[1])).held_by[0].model_ids else None)
        assert answer.example_id == example_of(texts[1]).id
        assert [(one.pipeline, one.release_id, one.row, list(one.model_ids)) for one in answer.held_by] == [
            ("p", first.id, 2, ["m1"])
        ]
        assert any("retention" in line for line in answer.remains)
        soon(lambda: selected(curator) == [9, 7, 6, 5])
        curator.submit_pairs(texts, [pair("b" * 8)])
        soon(lambda: selected(curator) == [9, 8, 7, 6, 5])
        second = curator.final(curator.cut("2"))
        assert responses(curator, second) == ["a" * 9, "b" * 8, "a" * 7]
        assert responses(curator, first) == ["a" * 9, "a" * 8, "a" * 7]
        assert second.exact


def test_an_erasure_holds_after_a_restart_and_no_text_of_it_is_kept(tmp_path: Path) -> None:
    with closing(CuratorHouse(tmp_path)) as curator:
        curator.submit_pairs([pair("a" * 9), pair("a" * 5)])
        soon(lambda: selected(curator) == [9, 5])
        erase(curator, pair("a" * 9))
    with closing(CuratorHouse(tmp_path)) as curator:
        soon(lambda: selected(curator) == [5])
        curator.submit_pairs([pair("a" * 9), pair("a" * 7)])
        soon(lambda: selected(curator) == [7, 5])
        latest: dict[bytes, bytes | None] = {
            record.key: record.value for record in curator.house.records(CURATOR_STATE)
        }
        assert not any(b"a" * 9 in (value or b"") for value in latest.values())


def test_what_waits_for_its_instruction_makes_room_and_its_late_row_is_dropped(tmp_path: Path) -> None:
    curator = Curator(tmp_path, a_pipeline(k=2, reserve=1))
    with closing(curator):
        curator.in_force()
        curator.submit("aaaa", "bbb", "cc")
        release = curator.cut()
        asked = soon(lambda: found if len(found := tasks(curator)) == 2 else None)
        gone = next(task for task in asked if task.example.response == "aaaa")
        command = CurationRecord(pipeline="p", request_id="2", erase=EraseCommand(example_id=gone.example.id))
        assert curator.port.send(command, 20) == gone.example.id
        assert curator.port.send(command, 20) == gone.example.id
        write(curator, gone, instruction="Too late.", style="query")
        with Instructor(curator, answered=[gone.row_id]):
            rows = curator.table(curator.final(release))
        assert [row["response"] for row in rows] == ["bbb", "cc"]

        def dropped() -> bool:
            latest = {r.key: r.value for r in read_to_end(curator.bus, curator.bus.partitions(ROWS))}
            return latest[f"p/{gone.row_id}".encode()] is None

        soon(dropped)
        soon(lambda: not curator.states.get("p").curation.erased_rows)  # type: ignore[union-attr]


def test_what_came_before_the_barrier_and_was_erased_behind_it_is_in_no_release(tmp_path: Path) -> None:
    """The keepers have it in their snapshots, and the owner takes it out."""
    with closing(CuratorHouse(tmp_path)) as curator:
        curator.submit_pairs([pair("a" * length) for length in (9, 8, 7, 6)])
        soon(lambda: len(selected(curator)) == 4)
        keys = curator.house.keys
        gone = example_of(pair("a" * 8)).id
        # Both commands lie in the control partition before the owner sees a snapshot.
        commands = [
            CurationRecord(pipeline="p", request_id="1", request_hash="x"),
            CurationRecord(
                pipeline="p", request_id="2", request_hash="y", erase=EraseCommand(example_id=gone)
            ),
        ]
        commands[0].cut.SetInParent()
        outputs: list[Output] = [
            keys.output(CURATION, "p", "", command.SerializeToString()) for command in commands
        ]
        curator.house.bus.publish(outputs)
        release = soon(lambda: next((one for _, one in curator.releases.under("p/")), None))
        assert responses(curator, curator.final(release)) == ["a" * 9, "a" * 7, "a" * 6]


def test_a_row_that_exists_already_is_dropped_with_its_example(tmp_path: Path) -> None:
    with closing(CuratorHouse(tmp_path)) as curator:
        row = Row(pipeline="p", row_id="r1", example_id="e1", instruction="What was written of it.")
        curator.house.bus.publish([curator.house.keys.output(ROWS, "p", "r1", row.SerializeToString())])
        soon(lambda: curator.house.records(ROWS))
        soon(lambda: (erase(curator, "e1"), curator.house.records(ROWS)[-1].value is None)[1])


def test_an_erasure_stands_in_every_partition(tmp_path: Path) -> None:
    with closing(CuratorHouse(tmp_path)) as curator:
        erase(curator, "e1")
        found = [
            record.partition.index
            for record in curator.house.records(EXAMPLES)
            if parse(ExamplesRecord, record).HasField("erase")
        ]
        assert sorted(found) == [one.index for one in curator.house.bus.partitions(EXAMPLES)]


def test_a_request_that_names_no_example_is_told(tmp_path: Path) -> None:
    with closing(CuratorHouse(tmp_path)) as curator:
        for request in (pb.EraseDocumentRequest(request_id="1"), pb.EraseDocumentRequest(example_id="e")):
            with pytest.raises(grpc.RpcError) as caught:
                curator.calls.EraseDocument(request)
            assert caught.value.code() == grpc.StatusCode.INVALID_ARGUMENT


@given(arrivals(), st.integers(1, 5), st.sets(st.integers(0, 29)), st.integers(0, 30))
def test_a_restart_at_any_point_forgets_no_erasure(
    stream: list[Arrival], k: int, gone: set[int], at: int
) -> None:
    """Each example is erased right after it came, or never; a slot is held until the next cut, and no longer."""
    revision = a_pipeline(k=k, reserve=0).revision()
    straight, first = (KeptSet(revision, lambda p: pipeline_metric(p, None)) for _ in range(2))
    log: dict[str, KeptExample | ErasedExample | None] = {}

    def feed(kept: KeptSet, part: list[tuple[int, Arrival]]) -> None:
        for n, (item, at_ms) in part:
            log.update(kept.offer(item, at_ms))
            if n in gone:
                log.update(kept.erase(item.id))
            if n % 7 == 6:
                log.update(kept.release_slots())

    numbered = list(enumerate(stream))
    feed(straight, numbered)
    log.clear()
    feed(first, numbered[:at])
    alive = [item for item in log.values() if item is not None]
    resumed = KeptSet.restored(first.marks, alive, lambda p: pipeline_metric(p, None))
    feed(resumed, numbered[at:])
    assert list(resumed.kept()) == list(straight.kept())
    assert resumed.slots() == straight.slots()
    assert resumed.marks == straight.marks
    assert not {item.example.id for item in straight.kept()} & {f"{n:03}" for n in gone}
    for name, item in log.items():
        assert isinstance(item, ErasedExample) == (int(name) in gone)


def test_the_slot_of_an_erased_one_goes_to_nobody_before_the_cut() -> None:
    kept = kept_set(k=2, reserve=0)
    items = [example_of(pair("x" * length)) for length in (5, 4, 3, 2)]
    for item in items[:3]:
        kept.offer(item)
    kept.erase(items[0].id)
    assert kept.erase(items[0].id) == []
    assert kept.offer(items[3]) == []
    assert [(slot.rank.length, slot.example_id) for slot in kept.slots()] == [(5, items[0].id)]
    assert kept.release_slots() == [(items[0].id, ErasedExample(pipeline="p", example_id=items[0].id))]
    kept.offer(items[3])
    assert [item.rank.length for item in kept.kept()] == [4, 2]


def test_another_revision_frees_the_slots_and_refuses_the_ids_all_the_same() -> None:
    kept = kept_set(k=2, reserve=0)
    items = [example_of(pair("x" * length)) for length in (5, 4, 3)]
    log: dict[str, KeptExample | ErasedExample | None] = {}
    for item in items:
        log.update(kept.offer(item))
    log.update(kept.erase(items[0].id))
    log.update(kept.switch(a_pipeline(k=3, reserve=0).revision()))
    log.update(kept.offer(items[0]))
    log.update(kept.offer(items[2]))
    alive = [item for item in log.values() if item is not None]
    resumed = KeptSet.restored(kept.marks, alive, lambda p: pipeline_metric(p, None))
    for one in (kept, resumed):
        assert [item.rank.length for item in one.kept()] == [4, 3]
        assert one.slots() == []
        assert one.offer(items[0]) == []


def test_a_slot_goes_with_its_bucket() -> None:
    kept = kept_set(window={"last_s": 1, "bucket_s": 1})
    item = example_of(pair("xxx"))
    kept.offer(item, 1_000)
    kept.erase(item.id)
    assert [slot.example_id for slot in kept.slots()] == [item.id]
    changes = dict(kept.offer(example_of(pair("x")), 9_000))
    assert changes[item.id] == ErasedExample(pipeline="p", example_id=item.id)
    assert kept.slots() == []


def test_nothing_of_the_text_goes_into_the_state_record() -> None:
    kept = kept_set()
    item = example_of(document("a text that is to be forgotten"))
    kept.offer(item)
    [(name, erased)] = kept.erase(item.id)
    assert isinstance(erased, ErasedExample)
    assert name == item.id
    assert b"forgotten" not in CuratorStateRecord(erased=erased).SerializeToString()
