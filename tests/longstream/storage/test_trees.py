"""Folders as objects: what goes in comes out, and a manifest written by hand cannot leave its folder."""

from __future__ import annotations

import json
import os
import threading
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from longstream.errors import Corrupt, InvalidInput, NotFound, Refused, TooLarge
from longstream.storage import Storage
from longstream.storage.rules import StorageLimits
from longstream.storage.trees import TREE_MEDIA_TYPE, tree_files
from tests.support.shelves import Shelf

names = st.from_regex(r"[a-zä]{1,3}", fullmatch=True)
folders: st.SearchStrategy[dict[str, object]] = st.recursive(
    st.dictionaries(names, st.binary(max_size=50), min_size=1, max_size=3),
    lambda inner: st.dictionaries(names, inner, min_size=1, max_size=3),
    max_leaves=6,
)


@pytest.fixture(scope="session")
def storage(common_storage: Storage) -> Storage:
    return common_storage


@pytest.fixture
def adapter(tmp_path: Path) -> Path:
    return written({"adapter.safetensors": b"weights", "tok": {"a.json": b"{}"}}, tmp_path / "adapter")


def written(tree: dict[str, object], folder: Path) -> Path:
    folder.mkdir()
    for name, content in tree.items():
        if isinstance(content, dict):
            written(content, folder / name)
        else:
            assert isinstance(content, bytes)
            (folder / name).write_bytes(content)
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def manifest(storage: Storage, *paths: object) -> str:
    digest = storage.put(b"payload")[7:]
    rows = [{"path": path, "sha256": digest, "size": 7} for path in paths]
    return storage.put(json.dumps({"files": rows}).encode(), TREE_MEDIA_TYPE)


@given(tree=folders)
@settings(max_examples=25)
def test_a_folder_comes_back_as_it_was(tree: dict[str, object], storage: Storage) -> None:
    with TemporaryDirectory() as place:
        source = written(tree, Path(place) / "source")
        address = storage.put_tree(source)
        fetched = storage.fetch_tree(address, Path(place) / "deep" / "copy")
        assert contents(fetched) == contents(source)
        assert storage.put_tree(fetched) == address
        assert [file.size for file in tree_files(storage, address)] == [
            len(content) for _, content in sorted(contents(source).items())
        ]


def test_fetching_again_keeps_the_folder_and_finds_a_difference(
    storage: Storage, adapter: Path, tmp_path: Path
) -> None:
    address = storage.put_tree(adapter)
    copy = storage.fetch_tree(address, tmp_path / "copy")
    before = copy.stat().st_mtime_ns
    assert storage.fetch_tree(address, copy).stat().st_mtime_ns == before
    (copy / "more").write_bytes(b"")
    with pytest.raises(Refused, match="differs"):
        storage.fetch_tree(address, copy)
    (copy / "more").unlink()
    (copy / "tok" / "a.json").chmod(0o644)
    (copy / "tok" / "a.json").write_bytes(b"[]")
    with pytest.raises(Refused, match="differs"):
        storage.fetch_tree(address, copy)


@pytest.mark.parametrize(
    "path",
    [
        "../x",
        "/etc/x",
        "a/../../x",
        "a//b",
        "",
        ".",
        "a/.",
        "a\\b",
        "c:x",
        "a\0b",
        "\ud800",
        "x" * 1_025,
        3,
        None,
    ],
)
def test_a_path_that_leaves_the_folder_is_refused(path: object, storage: Storage, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput):
        storage.fetch_tree(manifest(storage, path), tmp_path / "out" / "in")
    assert not (tmp_path / "out").exists()


@given(path=st.text(alphabet="./\\ab\0:", max_size=8))
@settings(max_examples=60)
def test_no_manifest_path_writes_outside(path: str, storage: Storage) -> None:
    with TemporaryDirectory() as place:
        address = manifest(storage, path)
        before = contents(Path(place))
        try:
            out = storage.fetch_tree(address, Path(place) / "out")
        except InvalidInput:
            assert contents(Path(place)) == before
        else:
            assert contents(out) == {path: b"payload"}
            assert len(contents(Path(place))) == len(before) + 1


@pytest.mark.parametrize("paths", [("a", "a"), ("a", "a/b"), ()])
def test_a_manifest_that_names_a_path_twice_or_none_is_refused(
    paths: tuple[str, ...], storage: Storage, tmp_path: Path
) -> None:
    with pytest.raises(InvalidInput):
        storage.fetch_tree(manifest(storage, *paths), tmp_path / "out")


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[]",
        b"{}",
        b'{"files": 3}',
        b'{"files": [3]}',
        b'{"files": [{"path": "a"}]}',
        b"\xff",
        b"[" * 9_999,
    ],
)
def test_what_is_no_manifest_is_refused(content: bytes, storage: Storage, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput):
        storage.fetch_tree(storage.put(content), tmp_path / "out")


def test_links_and_special_files_and_empty_folders_are_not_stored(
    storage: Storage, adapter: Path, tmp_path: Path
) -> None:
    (adapter / "link").symlink_to("/etc/hostname")
    with pytest.raises(InvalidInput, match="link or a special file"):
        storage.put_tree(adapter)
    (adapter / "link").unlink()
    (adapter / "way").symlink_to("/etc")
    with pytest.raises(InvalidInput, match="link or a special file"):
        storage.put_tree(adapter)
    (adapter / "way").unlink()
    os.mkfifo(adapter / "pipe")
    with pytest.raises(InvalidInput, match="link or a special file"):
        storage.put_tree(adapter)
    (tmp_path / "empty").mkdir()
    with pytest.raises(InvalidInput, match="holds no file"):
        storage.put_tree(tmp_path / "empty")
    with pytest.raises(InvalidInput, match="no folder"):
        storage.put_tree(tmp_path / "missing")


def test_a_link_in_place_of_the_folder_is_not_followed(
    storage: Storage, adapter: Path, tmp_path: Path
) -> None:
    address = storage.put_tree(adapter)
    (tmp_path / "copy").symlink_to(adapter)
    with pytest.raises(Refused):
        storage.fetch_tree(address, tmp_path / "copy")


def test_a_missing_or_spoilt_part_leaves_no_folder(
    common_shelf: Shelf, storage: Storage, adapter: Path, tmp_path: Path
) -> None:
    address = storage.put_tree(adapter)
    part = tree_files(storage, address)[0].address
    common_shelf.spoil(part, b"spoilt")
    with pytest.raises(Corrupt):
        storage.fetch_tree(address, tmp_path / "out" / "copy")
    storage.delete(part)
    with pytest.raises(NotFound):
        storage.fetch_tree(address, tmp_path / "out" / "copy")
    assert list((tmp_path / "out").iterdir()) == []


def test_a_file_over_the_limit_stops_the_whole_folder(adapter: Path, shelf: Shelf) -> None:
    with shelf.small(StorageLimits(object_bytes=5)) as storage, pytest.raises(TooLarge):
        storage.put_tree(adapter)


def test_many_fetches_to_one_place_agree(storage: Storage, adapter: Path, tmp_path: Path) -> None:
    address, fetched = storage.put_tree(adapter), list[Path]()
    threads = [
        threading.Thread(
            target=lambda: fetched.append(storage.fetch_tree(address, tmp_path / "out" / "copy"))
        )
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(fetched) == 8
    assert contents(tmp_path / "out" / "copy") == contents(adapter)
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["copy"]
