"""Stores for the contract: opened as the suite opens them, and reached into behind their backs."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from longstream.storage import Storage, open_storage
from longstream.storage.files import FileStorage
from longstream.storage.rules import StorageLimits
from longstream.storage.s3 import S3Place, S3Storage
from longstream.storage.s3_bucket import Bucket
from longstream.storage.s3_settings import S3Settings
from scripts.s3 import LocalGateway
from tests.support.gateway import BUCKET


class Shelf(Protocol):
    """One store, empty at the start."""

    @property
    def url(self) -> str:
        """What opens it, with `settings`."""

    @property
    def settings(self) -> S3Settings:
        """What opens it besides its URL."""

    def open(self) -> Storage:
        """Open it once more, as another process would."""

    def small(self, limits: StorageLimits) -> Storage:
        """Open it with other limits."""

    def spoil(self, address: str, content: bytes) -> None:
        """Put other bytes in an object's place."""

    def age(self, address: str) -> None:
        """Let an object be as old as the epoch."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FileShelf:
    """A store in a folder."""

    folder: Path
    settings: S3Settings = field(default_factory=S3Settings)

    @property
    def url(self) -> str:
        return self.folder.as_uri()

    def open(self) -> Storage:
        return open_storage(self.url)

    def small(self, limits: StorageLimits) -> Storage:
        return FileStorage(self.folder, limits)

    def spoil(self, address: str, content: bytes) -> None:
        self.path(address).chmod(0o644)
        self.path(address).write_bytes(content)

    def age(self, address: str) -> None:
        os.utime(self.path(address), (0, 0))

    def path(self, address: str) -> Path:
        """The file that holds an object."""
        return self.folder / "objects" / address[7:9] / address[9:]


@dataclass(frozen=True, slots=True, kw_only=True)
class S3Shelf:
    """A store under a prefix of the gateway's bucket."""

    gateway: LocalGateway
    bucket: Bucket
    """What reaches behind the store's back."""
    prefix: str

    @property
    def url(self) -> str:
        return f"s3://{BUCKET}/{self.prefix}"

    @property
    def settings(self) -> S3Settings:
        return settings_for(self.gateway.address)

    def open(self) -> Storage:
        return open_storage(self.url, self.settings)

    def small(self, limits: StorageLimits) -> Storage:
        return S3Storage(
            S3Place(bucket=BUCKET, prefix=f"{self.prefix}/", settings=self.settings, limits=limits)
        )

    def spoil(self, address: str, content: bytes) -> None:
        self.bucket.ask("put_object", Key=self.key(address), Body=content)

    def age(self, address: str) -> None:
        os.utime(self.path(address), (0, 0))

    def key(self, address: str) -> str:
        """The object's name in the bucket."""
        return f"{self.prefix}/objects/{address[7:9]}/{address[9:]}"

    def path(self, address: str) -> Path:
        """The file in which the gateway holds an object."""
        return self.gateway.buckets / BUCKET / self.key(address)


def settings_for(endpoint_url: str, attempts: int = 4, read_timeout_s: float = 60.0) -> S3Settings:
    """How to reach a gateway."""
    return S3Settings(
        endpoint_url=endpoint_url,
        region="us-east-1",
        path_style=True,
        attempts=attempts,
        read_timeout_s=read_timeout_s,
    )
