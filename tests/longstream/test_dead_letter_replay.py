"""What a replay writes, and for which letters nothing is written."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from google.protobuf.message import Message
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from longstream.bodies_bus import BodiesBus
from longstream.bus import MAX_RECORD_BYTES, Bus, Output
from longstream.bus.opening import open_bus
from longstream.dead_letter_replay import Replayer
from longstream.errors import InvalidInput, Refused
from longstream.storage import open_storage
from longstream.topics import CURATION, EXAMPLES, ROWS, SELECTED, TRAINING, Layout, PipelineTopics, topics
from longstream.v1 import records_pb2 as pb
from tests.support.letters import die, example, letters, published, refuse

HEADERS = st.lists(st.tuples(st.text(max_size=20), st.binary(max_size=50)), max_size=4)


@pytest.fixture
def bus(tmp_path: Path) -> Iterator[Bus]:
    with open_bus(f"sqlite:{tmp_path / 'log.sqlite'}") as bus:
        bus.create_topics(topics(Layout()))
        yield bus


def output_of(bus: Bus, letter: str, settled: pb.Settlement | None = None) -> Output:
    return Replayer(bus).output(letters(bus)[letter], settled)


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=50), st.binary(max_size=50), HEADERS, st.integers(0, 3))
def test_the_record_goes_back_as_it_came_to_where_it_came_from(
    bus: Bus, key: bytes, value: bytes, headers: list[tuple[str, bytes]], partition: int
) -> None:
    letter = die(
        bus,
        TRAINING if partition < 2 else EXAMPLES,
        value,
        key=key,
        headers=tuple(headers),
        partition=partition,
    )
    output = output_of(bus, letter)
    assert (output.topic, output.partition) == (TRAINING if partition < 2 else EXAMPLES, partition)
    assert (output.key, output.value) == (key, value)
    assert output.headers == (*headers, ("x-replayed-from", letter.encode()))


def test_a_second_death_leaves_one_trace_of_the_first(bus: Bus) -> None:
    first = output_of(bus, die(bus, EXAMPLES, b"bytes", headers=(("mine", b"1"),)))
    second = die(bus, EXAMPLES, b"bytes", headers=first.headers)
    assert output_of(bus, second).headers == (("mine", b"1"), ("x-replayed-from", second.encode()))


def test_what_never_was_a_record_is_not_made_one(bus: Bus) -> None:
    with pytest.raises(Refused, match="submit it again"):
        output_of(bus, refuse(bus))


def test_a_part_is_not_passed_off_as_the_whole(bus: Bus) -> None:
    letter = die(bus, EXAMPLES, example("e"), headers=(("h", b"x" * MAX_RECORD_BYTES),))
    with pytest.raises(Refused, match="only a part"):
        output_of(bus, letter)


@pytest.mark.parametrize("origin", [b"", b"submit", b"curation/0@1", b"examples/9@1", b"examples/x@1"])
def test_a_letter_without_a_place_to_go_back_to_stays(bus: Bus, origin: bytes) -> None:
    headers = (("x-error-class", b"E"), ("x-origin", origin))
    letter = published(bus, Output(topic="examples.dlq", key=b"", value=b"v", headers=headers))
    with pytest.raises(Refused, match=r"which partition|no such partition"):
        output_of(bus, letter)


@pytest.mark.parametrize(
    ("topic", "record", "why"),
    [
        (EXAMPLES, pb.ExamplesRecord(barrier=pb.Barrier(pipeline="p")), "control record"),
        (EXAMPLES, pb.ExamplesRecord(revision=pb.PipelineRevision(pipeline="p")), "control record"),
        (CURATION, pb.CurationRecord(pipeline="p", progress=pb.PartitionProgress(seen=1)), "old figure"),
    ],
)
def test_what_counts_only_where_it_stood_is_not_moved(
    bus: Bus, topic: str, record: Message, why: str
) -> None:
    with pytest.raises(Refused, match=why):
        output_of(bus, die(bus, topic, record))


def test_commands_and_examples_go_back(bus: Bus) -> None:
    cut = pb.CurationRecord(pipeline="p", request_id="1", cut=pb.CutCommand())
    assert output_of(bus, die(bus, CURATION, cut)).value == cut.SerializeToString()
    assert output_of(bus, die(bus, EXAMPLES, example("e"))).value == example("e").SerializeToString()


def test_a_task_whose_refusal_was_written_is_not_asked_again(bus: Bus) -> None:
    keys = PipelineTopics(Layout().control_partitions)
    answered, open_task = (pb.SelectedTask(pipeline="p", row_id=row) for row in ("r1", "r2"))
    row = pb.Row(pipeline="p", row_id="r1", refusal="engine_died")
    bus.publish([keys.output(ROWS, "p", "r1", row.SerializeToString())])
    with pytest.raises(Refused, match="stands for ever"):
        output_of(bus, die(bus, SELECTED, answered))
    letter = die(bus, SELECTED, open_task)
    assert output_of(bus, letter).topic == SELECTED
    before = pb.Settlement(letter=letter, outcome=pb.Settlement.OUTCOME_REPLAYED)
    with pytest.raises(Refused, match="replayed once"):
        output_of(bus, letter, before)


def test_a_value_that_lies_in_storage_goes_back_whole(bus: Bus, tmp_path: Path) -> None:
    text = "long story " * 200_000
    with open_storage((tmp_path / "objects").as_uri()) as storage:
        large = BodiesBus(bus, storage)
        letter = die(large, EXAMPLES, example("e", text), headers=(("mine", b"1"),))
        with pytest.raises(Refused, match="--storage"):
            output_of(bus, letter)
        output = output_of(large, letter)
        assert output.value == example("e", text).SerializeToString()
        assert output.headers == (("mine", b"1"), ("x-replayed-from", letter.encode()))
        for item in (tmp_path / "objects").rglob("*"):
            if item.is_file():
                item.unlink()
        with pytest.raises(Refused, match="restore it"):
            output_of(large, letter)


def test_a_value_that_no_record_holds_is_not_cut_where_it_lies_in_storage(bus: Bus, tmp_path: Path) -> None:
    with open_storage((tmp_path / "objects").as_uri()) as storage:
        large = BodiesBus(bus, storage)
        value = b"v" * (3 << 20)
        letter = die(large, TRAINING, value, key=b"key", error=InvalidInput("no"))
        assert output_of(large, letter).value == value
