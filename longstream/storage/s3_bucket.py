"""One bucket of an S3 store, asked by its standard client: each answer in time, each failure in our own words.

The client repeats what may be repeated (connections lost, 5xx, SlowDown) a bounded number of times. Who may do
what, and as whom, is the client's own chain of credentials; neither they nor the requests that carry them are
logged.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import boto3.session
from botocore import exceptions as aws
from botocore.config import Config

from longstream.errors import InvalidInput, StorageFull, SuiteError, TooLarge, Unavailable
from longstream.storage.s3_settings import S3Settings

_REGION_OF_GATEWAYS = "us-east-1"
_CONNECTIONS = 16
_SET_UP = {
    "NoSuchBucket": "there is no such bucket: make it, or correct the storage's URL and S3's endpoint",
    "InvalidBucketName": "there can be no bucket of that name; correct the storage's URL",
    "AccessDenied": "access is denied: the credentials need s3:ListBucket on the bucket and s3:GetObject, PutObject, "
    "DeleteObject and AbortMultipartUpload on what it holds",
    "InvalidAccessKeyId": "the store does not know these credentials; look at what the environment or the role gives",
    "SignatureDoesNotMatch": "the secret does not belong to the access key; look at the credentials",
    "ExpiredToken": "the credentials have expired; look at who renews them",
    "PermanentRedirect": "the bucket is in another region; set LONGSTREAM_S3_REGION",
    "RequestTimeTooSkewed": "this machine's clock and the store's differ by too much; set the clock",
}
_SET_UP |= {
    "403": _SET_UP["AccessDenied"],
    "Forbidden": _SET_UP["AccessDenied"],
    "301": _SET_UP["PermanentRedirect"],
    "AuthorizationHeaderMalformed": _SET_UP["PermanentRedirect"],
    "IllegalLocationConstraintException": _SET_UP["PermanentRedirect"],
    "InvalidToken": _SET_UP["InvalidAccessKeyId"],
    "XAdminUserNotFound": _SET_UP["InvalidAccessKeyId"],
    "TokenRefreshRequired": _SET_UP["ExpiredToken"],
}
_NO_CREDENTIALS = (
    "no credentials for S3: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, a profile, or a role"
)
_ABSENT = frozenset({"404", "NoSuchKey", "NoSuchUpload", "NotFound"})
_FULL = frozenset({"507", "InsufficientStorage", "QuotaExceeded", "StorageFull", "XMinioStorageFull"})
_SPOILT = frozenset({"BadDigest", "IncompleteBody", "InvalidDigest", "XAmzContentSHA256Mismatch"})


class Absent(Exception):
    """There is no object, or no upload, of that name."""


class Present(Exception):
    """What should be written only if it is new is there."""


class Disturbed(Unavailable):
    """Another writer was at the same name, or the bytes changed on their way: nothing was written, and the
    same may succeed at once."""


class Bucket:
    """Requests to one bucket. Raises Absent, Present, StorageFull, TooLarge, Disturbed, and Unavailable for
    whatever else keeps the store from doing what it is asked."""

    def __init__(self, name: str, settings: S3Settings) -> None:
        """Asks the store nothing yet. Raises InvalidInput if the client's own configuration cannot be used."""
        for library in ("boto3", "botocore", "urllib3"):
            # What they tell of a request may hold a session's token.
            logging.getLogger(library).setLevel(logging.WARNING)
        self.name = name
        self._attempts = settings.attempts
        try:
            session = boto3.session.Session()
            self._client: Any = session.client(
                "s3",
                endpoint_url=settings.endpoint_url,
                region_name=settings.region or session.region_name or _REGION_OF_GATEWAYS,
                config=_config(settings),
            )
        except (aws.BotoCoreError, ValueError) as error:
            raise InvalidInput(f"cannot use S3 as configured: {error}", field="storage_url") from error

    def check(self) -> None:
        """Look whether the bucket is there and lets itself be read. Raises InvalidInput if not, Unavailable
        if the store does not answer."""
        try:
            self._client.list_objects_v2(Bucket=self.name, MaxKeys=1)
        except aws.ClientError as error:
            if advice := _SET_UP.get(_code(error)):
                raise InvalidInput(f"s3://{self.name}: {advice}", field="storage_url") from error
            explained = self._explained(error)
            if isinstance(explained, Absent):
                raise InvalidInput(
                    f"no S3 answers at the endpoint: {explained}", field="storage_url"
                ) from error
            raise explained from error
        except (aws.NoCredentialsError, aws.PartialCredentialsError) as error:
            raise InvalidInput(_NO_CREDENTIALS, field="storage_url") from error
        except aws.BotoCoreError as error:
            raise self._away(error) from error

    def ask(self, operation: str, **parameters: Any) -> dict[str, Any]:
        """One request by the client's name for it, such as head_object, and its answer."""
        with self.explaining():
            answer: dict[str, Any] = getattr(self._client, operation)(Bucket=self.name, **parameters)
            return answer

    def pages(self, operation: str, **parameters: Any) -> Iterator[dict[str, Any]]:
        """The answers of a listing, page after page."""
        with self.explaining():
            yield from self._client.get_paginator(operation).paginate(Bucket=self.name, **parameters)

    @contextmanager
    def explaining(self) -> Iterator[None]:
        """Raise in our words what the client raises inside, also while a body is read."""
        try:
            yield
        except aws.ClientError as error:
            raise self._explained(error) from error
        except (aws.NoCredentialsError, aws.PartialCredentialsError) as error:
            raise Unavailable(_NO_CREDENTIALS) from error
        except aws.BotoCoreError as error:
            raise self._away(error) from error

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def _explained(self, error: aws.ClientError) -> SuiteError | Absent | Present:
        code, status = _code(error), error.response["ResponseMetadata"].get("HTTPStatusCode", 0)
        told = f"s3://{self.name} answered {code} ({status})"
        if advice := _SET_UP.get(code):
            # To wait for, not the fault of any record: the store works again when that is mended.
            return Unavailable(f"s3://{self.name}: {advice}")
        if code in _SPOILT:
            return Disturbed(f"{told}: the bytes changed on their way")
        if status == 507 or code in _FULL:
            return StorageFull(f"{told}: no space is left; nothing was written")
        if code == "EntityTooLarge":
            return TooLarge(f"{told}: it takes no object of that size")
        if code in _ABSENT:  # not each 404: a store may also say so of a user
            return Absent(told)
        answers: dict[int, Callable[[str], SuiteError | Present]] = {409: Disturbed, 412: Present}
        return answers.get(status, Unavailable)(f"{told}; the same may be tried again")

    def _away(self, error: aws.BotoCoreError) -> Unavailable:
        kind = type(error).__name__
        return Unavailable(
            f"s3://{self.name} did not answer after {self._attempts} tries ({kind}); look at its endpoint and the "
            "network, or try again"
        )


def _config(settings: S3Settings) -> Config:
    return Config(
        connect_timeout=settings.connect_timeout_s,
        read_timeout=settings.read_timeout_s,
        retries={"mode": "standard", "total_max_attempts": settings.attempts},
        s3={"addressing_style": "path" if settings.path_style else "auto"},
        # Every upload carries its SHA-256 and every download is hashed: a second sum would only cost.
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
        max_pool_connections=_CONNECTIONS,
        tcp_keepalive=True,
    )


def _code(error: aws.ClientError) -> str:
    return str(error.response.get("Error", {}).get("Code", "Unknown"))
