"""Every format gives the same items, and what cannot be used is told with its place and a reason."""

from __future__ import annotations

import gzip
import json
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard

from longstream.data import (
    FORMATS,
    REASONS,
    Document,
    Item,
    Origin,
    Pair,
    ReadLimits,
    Rejected,
    open_source,
)
from longstream.errors import InvalidInput, NotFound

SMALL = ReadLimits(max_document_bytes=100, max_record_bytes=1_000)
PAIR: dict[str, Any] = {"instruction": "Say hello.", "input": "", "output": "Hello."}
TURNS: dict[str, Any] = {
    "id": "identity_7",
    "conversations": [{"from": "human", "value": "Say hello."}, {"from": "gpt", "value": "Hello."}],
}


def write_json(folder: Path, records: Any, name: str = "data.json") -> Path:
    path = folder / name
    path.write_text(json.dumps(records), encoding="utf-8")
    return path


def write_lines(folder: Path, *lines: bytes) -> Path:
    path = folder / "data.jsonl"
    path.write_bytes(b"\n".join(lines))
    return path


def read(path: Path, format: str = "auto", limits: ReadLimits = SMALL) -> list[Item]:
    return list(open_source(path, format, limits))


def rejections(items: list[Item]) -> list[tuple[int | None, str]]:
    found = [(item.source_index, item.reason) for item in items if isinstance(item, Rejected)]
    assert all(reason in REASONS for _, reason in found)
    return found


def test_alpaca_records_become_pairs_with_their_place(tmp_path: Path) -> None:
    path = write_json(tmp_path, [PAIR, PAIR | {"input": "in French", "id": 9, "licence": "CC0"}], "alp.json")
    first, second = open_source(path, "alpaca", origin=Origin(licence="CC BY-NC 4.0"))
    assert first == Pair(
        instruction="Say hello.",
        response="Hello.",
        source="alp",
        source_index=0,
        licence="CC BY-NC 4.0",
        provenance={"file": "alp.json"},
    )
    assert isinstance(second, Pair)
    assert (second.input, second.external_id, second.licence, second.source_index) == (
        "in French",
        "9",
        "CC0",
        1,
    )


def test_conversations_keep_the_stored_prompt(tmp_path: Path) -> None:
    (item,) = read(write_json(tmp_path, [TURNS]), "conversations")
    assert isinstance(item, Pair)
    assert (item.instruction, item.response, item.external_id) == ("Say hello.", "Hello.", "identity_7")


@pytest.mark.parametrize(
    ("turns", "reason"),
    [
        (TURNS["conversations"] * 2, "multi_turn"),
        (TURNS["conversations"][:1], "missing_field"),
        (TURNS["conversations"][::-1], "missing_field"),
        (["only a text"], "wrong_type"),
        ("text", "wrong_type"),
        (None, "missing_field"),
        ([{"from": "human", "value": "Q"}, {"from": "gpt"}], "missing_field"),
    ],
)
def test_only_one_question_and_its_answer_are_read(tmp_path: Path, turns: Any, reason: str) -> None:
    items = read(write_json(tmp_path, [{"conversations": turns}, TURNS]), "conversations")
    assert rejections(items) == [(0, reason)]
    assert len(items) == 2


def test_json_lines_hold_pairs_conversations_and_documents_alike(tmp_path: Path) -> None:
    lines = [PAIR, TURNS, {"text": "A document."}, {"instruction": "I", "response": "R"}]
    items = read(write_lines(tmp_path, *(json.dumps(line).encode() for line in lines)))
    assert [type(item) for item in items] == [Pair, Pair, Document, Pair]


def test_parquet_columns_are_the_same_fields(tmp_path: Path) -> None:
    path = tmp_path / "rows.parquet"
    pq.write_table(pa.Table.from_pylist([{**PAIR, "other": 1.5}, {**PAIR, "output": None}]), path)
    items = read(path)
    assert isinstance(items[0], Pair)
    assert items[0].source == "rows"
    assert rejections(items) == [(1, "missing_field")]


def test_parquet_holds_conversations_maps_and_documents(tmp_path: Path) -> None:
    path = tmp_path / "rows.parquet"
    where = pa.array([[("url", "x")], []], pa.map_(pa.string(), pa.string()))
    talk = pa.array([TURNS["conversations"], None])
    text = pa.array([None, "A document."])
    pq.write_table(pa.table({"conversations": talk, "text": text, "provenance": where}), path)
    pair, document = read(path)
    assert isinstance(pair, Pair)
    assert pair.provenance == {"file": "rows.parquet", "url": "x"}
    assert isinstance(document, Document)


