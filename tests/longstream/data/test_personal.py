"""What may name a person is found by its form, and nothing that only looks like it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from longstream.data import Document
from longstream.data.personal import KINDS, personal, scrubbed
from longstream.data.preparing import Preparation, prepared

TEXT = (
    "Write to ann.lee+x@mail.example.org or call +49 30 1234567. From 8.8.8.8, card 4111 1111 1111 1111, "
    "account DE89 3704 0044 0532 0130 00."
)


def test_each_kind_is_put_behind_its_placeholder_and_counted() -> None:
    text, found = scrubbed(TEXT)
    assert text == "Write to [email] or call [telephone]. From [ip_address], card [card], account [iban]."
    assert dict(found) == dict.fromkeys(KINDS, 1)
    assert found == personal(TEXT)


@pytest.mark.parametrize(
    "text",
    [
        "clone git@github.com:owner/name.git",
        "clone ssh://git@example.org/name",
        "@decorator and @dataclass(frozen=True)",
        "version 1.2.3.4 and v10.20.30.40",
        "127.0.0.1 and 192.168.0.1",
        "icon@2x.png",
        "user@localhost",
        "4111 1111 1111 1112 is no card",
        "2024-05-06 07:08:09",
        "ISBN 978-3-16-148410-0",
    ],
)
def test_what_only_looks_like_it_stays(text: str) -> None:
    assert scrubbed(text)[0] == text


@given(st.text(alphabet="a@.b1 -+(0", max_size=60))
def test_scrubbing_leaves_nothing_that_is_found_again(text: str) -> None:
    once, _ = scrubbed(text)
    assert not personal(once)["email"]
    assert scrubbed(once)[0].count("[email]") == once.count("[email]")


def test_a_prepared_record_tells_what_was_scrubbed() -> None:
    (item,) = prepared([Document(text=TEXT, source="s", provenance={"a": "b"})], Preparation(scrub=True))
    assert isinstance(item, Document)
    assert "ann.lee" not in item.text
    assert item.provenance == {
        "a": "b",
        "scrubbed": "card 1, email 1, iban 1, ip_address 1, telephone 1",
    }


def test_the_addresses_in_a_systems_copyright_files_are_gone() -> None:
    files = sorted({path.resolve() for path in Path("/usr/share/doc").glob("*/copyright")})
    texts = [file.read_text(encoding="utf-8", errors="replace") for file in files if file.is_file()]
    told = re.compile(r"<([^<>@\s]+@[^<>@\s]+\.[a-z]{2,})>")
    addresses = {address for text in texts for address in told.findall(text) if address.isascii()}
    if len(addresses) < 100:
        pytest.skip("no Debian system: its packages' copyright files")
    left = {address for text in texts for address in told.findall(scrubbed(text)[0])}
    print(f"{len(addresses)} addresses in {len(texts)} files, {len(left)} left: {sorted(left)[:5]}")
    assert len(left) <= 0.01 * len(addresses)
