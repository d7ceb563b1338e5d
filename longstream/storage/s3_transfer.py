"""Bytes on their way to and from S3: hashed as they pass, one part in memory, whole or not at all.

A small object is one request. A large one is an upload in parts, which nobody sees before its last request
completes it; what a killed writer left of one is removed a day later by the next writer of a large object.
"""

from __future__ import annotations

import hashlib
import logging
import random
import time
from base64 import b64encode
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, BinaryIO

from longstream.errors import Refused, SuiteError, TooLarge, Unavailable
from longstream.storage import Address
from longstream.storage.s3_bucket import Absent, Bucket, Disturbed, Present

PART_BYTES = 16 << 20
"""What one request carries; with S3's 10,000 parts it allows 160 GiB."""
_CHUNK_BYTES = 1 << 16
_SLOWEST_BYTES_PER_S = 64 << 10
_LONGEST_PAUSE_S = 10.0
_ABANDONED_AFTER = timedelta(days=1)
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """Bytes that can be read twice, with what the store must say of them if it has them."""

    source: BinaryIO
    size: int
    address: Address
    part_bytes: int
    digests: tuple[bytes, ...]
    """SHA-256 of each part; an empty object has one."""

    @property
    def checksum(self) -> str:
        """The store's own name for the SHA-256: of the bytes, or of the parts' and their number."""
        if len(self.digests) == 1:
            return _base64(self.digests[0])
        return f"{_base64(hashlib.sha256(b''.join(self.digests)).digest())}-{len(self.digests)}"

    def parts(self) -> Iterator[bytes]:
        """The parts, one in memory at a time. Raises Refused if they are not those that were hashed."""
        self.source.seek(0)
        for digest in self.digests:
            part = self.source.read(self.part_bytes)
            if hashlib.sha256(part).digest() != digest:
                raise Refused("the file changed while it was stored; store it when nobody writes it")
            yield part


def hashed(source: BinaryIO, part_bytes: int, max_bytes: int) -> Content:
    """Read source to its end. Raises TooLarge above max_bytes."""
    whole, size, digests = hashlib.sha256(), 0, list[bytes]()
    while (part := source.read(part_bytes)) or not digests:
        size += len(part)
        if size > max_bytes:
            raise TooLarge(f"more than the {max_bytes} bytes of an object")
        whole.update(part)
        digests.append(hashlib.sha256(part).digest())
    address = Address(f"sha256:{whole.hexdigest()}")
    return Content(source=source, size=size, address=address, part_bytes=part_bytes, digests=tuple(digests))


class Uploads:
    """Writes objects into a bucket. Safe to use from several threads."""

    def __init__(self, bucket: Bucket, prefix: str) -> None:
        """prefix: of all keys that this store writes."""
        self._bucket = bucket
        self._prefix = prefix
        self._looked_for_abandoned = False

    def put(self, key: str, content: Content, media_type: str, *, only_new: bool) -> bool:
        """Write the object durably. False: only_new was asked for and there is one.

        Raises Disturbed if nothing was written and the same may succeed at once.
        """
        condition = {"IfNoneMatch": "*"} if only_new else {}
        try:
            if len(content.digests) == 1:
                (part,) = content.parts()
                self._bucket.ask(
                    "put_object",
                    Key=key,
                    Body=part,
                    ContentType=media_type,
                    ChecksumSHA256=content.checksum,
                    **condition,
                )
            else:
                self._put_in_parts(key, content, media_type, condition)
        except Present:
            return False
        return True

    def _put_in_parts(self, key: str, content: Content, media_type: str, condition: dict[str, str]) -> None:
        self._remove_abandoned()
        begun = self._bucket.ask(
            "create_multipart_upload", Key=key, ContentType=media_type, ChecksumAlgorithm="SHA256"
        )
        upload = {"Key": key, "UploadId": begun["UploadId"]}
        try:
            parts = [
                self._put_part(upload, number, part, content.digests[number - 1])
                for number, part in enumerate(content.parts(), start=1)
            ]
            self._bucket.ask(
                "complete_multipart_upload",
                MultipartUpload={"Parts": parts},
                ChecksumSHA256=content.checksum,
                **upload,
                **condition,
            )
        except BaseException as error:
            self._abort(upload)
            if isinstance(error, Absent):
                # Ended by others, or completed by a request whose answer was lost: whoever asks again finds out.
                raise Disturbed("the upload has ended") from error
            raise

    def _put_part(self, upload: dict[str, str], number: int, part: bytes, digest: bytes) -> dict[str, Any]:
        checksum = _base64(digest)
        answer = self._bucket.ask(
            "upload_part", PartNumber=number, Body=part, ChecksumSHA256=checksum, **upload
        )
        return {"PartNumber": number, "ETag": answer["ETag"], "ChecksumSHA256": checksum}

    def _abort(self, upload: dict[str, str]) -> None:
        try:
            self._bucket.ask("abort_multipart_upload", **upload)
        except Absent:
            return
        except SuiteError as error:
            # The first error is the one to tell; the next writer of a large object removes this upload.
            _log.warning("cannot remove an upload that failed", extra={"cause": str(error)})

    def _remove_abandoned(self) -> None:
        """Once per store: remove what killed writers left; a day is longer than any put takes."""
        if self._looked_for_abandoned:
            return
        self._looked_for_abandoned = True
        try:
            for page in self._bucket.pages("list_multipart_uploads", Prefix=self._prefix):
                for upload in page.get("Uploads", []):
                    if datetime.now(UTC) - upload["Initiated"] > _ABANDONED_AFTER:
                        self._abort({"Key": upload["Key"], "UploadId": upload["UploadId"]})
        except (SuiteError, Absent) as error:
            # They cost space and harm nothing; the bucket's own rules can remove them too.
            _log.warning("cannot look for abandoned uploads", extra={"cause": str(error)})