def test_a_parquet_row_that_is_not_utf8_is_rejected_alone(tmp_path: Path) -> None:
    path = tmp_path / "rows.parquet"
    raw = pa.array([b"good", b"\xff\xfe", b"also good"], pa.binary())
    broken = pa.StringArray.from_buffers(3, raw.buffers()[1], raw.buffers()[2])
    pq.write_table(pa.table({"text": broken}), path)
    items = read(path)
    assert rejections(items) == [(1, "invalid_utf8")]
    assert len(items) == 3


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"{", "malformed"),
        (b"[1]", "malformed"),
        (b"[" * 100_000, "too_large"),
        (b'{"text": "' + b"x" * 101 + b'"}', "too_large"),
        (b'{"text": "\xff"}', "invalid_utf8"),
        (rb'{"text": "half \ud83d"}', "invalid_utf8"),
        (rb'{"text": "t", "id": "\ud83d"}', "invalid_utf8"),
        (rb'{"text": "t", "provenance": {"url": "\ud83d"}}', "invalid_utf8"),
        (b'{"text": " \\n"}', "empty"),
        (b'{"instruction": "", "output": "R"}', "empty"),
        (b'{"instruction": "I", "output": ""}', "empty"),
        (b'{"instruction": "I"}', "missing_field"),
        (b'{"output": "R"}', "missing_field"),
        (b'{"other": 1}', "missing_field"),
        (b'{"text": 5}', "wrong_type"),
        (b'{"text": "t", "licence": 5}', "wrong_type"),
        (b'{"text": "t", "provenance": 5}', "wrong_type"),
        (b'{"text": "t", "provenance": {"a": 5}}', "wrong_type"),
        (b'{"text": "t", "event_time": "yesterday"}', "wrong_type"),
        (b'{"text": "t", "event_time": "2026-01-31T12:00:00"}', "wrong_type"),
        (b'{"text": "t", "event_time": 1e99}', "wrong_type"),
    ],
)
def test_a_bad_record_is_told_and_the_next_one_read(tmp_path: Path, line: bytes, reason: str) -> None:
    items = read(write_lines(tmp_path, line, b'{"text": "good"}'))
    assert rejections(items) == [(0, reason)]
    assert isinstance(items[1], Document)


@pytest.mark.parametrize("told", ["2026-01-31T12:00:00+00:00", "2026-01-31T13:00:00+01:00", 1769860800])
def test_a_text_may_bring_its_own_time_and_a_score(tmp_path: Path, told: Any) -> None:
    (item,) = read(write_json(tmp_path, [{"text": "t", "event_time": told, "score": 4.5}]))
    assert isinstance(item, Document)
    assert item.time == datetime(2026, 1, 31, 12, tzinfo=UTC)
    assert item.provenance == {"file": "data.json", "score": "4.5"}


@pytest.mark.parametrize("stamp", ["2019-04-25T12:57:54Z", "2019-04-25T12:57:54", "line 5", 17, None])
def test_a_page_of_a_crawl_tells_where_and_when_it_was(stamp: object, tmp_path: Path) -> None:
    page = {"text": "t", "url": "https://example.org/a", "timestamp": stamp, "provenance": {"cluster": "7"}}
    (item,) = read(write_json(tmp_path, [page]))
    assert isinstance(item, Document)
    assert item.provenance == {"file": "data.json", "url": "https://example.org/a", "cluster": "7"}
    whole = isinstance(stamp, str) and stamp.endswith("Z")
    assert item.time == (datetime(2019, 4, 25, 12, 57, 54, tzinfo=UTC) if whole else None)


def test_nesting_without_end_is_a_bad_record_and_not_a_crash(tmp_path: Path) -> None:
    path = write_lines(tmp_path, b'{"text": ' + b"[" * 200_000 + b"]" * 200_000 + b"}")
    assert rejections(read(path, limits=ReadLimits())) == [(0, "malformed")]


def test_an_escaped_pair_of_surrogates_is_one_character(tmp_path: Path) -> None:
    (item,) = read(write_lines(tmp_path, rb'{"text": "\ud83d\ude00"}'))
    assert isinstance(item, Document)
    assert item.text == "\U0001f600"


def test_an_alpaca_file_with_other_records_rejects_them(tmp_path: Path) -> None:
    assert rejections(read(write_json(tmp_path, [TURNS, {"text": "t"}]), "alpaca")) == [
        (0, "missing_field"),
        (1, "missing_field"),
    ]


