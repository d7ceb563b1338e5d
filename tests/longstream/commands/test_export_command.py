"""`longstream export`: a release's rows in the formats of other trainers, in either order, whole or not at all."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from longstream.storage import open_storage
from longstream.v1.records_pb2 import PipelineRevision, Release, Shard
from tests.support.local_suite import LocalSuite
from tests.support.shell import Shell

ROWS: list[dict[str, Any]] = [
    {
        "rank": rank,
        "row_id": f"row{rank}",
        "instruction": "Ask.",
        "input": "This." if rank == 1 else "",
        "response": "\u00e9" * (9 - rank),
        "source": source,
        "source_index": index,
        "split": "test" if rank == 4 else "train",
        "style": "query" if rank == 2 else "",
    }
    for rank, source, index in ((3, "a", 7), (1, "b", 2), (2, "a", None), (4, "b", 1), (5, "a", 0))
]


@pytest.fixture(autouse=True)
def release(suite: LocalSuite, shell: Shell) -> Release:
    shard = shell.data / "shard.parquet"
    pq.write_table(pa.Table.from_pylist(ROWS), shard)
    with open_storage((shell.data / "objects").resolve().as_uri()) as storage:
        address = storage.put(shard.read_bytes())
    revision = PipelineRevision(document=json.dumps({"sources": ["b", "a"]}))
    final = Release(
        id="r1", state=Release.STATE_FINAL, revision=revision, shards=[Shard(address=address, rows=5)]
    )
    suite.curator.releases = [final]
    return final


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_chat_messages_come_longest_first(shell: Shell, tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    assert shell("export", "--output", str(out)) == 0
    assert "4 rows of release r1" in shell.out
    first = {
        "messages": [
            {"role": "user", "content": "Ask.\n\nThis."},
            {"role": "assistant", "content": "\u00e9" * 8},
        ]
    }
    assert lines(out)[0] == first
    assert [len(row["messages"][1]["content"]) for row in lines(out)] == [8, 7, 6, 4]


def test_alpaca_and_sharegpt_are_arrays(shell: Shell, tmp_path: Path) -> None:
    out = tmp_path / "out.json"
    assert shell("export", "--format", "alpaca", "--output", str(out), "--split", "test") == 0
    assert json.loads(out.read_text()) == [{"instruction": "Ask.", "input": "", "output": "\u00e9" * 5}]
    assert shell("export", "--format", "sharegpt", "--output", str(out), "--split", "all") == 0
    made = json.loads(out.read_text())
    assert [one["id"] for one in made] == [f"row{n}" for n in (1, 2, 3, 4, 5)]
    assert made[0]["conversations"][0] == {"from": "human", "value": "Ask.\n\nThis."}
    assert shell("export", "--output", str(out), "--split", "validation") == 0
    assert json.loads(out.read_text()) == []


def test_longforms_records_tell_how_the_instruction_came_about(shell: Shell, tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    assert shell("export", "--format", "longform", "--output", str(out)) == 0
    first, second, *_ = lines(out)
    assert first == {"input": "Ask.\n\nThis.", "output": "\u00e9" * 8, "source": "b", "subset": "pair"}
    assert second == {
        "input": "Ask.",
        "output": "\u00e9" * 7,
        "source": "a",
        "subset": "reverse instruction (query)",
    }


def test_the_order_of_the_sources_can_be_had_back(shell: Shell, tmp_path: Path) -> None:
    out = tmp_path / "out.parquet"
    assert (
        shell("export", "--format", "parquet", "--order", "source", "--split", "all", "--output", str(out))
        == 0
    )
    assert pq.read_table(out)["rank"].to_pylist() == [4, 1, 5, 3, 2]
    assert set(pq.read_table(out).column_names) == set(ROWS[0])


def test_standard_output_takes_lines(shell: Shell) -> None:
    assert shell("export", "--output", "-") == 0
    assert len([json.loads(line) for line in shell.out.splitlines()]) == 4


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--format", "parquet", "--output", "-"), "--output FILE.parquet"),
        (("--format", "parquet", "--output", "x.json"), ".parquet"),
        (("--output", "x.parquet"), ".json"),
        (("--output", "-", "--json"), "standard output"),
    ],
)
def test_words_that_make_no_sense_are_told(shell: Shell, words: tuple[str, ...], told: str) -> None:
    assert shell("export", *words) == 2
    assert told in shell.err


def test_a_release_that_is_not_final_is_not_exported(suite: LocalSuite, shell: Shell, tmp_path: Path) -> None:
    suite.curator.releases[0].state = Release.STATE_OPEN
    assert shell("export", "r1", "--output", str(tmp_path / "x.jsonl")) == 1
    assert "not final" in shell.err
    assert list(tmp_path.glob("*.jsonl")) == []
