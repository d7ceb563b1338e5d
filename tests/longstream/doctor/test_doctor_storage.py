"""Storage: a probe is written, read and removed, in a folder and in a bucket; nothing else changes."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from longstream.doctor.place import Place
from longstream.doctor.storage import storage
from longstream.storage import open_storage
from tests.support import gateway as gateways
from tests.support.findings import hanging, only
from tests.support.gateway import BUCKET


def files_in(folder: Path) -> set[Path]:
    return {path for path in folder.rglob("*") if path.is_file()}


def test_a_folder_is_tried_and_left_as_it_was(tmp_path: Path) -> None:
    url = tmp_path.as_uri()
    with open_storage(url) as store:
        store.put(b"something")
    before = files_in(tmp_path)
    finding = only(storage, Place(environ={}, storage_url=url))
    assert (finding.level, finding.what) == ("ok", f"{url}: an object was written, read and removed")
    assert files_in(tmp_path) == before


def test_a_folder_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    folder = tmp_path / "a" / "b"
    assert only(storage, Place(environ={}, storage_url=folder.as_uri())).level == "ok"
    assert not folder.exists()


def test_what_cannot_be_a_folder_fails(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    under_a_file = Place(environ={}, storage_url=(tmp_path / "file").as_uri())
    assert only(storage, under_a_file).level == "fail"
    assert only(storage, Place(environ={}, storage_url="ftp://host/x")).level == "fail"
    assert only(storage, Place(environ={})).level == "warn"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_may_not_be_written_fails(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    assert only(storage, Place(environ={}, storage_url=(tmp_path / "x").as_uri())).level == "fail"


@pytest.mark.s3
def test_a_bucket_is_tried_and_left_as_it_was(tmp_path: Path) -> None:
    with gateways.running(tmp_path) as gateway:
        place = Place(environ=gateway.environ, storage_url=f"s3://{BUCKET}/doctor")
        assert only(storage, place).level == "ok"
        assert files_in(gateway.buckets / BUCKET) == set()
        missing = only(storage, Place(environ=gateway.environ, storage_url="s3://no-such-bucket"))
    assert missing.level == "fail"
    assert gateway.credentials.secret_key not in missing.line()


def test_a_store_that_hangs_fails_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "x")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hunter2")
    with hanging() as address:
        environ = {"LONGSTREAM_S3_ENDPOINT_URL": f"http://{address}", "LONGSTREAM_S3_READ_TIMEOUT_S": "1"}
        finding = only(storage, Place(environ=environ, storage_url="s3://bucket"))
    assert finding.level == "fail"
    assert "hunter2" not in finding.line()
