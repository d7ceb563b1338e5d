"""Large values of records in storage: what a log carries for them, outages, losses, and how much lies in memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest
from google.protobuf.message import DecodeError
from hypothesis import given, settings
from hypothesis import strategies as st

from longstream.bodies import ABOVE_BYTES, ELSEWHERE, MAX_BODY_BYTES, Bodies, body_address, body_bytes
from longstream.bodies_bus import BodiesBus
from longstream.bus import MAX_RECORD_BYTES, Output, Partition, Record, Topic
from longstream.bus.opening import open_bus
from longstream.errors import BodyLost, NotFound, TooLarge, Unavailable
from longstream.records import parse
from longstream.storage import parse_address
from longstream.storage.files import FileStorage
from longstream.v1.records_pb2 import Example, OwnerState
from longstream.view import View, read_to_end
from scripts.kafka import LocalBroker
from tests.support.buses import change, contents, ends_of, gain, take
from tests.support.house import soon

HERE, OTHER = Partition("in", 0), Partition("in", 1)
KIB = 1024


class Shelf(FileStorage):
    """A store that can be away, and counts what is asked of it."""

    away = False
    reads = 0

    def get(self, address: str) -> bytes:
        self.reads += 1
        if self.away:
            raise Unavailable("the store does not answer")
        return super().get(address)


class House:
    """A log and a store, and the bus over both."""

    def __init__(self, folder: Path) -> None:
        self.storage = Shelf(folder / "objects")
        self.log = open_bus(f"sqlite:{folder / 'log.sqlite'}")
        self.bus = BodiesBus(self.log, self.storage, above_bytes=KIB, in_hand_bytes=10 * KIB)
        topics = [Topic(name=name, partitions=2, cleanup="delete") for name in ("in", "out")]
        self.bus.create_topics([*topics, Topic(name="table", partitions=1, cleanup="compact")])

    def put(self, *values: bytes, partition: Partition = HERE) -> None:
        self.bus.publish(
            [Output(topic=partition.topic, key=b"k", value=v, partition=partition.index) for v in values]
        )

    def lose(self, place: Partition = HERE, number: int = 0) -> str:
        """Remove the object of a record's value; returns its address."""
        address = body_address(contents(self.log, place.topic)[number])
        assert address is not None
        self.storage.delete(address)
        return address


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    house = House(tmp_path)
    with house.bus:
        yield house