class Download:
    """Reads one object, going on where a connection broke."""

    def __init__(self, bucket: Bucket, key: str, *, attempts: int, silence_s: float) -> None:
        """attempts: tries without any progress before Unavailable. silence_s: see S3Settings.read_timeout_s."""
        self._bucket = bucket
        self._key = key
        self._attempts = attempts
        self._silence_s = silence_s

    def copy_hashed(self, target: BinaryIO, max_bytes: int) -> Address:
        """Copy the object; returns the address of what came. Raises Absent, TooLarge, Unavailable."""
        state, done, version = hashlib.sha256(), 0, ""
        failures = 0
        while True:
            begun = done
            try:
                size, version, body = self._opened(done, version)
                if size > max_bytes:
                    body.close()
                    raise TooLarge(f"{self._key} has {size} bytes, more than {max_bytes}; open or fetch it")
                for chunk in self._chunks(body):
                    state.update(chunk)
                    target.write(chunk)
                    done += len(chunk)
                if done >= size:
                    return Address(f"sha256:{state.hexdigest()}")
                raise Unavailable(f"{self._key} ended after {done} of {size} bytes")
            except _TooSlow:
                raise
            except Unavailable:
                failures = failures + 1 if done == begun else 1
                if failures >= self._attempts:
                    raise
                time.sleep(pause_s(failures))

    def _opened(self, done: int, version: str) -> tuple[int, str, Any]:
        """The whole object's size, its version, and its bytes from `done` on."""
        rest = {"Range": f"bytes={done}-", "IfMatch": version} if done else {}
        try:
            answer = self._bucket.ask("get_object", Key=self._key, **rest)
        except Present as error:
            raise Unavailable(f"{self._key} was written anew while it was read; read it again") from error
        return done + int(answer["ContentLength"]), str(answer["ETag"]), answer["Body"]

    def _chunks(self, body: Any) -> Iterator[bytes]:
        """The body's bytes. Raises Unavailable for one that trickles: its silences alone may be short."""
        began, done = time.monotonic(), 0
        with body, self._bucket.explaining():
            while chunk := body.read(_CHUNK_BYTES):
                done += len(chunk)
                if time.monotonic() - began > self._silence_s + done / _SLOWEST_BYTES_PER_S:
                    raise _TooSlow(f"{self._key} comes too slowly; look at the network, or try again")
                yield chunk


class _TooSlow(Unavailable):
    """Going on where it was given up would be as slow."""


def pause_s(failures: int) -> float:
    """How long to wait after so many failures in a row: growing, and not in step with others."""
    return min(_LONGEST_PAUSE_S, 0.1 * 2.0**failures) * random.uniform(0.5, 1.0)


def _base64(digest: bytes) -> str:
    return b64encode(digest).decode()
