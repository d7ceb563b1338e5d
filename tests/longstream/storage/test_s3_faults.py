"""What networks, busy stores and kills do to S3, and what is left of it: whole objects, or none and the reason."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import timedelta
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest

import longstream
from longstream.errors import Corrupt, NotFound, StorageFull, SuiteError, Unavailable
from longstream.storage import Storage
from longstream.storage.atomic import address_of
from longstream.storage.s3 import S3Place, S3Storage
from longstream.storage.s3_bucket import Bucket
from longstream.storage.s3_transfer import Download
from scripts.s3 import LocalGateway
from tests.support import s3proxy
from tests.support.gateway import BUCKET
from tests.support.s3proxy import Exchange, Proxy, proxy_before
from tests.support.shelves import settings_for

pytestmark = pytest.mark.s3

PART = 5 << 20
LARGE = bytes(range(251)) * (PART // 251 + 7)
"""Two parts."""
PREFIX = "faults/"
PACKAGES = str(Path(longstream.__file__).parent.parent)
PUT_OBJECT = r"^PUT [^?]*/objects/[^?]*$"
PUT_PART = r"^PUT .*partNumber="
COMPLETE = r"^POST .*\?uploadId="
GET_OBJECT = r"^GET .*/objects/"


class Behind:
    """What the gateway itself says, asked past the proxy."""

    def __init__(self, bucket: Bucket) -> None:
        self.bucket = bucket

    def uploads(self) -> list[dict[str, Any]]:
        """The uploads in parts that are under way."""
        pages = self.bucket.pages("list_multipart_uploads", Prefix=PREFIX)
        return [upload for page in pages for upload in page.get("Uploads", [])]

    def keys(self) -> list[str]:
        """The names of the objects."""
        pages = self.bucket.pages("list_objects_v2", Prefix=PREFIX)
        return [listed["Key"] for page in pages for listed in page.get("Contents", [])]

    def clear(self) -> None:
        """Remove all."""
        for upload in self.uploads():
            self.bucket.ask("abort_multipart_upload", Key=upload["Key"], UploadId=upload["UploadId"])
        for key in self.keys():
            self.bucket.ask("delete_object", Key=key)


@pytest.fixture(scope="module")
def running_proxy(gateway: LocalGateway) -> Iterator[Proxy]:
    with proxy_before(gateway.port) as running:
        yield running


@pytest.fixture(scope="module")
def opened(running_proxy: Proxy) -> Iterator[Storage]:
    with S3Storage(place(running_proxy)) as storage:
        yield storage


@pytest.fixture(scope="module")
def behind(gateway: LocalGateway) -> Iterator[Behind]:
    with closing(Bucket(BUCKET, settings_for(gateway.address))) as bucket:
        yield Behind(bucket)


@pytest.fixture
def proxy(running_proxy: Proxy, behind: Behind) -> Proxy:
    """One that does nothing yet, before a store that is empty."""
    running_proxy.forget()
    behind.clear()
    return running_proxy


@pytest.fixture
def storage(proxy: Proxy, opened: Storage) -> Storage:
    return opened


def place(proxy: Proxy, attempts: int = 3, read_timeout_s: float = 60.0) -> S3Place:
    settings = settings_for(proxy.address, attempts=attempts, read_timeout_s=read_timeout_s)
    return S3Place(bucket=BUCKET, prefix=PREFIX, settings=settings, part_bytes=PART)


@pytest.mark.parametrize("act", [s3proxy.reset, s3proxy.lose_answer, s3proxy.slow_down, s3proxy.flip_upload])
@pytest.mark.parametrize(
    ("content", "pattern"), [(b"small", PUT_OBJECT), (LARGE, PUT_PART)], ids=["small", "large"]
)
def test_a_passing_fault_of_an_upload_is_not_noticed(
    *, act: s3proxy.Act, content: bytes, pattern: str, storage: Storage, proxy: Proxy, behind: Behind
) -> None:
    proxy.do(act, pattern, times=1)
    address = storage.put(content, "text/plain")
    assert proxy.count(pattern) > 1
    assert (storage.get(address), storage.media_type(address)) == (content, "text/plain")
    assert behind.uploads() == []


@pytest.mark.parametrize(
    ("act", "error"),
    [
        (s3proxy.reset, Unavailable),
        (s3proxy.slow_down, Unavailable),
        (s3proxy.flip_upload, Unavailable),
        (s3proxy.full, StorageFull),
    ],
)
@pytest.mark.parametrize(
    ("content", "pattern"),
    [(b"small", PUT_OBJECT), (LARGE, r"partNumber=2"), (LARGE, COMPLETE)],
    ids=["small", "part", "completion"],
)
def test_a_lasting_fault_of_an_upload_is_told_and_leaves_nothing(
    *,
    act: s3proxy.Act,
    error: type[SuiteError],
    content: bytes,
    pattern: str,
    storage: Storage,
    proxy: Proxy,
    behind: Behind,
) -> None:
    proxy.do(act, pattern)
    with pytest.raises(error) as told:
        storage.put(content)
    assert told.value.retryable
    assert (behind.keys(), behind.uploads()) == ([], [])


def test_a_completion_whose_answer_is_lost_is_asked_for_again(
    storage: Storage, proxy: Proxy, behind: Behind
) -> None:
    proxy.do(s3proxy.lose_answer, COMPLETE, times=2)
    address = storage.put(LARGE)
    assert storage.get(address) == LARGE
    assert behind.uploads() == []


def test_an_upload_that_is_gone_when_asked_again_is_looked_up(
    storage: Storage, proxy: Proxy, behind: Behind
) -> None:
    def done_and_forgotten(exchange: Exchange) -> None:
        """What Amazon answers when a completion whose answer was lost is asked for again."""
        exchange.forward()
        exchange.refuse(404, "NoSuchUpload")

    proxy.do(done_and_forgotten, COMPLETE, times=1)
    address = storage.put(LARGE)
    assert proxy.count(COMPLETE) == 1
    assert storage.get(address) == LARGE
    assert behind.uploads() == []


def test_two_that_complete_the_same_at_once_leave_one_object(
    storage: Storage, proxy: Proxy, behind: Behind
) -> None:
    def overtaken(exchange: Exchange) -> None:
        with S3Storage(place(proxy)) as other:
            other.put(LARGE, "image/png")
        s3proxy.pass_on(exchange)

    proxy.do(overtaken, COMPLETE, times=1)
    address = storage.put(LARGE, "text/plain")
    assert proxy.count(COMPLETE) == 2
    assert storage.media_type(address) == "image/png"
    assert behind.uploads() == []


def test_a_download_goes_on_where_its_connection_broke(storage: Storage, proxy: Proxy) -> None:
    address = storage.put(LARGE)
    proxy.do(s3proxy.cut_download, GET_OBJECT, times=4)  # more often than a request is tried
    assert storage.get(address) == LARGE
    assert proxy.count(GET_OBJECT) == 5


def test_a_byte_that_changed_on_its_way_is_read_again(storage: Storage, proxy: Proxy, tmp_path: Path) -> None:
    address = storage.put(LARGE)
    readers: list[Callable[[], bytes]] = [
        lambda: storage.get(address),
        lambda: storage.fetch(address, tmp_path / "copy").read_bytes(),
    ]
    for read in readers:
        proxy.do(s3proxy.flip_download, GET_OBJECT, times=1)
        assert read() == LARGE
    proxy.do(s3proxy.flip_download, GET_OBJECT)
    for read in (*readers, lambda: storage.open(address).read()):
        (tmp_path / "copy").unlink(missing_ok=True)
        with pytest.raises(Corrupt):
            read()
        assert list(tmp_path.iterdir()) == []


def test_a_store_that_says_nothing_is_given_up(storage: Storage, proxy: Proxy) -> None:
    address = storage.put(b"content")
    with S3Storage(place(proxy, attempts=1, read_timeout_s=5.0)) as impatient:
        proxy.do(s3proxy.stay_silent, "")
        asked: list[Callable[[], object]] = [
            lambda: impatient.put(b"more"),
            lambda: impatient.get(address),
            lambda: impatient.media_type(address),
            lambda: impatient.delete(address),
            lambda: list(impatient.addresses()),
        ]
        with ThreadPoolExecutor(len(asked)) as pool:
            for answer in [pool.submit(ask) for ask in asked]:
                with pytest.raises(Unavailable, match="ReadTimeout"):
                    answer.result()


def test_a_body_that_trickles_is_given_up(storage: Storage, proxy: Proxy, behind: Behind) -> None:
    storage.put(LARGE)

    def trickle(exchange: Exchange) -> None:
        answer = exchange.forward()
        body, answer.body = answer.body, b""
        exchange.answer(answer)
        for at in range(0, len(body), 16_384):
            exchange.write(body[at : at + 16_384])
            if proxy.ended.wait(0.6):
                break

    proxy.do(trickle, GET_OBJECT)
    with closing(Bucket(BUCKET, settings_for(proxy.address))) as bucket:
        download = Download(bucket, behind.keys()[0], attempts=3, silence_s=1.0)
        with pytest.raises(Unavailable, match="too slowly"):
            download.copy_hashed(BytesIO(), len(LARGE))


def test_a_store_that_was_away_is_used_again(gateway: LocalGateway, tmp_path: Path) -> None:
    other = LocalGateway(tmp_path / "s3", credentials=gateway.credentials)
    other.make_bucket(BUCKET)
    other.start()
    try:
        settings = settings_for(other.address, attempts=2)
        with S3Storage(S3Place(bucket=BUCKET, settings=settings)) as storage:
            address = storage.put(b"before")
            other.kill()
            for ask in (lambda: storage.put(b"after"), lambda: storage.get(address)):
                with pytest.raises(Unavailable, match="did not answer after 2 tries"):
                    ask()
            with pytest.raises(Unavailable):
                S3Storage(S3Place(bucket=BUCKET, settings=settings))
            other.start()
            assert storage.get(address) == b"before"
            assert storage.get(storage.put(b"after")) == b"after"
    finally:
        other.kill()


PUT_LARGE = """
import sys
from longstream.storage.s3 import S3Place, S3Storage
from longstream.storage.s3_settings import S3Settings
endpoint, bucket, prefix = sys.argv[1:]
settings = S3Settings(endpoint_url=endpoint, region="us-east-1", path_style=True)
place = S3Place(bucket=bucket, prefix=prefix, settings=settings, part_bytes=5 << 20)
with S3Storage(place) as storage:
    storage.put(sys.stdin.buffer.read(), "text/plain")
