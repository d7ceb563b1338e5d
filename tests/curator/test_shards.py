"""A corpus in shards: what they kept, merged, is what one run over everything keeps."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from longstream.cli import RETRYABLE, USAGE, main
from longstream.errors import InvalidInput
from longstream_curator.files.shards import Shard, shard_of

WORDS = ["river", "stone", "mill", "harbour", "lamp", "garden", "winter", "bridge"]
MODES = [
    [],
    ["--metric", "chars", "--dedup", "response"],
    ["--dedup", "pair", "--max-length", "20"],
    ["--by", "random", "--seed", "3"],
    ["--by", "score=score"],
    ["--strata", "input"],
    ["--strata", "kind", "--share", "proportional"],
    ["--strata", "kind", "--quota", "a=2"],
    ["--near-duplicates", "0.8", "--reserve", "4"],
    ["--screen", "trivial,repetition,refusal"],
    ["--strata", "kind", "--share", "a=2,b=1", "--near-duplicates", "0.8", "--screen", "repetition"],
    ["--split", "test=0.2,validation=0.2,keep=2", "--dedup", "response", "--since", "2026-01-02"],
]


@pytest.fixture
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("corpus")


def corpus(folder: Path, draw: Random, files: int) -> list[str]:
    """Files of records, among them equal ones, blanks and lines that are none."""
    for number in range(files):
        lines = []
        for _ in range(draw.randrange(12)):
            text = " ".join(draw.choice(WORDS) for _ in range(draw.choice([0, 3, 5, 30])))
            record = {
                "instruction": draw.choice("xy"),
                "output": text,
                "kind": draw.choice("abc"),
                "score": draw.randrange(3),
                "event_time": f"2026-01-0{draw.randrange(1, 4)}T00:00:00Z",
            }
            lines.append(draw.choice([json.dumps(record)] * 9 + ["{broken"]))
        (folder / f"{number}.jsonl").write_text("".join(f"{line}\n" for line in lines))
    return [str(folder / f"{number}.jsonl") for number in range(files)]


def curate(capsys: pytest.CaptureFixture[str], *words: object) -> dict[str, Any]:
    """The account, its status among it; a shard's is always 0."""
    status = main(["curate", *map(str, words), "--json"])
    assert status == 0 or (status == USAGE and "--shard" not in words)
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found | {"status": status}


def in_shards(
    capsys: pytest.CaptureFixture[str], folder: Path, inputs: list[str], of: int, words: list[str]
) -> list[str]:
    """Run each shard; returns the kept sets."""
    for number in range(of):
        curate(capsys, *inputs, *words, "--shard", f"{number}/{of}", "--output", folder / f"{number}.kept")
    return [str(folder / f"{number}.kept") for number in range(of)]


@dataclass(frozen=True)
class Case:
    """A corpus, how many shards read it, and how many records are kept."""

    draw: Random
    files: int
    of: int
    k: int | str


CASES = st.builds(
    Case,
    draw=st.randoms(use_true_random=False),
    files=st.integers(1, 5),
    of=st.integers(1, 4),
    k=st.sampled_from([1, 3, 8, "all"]),
)


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(case=CASES)
@pytest.mark.parametrize("mode", MODES, ids=" ".join)
def test_shards_merged_are_one_run(
    folder: Path, capsys: pytest.CaptureFixture[str], case: Case, mode: list[str]
) -> None:
    inputs = corpus(folder, case.draw, case.files)
    words = [*mode, "--k", str(case.k)]
    kept = in_shards(capsys, folder, inputs, case.of, words)
    case.draw.shuffle(kept)
    whole = curate(capsys, *inputs, *words, "--output", folder / "whole.jsonl")
    merged = curate(capsys, *kept, *words, "--merge", "--output", folder / "merged.jsonl")
    assert (folder / "merged.jsonl").read_bytes() == (folder / "whole.jsonl").read_bytes()
    differ = ("counted", "left_out", "rejections", "seconds")
    assert {name: merged[name] for name in merged if name not in differ} == {
        name: whole[name] for name in whole if name not in differ
    }


