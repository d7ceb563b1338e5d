"""What `longstream curate` ranks at all: what is young enough, and not held out; the rest counts for nothing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from longstream.cli import USAGE, main
from longstream.pipeline import Split
from longstream.v1.records_pb2 import Example
from longstream_curator.split import part_of

NO_TIMES = [None, "soon", "2026-01-01T00:00:00", True]
RECORDS = st.lists(
    st.builds(
        lambda words, document, moment: {
            "output": " ".join(["word"] * words) + f" {document}",
            "provenance": {"document": f"d{document}"},
            "event_time": moment,
        },
        st.integers(0, 30),
        st.integers(0, 12),
        st.sampled_from(
            ["2026-01-01T00:00:00+00:00", "2026-03-01T01:00:00+01:00", 1772323200, 1772323199.5, *NO_TIMES]
        ),
    ),
    min_size=1,
    max_size=40,
)


@pytest.fixture
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("parts")


def write(folder: Path, records: list[dict[str, Any]]) -> Path:
    path = folder / "pairs.jsonl"
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return path


def curate(capsys: pytest.CaptureFixture[str], path: Path, *words: str) -> tuple[Any, list[dict[str, Any]]]:
    output = path.with_name("kept.jsonl")
    assert main(["curate", str(path), "--metric", "words", "--output", str(output), "--json", *words]) == 0
    return json.loads(capsys.readouterr().out), [json.loads(line) for line in output.read_text().splitlines()]


def by_the_stream(split: Split, record: dict[str, Any]) -> str:
    return part_of(split, Example(response=record["output"], provenance=record.get("provenance", {})))


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(records=RECORDS, keep=st.sampled_from([1, 3, 100]), seed=st.integers(0, 3))
def test_what_is_held_out_is_what_a_stream_holds_out(
    folder: Path, capsys: pytest.CaptureFixture[str], records: list[dict[str, Any]], keep: int, seed: int
) -> None:
    split = Split(test=0.3, validation=0.2, keep=keep, seed=seed)
    words = ("--split", f"test=0.3,validation=0.2,keep={keep}", "--seed", str(seed), "--k", "5")
    told, rows = curate(capsys, write(folder, records), *words)
    assert [row["split"] for row in rows] == [by_the_stream(split, row) for row in rows]
    parts = {
        name: [one for one in records if by_the_stream(split, one) == name]
        for name in ("train", "test", "validation")
    }
    for name in ("test", "validation"):
        here = sum(row["split"] == name for row in rows)
        assert here == min(keep, len(parts[name])) == told["held_out"].get(name, 0)
    longest = sorted((len(one["output"].split()) for one in parts["train"]), reverse=True)[:5]
    assert sorted((row["length"] for row in rows if row["split"] == "train"), reverse=True) == longest
    assert told["kept"] == len(longest)
    assert told["exact"]


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(records=RECORDS)
def test_what_is_older_is_left_out_and_counted(
    folder: Path, capsys: pytest.CaptureFixture[str], records: list[dict[str, Any]]
) -> None:
    told, rows = curate(capsys, write(folder, records), "--since", "2026-03-01", "--k", "all")
    young = [one for one in records if one["event_time"] in ("2026-03-01T01:00:00+01:00", 1772323200)]
    assert [row["output"] for row in rows] == [one["output"] for one in young]
    without = sum(one["event_time"] in NO_TIMES for one in records)
    old = len(records) - len(young) - without
    assert told["left_out"] == {
        name: count for name, count in (("no_time", without), ("too_old", old)) if count
    }


def test_a_record_is_told_why_it_has_no_rank(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    split = Split(test=0.5, validation=0, keep=1)
    records = [{"id": f"r{n}", "output": f"text {n}", "event_time": 1772323200 + n} for n in range(40)]
    path = write(tmp_path, records)
    held = [one["id"] for one in records if by_the_stream(split, one) == "test"]
    told = [
        curate(capsys, path, "--split", "test=0.5,keep=1", "--explain", str(name))[0]["explained"][0]
        for name in held
    ]
    assert sum("held out for test, in the sample that is written, length 2" in line for line in told) == 1
    assert sum("held out for test, not in the sample" in line for line in told) == len(held) - 1
    old, _ = curate(capsys, path, "--since", "2026-03-01T00:00:05+00:00", "--explain", "r4")
    assert old["explained"][0].endswith("left out, from before --since")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--since", "yesterday"], "--since takes a moment as 2026-01-31"),
        (["--split", "test=0.6,validation=0.5"], "must leave something to train on"),
        (["--split", "train=0.5"], "--split takes test=, validation= and keep=, not 'train=0.5'"),
        (["--split", "keep=3"], "--split names no share of test or validation"),
        (["--split", "test=much"], "--split: "),
    ],
)
def test_what_makes_no_sense_is_told(
    words: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["curate", str(write(tmp_path, [])), *words]) == USAGE
    assert message in capsys.readouterr().err
