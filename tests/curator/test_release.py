"""A release's bytes and hash depend on its rows alone, and a held-out example stays held out."""

from __future__ import annotations

import hashlib
import io
import json
from dataclasses import asdict, replace
from typing import Any

import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from longstream.selecting import ALL_ROWS
from longstream_curator.release import (
    JSON,
    MARKDOWN,
    PARQUET,
    Circumstances,
    Content,
    Row,
    ShardLimits,
    Source,
    Stratum,
    Written,
    hash_of,
    shards,
    write_release,
)

CONTENT = Content(pipeline="essays", revision="0123", m=12, metric="words/1")
AROUND = Circumstances(
    release_id="r1",
    parent_id="",
    cut_time="2026-01-02T03:04:05Z",
    k=10,
    exact=True,
    short=False,
    seen=40,
    sources=(Source(name="b-side", seen=30), Source(name="a-side", seen=10)),
    lengths={4: 30, 8: 10},
    dropped={"too_short": 28},
    refused={"echo": 2},
)


class Shelf:
    """Keeps what is put, in order."""

    def __init__(self) -> None:
        self.objects: dict[str, tuple[bytes, str]] = {}

    def put(self, content: bytes, media_type: str) -> str:
        address = f"sha256:{hashlib.sha256(content).hexdigest()}"
        self.objects[address] = (content, media_type)
        return address

    def text(self, address: str) -> str:
        return self.objects[address][0].decode()


def some_rows(count: int = 3) -> list[Row]:
    return [
        Row(
            rank=n + 1,
            row_id=f"row-{n}",
            example_id=f"example-{n}",
            external_id="",
            instruction=f"Write {n}.",
            input="",
            response="word " * (count - n),
            length=count - n,
            metric="words/1",
            source="a-side" if n % 2 else "b-side",
            source_index=None if n == 1 else 100 - n,
            licence="CC0" if n % 2 else "",
            style="query" if n else "",
            split="test" if n == 2 else "train",
        )
        for n in range(count)
    ]


def release(
    rows: list[Row], content: Content = CONTENT, around: Circumstances = AROUND
) -> tuple[Written, Shelf]:
    shelf = Shelf()
    return write_release(rows, content, around, shelf.put), shelf


def manifest_of(written: Written, shelf: Shelf) -> dict[str, Any]:
    manifest: dict[str, Any] = json.loads(shelf.text(written.manifest_address))
    return manifest


def test_rows_come_back_as_they_were_written() -> None:
    written, shelf = release(some_rows())
    (shard,) = written.shards
    table = pq.read_table(io.BytesIO(shelf.objects[shard.address][0]))
    assert table.to_pylist() == [asdict(row) for row in some_rows()]
    assert shard.rows == 3


def test_the_order_of_the_source_can_be_restored() -> None:
    place = {source.name: number for number, source in enumerate(AROUND.sources)}
    rows = [row for row in some_rows(6) if row.source_index is not None]
    restored = sorted(rows, key=lambda row: (place[row.source], row.source_index))
    assert [row.source_index for row in restored] == [96, 98, 100, 95, 97]


def test_equal_rows_give_equal_bytes_everywhere() -> None:
    one, first = release(some_rows(9))
    two, second = release(some_rows(9))
    assert one == two
    assert first.objects == second.objects


@pytest.mark.parametrize(
    "other",
    [
        replace(AROUND, seen=41),
        replace(AROUND, cut_time="2027-01-01T00:00:00Z"),
        replace(AROUND, exact=False, short=True, dropped={}, refused={}),
        replace(AROUND, release_id="r2", parent_id="r1"),
    ],
)
def test_counts_and_times_are_told_but_do_not_change_the_hash(other: Circumstances) -> None:
    one, shelf = release(some_rows())
    two, other_shelf = release(some_rows(), around=other)
    assert one.content_hash == two.content_hash
    assert one.shards == two.shards
    assert manifest_of(one, shelf) != manifest_of(two, other_shelf)


@given(st.sampled_from(["instruction", "response", "licence", "split", "rank", "source_index", "style"]))
def test_every_change_of_a_row_changes_the_hash(field: str) -> None:
    rows = some_rows()
    changed: Any = {"split": "test", "rank": 99, "source_index": 7}.get(field, "changed")
    rows[0] = replace(rows[0], **{field: changed})
    assert release(rows)[0].content_hash != release(some_rows())[0].content_hash


