"""Whether objects can be written, read and removed. The probe is removed again."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from urllib.parse import unquote, urlsplit

from longstream.doctor.finding import Finding, fail, ok, shown, warn
from longstream.doctor.place import Place
from longstream.errors import SuiteError
from longstream.storage import open_storage
from longstream.storage.s3_settings import S3Settings, s3_settings

_PROBE_BYTES = 64
_PATIENCE_S = 5.0


def storage(place: Place) -> Iterator[Finding]:
    """Objects can be written, read and removed."""
    if not place.storage_url:
        yield warn("storage", "no storage is named", "set LONGSTREAM_STORAGE_URL, or name --data")
        return
    name = shown(place.storage_url)
    folder = folder_of(place.storage_url)
    if folder is not None and not (folder / "objects").is_dir():
        yield _to_be_made(folder, name)
        return
    try:
        _probe(place.storage_url, _impatient(s3_settings(place.environ)))
    except SuiteError as error:
        todo = "see that it is there and that this user or key may list, read, write and delete in it"
        yield fail("storage", f"{name}: {error.message}", todo)
        return
    yield ok("storage", f"{name}: an object was written, read and removed")


def _probe(url: str, s3: S3Settings) -> None:
    # Drawn, so that it is no object of the suite's that is removed at the end.
    content = b"longstream doctor\n" + os.urandom(_PROBE_BYTES)
    with open_storage(url, s3) as store:
        address = store.put(content, "application/vnd.longstream.probe")
        try:
            store.get(address)  # it checks what it reads
        finally:
            store.delete(address)


def _impatient(s3: S3Settings) -> S3Settings:
    return replace(
        s3,
        attempts=1,
        connect_timeout_s=min(s3.connect_timeout_s, _PATIENCE_S),
        read_timeout_s=min(s3.read_timeout_s, _PATIENCE_S),
    )


def folder_of(url: str) -> Path | None:
    parts = urlsplit(url)
    return Path(unquote(parts.path)) if parts.scheme == "file" and not parts.netloc else None


def _to_be_made(folder: Path, name: str) -> Finding:
    if not folder.is_absolute():
        return fail("storage", f"{name} is no absolute folder", "write file:///FOLDER")
    above = next(parent for parent in (folder, *folder.parents) if parent.exists())
    if above.is_dir() and os.access(above, os.W_OK | os.X_OK):
        return ok("storage", f"{name}: not there yet; the first service makes it")
    return fail(
        "storage", f"{above} cannot be written", "change its owner or its mode, or name another folder"
    )