@pytest.mark.parametrize("name", ["data.json.gz", "data.jsonl.gz", "data.json.zst", "data.jsonl.zst"])
def test_compressed_json_is_read_and_named_without_its_endings(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    compress = gzip.compress if path.suffix == ".gz" else zstandard.compress
    path.write_bytes(compress(json.dumps([PAIR] if "jsonl" not in name else PAIR).encode()))
    (item,) = read(path)
    assert isinstance(item, Pair)
    assert item.source == "data"


def test_a_broken_compressed_file_gives_what_came_before(tmp_path: Path) -> None:
    path = tmp_path / "data.jsonl.gz"
    whole = gzip.compress(
        b"".join(json.dumps({"text": os.urandom(40).hex()}).encode() + b"\n" for _ in range(99))
    )
    path.write_bytes(whole[: len(whole) // 2])
    items = read(path)
    assert isinstance(items[0], Document)
    assert rejections(items)[-1] == (None, "truncated")


def test_a_folder_gives_its_texts_by_path_and_without_index(tmp_path: Path) -> None:
    for name, text in {"b.md": "Two.", "a/c.txt": "One.", ".hidden.md": "No.", "a/p.png": "No."}.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    items = list(open_source(tmp_path, origin=Origin(source="essays")))
    assert items == [
        Document(text=text, source="essays", external_id=name, provenance={"file": name})
        for name, text in (("a/c.txt", "One."), ("b.md", "Two."))
    ]


def test_one_text_file_is_one_document(tmp_path: Path) -> None:
    (tmp_path / "essay.md").write_bytes(b"\xef\xbb\xbfText.")
    (item,) = read(tmp_path / "essay.md")
    assert isinstance(item, Document)
    assert (item.text, item.source) == ("Text.", "essay")


def test_bad_files_of_a_folder_are_told_by_name(tmp_path: Path) -> None:
    (tmp_path / "large.txt").write_bytes(b"x" * 101)
    (tmp_path / "broken.txt").write_bytes(b"\xff")
    (tmp_path / "blank.txt").write_bytes(b"\n")
    os.mkfifo(tmp_path / "pipe.txt")
    items = read(tmp_path)
    messages = [item.message.split()[0] for item in items if isinstance(item, Rejected)]
    assert messages == ["blank.txt", "broken.txt", "large.txt", "pipe.txt"]
    assert [reason for _, reason in rejections(items)] == ["empty", "invalid_utf8", "too_large", "unreadable"]


def test_links_do_not_lead_out_of_the_folder(tmp_path: Path) -> None:
    folder, secret = tmp_path / "in", tmp_path / "secret"
    secret.mkdir()
    (secret / "key.txt").write_text("secret")
    folder.mkdir()
    (folder / "real.txt").write_text("Real.")
    (folder / "a.txt").symlink_to(secret / "key.txt")
    (folder / "b.txt").symlink_to("real.txt")
    (folder / "c.txt").symlink_to("c.txt")
    (folder / "d").symlink_to(secret, target_is_directory=True)
    items = read(folder)
    assert [item.text for item in items if isinstance(item, Document)] == ["Real.", "Real."]
    assert [reason for _, reason in rejections(items)] == ["outside_folder", "unreadable"]


@pytest.mark.parametrize("format", ["csv", "", "Alpaca"])
def test_an_unknown_format_is_refused_with_those_that_are_known(tmp_path: Path, format: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        open_source(write_json(tmp_path, []), format)
    assert all(name in refused.value.message for name in FORMATS)


def test_paths_that_cannot_be_a_source_are_refused(tmp_path: Path) -> None:
    (tmp_path / "data.csv").write_text("a,b")
    os.mkfifo(tmp_path / "pipe.jsonl")
    with pytest.raises(NotFound):
        open_source(tmp_path / "none.json")
    for path, format in (("data.csv", "auto"), ("", "jsonl"), ("pipe.jsonl", "auto")):
        with pytest.raises(InvalidInput):
            open_source(tmp_path / path, format)


@pytest.mark.parametrize("name", ["data.json", "data.parquet"])
def test_a_file_of_another_format_is_refused_at_the_first_record(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text('{"text": "t"}')
    with pytest.raises(InvalidInput):
        read(tmp_path / name)


def test_a_parquet_file_without_a_known_column_is_refused(tmp_path: Path) -> None:
    pq.write_table(pa.table({"a": [1]}), tmp_path / "data.parquet")
    with pytest.raises(InvalidInput, match="none of the columns"):
        read(tmp_path / "data.parquet")
