"""What every store keeps, whatever holds the bytes: whole or absent, verified on the way out, listed, deleted."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import longstream
from longstream.errors import Corrupt, InvalidInput, NotFound, StorageFull, TooLarge
from longstream.storage import OCTETS, Storage, parse_address
from longstream.storage.rules import StorageLimits
from tests.support.shelves import Shelf

MIB = 1 << 20
ABSENT = parse_address(f"sha256:{'0' * 64}")
PACKAGES = str(Path(longstream.__file__).parent.parent)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", disk], capture_output=True, check=False
    )
    if mounted.returncode != 0:
        pytest.skip("mounting a small tmpfs needs root")
    yield disk
    subprocess.run(["umount", disk], check=True)


@given(content=st.binary(max_size=4_096))
def test_what_was_put_is_what_is_got(content: bytes, common_storage: Storage) -> None:
    address = common_storage.put(content, "text/plain")
    assert address == f"sha256:{hashlib.sha256(content).hexdigest()}"
    assert common_storage.get(address) == content
    with common_storage.open(address) as file:
        assert file.read() == content


def test_the_same_bytes_are_one_object_with_their_first_media_type(storage: Storage) -> None:
    first = storage.put(b"once", "text/plain")
    assert storage.put(b"once", "image/png") == first
    assert storage.media_type(first) == "text/plain"
    assert [address for address, _ in storage.addresses()] == [first]


@given(content=st.binary(min_size=1, max_size=200), data=st.data())
@settings(max_examples=40)
def test_any_changed_byte_is_found_and_put_heals_it(
    content: bytes, data: st.DataObject, common_shelf: Shelf, common_storage: Storage
) -> None:
    address = common_storage.put(content)
    spoilt = bytearray(content)
    spoilt[data.draw(st.integers(0, len(content) - 1))] ^= data.draw(st.integers(1, 255))
    common_shelf.spoil(address, bytes(spoilt))
    readers: list[Callable[[str], object]] = [common_storage.get, common_storage.open]
    for read in readers:
        with pytest.raises(Corrupt):
            read(address)
    with TemporaryDirectory() as folder:
        with pytest.raises(Corrupt):
            common_storage.fetch(address, Path(folder) / "out")
        assert list(Path(folder).iterdir()) == []
    assert common_storage.put(content) == address
    assert common_storage.get(address) == content


def test_an_unknown_object_is_not_found(common_storage: Storage, tmp_path: Path) -> None:
    for read in (common_storage.get, common_storage.open, common_storage.media_type, common_storage.size):
        with pytest.raises(NotFound):
            read(ABSENT)
    with pytest.raises(NotFound):
        common_storage.fetch(ABSENT, tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "address",
    ["", "sha256:", f"sha256:{'A' * 64}", f"md5:{'0' * 64}", f"sha256:../{'0' * 61}", f"sha256:{'0' * 64}\n"],
)
def test_what_is_no_address_is_refused(address: str, common_storage: Storage) -> None:
    asked: list[Callable[[str], object]] = [common_storage.get, common_storage.open, common_storage.delete]
    for ask in asked:
        with pytest.raises(InvalidInput, match="64 lower-case hex"):
            ask(address)


@pytest.mark.parametrize("media_type", ["", "text", "text/plain; charset=x", "../x/y", "text/pläin"])
def test_a_media_type_that_is_none_is_refused(media_type: str, common_storage: Storage) -> None:
    with pytest.raises(InvalidInput, match="media type"):
        common_storage.put(b"", media_type)


def test_a_file_is_stored_as_its_bytes_and_fetched_whole(common_storage: Storage, tmp_path: Path) -> None:
    source = tmp_path / "weights.bin"
    source.write_bytes(bytes(range(256)) * 8_192)
    address = common_storage.put_file(source)
    assert common_storage.media_type(address) == OCTETS
    assert common_storage.size(address) == 256 * 8_192
    fetched = common_storage.fetch(address, tmp_path / "new" / "copy.bin")
    assert fetched.read_bytes() == source.read_bytes()
    assert [path.name for path in fetched.parent.iterdir()] == ["copy.bin"]


def test_links_pipes_folders_and_missing_files_are_not_stored(storage: Storage, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("/etc/hostname")
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    for name in ("link", "pipe", "folder", "missing"):
        with pytest.raises(InvalidInput):
            storage.put_file(tmp_path / name)
    assert list(storage.addresses()) == []


def test_sizes_are_bounded(shelf: Shelf, tmp_path: Path) -> None:
    with shelf.small(StorageLimits(object_bytes=10, get_bytes=5)) as storage:
        with pytest.raises(TooLarge):
            storage.put(b"x" * 11)
        (tmp_path / "file").write_bytes(b"x" * 11)
        with pytest.raises(TooLarge):
            storage.put_file(tmp_path / "file")
        address = storage.put(b"x" * 10)
        with pytest.raises(TooLarge, match="open or fetch"):
            storage.get(address)
        assert storage.fetch(address, tmp_path / "out").read_bytes() == b"x" * 10


def test_fetching_onto_a_full_disk_is_told_and_leaves_nothing(small_disk: Path, storage: Storage) -> None:
    address = storage.put(b"x" * 2 * MIB)
    with pytest.raises(StorageFull):
        storage.fetch(address, small_disk / "copy")
    assert list(small_disk.iterdir()) == []


def test_every_object_is_listed_with_the_time_of_its_latest_put(shelf: Shelf, storage: Storage) -> None:
    assert list(storage.addresses()) == []
    began = datetime.now(UTC) - timedelta(seconds=2)  # a store's clock is coarse
    put = {storage.put(b"%d" % number) for number in range(20)}
    assert {address for address, _ in storage.addresses()} == put
    assert all(began <= stored <= datetime.now(UTC) for _, stored in storage.addresses())
    old, young = sorted(put)[:2]
    shelf.age(old)
    shelf.age(young)
    assert storage.put(storage.get(young), "image/png") == young
    assert {address for address, stored in storage.addresses() if stored < began} == {old}
    assert storage.media_type(young) == OCTETS


def test_a_deleted_object_is_gone_and_can_be_put_again(storage: Storage) -> None:
    kept, address = storage.put(b"kept"), storage.put(b"content", "text/plain")
    assert storage.delete(address)
    assert storage.delete(address)
    with pytest.raises(NotFound):
        storage.get(address)
    assert [listed for listed, _ in storage.addresses()] == [kept]
    assert storage.put(b"content", "image/png") == address
    assert (storage.get(address), storage.media_type(address)) == (b"content", "image/png")


def test_an_object_that_was_put_again_since_is_not_deleted(shelf: Shelf, storage: Storage) -> None:
    address = storage.put(b"content")
    shelf.age(address)
    ((_, stored),) = storage.addresses()
    limit = stored + timedelta(days=1)
    storage.put(b"content")
    assert not storage.delete(address, stored_before=limit)
    assert storage.get(address) == b"content"
    assert storage.delete(address, stored_before=datetime.now(UTC) + timedelta(seconds=2))
    assert list(storage.addresses()) == []


def test_many_writers_of_the_same_bytes_do_not_disturb_each_other(storage: Storage) -> None:
    content, addresses = b"x" * MIB, list[str]()

    def write() -> None:
        for _ in range(10):
            addresses.append(storage.put(content))
            assert storage.get(addresses[-1]) == content

    threads = [threading.Thread(target=write) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(addresses), len(set(addresses))) == (40, 1)
    assert [address for address, _ in storage.addresses()] == addresses[:1]


PUT_AT_ONCE = """
import sys
from longstream.storage import open_storage
from longstream.storage.s3_settings import S3Settings
url, endpoint = sys.argv[1:]
with open_storage(url, S3Settings(endpoint_url=endpoint or None, path_style=True)) as storage:
    print("ready", flush=True)
    sys.stdin.readline()
    print(*(storage.put(b"%d" % number * 1000) for number in range(20)))
