"""The store in a folder: whole or absent, verified on the way out, and honest about a full disk."""

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
from hypothesis import given
from hypothesis import strategies as st

import longstream
from longstream.errors import Corrupt, InvalidInput, NotFound, StorageFull, TooLarge
from longstream.faults import crash_points
from longstream.storage import OCTETS, Storage, open_storage, parse_address
from longstream.storage.files import FileStorage
from longstream.storage.rules import StorageLimits

MIB = 1 << 20
PACKAGE = Path(longstream.__file__).parent


@pytest.fixture
def storage(tmp_path: Path) -> Iterator[Storage]:
    with open_storage(f"file://{tmp_path}/store") as opened:
        yield opened


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


def files_below(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def object_file(folder: Path, address: str) -> Path:
    return folder / "store" / "objects" / address[7:9] / address[9:]


@given(st.binary(max_size=4_096))
def test_what_was_put_is_what_is_got(content: bytes) -> None:
    with TemporaryDirectory() as folder, open_storage(f"file://{folder}") as storage:
        address = storage.put(content, "text/plain")
        assert address == f"sha256:{hashlib.sha256(content).hexdigest()}"
        assert storage.get(address) == content
        with storage.open(address) as file:
            assert file.read() == content


def test_the_same_bytes_are_one_object_with_their_first_media_type(storage: Storage, tmp_path: Path) -> None:
    first = storage.put(b"once", "text/plain")
    before = {path: path.stat().st_ino for path in files_below(tmp_path)}
    assert storage.put(b"once", "image/png") == first
    assert storage.media_type(first) == "text/plain"
    assert {path: path.stat().st_ino for path in files_below(tmp_path)} == before


def test_every_object_is_listed_with_the_time_of_its_latest_put(storage: Storage, tmp_path: Path) -> None:
    assert list(storage.addresses()) == []
    began = datetime.now(UTC) - timedelta(seconds=1)  # a file system's clock is coarse
    put = {storage.put(b"%d" % number) for number in range(20)}
    assert {address for address, _ in storage.addresses()} == put
    assert all(began <= stored <= datetime.now(UTC) for _, stored in storage.addresses())
    old, young = sorted(put)[:2]
    for address in (old, young):
        os.utime(object_file(tmp_path, address), (0, 0))
    assert storage.put(storage.get(young)) == young
    assert {address for address, stored in storage.addresses() if stored < began} == {old}


def test_a_deleted_object_is_gone_and_can_be_put_again(storage: Storage, tmp_path: Path) -> None:
    kept, address = storage.put(b"kept"), storage.put(b"content", "text/plain")
    assert storage.delete(address)
    assert storage.delete(address)
    with pytest.raises(NotFound):
        storage.get(address)
    assert [listed for listed, _ in storage.addresses()] == [kept]
    assert storage.put(b"content", "image/png") == address
    assert (storage.get(address), storage.media_type(address)) == (b"content", "image/png")
    with pytest.raises(InvalidInput):
        storage.delete("../kept")


def test_an_object_that_was_put_again_since_is_not_deleted(storage: Storage, tmp_path: Path) -> None:
    address = storage.put(b"content")
    os.utime(object_file(tmp_path, address), (0, 0))
    ((_, stored),) = storage.addresses()
    limit = stored + timedelta(days=1)
    storage.put(b"content")
    assert not storage.delete(address, stored_before=limit)
    assert storage.get(address) == b"content"
    assert storage.delete(address, stored_before=datetime.now(UTC) + timedelta(seconds=1))
    assert list(storage.addresses()) == []


@given(st.binary(min_size=1, max_size=200), st.data())
def test_any_changed_byte_is_found_and_put_heals_it(content: bytes, data: st.DataObject) -> None:
    with TemporaryDirectory() as folder, open_storage(f"file://{folder}/store") as storage:
        address = storage.put(content)
        path = object_file(Path(folder), address)
        spoilt = bytearray(content)
        spoilt[data.draw(st.integers(0, len(content) - 1))] ^= data.draw(st.integers(1, 255))
        path.chmod(0o644)
        path.write_bytes(spoilt)
        readers: list[Callable[[str], object]] = [storage.get, storage.open]
        for read in readers:
            with pytest.raises(Corrupt):
                read(address)
        with pytest.raises(Corrupt):
            storage.fetch(address, Path(folder) / "out")
        assert not (Path(folder) / "out").exists()
        assert storage.put(content) == address
        assert storage.get(address) == content


def test_an_unknown_object_is_not_found(storage: Storage, tmp_path: Path) -> None:
    address = parse_address(f"sha256:{'0' * 64}")
    for read in (storage.get, storage.open, storage.media_type):
        with pytest.raises(NotFound):
            read(address)
    with pytest.raises(NotFound):
        storage.fetch(address, tmp_path / "out")


@pytest.mark.parametrize(
    "address",
    ["", "sha256:", f"sha256:{'A' * 64}", f"md5:{'0' * 64}", f"sha256:../{'0' * 61}", f"sha256:{'0' * 64}\n"],
)
def test_what_is_no_address_is_refused(address: str, storage: Storage) -> None:
    with pytest.raises(InvalidInput, match="64 lower-case hex"):
        storage.get(address)


@pytest.mark.parametrize("media_type", ["", "text", "text/plain; charset=x", "../x/y", "text/pläin"])
def test_a_media_type_that_is_none_is_refused(media_type: str, storage: Storage) -> None:
    with pytest.raises(InvalidInput, match="media type"):
        storage.put(b"", media_type)


def test_a_file_is_stored_as_its_bytes_and_fetched_whole(storage: Storage, tmp_path: Path) -> None:
    source = tmp_path / "weights.bin"
    source.write_bytes(bytes(range(256)) * 8_192)
    address = storage.put_file(source)
    assert storage.media_type(address) == OCTETS
    fetched = storage.fetch(address, tmp_path / "new" / "copy.bin")
    assert fetched.read_bytes() == source.read_bytes()
    assert [path.name for path in fetched.parent.iterdir()] == ["copy.bin"]


def test_links_pipes_folders_and_missing_files_are_not_stored(storage: Storage, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("/etc/hostname")
    os.mkfifo(tmp_path / "pipe")
    for name in ("link", "pipe", "store", "missing"):
        with pytest.raises(InvalidInput):
            storage.put_file(tmp_path / name)


def test_an_object_that_became_a_link_is_not_followed(storage: Storage, tmp_path: Path) -> None:
    address = storage.put(b"content")
    path = object_file(tmp_path, address)
    path.unlink()
    (tmp_path / "elsewhere").write_bytes(b"content")
    path.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(InvalidInput, match="regular file"):
        storage.get(address)


def test_sizes_are_bounded(tmp_path: Path) -> None:
    storage = FileStorage(tmp_path / "store", StorageLimits(object_bytes=10, get_bytes=5))
    with pytest.raises(TooLarge):
        storage.put(b"x" * 11)
    (tmp_path / "file").write_bytes(b"x" * 11)
    with pytest.raises(TooLarge):
        storage.put_file(tmp_path / "file")
    address = storage.put(b"x" * 10)
    with pytest.raises(TooLarge, match="open or fetch"):
        storage.get(address)
    assert storage.fetch(address, tmp_path / "out").read_bytes() == b"x" * 10


def test_a_full_disk_is_told_and_leaves_no_half_object(small_disk: Path) -> None:
    storage = FileStorage(small_disk)
    kept = storage.put(b"k" * 1_000)
    before = files_below(small_disk)
    for _ in range(3):
        with pytest.raises(StorageFull):
            storage.put(b"x" * 2 * MIB)
    assert files_below(small_disk) == before
    assert storage.get(kept) == b"k" * 1_000
    assert storage.put(b"fits") == storage.put(b"fits")


def test_fetching_onto_a_full_disk_is_told_and_leaves_nothing(small_disk: Path, storage: Storage) -> None:
    address = storage.put(b"x" * 2 * MIB)
    with pytest.raises(StorageFull):
        storage.fetch(address, small_disk / "copy")
    assert files_below(small_disk) == []


PUT_ONCE = """
import sys
from longstream.storage import open_storage
open_storage(sys.argv[1]).put(b"content", "text/plain")
"""


@pytest.mark.parametrize(
    "point", [point for point in crash_points(PACKAGE) if point.startswith("storage.put.")]
)
def test_a_kill_leaves_the_whole_object_or_none_and_the_next_put_completes_it(
    point: str, storage: Storage, tmp_path: Path
) -> None:
    address = storage.put(b"content", "text/plain")
    for path in files_below(tmp_path / "store"):
        path.unlink()
    killed = subprocess.run(
        [sys.executable, "-c", PUT_ONCE, f"file://{tmp_path}/store"],
        env={**os.environ, "LONGSTREAM_CRASH_AT": f"{point}:1", "PYTHONPATH": str(PACKAGE.parent)},
        check=False,
    )
    assert killed.returncode == -9
    if object_file(tmp_path, address).exists():
        assert storage.get(address) == b"content"
    else:
        assert point == "storage.put.before_rename"
    assert storage.put(b"content", "text/plain") == address
    assert (storage.get(address), storage.media_type(address)) == (b"content", "text/plain")


def test_what_a_killed_writer_left_goes_after_a_day(tmp_path: Path) -> None:
    FileStorage(tmp_path)
    old, young = tmp_path / "tmp" / "put-old", tmp_path / "tmp" / "put-young"
    old.touch()
    young.touch()
    os.utime(old, (0, 0))
    FileStorage(tmp_path)
    assert (old.exists(), young.exists()) == (False, True)


def test_many_writers_of_the_same_bytes_do_not_disturb_each_other(storage: Storage, tmp_path: Path) -> None:
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
    assert len(files_below(tmp_path / "store")) == 2


def test_no_descriptor_is_left_open(storage: Storage, tmp_path: Path) -> None:
    before = len(os.listdir("/proc/self/fd"))
    for number in range(50):
        address = storage.put(b"%d" % number)
        storage.get(address)
        storage.fetch(address, tmp_path / "out")
        storage.open(address).close()
        with pytest.raises(NotFound):
            storage.get(f"sha256:{'0' * 64}")
        with pytest.raises(InvalidInput):
            storage.put_file(tmp_path)
    assert len(os.listdir("/proc/self/fd")) == before


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("ftp://host/x", "scheme 'ftp'"),
        ("relative/path", "scheme ''"),
        ("/absolute/path", "scheme ''"),
        ("file://relative/path", "absolute folder"),
        ("file:relative", "absolute folder"),
        ("file://", "absolute folder"),
        ("file:///x?y=1", "more than a path"),
        ("file:///dev/null/x", "cannot keep objects"),
    ],
)
def test_an_address_of_a_storage_that_cannot_be_is_refused(url: str, says: str) -> None:
    with pytest.raises(InvalidInput, match=says):
        open_storage(url)


def test_a_folder_with_a_blank_in_its_name_is_found(tmp_path: Path) -> None:
    with open_storage(f"file://{tmp_path}/a%20b") as storage:
        storage.put(b"x")
    assert (tmp_path / "a b" / "objects").is_dir()