def test_what_only_some_inputs_have_is_missed_by_no_shard(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One input has scores, one has none, and of one no line can be used."""
    contents = ['{"output": "one", "score": 1}', '{"output": "two"}', "{broken"]
    for number, content in enumerate(contents):
        (folder / f"{number}.jsonl").write_text(content + "\n")
    inputs = [str(folder / f"{number}.jsonl") for number in range(3)]
    kept = in_shards(capsys, folder, inputs, 3, ["--by", "score=score"])
    merged = curate(capsys, *kept, "--by", "score=score", "--merge")
    found = (merged["status"], merged["kept"], merged["left_out"], merged["rejected"])
    assert found == (0, 1, {"no_score": 1}, 1)


def test_rows_of_a_table_come_through(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = pa.table({"output": ["one", "three"], "n": [2**60, 1], "x": [float("nan"), 1.0]})
    pq.write_table(rows, folder / "a.parquet")
    kept = in_shards(capsys, folder, [str(folder / "a.parquet")], 1, ["--k", "1"])
    curate(capsys, *kept, "--merge", "--k", "1", "--output", folder / "out.parquet")
    curate(capsys, folder / "a.parquet", "--k", "1", "--output", folder / "whole.parquet")
    merged, whole = pq.read_table(folder / "out.parquet"), pq.read_table(folder / "whole.parquet")
    assert merged.schema == whole.schema
    assert str(merged.to_pylist()) == str(whole.to_pylist())


def test_a_table_that_could_not_come_back_is_told_before_it_is_read(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pq.write_table(
        pa.table({"output": ["one"], "at": [datetime(2026, 1, 1, tzinfo=UTC)]}), folder / "a.parquet"
    )
    words = ["--shard", "0/1", "--output", str(folder / "x.kept")]
    assert main(["curate", str(folder / "a.parquet"), *words]) == USAGE
    assert "cannot carry the columns at (timestamp" in capsys.readouterr().err


def test_what_is_no_unicode_comes_through(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "a.jsonl").write_text('{"output": "one", "kind": "\\ud800"}\n')
    words = ["--strata", "kind", "--k", "1"]
    kept = in_shards(capsys, folder, [str(folder / "a.jsonl")], 1, words)
    curate(capsys, *kept, *words, "--merge", "--output", folder / "out.jsonl")
    curate(capsys, folder / "a.jsonl", *words, "--output", folder / "whole.jsonl")
    assert (folder / "out.jsonl").read_bytes() == (folder / "whole.jsonl").read_bytes()


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--k", "3"], "another k"),
        (["--k", "2", "--metric", "chars"], "another metric"),
        (["--k", "2", "--screen", "pii"], "another screen, screens"),
    ],
)
def test_merging_needs_the_shards_own_options(
    folder: Path, capsys: pytest.CaptureFixture[str], words: list[str], told: str
) -> None:
    kept = in_shards(capsys, folder, corpus(folder, Random(1), 2), 2, ["--k", "2"])
    assert main(["curate", *kept, *words, "--merge"]) == 2
    assert told in capsys.readouterr().err


def test_merging_needs_each_shard_of_one_run_once(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    inputs = corpus(folder, Random(2), 3)
    first, second, third = in_shards(capsys, folder, inputs, 3, ["--k", "2"])
    other = folder / "other"
    other.mkdir()
    of_two = in_shards(capsys, other, inputs, 2, ["--k", "2"])
    copy = folder / "copy.kept"
    copy.write_bytes(Path(second).read_bytes())
    torn = folder / "torn.kept"
    torn.write_bytes(b"".join(Path(first).read_bytes().splitlines(keepends=True)[:-1]))
    for paths, told in (
        ([first, second, str(copy)], "are the same shard"),
        ([first, of_two[1]], "of another run"),
        ([str(torn), second, third], "torn.kept is no kept set"),
        ([inputs[0]], "is no kept set"),
    ):
        assert main(["curate", *paths, "--k", "2", "--merge"]) == USAGE
        assert told in capsys.readouterr().err


def test_merging_before_all_shards_are_done_may_be_tried_again(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first, second, _ = in_shards(capsys, folder, corpus(folder, Random(2), 3), 3, ["--k", "2"])
    for paths, told in (
        ([second, first], "of 3 shards 2 are missing"),
        ([str(folder / "*.none")], "there is no file"),
    ):
        assert main(["curate", *paths, "--k", "2", "--merge"]) == RETRYABLE
        assert told in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--shard", "2/2", "--output", "x"], "from 0/N to N-1/N"),
        (["--shard", "half", "--output", "x"], "--shard takes I/N"),
        (["--shard", "0/2"], "--shard needs --output"),
        (["--shard", "0/2", "--output", "-"], "--shard needs --output"),
        (["--shard", "0/2", "--output", "x", "--compare", "random"], "--compare needs all records"),
        (["--merge", "--explain", "x"], "--explain needs all records"),
        (["--shard", "0/2", "--output", "x", "--merge"], "give one of them"),
    ],
)
def test_words_that_do_not_go_together_are_told(
    folder: Path, capsys: pytest.CaptureFixture[str], words: list[str], told: str
) -> None:
    assert main(["curate", *corpus(folder, Random(3), 2), *words]) == 2
    assert told in capsys.readouterr().err


def test_every_input_is_one_shards() -> None:
    shards = [shard_of(f"{number}/3") for number in range(3)]
    assert all(sum(shard.has(number) for shard in shards) == 1 for number in range(20))
    with pytest.raises(InvalidInput):
        shard_of("3/3")
    assert shard_of("0/1") == Shard(0, 1)
