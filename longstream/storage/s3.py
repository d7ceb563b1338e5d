"""The store in a bucket: `PREFIX/objects/ab/cdef...`, its media type as the object's own content type.

An object is written only where there is none, with its SHA-256 beside it for the store to check, and replaced
only if the store does not say that very sum of what it holds. Readers trust no byte before its hash is checked.
"""

from __future__ import annotations

import os
import re
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from io import BytesIO
from itertools import count
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

from longstream.errors import InvalidInput, NotFound, Unavailable
from longstream.storage import OCTETS, RENEWED_WITHIN, Address, parse_address
from longstream.storage.atomic import appearing, full_disk_told, open_regular
from longstream.storage.rules import DEFAULT_LIMITS, StorageLimits, corrupt
from longstream.storage.s3_bucket import Absent, Bucket, Disturbed
from longstream.storage.s3_settings import S3Settings
from longstream.storage.s3_transfer import PART_BYTES, Content, Download, Uploads, hashed, pause_s
from longstream.storage.trees import fetch_tree, put_tree

_LOOKS = 2
"""How often an object is read whose bytes are not those of its address: they may have changed on their way."""


@dataclass(frozen=True, slots=True, kw_only=True)
class S3Place:
    """A bucket's name, and what stands before all keys: nothing, or a path that ends in a slash."""

    bucket: str
    prefix: str = ""
    settings: S3Settings
    limits: StorageLimits = DEFAULT_LIMITS
    part_bytes: int = PART_BYTES
    """Largest object that is one request, and what each request of a larger one carries; S3 takes 5 MiB or
    more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Held:
    """What the store says of an object."""

    size: int
    checksum: str
    media_type: str
    stored: datetime

    def is_of(self, content: Content) -> bool:
        return (self.size, self.checksum) == (content.size, content.checksum)


class S3Storage:
    """A `Storage` below one prefix of a bucket. Whatever keeps the store from answering is Unavailable."""

    def __init__(self, place: S3Place) -> None:
        """Raises InvalidInput if there is no such bucket or access is denied, Unavailable if no store answers."""
        self._place = place
        self._limits = place.limits
        self._bucket = Bucket(place.bucket, place.settings)
        self._objects = f"{place.prefix}objects/"
        self._uploads = Uploads(self._bucket, self._objects)
        self._name = re.compile(rf"{re.escape(self._objects)}([0-9a-f]{{2}})/([0-9a-f]{{62}})", re.ASCII)
        self._bucket.check()

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
        content = BytesIO()
        self._read(parse_address(address), content, self._limits.get_bytes)
        return content.getvalue()

    def open(self, address: str) -> BinaryIO:
        """See Storage. The object lies in an unnamed temporary file until it is closed."""
        with full_disk_told(), ExitStack() as failed:
            file = failed.enter_context(tempfile.TemporaryFile())
            self._read(parse_address(address), file, self._limits.object_bytes)
            file.seek(0)
            failed.pop_all()
        return file

    def media_type(self, address: str) -> str:
        """See Storage."""
        held = self._held(self._key(parse_address(address)))
        if held is None:
            raise NotFound(f"no object {address}", field="address")
        return held.media_type

    def size(self, address: str) -> int:
        """See Storage."""
        held = self._held(self._key(parse_address(address)))
        if held is None:
            raise NotFound(f"no object {address}", field="address")
        return held.size

    def fetch(self, address: str, into: Path) -> Path:
        """See Storage."""
        with full_disk_told(), appearing(into) as target:
            self._read(parse_address(address), target, self._limits.object_bytes)
        return into

    def fetch_tree(self, address: str, into: Path) -> Path:
        """See Storage."""
        with full_disk_told():
            return fetch_tree(self, address, into)

    def addresses(self) -> Iterator[tuple[Address, datetime]]:
        """See Storage."""
        for page in self._bucket.pages("list_objects_v2", Prefix=self._objects):
            for listed in page.get("Contents", []):
                if match := self._name.fullmatch(listed["Key"]):
                    yield (
                        parse_address(f"sha256:{match[1]}{match[2]}"),
                        listed["LastModified"].astimezone(UTC),
                    )

    def delete(self, address: str, stored_before: datetime | None = None) -> bool:
        """See Storage."""
        key = self._key(parse_address(address))
        held = self._held(key) if stored_before is not None else None
        if held is not None and stored_before is not None and held.stored >= stored_before:
            return False
        with suppress(Absent):  # some stores say so
            self._bucket.ask("delete_object", Key=key)
        return True

    def close(self) -> None:
        """See Storage."""
        self._bucket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self.close()

    def _put(self, source: BinaryIO, size: int, media_type: str) -> Address:
        self._limits.check(size, media_type)
        content = hashed(source, self._place.part_bytes, self._limits.object_bytes)
        for failures in count(1):
            try:
                self._keep(content, media_type)
                break
            except Disturbed as error:
                if failures >= self._place.settings.attempts:
                    raise Unavailable(
                        f"{content.address} could not be stored ({error}); the same may be tried again"
                    ) from error
                time.sleep(pause_s(failures))
        return content.address

    def _keep(self, content: Content, media_type: str) -> None:
        """Have the object in the bucket, its time less than RENEWED_WITHIN ago. Raises Disturbed."""
        key = self._key(content.address)
        # Most small objects are new and are offered at once; of a large one it is asked first whether it is there.
        held = self._held(key) if len(content.digests) > 1 else None
        if held is None:
            if self._uploads.put(key, content, media_type, only_new=True):
                return
            held = self._held(key)
        if held is None:
            raise Disturbed("it came and went")
        if held.is_of(content):
            if datetime.now(UTC) - held.stored < RENEWED_WITHIN:
                return
            media_type = held.media_type
        self._uploads.put(key, content, media_type, only_new=False)

    def _held(self, key: str) -> _Held | None:
        try:
            told = self._bucket.ask("head_object", Key=key, ChecksumMode="ENABLED")
        except Absent:
            return None
        return _Held(
            size=told["ContentLength"],
            checksum=told.get("ChecksumSHA256", ""),
            media_type=told.get("ContentType", OCTETS),
            stored=told["LastModified"],
        )

    def _read(self, address: Address, target: BinaryIO, max_bytes: int) -> None:
        settings = self._place.settings
        download = Download(
            self._bucket,
            self._key(address),
            attempts=settings.attempts,
            silence_s=settings.read_timeout_s,
        )
        for _ in range(_LOOKS):
            target.seek(0)
            target.truncate()
            try:
                if download.copy_hashed(target, max_bytes) == address:
                    return
            except Absent:
                raise NotFound(f"no object {address}", field="address") from None
        raise corrupt(address)

    def _key(self, address: Address) -> str:
        name = address.removeprefix("sha256:")
        return f"{self._objects}{name[:2]}/{name[2:]}"
