"""What only the store in a folder has: its files, its disk, and what a kill leaves of them."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

import longstream
from longstream.errors import InvalidInput, StorageFull
from longstream.faults import crash_points
from longstream.storage import Storage, open_storage
from longstream.storage.files import FileStorage

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


def test_the_same_bytes_are_written_once(storage: Storage, tmp_path: Path) -> None:
    first = storage.put(b"once", "text/plain")
    before = {path: path.stat().st_ino for path in files_below(tmp_path)}
    assert storage.put(b"once", "image/png") == first
    assert storage.media_type(first) == "text/plain"
    assert {path: path.stat().st_ino for path in files_below(tmp_path)} == before


def test_an_object_that_became_a_link_is_not_followed(storage: Storage, tmp_path: Path) -> None:
    address = storage.put(b"content")
    path = object_file(tmp_path, address)
    path.unlink()
    (tmp_path / "elsewhere").write_bytes(b"content")
    path.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(InvalidInput, match="regular file"):
        storage.get(address)


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


def test_many_writers_of_the_same_bytes_leave_one_file_and_its_type(storage: Storage, tmp_path: Path) -> None:
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
