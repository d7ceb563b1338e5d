"""The store in a folder: `objects/ab/cdef...`, its media type beside it, each whole or absent.

A put writes a temporary file in the same file system, syncs it, renames it, and syncs the folder: after a
crash there is the object or nothing, never half of it. Readers trust no byte before its hash is checked.
"""

from __future__ import annotations

import fcntl
import os
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

from longstream.errors import InvalidInput, NotFound, Refused, TooLarge, Unavailable
from longstream.faults import crash_point
from longstream.storage import OCTETS, Address, parse_address
from longstream.storage.atomic import (
    address_of,
    appearing,
    copy_hashed,
    full_disk_told,
    hash_file,
    open_regular,
    publish,
    sync_folder,
    temporary_file,
)
from longstream.storage.rules import DEFAULT_LIMITS, StorageLimits, corrupt
from longstream.storage.trees import fetch_tree, put_tree

_NAME = re.compile(r"[0-9a-f]{62}", re.ASCII)
_ABANDONED_AFTER_S = 86_400.0


class FileStorage:
    """A `Storage` below one folder of a file system that renames atomically."""

    def __init__(self, root: Path, limits: StorageLimits = DEFAULT_LIMITS) -> None:
        """root: absolute; made if missing. Raises InvalidInput if it is relative or cannot be a folder."""
        if not root.is_absolute():
            raise InvalidInput("the storage's folder must be an absolute path", field="storage_url")
        self._objects = root / "objects"
        self._temporary = root / "tmp"
        self._limits = limits
        try:
            with full_disk_told():
                self._objects.mkdir(parents=True, exist_ok=True)
                self._temporary.mkdir(exist_ok=True)
        except OSError as error:
            raise InvalidInput(f"cannot keep objects in {root}: {error}", field="storage_url") from error
        self._remove_abandoned()

    def put(self, content: bytes, media_type: str = OCTETS) -> Address:
        """See Storage."""
        return self._put(BytesIO(content), len(content), media_type)

    def put_file(self, path: Path, media_type: str = OCTETS) -> Address:
        """See Storage."""
        try:
            with open_regular(path) as source:
                return self._put(source, os.fstat(source.fileno()).st_size, media_type)
        except FileNotFoundError:
            raise InvalidInput(f"no file {path}") from None

    def put_tree(self, folder: Path) -> Address:
        """See Storage."""
        return put_tree(self, folder)

    def get(self, address: str) -> bytes:
        """See Storage."""
        with self._open(parse_address(address)) as file:
            size = os.fstat(file.fileno()).st_size
            if size > self._limits.get_bytes:
                raise TooLarge(f"{address} has {size} bytes; open or fetch it instead", field="address")
            content = file.read()
        if address_of(content) != address:
            raise corrupt(address)
        return content

    def open(self, address: str) -> BinaryIO:
        """See Storage."""
        file = self._open(parse_address(address))
        try:
            if hash_file(file) != address:
                raise corrupt(address)
            file.seek(0)
        except BaseException:
            file.close()
            raise
        return file

    def media_type(self, address: str) -> str:
        """See Storage."""
        path = self._path(parse_address(address))
        if not path.is_file():
            raise NotFound(f"no object {address}", field="address")
        try:
            return path.with_suffix(".type").read_text(encoding="ascii")
        except FileNotFoundError:  # a crash came between the two renames
            return OCTETS

    def size(self, address: str) -> int:
        """See Storage."""
        with self._open(parse_address(address)) as file:
            return os.fstat(file.fileno()).st_size

    def fetch(self, address: str, into: Path) -> Path:
        """See Storage."""
        with (
            self._open(parse_address(address)) as source,
            full_disk_told(),
            appearing(into) as target,
        ):
            if copy_hashed(source, target, self._limits.object_bytes) != address:
                raise corrupt(address)
        return into

    def fetch_tree(self, address: str, into: Path) -> Path:
        """See Storage."""
        with full_disk_told():
            return fetch_tree(self, address, into)

    def addresses(self) -> Iterator[tuple[Address, datetime]]:
        """See Storage."""
        for folder in self._objects.iterdir():
            for path in folder.iterdir():
                if _NAME.fullmatch(path.name) and (stored := _stored_at(path)) is not None:
                    yield parse_address(f"sha256:{folder.name}{path.name}"), stored

    def delete(self, address: str, stored_before: datetime | None = None) -> bool:
        """See Storage."""
        path = self._path(parse_address(address))
        with self._locked(fcntl.LOCK_EX):  # so that its age holds until it is gone
            stored = _stored_at(path)
            if stored is not None and stored_before is not None and stored >= stored_before:
                return False
            # The type first: a crash between the two leaves an object that is still listed.
            path.with_suffix(".type").unlink(missing_ok=True)
            path.unlink(missing_ok=True)
        if stored is not None:
            sync_folder(path.parent)
        return True

    def close(self) -> None:
        """Nothing is held open between calls."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self.close()

    def _put(self, source: BinaryIO, size: int, media_type: str) -> Address:
        self._limits.check(size, media_type)
        address = hash_file(source)
        folder = self._path(address).parent
        with full_disk_told():
            if not folder.is_dir():
                folder.mkdir(exist_ok=True)
                sync_folder(self._objects)
            if not self._renewed(address):
                source.seek(0)
                self._write(source, address, media_type)
            # Also for an object that was there: its writer may have crashed between its rename and its sync.
            sync_folder(folder)
        crash_point("storage.put.after")
        return address

    def _write(self, source: BinaryIO, address: Address, media_type: str) -> None:
        path = self._path(address)
        with temporary_file(self._temporary) as kind, temporary_file(self._temporary) as target:
            kind.write(media_type.encode())
            if copy_hashed(source, target, self._limits.object_bytes) != address:
                raise Refused("the file changed while it was stored; store it when nobody writes it")
            crash_point("storage.put.before_rename")
            with self._locked(fcntl.LOCK_SH):
                publish(target, path)
                crash_point("storage.put.between_renames")
                publish(kind, path.with_suffix(".type"))

    def _renewed(self, address: Address) -> bool:
        """Whether the object is there and whole; if so, its time is now."""
        try:
            with self._open(address) as file:
                if hash_file(file) != address:
                    return False
                with self._locked(fcntl.LOCK_SH):
                    os.utime(file.fileno())
                    # Whoever deleted it meanwhile took the type first.
                    return self._path(address).with_suffix(".type").is_file()
        except NotFound:
            return False

    @contextmanager
    def _locked(self, how: int) -> Iterator[None]:
        """Puts go on beside each other (LOCK_SH), a deletion by age goes alone (LOCK_EX), in all processes."""
        folder = os.open(self._objects, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            fcntl.flock(folder, how)
            yield
        finally:
            os.close(folder)

    def _open(self, address: Address) -> BinaryIO:
        try:
            return open_regular(self._path(address))
        except FileNotFoundError:
            if not self._objects.is_dir():  # not mounted, say: that tells nothing of the object
                raise Unavailable(f"the storage's folder {self._objects.parent} is not there") from None
            raise NotFound(f"no object {address}", field="address") from None

    def _path(self, address: Address) -> Path:
        name = address.removeprefix("sha256:")
        return self._objects / name[:2] / name[2:]

    def _remove_abandoned(self) -> None:
        """Remove what a killed writer left; a day is longer than any put takes."""
        for path in self._temporary.iterdir():
            try:
                if time.time() - path.lstat().st_mtime > _ABANDONED_AFTER_S:
                    path.unlink()
            except FileNotFoundError:
                continue


def _stored_at(path: Path) -> datetime | None:
    try:
        return datetime.fromtimestamp(path.lstat().st_mtime, UTC)
    except FileNotFoundError:
        return None