"""


def test_two_processes_that_put_the_same_at_once_agree(shelf: Shelf, storage: Storage) -> None:
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", PUT_AT_ONCE, shelf.url, shelf.settings.endpoint_url or ""],
            env={**os.environ, "PYTHONPATH": PACKAGES},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    for writer in writers:
        assert writer.stdout is not None
        assert writer.stdout.readline() == "ready\n"
    for writer in writers:
        assert writer.stdin is not None
        writer.stdin.write("\n")
        writer.stdin.flush()
    told = [writer.communicate()[0].split() for writer in writers]
    assert told[0] == told[1]
    assert {address for address, _ in storage.addresses()} == set(told[0])
    assert all(storage.get(address) for address in told[0])


def test_no_descriptor_is_left_open(common_storage: Storage, tmp_path: Path) -> None:
    common_storage.get(common_storage.put(b"a connection may be kept"))
    before = len(os.listdir("/proc/self/fd"))
    for number in range(50):
        address = common_storage.put(b"%d" % number)
        common_storage.get(address)
        common_storage.fetch(address, tmp_path / "out")
        common_storage.open(address).close()
        with pytest.raises(NotFound):
            common_storage.get(ABSENT)
        with pytest.raises(InvalidInput):
            common_storage.put_file(tmp_path)
    assert len(os.listdir("/proc/self/fd")) == before
