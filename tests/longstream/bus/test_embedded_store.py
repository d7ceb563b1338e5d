"""The file under the embedded log: what happens when it is busy, foreign, damaged or without space."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest

from longstream.bus import Output, Partition, Topic
from longstream.bus.embedded import EmbeddedBus
from longstream.bus.embedded_log import decode_headers, encode_headers, fair_shares
from longstream.bus.embedded_schema import prepare
from longstream.bus.embedded_store import Store
from longstream.errors import Corrupt, Refused, StorageFull, Unavailable
from tests.support.buses import contents, copies, ends_of, gain, numbered, take

TOPICS = (Topic(name="in", partitions=2, cleanup="delete"), Topic(name="out", partitions=2, cleanup="delete"))


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "log.db"


def test_every_commit_is_forced_to_the_disk(log: Path) -> None:
    store = Store(log)
    with store.write() as writer:
        assert writer.execute("PRAGMA synchronous").fetchone() == (2,)
        assert writer.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    store.close()


def test_a_writer_waits_for_another_process_and_then_says_that_it_is_busy(log: Path) -> None:
    store = Store(log, busy_timeout_s=0.3)
    with closing(sqlite3.connect(log, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        began = time.monotonic()
        with pytest.raises(Unavailable), store.write():
            raise AssertionError("two writers at once")
        assert 0.25 < time.monotonic() - began < 5.0
        other.execute("COMMIT")
    with store.write() as writer:
        writer.execute("INSERT INTO positions VALUES ('g', 1, 1)")
    store.close()


def write_and_fail(store: Store) -> None:
    with store.write() as writer:
        writer.execute("INSERT INTO positions VALUES ('g', 1, 1)")
        raise ZeroDivisionError


def test_what_raises_inside_a_transaction_is_undone(log: Path) -> None:
    store = Store(log)
    with pytest.raises(ZeroDivisionError):
        write_and_fail(store)
    with store.snapshot() as reader:
        assert reader.execute("SELECT count(*) FROM positions").fetchone() == (0,)
    store.close()


def test_a_snapshot_does_not_move_under_its_reader(log: Path) -> None:
    store = Store(log)
    with store.snapshot() as reader:
        count = "SELECT count(*) FROM positions"
        assert reader.execute(count).fetchone() == (0,)
        with store.write() as writer:
            writer.execute("INSERT INTO positions VALUES ('g', 1, 1)")
        assert reader.execute(count).fetchone() == (0,)
    store.close()


def test_a_closed_store_says_so(log: Path) -> None:
    store = Store(log)
    store.close()
    with pytest.raises(Unavailable, match="closed"), store.view():
        pass
    with pytest.raises(Unavailable, match="closed"), store.write():
        pass


def test_threads_of_one_process_write_at_once(log: Path) -> None:
    with EmbeddedBus(log) as bus:
        bus.create_topics(TOPICS)

        def write(name: int) -> None:
            for n in range(20):
                bus.publish([Output(topic="in", key=b"%d" % name, value=b"%d" % n, partition=0)])

        threads = [threading.Thread(target=write, args=(name,)) for name in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        records = contents(bus, "in")
        assert [record.offset for record in records] == list(range(160))
        for name in range(8):
            assert [r.value for r in records if r.key == b"%d" % name] == [b"%d" % n for n in range(20)]


def test_a_log_that_another_process_is_just_making_is_no_other_programs(log: Path) -> None:
    """Seen once, of two replicas that were started on an empty folder."""

    class Interrupted(sqlite3.Connection):
        """Between two looks at the file, the other process makes its log if it can."""

        asked = 0

        def execute(self, sql: str, *parameters: Any) -> sqlite3.Cursor:
            if sql == "PRAGMA user_version" and not self.asked:
                self.asked += 1
                with (
                    closing(sqlite3.connect(log, isolation_level=None, timeout=0)) as other,
                    suppress(sqlite3.OperationalError),  # it waits for this look, as it should
                ):
                    prepare(other, 4096, other.execute)  # type: ignore[arg-type]
            return super().execute(sql, *parameters)

    with closing(sqlite3.connect(log, isolation_level=None, factory=Interrupted)) as connection:
        prepare(connection, 4096, connection.execute)  # type: ignore[arg-type]
        assert connection.asked == 1
    EmbeddedBus(log).close()


def test_another_programs_database_is_refused(log: Path) -> None:
    with closing(sqlite3.connect(log)) as other:
        other.execute("CREATE TABLE books (title TEXT)")
    before = log.read_bytes()
    with pytest.raises(Refused, match="another program"):
        EmbeddedBus(log)
    assert log.read_bytes() == before


def test_a_newer_format_is_refused(log: Path) -> None:
    EmbeddedBus(log).close()
    with closing(sqlite3.connect(log, isolation_level=None)) as other:
        other.execute("PRAGMA user_version = 99")
    with pytest.raises(Refused, match="99"):
        EmbeddedBus(log)


def test_a_file_that_is_no_database_is_corrupt_with_what_to_do(log: Path) -> None:
    log.write_bytes(b"not a log at all" * 1000)
    with pytest.raises(Corrupt, match="backup"):
        EmbeddedBus(log)


def test_damaged_pages_are_corrupt_and_never_records(log: Path) -> None:
    with EmbeddedBus(log) as bus:
        bus.create_topics(TOPICS)
        bus.publish([Output(topic="in", key=b"k", value=bytes(2_000)) for _ in range(500)])
    with log.open("r+b") as file:
        size = os.path.getsize(log)
        file.seek(size // 2)
        file.write(os.urandom(size // 4))
    with EmbeddedBus(log) as bus, pytest.raises(Corrupt, match="recover"):
        contents(bus, "in")


@pytest.mark.parametrize("headers", ["x'ff'", "x'01000000ffffffffff'", "CAST(x'fffefdfc' AS TEXT)", "12"])
def test_headers_that_nobody_wrote_are_corrupt(log: Path, headers: str) -> None:
    with EmbeddedBus(log) as bus:
        bus.create_topics(TOPICS)
        bus.publish([Output(topic="in", key=b"k", value=b"v")])
    with closing(sqlite3.connect(log)) as connection, connection:
        connection.execute(f"UPDATE records SET headers = {headers}")
    with EmbeddedBus(log) as bus, pytest.raises(Corrupt, match="recover"):
        contents(bus, "in")


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 4 MB of its own."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(folder)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("only root can mount a small file system")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def fill(disk: Path) -> Path:
    """Take all space that is left; deleting the file gives it back."""
    filler = disk / "filler"
    with filler.open("wb", buffering=0) as file, suppress(OSError):
        while file.write(bytes(4096)):
            pass
    return filler


def test_without_space_nothing_is_written_and_with_space_it_goes_on(small_disk: Path) -> None:
    with EmbeddedBus(small_disk / "log.db") as bus:
        bus.create_topics(TOPICS)
        bus.publish(numbered("in", 10))
        subscription = bus.subscribe("group", ["in"], "member")
        gain(subscription, 2)
        records = take(subscription, 10)
        large = [Output(topic="out", key=b"large", value=bytes(500_000)) for _ in range(3)]
        filler = fill(small_disk)
        with pytest.raises(StorageFull):
            bus.publish(large)
        with pytest.raises(StorageFull):
            subscription.commit([*large, *copies(records, "out")], ends_of(records))
        assert contents(bus, "out") == []
        assert bus.committed("group", Partition("in", 0)) is None
        filler.unlink()
        subscription.commit(copies(records, "out"), ends_of(records))
        assert len(contents(bus, "out")) == 10


def publish_until_full(bus: EmbeddedBus) -> int:
    """How many records of 50 kB were acknowledged."""
    for acknowledged in range(1_000):
        try:
            bus.publish([Output(topic="in", key=b"%d" % acknowledged, value=bytes(50_000))])
        except StorageFull:
            return acknowledged
    raise AssertionError("the disk never ran full")


def test_every_acknowledged_record_survives_a_disk_that_runs_full(small_disk: Path) -> None:
    path = small_disk / "log.db"
    with EmbeddedBus(path) as bus:
        bus.create_topics(TOPICS)
        acknowledged = publish_until_full(bus)
        assert acknowledged > 10
        assert len(contents(bus, "in")) == acknowledged
    with EmbeddedBus(path) as bus:
        assert len(contents(bus, "in")) == acknowledged


def test_headers_survive_their_encoding() -> None:
    headers = (("a", b""), ("ü", b"\x00\xff"), ("", b"x" * 300))
    assert decode_headers(encode_headers(headers)) == headers
    assert encode_headers(()) is None
    assert decode_headers(None) == ()


@pytest.mark.parametrize(
    ("available", "total", "shares"),
    [
        ([10, 10], 4, [2, 2]),
        ([1, 10], 4, [1, 3]),
        ([10, 1, 10], 8, [4, 1, 3]),
        ([5, 5, 5], 2, [1, 1, 0]),
        ([1, 2], 10, [1, 2]),
        ([], 10, []),
    ],
)
def test_shares_are_even_as_far_as_there_is_something(
    available: list[int], total: int, shares: list[int]
) -> None:
    assert fair_shares(available, total) == shares
