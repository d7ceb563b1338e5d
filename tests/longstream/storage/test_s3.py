"""What only the store in a bucket has: parts, the store's own checksums, who is let in, and what is never told."""

from __future__ import annotations

import logging
import tracemalloc
from collections.abc import Iterator
from contextlib import closing
from io import BytesIO
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from longstream.errors import Corrupt, InvalidInput, NotFound, Refused, TooLarge, Unavailable
from longstream.storage import open_storage
from longstream.storage.atomic import address_of
from longstream.storage.s3 import S3Place, S3Storage
from longstream.storage.s3_bucket import Bucket
from longstream.storage.s3_settings import S3Settings, s3_settings
from longstream.storage.s3_transfer import Uploads, hashed
from scripts.s3 import LocalGateway
from tests.support.gateway import BUCKET
from tests.support.s3proxy import proxy_before
from tests.support.shelves import S3Shelf, settings_for

MIB = 1 << 20
PART = 5 * MIB


@pytest.fixture
def bucket(gateway: LocalGateway) -> Iterator[Bucket]:
    with closing(Bucket(BUCKET, settings_for(gateway.address))) as opened:
        yield opened


@pytest.fixture
def shelf(gateway: LocalGateway, bucket: Bucket, request: pytest.FixtureRequest) -> S3Shelf:
    return S3Shelf(gateway=gateway, bucket=bucket, prefix=request.node.originalname)