"""


@pytest.mark.parametrize(
    ("pattern", "after"),
    [("partNumber=1", False), ("partNumber=2", True), (COMPLETE, False), (COMPLETE, True)],
    ids=["first-part", "last-part-stored", "completion", "completion-done"],
)
def test_a_kill_in_an_upload_leaves_the_whole_object_or_none(
    pattern: str, after: bool, storage: Storage, proxy: Proxy, behind: Behind
) -> None:
    address = address_of(LARGE)
    with subprocess.Popen(
        [sys.executable, "-c", PUT_LARGE, proxy.address, BUCKET, PREFIX],
        env={**os.environ, "PYTHONPATH": PACKAGES},
        stdin=subprocess.PIPE,
    ) as writer:

        def kill(exchange: Exchange) -> None:
            if after:
                exchange.forward()
            writer.send_signal(signal.SIGKILL)
            exchange.drop()

        proxy.do(kill, pattern, times=1)
        writer.communicate(LARGE)
    assert writer.returncode == -signal.SIGKILL
    done = pattern == COMPLETE and after
    assert [listed for listed, _ in storage.addresses()] == ([address] if done else [])
    if not done:
        assert len(behind.uploads()) == 1
        with pytest.raises(NotFound):
            storage.get(address)
    assert storage.put(LARGE, "text/plain") == address
    assert (storage.get(address), storage.media_type(address)) == (LARGE, "text/plain")


def test_what_a_killed_writer_left_goes_after_a_day(
    proxy: Proxy, behind: Behind, gateway: LocalGateway
) -> None:
    old, _ = [
        behind.bucket.ask("create_multipart_upload", Key=f"{PREFIX}objects/{name}")["UploadId"]
        for name in ("old", "young")
    ]
    (folder,) = (gateway.buckets / BUCKET).rglob(old)
    two_days_ago = folder.stat().st_mtime - timedelta(days=2).total_seconds()
    os.utime(folder, (two_days_ago, two_days_ago))
    with S3Storage(place(proxy)) as storage:
        storage.put(LARGE)
    assert [upload["Key"] for upload in behind.uploads()] == [f"{PREFIX}objects/young"]
