"""What every store asks of what it is given, whatever keeps the bytes."""

from __future__ import annotations

import re
from dataclasses import dataclass

from longstream.errors import Corrupt, InvalidInput, TooLarge

_MEDIA_TYPE = re.compile(r"[a-z0-9.+-]{1,60}/[a-z0-9.+-]{1,60}", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class StorageLimits:
    """How much a store takes."""

    object_bytes: int = 64 << 30
    """Largest object or file."""
    get_bytes: int = 1 << 30
    """Largest object that `get` reads into memory."""

    def check(self, size: int, media_type: str) -> None:
        """Raise InvalidInput for a media type that is none, TooLarge for too many bytes."""
        if not _MEDIA_TYPE.fullmatch(media_type):
            raise InvalidInput("a media type reads like text/plain", field="media_type")
        if size > self.object_bytes:
            raise TooLarge(f"{size} bytes are more than the {self.object_bytes} of an object")


DEFAULT_LIMITS = StorageLimits()


def corrupt(address: str) -> Corrupt:
    """The error for bytes that are not those of their address."""
    return Corrupt(f"the bytes at {address} do not match it; restore the object or store it again")
