"""Files of somebody else's bucket, to be read: listed by a pattern, fetched one at a time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

from longstream.errors import InvalidInput, NotFound
from longstream.storage.s3_bucket import Absent, Bucket
from longstream.storage.s3_settings import S3Settings
from longstream.storage.s3_transfer import Download

SCHEME = "s3://"
_SIGNS = "*?["
_MOST_BYTES = 5 * 1024**4
"""What S3 lets an object have."""


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """An object. version: changes with its content."""

    url: str
    key: str
    size: int
    version: str


class RemoteFiles:
    """What a pattern as s3://BUCKET/corpora/*.jsonl.gz names."""

    def __init__(self, pattern: str, settings: S3Settings) -> None:
        """Raises InvalidInput for what is no such pattern, and for a bucket that cannot be used."""
        parts = urlsplit(pattern)
        if not pattern.startswith(SCHEME) or not parts.netloc or parts.fragment:
            raise InvalidInput(f"{pattern} is not s3://BUCKET/KEYS", field="INPUT")
        # urlsplit takes a question mark for the beginning of a query.
        self._pattern = f"{parts.path}{'?' if parts.query else ''}{parts.query}".lstrip("/")
        self._settings = settings
        self._bucket = Bucket(parts.netloc, settings)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bucket.close()

    def listed(self) -> Iterator[RemoteFile]:
        """Every object whose key is of the pattern, or lies below it where it ends in a slash, by key.

        A star goes across slashes. Raises NotFound where there is none, Unavailable.
        """
        start = min(
            (at for sign in _SIGNS if (at := self._pattern.find(sign)) >= 0), default=len(self._pattern)
        )
        found = False
        for page in self._bucket.pages("list_objects_v2", Prefix=self._pattern[:start]):
            for entry in page.get("Contents", ()):
                if entry["Size"] and self._is_meant(entry["Key"]):
                    found = True
                    url = f"{SCHEME}{self._bucket.name}/{entry['Key']}"
                    yield RemoteFile(url, entry["Key"], int(entry["Size"]), str(entry["ETag"]))
        if not found:
            raise NotFound(f"there is no object {SCHEME}{self._bucket.name}/{self._pattern}", field="INPUT")

    def fetch(self, file: RemoteFile, into: Path) -> None:
        """Copy an object's bytes into a file, going on where a connection breaks. Raises NotFound, Unavailable."""
        download = Download(
            self._bucket, file.key, attempts=self._settings.attempts, silence_s=self._settings.read_timeout_s
        )
        try:
            with into.open("wb") as target:
                download.copy_hashed(target, _MOST_BYTES)
        except Absent:
            raise NotFound(f"{file.url} is gone", field="INPUT") from None

    def _is_meant(self, key: str) -> bool:
        if not self._pattern or self._pattern.endswith("/"):
            return key.startswith(self._pattern)
        return key == self._pattern or fnmatchcase(key, self._pattern)
