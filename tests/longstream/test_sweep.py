"""What a sweep takes and what it leaves, whatever happens beside it."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from longstream.bodies import body_address
from longstream.bodies_bus import BodiesBus
from longstream.bus import Bus, Output, Partition
from longstream.bus.embedded import EmbeddedBus
from longstream.dead_letters import dead_letter
from longstream.errors import Corrupt, InvalidInput, NotFound, Refused, Unavailable
from longstream.storage import Address
from longstream.storage.files import FileStorage
from longstream.storage.trees import tree_files
from longstream.sweep import Swept, least_grace, sweep
from longstream.topics import CURATION, EXAMPLES, MODELS, RELEASES, Layout, topics
from longstream.v1.records_pb2 import (
    CurationRecord,
    CurationState,
    CuratorStateRecord,
    Example,
    ExamplesRecord,
    Model,
    OwnerState,
    PartitionSnapshot,
    Release,
    Row,
    SelectedTask,
    Shard,
)

GRACE = least_grace() + timedelta(days=1)
NOW = datetime.now(UTC)
OLD = NOW - GRACE - timedelta(hours=1)


class Place:
    """A log and a store of which everything is old, unless it is put again."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "objects"
        self.storage = FileStorage(self.folder)
        self.log: Bus = EmbeddedBus(folder / "log.sqlite")
        self.bus = BodiesBus(self.log, self.storage, above_bytes=1_024)
        self.bus.create_topics(topics(Layout()))

    def publish(self, topic: str, value: bytes, partition: int = 0) -> None:
        self.bus.publish([Output(topic=topic, key=b"k", value=value, partition=partition)])

    def named(self, address: str, pipeline: str = "p") -> None:
        """A final release whose manifest lies there."""
        release = Release(pipeline=pipeline, manifest_address=address)
        self.publish(RELEASES, release.SerializeToString())

    def age(self, *addresses: Address) -> None:
        for address in addresses or tuple(address for address, _ in self.storage.addresses()):
            os.utime(self.folder / "objects" / address[7:9] / address[9:], (OLD.timestamp(),) * 2)

    def sweep(self, **how: bool) -> Swept:
        return sweep(self.log, self.storage, grace=GRACE, now=NOW, **how)

    def holds(self, address: str) -> bool:
        try:
            return bool(self.storage.media_type(address))
        except NotFound:
            return False


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    place = Place(tmp_path)
    with place.bus:
        yield place


def test_what_nothing_names_goes_once_it_is_old_and_is_counted(place: Place) -> None:
    orphan, kept = place.storage.put(b"orphan"), place.storage.put(b"named")
    place.named(kept)
    place.age()
    young = place.storage.put(b"young")
    swept = place.sweep()
    assert [place.holds(address) for address in (orphan, kept, young)] == [False, True, True]
    assert (swept.objects, swept.named, swept.young, swept.removed, swept.bytes) == (3, 1, 1, 1, 6)
    assert place.sweep().removed == 0


def test_a_dry_run_counts_the_same_and_removes_nothing(place: Place) -> None:
    orphan = place.storage.put(b"orphan")
    place.named(place.storage.put(b"named"))
    place.age()
    place.storage.put(b"young")
    assert place.sweep(dry_run=True).removed == 1
    assert place.holds(orphan)
    assert place.sweep().removed == 1


def test_everything_that_a_release_and_a_model_are_made_of_stays(place: Place, tmp_path: Path) -> None:
    put = place.storage.put
    (tmp_path / "model" / "deep").mkdir(parents=True)
    (tmp_path / "model" / "deep" / "weights").write_bytes(b"weights")
    (tmp_path / "model" / "card").write_bytes(b"card")
    shard, inner = put(b"shard"), put(b"told by the manifest alone")
    manifest = put(b'{"shards": ["%s"]}' % inner.encode(), "application/json")
    tree = place.storage.put_tree(tmp_path / "model")
    place.publish(
        RELEASES, Release(manifest_address=manifest, shards=[Shard(address=shard)]).SerializeToString()
    )
    place.publish(MODELS, Model(address=tree).SerializeToString())
    files = [file.address for file in tree_files(place.storage, tree)]
    place.age()
    assert place.sweep().removed == 0
    assert all(map(place.holds, (shard, inner, manifest, tree, *files)))


def test_large_values_stay_for_as_long_as_their_record_and_so_does_what_they_name(place: Place) -> None:
    snapshot = place.storage.put(b"snapshot")
    state = CurationState(snapshots=[PartitionSnapshot(address=snapshot)], open_release_id="r" * 2_000)
    place.publish("curation-state", OwnerState(curation=state).SerializeToString())
    place.publish(EXAMPLES, ExamplesRecord(example=Example(response="x" * 2_000)).SerializeToString())
    place.age()
    swept = place.sweep()
    assert (swept.named, swept.removed, dict(swept.missing)) == (3, 0, {})


def test_a_dead_letter_keeps_the_object_of_its_value(place: Place) -> None:
    place.publish(EXAMPLES, bytes(2_000))
    reader = place.bus.reader([Partition(EXAMPLES, 0)])
    [record] = reader.poll(1, 1.0)
    address = body_address(place.log.reader([Partition(EXAMPLES, 0)]).poll(1, 1.0)[0]) or ""
    place.bus.publish([dead_letter(record, InvalidInput("bad"), 1)])
    place.named(place.storage.put(b"named"))
    place.age()
    assert place.sweep().removed == 0
    assert place.holds(address)