@pytest.mark.parametrize(
    "other", [replace(CONTENT, m=13), replace(CONTENT, revision="9"), replace(CONTENT, pipeline="p")]
)
def test_another_revision_or_number_of_places_is_another_content(other: Content) -> None:
    assert release(some_rows(), other)[0].content_hash != release(some_rows())[0].content_hash


def test_the_manifest_proves_itself_and_its_shards() -> None:
    written, shelf = release(some_rows())
    manifest = manifest_of(written, shelf)
    assert manifest["content_hash"] == written.content_hash == hash_of(manifest["content"])
    assert manifest["content"]["rows"] == 3
    for address, shard in zip(manifest["addresses"]["shards"], manifest["content"]["shards"], strict=True):
        assert hashlib.sha256(shelf.objects[address][0]).hexdigest() == shard["sha256"]
    assert manifest["addresses"]["data_card"] == written.data_card_address


def test_the_manifest_is_stored_last_and_each_object_has_its_type() -> None:
    written, shelf = release(some_rows())
    assert [media_type for _, media_type in shelf.objects.values()] == [PARQUET, MARKDOWN, JSON]
    assert list(shelf.objects)[-1] == written.manifest_address


@given(st.integers(1, 5), st.integers(1, 60))
def test_shards_stay_within_their_limits_and_keep_every_row(max_rows: int, max_text_bytes: int) -> None:
    rows = some_rows(7)
    limits = ShardLimits(max_rows=max_rows, max_text_bytes=max_text_bytes)
    files = [(pq.read_table(io.BytesIO(file)).to_pylist(), count) for file, count in shards(rows, limits)]
    assert [row["rank"] for part, _ in files for row in part] == [row.rank for row in rows]
    for part, count in files:
        size = sum(len(row["instruction"] + row["response"]) for row in part)
        assert count == len(part) <= max_rows
        assert size <= max_text_bytes or len(part) == 1


def test_a_release_without_rows_is_one_empty_file() -> None:
    written, shelf = release([])
    (shard,) = written.shards
    assert pq.read_table(io.BytesIO(shelf.objects[shard.address][0])).num_rows == 0
    assert "Nothing was kept." in shelf.text(written.data_card_address)


def test_the_card_tells_choice_sources_losses_and_limits() -> None:
    written, shelf = release(some_rows())
    card = shelf.text(written.data_card_address)
    assert "| b-side | not stated | 30 | 2 |" in card
    assert "| a-side | CC0 | 10 | 1 |" in card
    assert card.index("| b-side") < card.index("| a-side")
    assert "| 2 to 3 | 30 | 2 | ##############################" in card
    assert "shortest 1, median 2, mean 2.0, longest 3" in card
    assert "| for its instruction | echo | 2 |" in card
    assert "| by source or rank | too_short | 28 |" in card
    assert "Exact:" in card
    assert written.content_hash in card
    assert "2 instructions were written by a model" in card


def test_the_card_says_how_to_mend_what_is_not_exact_or_short() -> None:
    written, shelf = release(some_rows(), around=replace(AROUND, exact=False, short=True))
    card = shelf.text(written.data_card_address)
    assert "Not exact:" in card
    assert "submit the sources again" in card
    assert "before 10 rows were found" in card


def test_the_card_tells_parts_rules_and_where_the_selection_ends() -> None:
    strata = (Stratum(name="(test)", limit=5, rows=2), Stratum(name="web|x", limit=7, rows=7))
    around = replace(
        AROUND,
        k=ALL_ROWS,
        strata=strata,
        cut_off=3,
        ties=2,
        select={"by": "random", "dedup": "pair", "k": "all"},
    )
    written, shelf = release(some_rows(), around=around)
    card = shelf.text(written.data_card_address)
    assert "drawn at random" in card
    assert "places all" in card
    assert "| (test) | 5 | 2 |" in card
    assert "| web&#124;x | 7 | 7 |" in card
    assert "- dedup: " in card
    assert "The last that is trained on has 3; 2 rows are of that length." in card
    assert manifest_of(written, shelf)["circumstances"]["strata"][0] == {
        "name": "(test)",
        "limit": 5,
        "rows": 2,
    }


def test_texts_from_outside_cannot_break_the_card() -> None:
    rows = [replace(some_rows()[0], licence="CC0 | x\n<script>", source="[a](b)")]
    written, shelf = release(rows)
    card = shelf.text(written.data_card_address)
    assert "<script>" not in card
    assert "| &#91;a&#93;(b) | CC0 &#124; x &#60;script&#62; | 0 | 1 |" in card
