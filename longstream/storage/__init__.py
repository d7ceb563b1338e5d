"""Objects named by their content: an atomic put, a verified get, and folders as a manifest of objects.

An address is `sha256:` and 64 hex digits, one form everywhere, so that two equal objects are one and a
record that names an object also proves it. The media type is kept beside the object: it is about the bytes,
not part of them. This package is the only door to the object store.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, NewType, Protocol, Self
from urllib.parse import SplitResult, unquote, urlsplit

from longstream.errors import InvalidInput
from longstream.storage.s3_settings import S3Settings

Address = NewType("Address", str)

OCTETS = "application/octet-stream"
RENEWED_WITHIN = timedelta(hours=6)
"""How far the time of an object may lie behind its latest put."""
_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]", re.ASCII)
_KEY_PREFIX = re.compile(r"[\w-][\w.-]*(/[\w-][\w.-]*)*", re.ASCII)
_ADDRESS = re.compile(r"sha256:[0-9a-f]{64}", re.ASCII)


class Storage(Protocol):
    """A content-addressed store. Every method raises InvalidInput for what is no address.

    Written objects are durable when the method returns. Methods that write raise StorageFull, and leave
    nothing behind, when there is no space; TooLarge above the store's limit. Methods that read raise
    NotFound, and Corrupt if the bytes do not match their address. Safe to use from several threads and
    processes.
    """

    def put(self, content: bytes, media_type: str = OCTETS) -> Address:
        """Store the bytes; the same bytes again give the same address and keep their first media type."""

    def put_file(self, path: Path, media_type: str = OCTETS) -> Address:
        """Store a regular file's bytes in bounded memory. Raises InvalidInput for anything else, links
        included."""

    def put_tree(self, folder: Path) -> Address:
        """Store every file below folder and a manifest of them; returns the manifest's address.

        Empty folders, times and modes are not kept, so equal contents have equal addresses. Raises
        InvalidInput if there is a link or a special file, or no file at all.
        """

    def get(self, address: str) -> bytes:
        """The object, verified. Raises TooLarge for more than fits into memory by the store's limit."""

    def open(self, address: str) -> BinaryIO:
        """The object as a file to read and seek in, verified before this returns; the caller closes it."""

    def media_type(self, address: str) -> str:
        """What the object was first stored as."""

    def size(self, address: str) -> int:
        """Bytes of the object, as the store counts them."""

    def fetch(self, address: str, into: Path) -> Path:
        """Write the object to the path into, which appears whole or not at all; returns into."""

    def fetch_tree(self, address: str, into: Path) -> Path:
        """Build the folder of a manifest at the path into, which appears whole or not at all; returns into.

        An existing folder is verified and kept. Raises Refused if it differs, InvalidInput if the address
        is no manifest or names a path outside the folder.
        """

    def addresses(self) -> Iterator[tuple[Address, datetime]]:
        """Every object, in no order, with the UTC time at which it was last stored.

        Putting what is there already counts as storing it, to within RENEWED_WITHIN: who spares the objects
        of the last day takes none from a put that is still to be committed.
        """

    def delete(self, address: str, stored_before: datetime | None = None) -> bool:
        """Remove the object, which may be absent; with a time, only if it was last stored before that.

        Returns whether it is gone. Its age is looked at right before it is removed, not in one act with that.
        """

    def close(self) -> None:
        """Free what the store holds open."""

    def __enter__(self) -> Self:
        """The store itself."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        """Close."""


def parse_address(text: str) -> Address:
    """The text as an address. Raises InvalidInput if it is none."""
    if not _ADDRESS.fullmatch(text):
        raise InvalidInput("an address is `sha256:` and 64 lower-case hex digits", field="address")
    return Address(text)


def open_storage(url: str, s3: S3Settings | None = None) -> Storage:
    """The store at a URL: `file:///absolute/folder`, made if it does not exist, or `s3://BUCKET[/PREFIX]`.

    s3: what only the latter needs. Raises InvalidInput for an unknown scheme, a relative path, more than a
    path, and a bucket that is not there or denies access; Unavailable if no store answers.
    """
    parts = urlsplit(url)
    if parts.query or parts.fragment or parts.scheme not in ("file", "s3"):
        raise InvalidInput(
            f"no storage for the scheme {parts.scheme!r} or more than a path; use file:///folder or "
            "s3://bucket/prefix",
            field="storage_url",
        )
    return _in_folder(parts) if parts.scheme == "file" else _in_bucket(parts, s3 or S3Settings())


def _in_folder(parts: SplitResult) -> Storage:
    from longstream.storage.files import FileStorage

    path = unquote(parts.path)
    if parts.netloc or not path.startswith("/") or "\0" in path:
        raise InvalidInput("a file storage is file:/// and an absolute folder", field="storage_url")
    return FileStorage(Path(path))


def _in_bucket(parts: SplitResult, settings: S3Settings) -> Storage:
    prefix = parts.path.strip("/")
    # The URL itself is not repeated: somebody may have written a secret into it.
    if not _BUCKET.fullmatch(parts.netloc):
        raise InvalidInput(
            "an S3 storage is s3:// and a bucket's name; credentials come from the environment",
            field="storage_url",
        )
    if prefix and not _KEY_PREFIX.fullmatch(prefix):
        raise InvalidInput("an S3 prefix is names of A-Z a-z 0-9 . _ - with slashes", field="storage_url")
    from longstream.storage.s3 import S3Place, S3Storage

    return S3Storage(S3Place(bucket=parts.netloc, prefix=f"{prefix}/" if prefix else "", settings=settings))