@given(content=st.binary(max_size=60), part_bytes=st.integers(1, 20))
def test_the_parts_are_the_content_and_each_has_its_hash(content: bytes, part_bytes: int) -> None:
    found = hashed(BytesIO(content), part_bytes, max_bytes=60)
    parts = list(found.parts())
    assert b"".join(parts) == content
    assert (found.size, found.address) == (len(content), address_of(content))
    assert len(parts) == len(found.digests) == max(1, -(-len(content) // part_bytes))
    assert all(len(part) == part_bytes for part in parts[:-1])


@given(content=st.binary(min_size=1, max_size=60), at=st.integers(0, 59))
@settings(max_examples=30)
def test_a_file_that_changes_while_it_is_stored_is_refused(content: bytes, at: int) -> None:
    source = BytesIO(content)
    found = hashed(source, 7, max_bytes=60)
    at %= len(content)
    source.getbuffer()[at] ^= 1
    with pytest.raises(Refused, match="changed while"):
        list(found.parts())


def test_more_than_the_limit_is_not_even_read_to_its_end() -> None:
    source = BytesIO(bytes(100))
    with pytest.raises(TooLarge):
        hashed(source, 10, max_bytes=35)
    assert source.tell() == 40


@pytest.mark.s3
def test_a_large_file_goes_and_comes_in_parts_within_bounded_memory(shelf: S3Shelf, tmp_path: Path) -> None:
    source = tmp_path / "weights"
    with source.open("wb") as file:
        for number in range(12):
            file.write(number.to_bytes() * 4 * MIB)
    place = S3Place(bucket=BUCKET, prefix=f"{shelf.prefix}/", settings=shelf.settings, part_bytes=PART)
    with S3Storage(place) as storage:
        tracemalloc.start()
        address = storage.put_file(source, "image/x-weights")
        storage.fetch(address, tmp_path / "copy")
        with storage.open(address) as opened:
            opened.seek(-1, 2)
            assert opened.read() == b"\x0b"
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert storage.media_type(address) == "image/x-weights"
    assert (tmp_path / "copy").read_bytes() == source.read_bytes()
    assert peak < 3 * PART + 4 * MIB


@pytest.mark.s3
def test_what_is_there_is_not_sent_again_unless_it_is_old(shelf: S3Shelf) -> None:
    small, large = b"small", bytes(PART + 1)
    with proxy_before(shelf.gateway.port) as proxy:
        place = S3Place(
            bucket=BUCKET,
            prefix=f"{shelf.prefix}/",
            settings=settings_for(proxy.address),
            part_bytes=PART,
        )
        with S3Storage(place) as storage:
            for content in (small, large):
                address = storage.put(content, "text/plain")
                proxy.forget()
                storage.put(content)
                assert proxy.count("partNumber=") == 0
                assert proxy.count("^HEAD ") == 1
                shelf.age(address)
                proxy.forget()
                storage.put(content)
                assert proxy.count("^PUT ") == 2
                assert storage.media_type(address) == "text/plain"


@pytest.mark.s3
def test_the_store_itself_refuses_bytes_that_are_not_those_of_the_hash(
    shelf: S3Shelf, bucket: Bucket
) -> None:
    content = hashed(BytesIO(b"content"), PART, MIB)
    with pytest.raises(Unavailable, match="BadDigest"):
        bucket.ask("put_object", Key=f"{shelf.prefix}/x", Body=b"CONTENT", ChecksumSHA256=content.checksum)
    with shelf.open() as storage:
        assert list(storage.addresses()) == []


@pytest.mark.s3
def test_bytes_that_rot_in_the_store_are_never_handed_out(shelf: S3Shelf, tmp_path: Path) -> None:
    with shelf.open() as storage:
        address = storage.put(b"content")
        with shelf.path(address).open("r+b") as file:  # its checksum stays what it was
            file.write(b"C")
        for read in (storage.get, storage.open, lambda at: storage.fetch(at, tmp_path / "x")):
            with pytest.raises(Corrupt):
                read(address)
        storage.delete(address)
        assert storage.get(storage.put(b"content")) == b"content"


@pytest.mark.s3
def test_an_object_that_is_there_is_not_overwritten_by_what_may_only_be_new(
    shelf: S3Shelf, bucket: Bucket
) -> None:
    uploads = Uploads(bucket, f"{shelf.prefix}/objects/")
    for size in (7, PART + 7):
        content = hashed(BytesIO(bytes(size)), PART, 2 * PART)
        key = f"{shelf.prefix}/objects/{size}"
        assert uploads.put(key, content, "text/first", only_new=True)
        assert not uploads.put(key, content, "text/second", only_new=True)
        assert bucket.ask("head_object", Key=key)["ContentType"] == "text/first"


@pytest.mark.s3
def test_stores_under_two_prefixes_and_other_files_of_the_bucket_do_not_mix(
    shelf: S3Shelf, bucket: Bucket
) -> None:
    bucket.ask("put_object", Key=f"{shelf.prefix}/objects/readme", Body=b"")
    bucket.ask("put_object", Key=f"{shelf.prefix}/other", Body=b"")
    with (
        shelf.open() as one,
        open_storage(f"s3://{BUCKET}/{shelf.prefix}/deeper/in", shelf.settings) as other,
    ):
        address = one.put(b"content")
        assert [listed for listed, _ in one.addresses()] == [address]
        assert list(other.addresses()) == []
        with pytest.raises(NotFound):
            other.get(address)


@pytest.mark.s3
@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"url": "s3://no-such-bucket"}, "no such bucket"),
        ({"AWS_ACCESS_KEY_ID": "nobody"}, "does not know these credentials"),
        ({"AWS_SECRET_ACCESS_KEY": "hunter2"}, "does not belong"),
        ({"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""}, "no credentials for S3"),
        ({"AWS_PROFILE": "nobody"}, "nobody"),
    ],
)
def test_who_is_not_let_in_is_told_what_to_look_at_and_no_secret(
    change: dict[str, str], says: str, shelf: S3Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    url = change.pop("url", shelf.url)
    for name, value in change.items():
        monkeypatch.setenv(name, value) if value else monkeypatch.delenv(name)
    with pytest.raises(InvalidInput, match=says) as told:
        open_storage(url, shelf.settings)
    assert told.value.field == "storage_url"
    assert not {"hunter2", shelf.gateway.credentials.secret_key} & set(str(told.value).split())


@pytest.mark.s3
def test_a_bucket_that_goes_away_is_waited_for(gateway: LocalGateway) -> None:
    gateway.make_bucket("fleeting")
    with open_storage("s3://fleeting", settings_for(gateway.address)) as storage:
        (gateway.buckets / "fleeting").rename(gateway.buckets / "elsewhere")
        with pytest.raises(Unavailable, match="there is no such bucket"):
            storage.put(b"content")
        (gateway.buckets / "elsewhere").rename(gateway.buckets / "fleeting")
        assert storage.get(storage.put(b"content")) == b"content"


@pytest.mark.s3
def test_no_secret_and_no_signature_is_logged_even_when_all_is(
    shelf: S3Shelf, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG), shelf.open() as storage:
        logging.getLogger("longstream").debug("seen")
        storage.get(storage.put(b"content"))
    assert "seen" in caplog.text
    assert shelf.gateway.credentials.secret_key not in caplog.text
    assert "Signature" not in caplog.text


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("s3://", "bucket's name"),
        ("s3:///prefix", "bucket's name"),
        ("s3://UPPER", "bucket's name"),
        ("s3://key:hunter2@bucket", "credentials come from the environment"),
        ("s3://bucket:9000", "bucket's name"),
        ("s3://bucket/../x", "prefix"),
        ("s3://bucket/a//b", "prefix"),
        ("s3://bucket/a b", "prefix"),
        ("s3://bucket/x?y=1", "more than a path"),
    ],
)
def test_an_address_of_a_bucket_that_cannot_be_is_refused(url: str, says: str) -> None:
    with pytest.raises(InvalidInput, match=says) as told:
        open_storage(url)
    assert "hunter2" not in str(told.value)


def test_the_environment_says_where_s3_is_and_how_long_it_may_take() -> None:
    told = s3_settings(
        {
            "LONGSTREAM_S3_ENDPOINT_URL": "http://127.0.0.1:7070",
            "LONGSTREAM_S3_PATH_STYLE": "true",
            "LONGSTREAM_S3_READ_TIMEOUT_S": "2.5",
            "LONGSTREAM_STORAGE_URL": "s3://bucket",
        }
    )
    expected = S3Settings(endpoint_url="http://127.0.0.1:7070", path_style=True, read_timeout_s=2.5)
    assert told == expected
    assert s3_settings({}) == S3Settings()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ENDPOINT_URL", "127.0.0.1:7070"),
        ("ENDPOINT_URL", "http://key:hunter2@host"),
        ("ENDPOINT_URL", "http://host/?secret=hunter2"),
        ("CONNECT_TIMEOUT_S", "0"),
        ("READ_TIMEOUT_S", "601"),
        ("ATTEMPTS", "0"),
        ("SECRET_KEY", "hunter2"),
    ],
)
def test_a_setting_that_cannot_be_is_refused_and_not_repeated(name: str, value: str) -> None:
    with pytest.raises(InvalidInput) as told:
        s3_settings({f"LONGSTREAM_S3_{name}": value})
    assert "hunter2" not in str(told.value)
