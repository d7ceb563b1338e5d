"""How the S3 client is told where its store is and how long it may take. Credentials are not among these:
they come by the client's own chain (environment, shared files, a pod's or a machine's role)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from longstream.settings import load

PREFIX = "LONGSTREAM_S3_"


@dataclass(frozen=True, slots=True, kw_only=True)
class S3Settings:
    """What `s3://` needs besides its URL; for Amazon's own S3 nothing of it."""

    endpoint_url: str | None = None
    """http(s)://HOST[:PORT] of an S3 that is not Amazon's."""
    region: str | None = None
    """Region of the bucket; without it what the client's own configuration says, or else us-east-1."""
    path_style: bool = False
    """Whether the bucket is named in the path and not in the host, as most gateways want it."""
    connect_timeout_s: float = 5.0
    """Longest wait for a connection."""
    read_timeout_s: float = 60.0
    """Longest silence of the store within a request."""
    attempts: int = 4
    """Tries of one request, the first included, while the store is away, slow or busy."""

    def __post_init__(self) -> None:
        if self.endpoint_url is not None:
            parts = urlsplit(self.endpoint_url)
            if parts.scheme not in ("http", "https") or not parts.hostname:
                raise ValueError("endpoint_url must be http(s)://HOST[:PORT]")
            if parts.username is not None or parts.query or parts.fragment:
                raise ValueError("endpoint_url must hold no credentials and nothing behind its path")
        for name in ("connect_timeout_s", "read_timeout_s"):
            if not 0 < getattr(self, name) <= 600:
                raise ValueError(f"{name} must be above 0 and at most 600")
        if not 1 <= self.attempts <= 10:
            raise ValueError("attempts must be 1 to 10")


def s3_settings(environ: Mapping[str, str]) -> S3Settings:
    """The settings that these variables (`LONGSTREAM_S3_ENDPOINT_URL`, ...) give. Raises InvalidInput."""
    return load(S3Settings, file=None, env_prefix=PREFIX, environ=environ)