def test_what_a_text_mentions_is_named_by_nothing(place: Place) -> None:
    mentioned = place.storage.put(b"mentioned in a document")
    for text in (f"see {mentioned}", f"see {mentioned} " * 100):
        place.publish(EXAMPLES, ExamplesRecord(example=Example(response=text)).SerializeToString())
    place.age()
    assert place.sweep().removed == 1
    assert not place.holds(mentioned)


@pytest.mark.parametrize("message", [ExamplesRecord, CuratorStateRecord, SelectedTask, Row])
def test_messages_of_texts_have_no_field_for_an_address(message: type[Row]) -> None:
    def fields(descriptor: Any, seen: frozenset[str]) -> Iterator[str]:
        for field in descriptor.fields:
            yield field.name
            inner = field.message_type
            if inner is not None and inner.full_name not in seen:
                yield from fields(inner, seen | {inner.full_name})

    assert [name for name in fields(message.DESCRIPTOR, frozenset()) if "address" in name] == []


def test_an_object_that_is_named_and_gone_is_told_with_who_names_it(place: Place) -> None:
    place.named(place.storage.put(b"there"))
    gone = place.storage.put(b"gone")
    place.named(gone)
    place.storage.delete(gone)
    assert dict(place.sweep().missing) == {gone: f"{RELEASES}/0@1"}


def test_a_grace_within_the_retention_is_refused(place: Place) -> None:
    with pytest.raises(InvalidInput, match=r"30\.25 days"):
        sweep(place.log, place.storage, grace=timedelta(days=30), now=NOW)


def test_a_store_of_another_log_is_left_alone(place: Place) -> None:
    orphan = place.storage.put(b"of another suite")
    place.age()
    with pytest.raises(Refused, match="of one suite"):
        place.sweep()
    place.named("sha256:" + "0" * 64)
    with pytest.raises(Refused):
        place.sweep()
    assert place.holds(orphan)


def test_an_empty_store_is_swept_at_once(place: Place) -> None:
    assert place.sweep() == Swept(objects=0, named=0, young=0, removed=0, bytes=0, missing={})


def test_a_manifest_that_cannot_be_read_stops_the_sweep_before_anything_goes(
    place: Place, tmp_path: Path
) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "weights").write_bytes(b"weights")
    tree = place.storage.put_tree(tmp_path / "model")
    orphan = place.storage.put(b"orphan")
    place.publish(MODELS, Model(address=tree).SerializeToString())
    place.age()
    path = place.folder / "objects" / tree[7:9] / tree[9:]
    path.chmod(0o644)
    path.write_bytes(b"damaged")
    with pytest.raises(Corrupt):
        place.sweep()
    assert place.holds(orphan)


class Meanwhile(BodiesBus):
    """The log, beside which something happens before a sweep reads it for so many times."""

    def __init__(self, log: Bus, storage: FileStorage, acts: Mapping[int, Callable[[], object]]) -> None:
        super().__init__(log, storage, above_bytes=1 << 30)
        self._acts = acts
        self._readings = 0

    def ends(self, partitions: Iterable[Partition]) -> dict[Partition, int]:
        self._readings += 1
        self._acts.get(self._readings, lambda: None)()
        return super().ends(partitions)


def test_an_address_that_moves_to_another_record_while_the_log_is_read_keeps_its_object(place: Place) -> None:
    """The first record is compacted away before it is read, the second is read on to only after the first reading."""
    address = place.storage.put(b"snapshot")
    place.named(place.storage.put(b"something else"))
    place.named(address, "moving")
    place.age()

    def compact() -> None:
        with closing(sqlite3.connect(place.folder.with_name("log.sqlite"))) as file, file:
            file.execute("DELETE FROM records WHERE instr(value, ?)", (b"moving",))

    copy = CurationRecord(snapshot=PartitionSnapshot(address=address)).SerializeToString()
    beside = Meanwhile(place.log, place.storage, {1: compact, 2: lambda: place.publish(CURATION, copy)})
    assert sweep(beside, place.storage, grace=GRACE, now=NOW).removed == 0
    assert place.holds(address)


@pytest.mark.parametrize("reading", [1, 2])
def test_an_old_object_that_is_put_again_beside_a_sweep_stays(place: Place, reading: int) -> None:
    """Its record comes after the sweep has read the log: only the object's new time can save it."""
    again, orphan = place.storage.put(b"x" * 2_000), place.storage.put(b"orphan")
    place.named(place.storage.put(b"named"))
    place.age()
    beside = Meanwhile(place.log, place.storage, {reading: lambda: place.storage.put(b"x" * 2_000)})
    swept = sweep(beside, place.storage, grace=GRACE, now=NOW)
    place.publish(EXAMPLES, b"x" * 2_000)
    assert (swept.removed, swept.young) == (1, 1)
    assert (place.holds(again), place.holds(orphan)) == (True, False)


class Away(FileStorage):
    """Goes away at the second removal."""

    removals = 0

    def delete(self, address: str, stored_before: datetime | None = None) -> bool:
        self.removals += 1
        if self.removals == 2:
            raise Unavailable("the store does not answer")
        return super().delete(address, stored_before)


def test_a_sweep_that_broke_off_can_be_repeated(place: Place) -> None:
    for number in range(3):
        place.storage.put(b"orphan %d" % number)
    place.named(place.storage.put(b"named"))
    place.age()
    with pytest.raises(Unavailable):
        sweep(place.log, Away(place.folder), grace=GRACE, now=NOW)
    assert place.sweep().removed == 2
