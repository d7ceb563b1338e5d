"""Files that appear whole or not at all, and bytes that are hashed as they pass."""

from __future__ import annotations

import errno
import hashlib
import os
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from longstream.errors import InvalidInput, StorageFull, TooLarge
from longstream.faults import crash_point
from longstream.storage import Address

_CHUNK_BYTES = 1 << 20
_NO_SPACE = frozenset({errno.ENOSPC, errno.EDQUOT})


def address_of(content: bytes) -> Address:
    """The address of these bytes."""
    return Address(f"sha256:{hashlib.sha256(content).hexdigest()}")


def hash_file(file: BinaryIO) -> Address:
    """The address of what the file holds from its present place to its end."""
    state = hashlib.sha256()
    while chunk := file.read(_CHUNK_BYTES):
        state.update(chunk)
    return Address(f"sha256:{state.hexdigest()}")


def copy_hashed(source: BinaryIO, target: BinaryIO, max_bytes: int) -> Address:
    """Copy what is left of source; returns its address. Raises TooLarge above max_bytes."""
    state, size = hashlib.sha256(), 0
    while chunk := source.read(_CHUNK_BYTES):
        size += len(chunk)
        if size > max_bytes:
            raise TooLarge(f"more than {max_bytes} bytes")
        state.update(chunk)
        target.write(chunk)
    return Address(f"sha256:{state.hexdigest()}")


def open_regular(path: Path) -> BinaryIO:
    """Open a regular file to read. Raises FileNotFoundError, or InvalidInput for a link or anything
    special."""
    try:
        # O_NONBLOCK: opening a pipe would else wait for its writer.
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENXIO):
            raise InvalidInput(f"{path.name} is not a regular file") from error
        raise
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise InvalidInput(f"{path.name} is not a regular file")
    return os.fdopen(descriptor, "rb")


@contextmanager
def temporary_file(folder: Path) -> Iterator[BinaryIO]:
    """A fresh file in folder, open to write and with its path as name; gone afterwards unless published."""
    descriptor, name = tempfile.mkstemp(prefix="put-", dir=folder)
    path = Path(name)
    try:
        # open() by the descriptor would have the number as its name.
        with open(name, "wb", opener=lambda _path, _flags: descriptor) as file:
            yield file
    finally:
        path.unlink(missing_ok=True)


def publish(file: BinaryIO, path: Path) -> None:
    """Make the temporary file's bytes durable and give it its final name; `sync_folder` makes the name
    durable."""
    file.flush()
    os.fchmod(file.fileno(), 0o444)
    os.fsync(file.fileno())
    os.rename(file.name, path)


@contextmanager
def appearing(path: Path) -> Iterator[BinaryIO]:
    """A file to write what shall be at path, which appears when the block ends well; folders are made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with temporary_file(path.parent) as target:
        yield target
        crash_point("storage.fetch.before_rename")
        publish(target, path)
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Make the names in folder durable."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def full_disk_told() -> Iterator[None]:
    """Raise StorageFull where the system says there is no space, or no quota, left."""
    try:
        yield
    except OSError as error:
        if error.errno in _NO_SPACE:
            raise StorageFull("no space left in the storage; nothing was written") from error
        raise
