"""Folders as objects: a manifest of relative paths, each with the hash and the size of its file.

Adapters, weights, tokenizers and checkpoints are folders. The manifest is canonical JSON, so that equal
contents have equal addresses; it is checked like any input, since whoever stores an object can write one by
hand.
"""

from __future__ import annotations

import errno
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from longstream.errors import InvalidInput, Refused
from longstream.faults import crash_point
from longstream.storage import Address, Storage, parse_address
from longstream.storage.atomic import hash_file, open_regular, sync_folder

TREE_MEDIA_TYPE = "application/vnd.longstream.tree+json"
MAX_FILES = 10_000
_MAX_PATH_BYTES = 1_024


@dataclass(frozen=True, slots=True, order=True)
class TreeFile:
    """One file of a manifest. path: relative, with slashes. size: bytes."""

    path: str
    address: Address
    size: int


def put_tree(storage: Storage, folder: Path) -> Address:
    """See `Storage.put_tree`."""
    if not folder.is_dir():
        raise InvalidInput(f"no folder {folder}")
    files = sorted(
        TreeFile(_checked(path), storage.put_file(folder / path), (folder / path).stat().st_size)
        for path in _files_below(folder)
    )
    if not files:
        raise InvalidInput(f"{folder} holds no file")
    return storage.put(_written(files), TREE_MEDIA_TYPE)


def tree_files(storage: Storage, address: str) -> tuple[TreeFile, ...]:
    """The manifest's files, sorted by path. Raises InvalidInput if the address holds no manifest."""
    return _read(storage.get(address))


def fetch_tree(storage: Storage, address: str, into: Path) -> Path:
    """See `Storage.fetch_tree`."""
    files = tree_files(storage, address)
    if not into.exists() and _built(storage, files, into):
        return into
    if not _matches(into, files):
        raise Refused(f"{into} exists and differs from {address}; remove it or choose another place")
    return into


def _built(storage: Storage, files: tuple[TreeFile, ...], into: Path) -> bool:
    """Build the folder beside its place and move it there. False: another process was faster."""
    into.parent.mkdir(parents=True, exist_ok=True)
    unfinished = Path(tempfile.mkdtemp(prefix=f".{into.name}-", dir=into.parent))
    try:
        for file in files:
            storage.fetch(file.address, unfinished / file.path)
        unfinished.chmod(0o755)
        for parent, _, _ in os.walk(unfinished):
            sync_folder(Path(parent))
        crash_point("storage.tree.before_rename")
        os.rename(unfinished, into)
        sync_folder(into.parent)
        return True
    except OSError as error:
        if error.errno in (errno.ENOTEMPTY, errno.EEXIST):
            return False
        raise
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def _matches(folder: Path, files: tuple[TreeFile, ...]) -> bool:
    if folder.is_symlink() or not folder.is_dir():
        return False
    if sorted(_files_below(folder)) != [file.path for file in files]:
        return False
    return all(_holds(folder / file.path, file) for file in files)


def _holds(path: Path, file: TreeFile) -> bool:
    with open_regular(path) as opened:
        return path.stat().st_size == file.size and hash_file(opened) == file.address


def _files_below(folder: Path) -> Iterator[str]:
    """Relative paths of the regular files. Raises InvalidInput for a link or a special file."""
    for parent, folders, names in os.walk(folder, onerror=_raise, followlinks=False):
        for name in (*folders, *names):
            path = Path(parent, name)
            if path.is_symlink() or not (path.is_dir() or path.is_file()):
                raise InvalidInput(f"{path.relative_to(folder)} is a link or a special file")
        yield from (Path(parent, name).relative_to(folder).as_posix() for name in names)


def _raise(error: OSError) -> None:
    raise error


def _written(files: list[TreeFile]) -> bytes:
    if len(files) > MAX_FILES:
        raise InvalidInput(f"{len(files)} files are more than the {MAX_FILES} of a manifest")
    rows = [{"path": file.path, "sha256": file.address[7:], "size": file.size} for file in files]
    return json.dumps({"files": rows}, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode()


def _read(content: bytes) -> tuple[TreeFile, ...]:
    try:
        rows = json.loads(content)["files"]
        files = [_row(row) for row in rows]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise InvalidInput("the address holds no manifest of a folder", field="address") from error
    if not 0 < len(files) <= MAX_FILES:
        raise InvalidInput(f"a manifest lists 1 to {MAX_FILES} files", field="address")
    _check_distinct([file.path for file in files])
    return tuple(sorted(files))


def _row(row: dict[str, Any]) -> TreeFile:
    path, digest, size = row["path"], row["sha256"], row["size"]
    if not isinstance(path, str) or not isinstance(digest, str) or type(size) is not int:
        raise TypeError
    return TreeFile(_checked(path), parse_address(f"sha256:{digest}"), size)


def _checked(path: str) -> str:
    """The path, if it names a place below a folder on any system and nothing else."""
    parts = path.split("/")
    if any(part in ("", ".", "..") for part in parts) or any(sign in path for sign in "\\\0:"):
        raise InvalidInput("a manifest's path must stay inside its folder", field="path")
    try:
        size = len(path.encode())
    except UnicodeEncodeError:
        raise InvalidInput("a manifest's path must be UTF-8", field="path") from None
    if size > _MAX_PATH_BYTES:
        raise InvalidInput(f"a manifest's path has at most {_MAX_PATH_BYTES} bytes", field="path")
    return path


def _check_distinct(paths: list[str]) -> None:
    folders = {str(parent) for path in paths for parent in PurePosixPath(path).parents}
    if len(set(paths)) < len(paths) or folders.intersection(paths):
        raise InvalidInput("a manifest names a path twice, or a file as a folder", field="address")