def large(number: int, size: int = 2 * KIB) -> bytes:
    return b"%04d" % number * (size // 4)


def test_a_value_over_the_limit_lies_in_storage_and_the_log_has_its_address(house: House) -> None:
    house.put(bytes(KIB), bytes(KIB + 1))
    small, claimed = contents(house.log, "in")
    assert (small.value, body_address(small), body_bytes(small)) == (bytes(KIB), None, 0)
    assert (claimed.value, body_bytes(claimed)) == (ELSEWHERE, KIB + 1)
    assert house.storage.get(body_address(claimed) or "") == bytes(KIB + 1)
    assert [record.value for record in contents(house.bus, "in")] == [bytes(KIB), bytes(KIB + 1)]


def test_what_stands_in_a_values_place_is_no_message_and_no_tombstone() -> None:
    for message in (Example, OwnerState):
        with pytest.raises(DecodeError):
            message.FromString(ELSEWHERE)


@settings(max_examples=30)
@given(st.lists(st.tuples(st.sampled_from(["ce_dataref", "x-body-bytes", "mine"]), st.binary(max_size=20))))
def test_headers_come_back_as_they_were_also_those_of_the_same_name(
    tmp_path_factory: pytest.TempPathFactory, headers: list[tuple[str, bytes]]
) -> None:
    bodies = Bodies(FileStorage(tmp_path_factory.getbasetemp() / "shared"), above_bytes=4)
    output = Output(topic="in", key=b"k", value=b"a value of some length", headers=tuple(headers))
    [claimed] = bodies.sent_ahead([output])
    assert claimed.value == ELSEWHERE
    whole = bodies.whole(Record(HERE, 0, b"k", claimed.value, claimed.headers, 0))
    assert (whole.value, whole.headers) == (output.value, output.headers)


def test_a_record_that_only_looks_like_a_claim_is_what_it_is(house: House) -> None:
    address = house.storage.put(b"somebody else's")
    headers = (("ce_dataref", address.encode()),)
    house.bus.publish([Output(topic="in", key=b"k", value=b"mine", headers=headers, partition=0)])
    [record] = contents(house.bus, "in")
    assert (record.value, record.headers) == (b"mine", headers)


def test_a_bare_log_refuses_what_storage_can_hold_and_nothing_holds_more_than_the_limit(house: House) -> None:
    value = bytes(MAX_RECORD_BYTES + 1)
    with pytest.raises(TooLarge):
        house.log.publish([Output(topic="in", key=b"k", value=value)])
    house.put(value)
    with pytest.raises(TooLarge):
        house.put(large(1), bytes(MAX_BODY_BYTES + 1))
    assert len(contents(house.log, "in")) == len(list(house.storage.addresses())) == 1
    assert ABOVE_BYTES < MAX_RECORD_BYTES


def test_outputs_of_a_commit_go_by_address_as_well(house: House) -> None:
    house.put(large(1))
    subscription = house.bus.subscribe("g", ["in"], "m")
    gain(subscription, 2)
    [record] = take(subscription, 1)
    subscription.commit([Output(topic="out", key=b"k", value=record.value)], ends_of([record]))
    assert [record.value for record in contents(house.log, "out")] == [ELSEWHERE]
    assert [record.value for record in contents(house.bus, "out")] == [large(1)]
    assert len(list(house.storage.addresses())) == 1


def test_a_log_that_is_away_leaves_an_object_and_no_record(house: House) -> None:
    with pytest.raises(NotFound):
        house.bus.publish([Output(topic="nowhere", key=b"k", value=large(1))])
    assert len(list(house.storage.addresses())) == 1


def test_while_the_store_is_away_nothing_is_skipped_and_other_partitions_go_on(house: House) -> None:
    house.put(large(1), b"behind it")
    subscription = house.bus.subscribe("g", ["in"], "m")
    gain(subscription, 2)
    house.storage.away = True
    for _ in range(3):
        with pytest.raises(Unavailable):
            subscription.poll(10, 0.1)
    assert subscription.behind()[HERE] == 2
    house.put(b"elsewhere", partition=OTHER)
    assert [record.value for record in take(subscription, 1)] == [b"elsewhere"]
    house.storage.away = False
    assert [record.value for record in take(subscription, 2)] == [large(1), b"behind it"]
    assert subscription.behind()[HERE] == 0


def test_a_reader_goes_on_where_the_store_went_away(house: House) -> None:
    house.put(b"first", large(1), b"last")
    reader = house.bus.reader([HERE])
    house.storage.away = True
    assert [record.value for record in reader.poll(10, 0.1)] == [b"first"]
    for _ in range(2):
        with pytest.raises(Unavailable):
            reader.poll(10, 0.1)
        assert reader.position(HERE) == 1
    house.storage.away = False
    assert [record.value for record in reader.poll(10, 0.1)] == [large(1), b"last"]
    assert reader.position(HERE) == 3


def test_what_waits_for_the_store_goes_with_its_partition_to_the_next_owner(house: House) -> None:
    house.put(large(1))
    house.put(large(2), partition=OTHER)
    first = house.bus.subscribe("g", ["in"], "first")
    gain(first, 2)
    house.storage.away = True
    with pytest.raises(Unavailable):
        first.poll(10, 0.1)
    second = house.bus.subscribe("g", ["in"], "second")

    def lost() -> frozenset[Partition]:
        try:
            return first.poll(10, 0.1).lost
        except Unavailable:
            return frozenset()

    [gone] = soon(lost)
    assert gain(second, 1) == {gone}
    house.storage.away = False
    theirs, ours = take(second, 1), take(first, 1)
    assert {record.partition for record in theirs} == {gone}
    assert sorted(record.value or b"" for record in (*theirs, *ours)) == [large(1), large(2)]


def test_a_paused_partition_keeps_what_waits_here_to_itself(house: House) -> None:
    house.put(*(large(n, 4 * KIB) for n in range(4)))
    subscription = house.bus.subscribe("g", ["in"], "m")
    gain(subscription, 2)
    first = subscription.poll(10, 1.0).records
    assert len(first) == 2  # the rest would be more than may be in hand
    subscription.pause([HERE])
    subscription.commit([], ends_of(first))
    assert subscription.poll(10, 0.1).records == ()
    subscription.resume([HERE])
    assert [record.offset for record in take(subscription, 2)] == [2, 3]


def test_no_more_bytes_are_in_hand_than_allowed_until_they_are_committed(house: House) -> None:
    house.put(*(large(n, 4 * KIB) for n in range(5)), large(5, 30 * KIB), b"small")
    subscription = house.bus.subscribe("g", ["in"], "m")
    gain(subscription, 2)
    batches: list[Sequence[Record]] = []
    while sum(len(batch) for batch in batches) < 7:
        polled = subscription.poll(10, 0.1)
        batches.append(polled.records)
        assert subscription.poll(10, 0.0).records == ()
        subscription.commit([], ends_of(polled.records))
    assert [len(batch) for batch in batches] == [2, 2, 1, 2]
    assert [record.offset for batch in batches for record in batch] == list(range(7))


def test_a_reader_gets_large_values_in_portions(house: House) -> None:
    house.put(*(large(n, 4 * KIB) for n in range(5)))
    reader = house.bus.reader([HERE])
    assert [len(reader.poll(10, 0.1)) for _ in range(3)] == [2, 2, 1]


def test_a_value_that_is_gone_is_told_with_its_object_and_never_parsed(house: House) -> None:
    house.put(large(1))
    address = house.lose()
    [record] = contents(house.bus, "in")
    assert isinstance(record.fault, BodyLost)
    assert address in record.fault.message
    assert "in/0@0" in record.fault.message
    with pytest.raises(BodyLost):
        parse(Example, record)


def test_a_value_that_is_damaged_is_told_as_well(house: House, tmp_path: Path) -> None:
    house.put(large(1))
    address = body_address(contents(house.log, "in")[0]) or ""
    path = tmp_path / "objects" / "objects" / address[7:9] / address[9:]
    path.chmod(0o644)
    path.write_bytes(b"damaged")
    [record] = contents(house.bus, "in")
    assert isinstance(record.fault, BodyLost)
    assert address in record.fault.message


def test_an_address_that_is_none_is_a_lost_value(house: House) -> None:
    house.log.publish([Output(topic="in", key=b"k", value=ELSEWHERE, partition=0)])
    assert isinstance(contents(house.bus, "in")[0].fault, BodyLost)


def test_a_record_whose_value_is_lost_can_be_passed_on_and_found_again(house: House) -> None:
    house.put(large(1))
    address = house.lose()
    [lost] = contents(house.bus, "in")
    house.bus.publish([Output(topic="out", key=b"k", value=lost.value, headers=lost.headers)])
    assert contents(house.bus, "out")[0].fault is not None
    assert house.storage.put(large(1)) == parse_address(address)
    assert contents(house.bus, "out")[0].value == large(1)


def test_a_folder_that_is_away_says_nothing_about_its_objects(house: House, tmp_path: Path) -> None:
    house.put(large(1))
    (tmp_path / "objects" / "objects").rename(tmp_path / "unmounted")
    reader = house.bus.reader([HERE])
    with pytest.raises(Unavailable):
        reader.poll(10, 0.1)
    (tmp_path / "unmounted").rename(tmp_path / "objects" / "objects")
    assert [record.value for record in reader.poll(10, 0.1)] == [large(1)]


@contextmanager
def viewing(house: House) -> Iterator[View[bytes]]:
    view: View[bytes] = View(house.bus, "table", lambda record: record.value or b"")
    view.start()
    yield view
    view.stop()


def test_a_view_outlives_an_outage_and_knows_all_afterwards(house: House) -> None:
    house.bus.publish([Output(topic="table", key=b"a", value=large(1))])
    house.storage.away = True
    with viewing(house) as view:
        soon(lambda: house.storage.reads > 1)
        assert view.failed() is None
        assert not view.ready
        house.storage.away = False
        soon(lambda: view.ready)
        house.storage.away = True
        house.bus.publish([Output(topic="table", key=b"b", value=large(2))])
        reads = house.storage.reads
        soon(lambda: house.storage.reads > reads + 1)
        house.storage.away = False
        assert view.wait(lambda view: view.get("b"), 20.0) == large(2)
        assert view.get("a") == large(1)


def test_a_view_ends_with_the_name_of_the_object_that_it_misses(house: House) -> None:
    house.bus.publish([Output(topic="table", key=b"a", value=large(1))])
    address = house.lose(Partition("table", 0))
    with viewing(house) as view:
        error = soon(view.failed)
    assert isinstance(error, BodyLost)
    assert address in error.message


def test_a_restore_says_which_object_is_missing(house: House) -> None:
    house.bus.publish([Output(topic="table", key=b"a", value=large(1))])
    address = house.lose(Partition("table", 0))
    with pytest.raises(BodyLost, match=address):
        [parse(Example, record) for record in read_to_end(house.bus, [Partition("table", 0)])]


@pytest.mark.kafka
def test_values_of_many_megabytes_travel_over_a_real_broker(
    tmp_path: Path, broker: LocalBroker, unique: Callable[[str], str]
) -> None:
    topic, values = unique("large"), [bytes([65 + n]) * (5 << 20) for n in range(3)]
    log = open_bus(f"kafka:{broker.address}")
    with BodiesBus(log, FileStorage(tmp_path / "objects"), in_hand_bytes=8 << 20) as bus:
        bus.create_topics([Topic(name=topic, partitions=1, cleanup="delete")])
        bus.publish([Output(topic=topic, key=b"k", value=value) for value in values])
        subscription = bus.subscribe(unique("group"), [topic], "m")
        assert change(subscription).gained == {Partition(topic, 0)}
        for value in values:
            [record] = take(subscription, 1)
            assert record.value == value
            subscription.commit([Output(topic=topic, key=b"k", value=b"done")], ends_of([record]))
        assert [len(record.value or b"") for record in contents(bus, topic)] == [5 << 20] * 3 + [4] * 3


@pytest.fixture
def unique(request: pytest.FixtureRequest) -> Callable[[str], str]:
    """Names that no other test run on the same broker uses."""
    stamp = f"{id(request):x}"
    return lambda name: f"bodies-{name}-{stamp}"
