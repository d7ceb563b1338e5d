"""`longstream curate`: every format in, the k longest out as they came in, and an account of everything."""

from __future__ import annotations

import gzip
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard

from longstream.cli import FAILED, USAGE, main

RECORDS: list[dict[str, Any]] = [
    {"id": "a", "instruction": "Say one.", "output": "One."},
    {"id": "b", "instruction": "Tell much.", "output": "It is long, and it goes on. " * 3, "score": 4.5},
    {
        "id": "c",
        "instruction": "Tell more.",
        "output": "It is longer, and it goes on and on. " * 4,
        "score": 5,
    },
    {"id": "d", "instruction": "Say two.", "output": "One, two."},
]


def table(records: Sequence[Any]) -> pa.Table:
    return pa.table(
        {name: [one.get(name) for one in records] for name in ("id", "instruction", "output", "score")}
    )


def lines(records: Sequence[Any]) -> bytes:
    return "".join(json.dumps(record) + "\n" for record in records).encode()


def curate(capsys: pytest.CaptureFixture[str], *words: str | Path) -> Any:
    status = main(["curate", *map(str, words), "--json"])
    assert status == 0, capsys.readouterr().err
    return json.loads(capsys.readouterr().out)


def read(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


@pytest.mark.parametrize("ending", [".jsonl", ".ndjson.gz", ".jsonl.zst", ".json", ".json.gz", ".parquet"])
def test_every_format_gives_the_same_records(
    ending: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / f"pairs{ending}"
    plain = (
        json.dumps(RECORDS, indent=1).encode()
        if ".json" in ending and "l" not in ending[:6]
        else lines(RECORDS)
    )
    match path.suffix:
        case ".gz":
            path.write_bytes(gzip.compress(plain))
        case ".zst":
            path.write_bytes(zstandard.compress(plain))
        case ".parquet":
            pq.write_table(table(RECORDS), path)
        case _:
            path.write_bytes(plain)
    account = curate(capsys, path, "--k", "2", "--output", tmp_path / "out.jsonl")
    assert (account["seen"], account["kept"], account["shortest"]) == (4, 2, 27)
    kept = [
        {name: value for name, value in one.items() if value is not None}
        for one in read(tmp_path / "out.jsonl")
    ]
    assert kept == [
        {**RECORDS[1], "length": 27, "rank": 2},
        {**RECORDS[2], "length": 44, "rank": 1},
    ]


def test_a_record_is_written_as_its_author_wrote_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, out = tmp_path / "odd.jsonl", tmp_path / "out.jsonl"
    odd = '{"n": 123456789012345678901234567890, "x": 1.0e2, "output" : "\\u00e9t\\u00e9 is warm" }'
    path.write_text(f"{odd}\n\n")
    curate(capsys, path, "--output", out)
    assert out.read_text() == odd[:-2] + ', "length": 3, "rank": 1}\n'
    again = tmp_path / "again.jsonl"
    curate(capsys, out, "--metric", "chars", "--output", again)
    assert read(again) == [{**json.loads(odd), "length": 11, "rank": 1}]


def test_inputs_keep_their_order_and_no_file_counts_twice(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("b", "a"):
        (tmp_path / f"{name}.jsonl").write_bytes(lines([{"text": f"same length {name}"}] * 2))
    account = curate(
        capsys, tmp_path / "b.jsonl", tmp_path / "*.jsonl", "--k", "3", "--output", tmp_path / "out"
    )
    assert list(account["kept_by_input"].values()) == [2, 1]
    assert [one["text"][-1] for one in read(tmp_path / "out")] == ["b", "b", "a"]
    assert [one["rank"] for one in read(tmp_path / "out")] == [1, 2, 3]


def test_records_that_fit_no_columns_leave_neither_a_file_nor_a_draft(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    mixed = [{"output": "A text.", "other": 1}, {"output": "Another text.", "other": "one"}]
    (tmp_path / "in.jsonl").write_bytes(lines(mixed))
    status = main(["curate", str(tmp_path / "in.jsonl"), "--output", str(tmp_path / "out.parquet")])
    assert status == USAGE
    assert "write .jsonl" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["in.jsonl"]


def test_a_score_is_read_beside_a_number_that_only_python_calls_json(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "in.jsonl").write_bytes(
        b'{"output": "One two.", "other": NaN, "score": 2}\n{"output": "One.", "score": 1}\n'
    )
    account = curate(capsys, tmp_path / "in.jsonl", "--k", "1", "--compare", "score=score")
    assert [one["longest"] for one in account["compared"]] == [3]
    assert account["overlaps"] == [{"one": "these", "other": "score=score", "shared": 1}]


def test_parquet_goes_to_parquet(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pq.write_table(table(RECORDS), tmp_path / "in.parquet")
    curate(capsys, tmp_path / "in.parquet", "--k", "1", "--output", tmp_path / "out.parquet")
    curate(capsys, tmp_path / "in.parquet", "--k", "all", "--output", tmp_path / "all.parquet")
    assert set(pq.read_table(tmp_path / "all.parquet").column_names) == {*RECORDS[1], "length", "rank"}
    assert pq.read_table(tmp_path / "out.parquet").to_pylist() == [{**RECORDS[2], "length": 44, "rank": 1}]


def test_standard_input_and_output(
    capsysbinary: pytest.CaptureFixture[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(lines(RECORDS))))
    assert main(["curate", "-", "--k", "1", "--output", "-"]) == 0
    written = capsysbinary.readouterr()
    assert json.loads(written.out)["id"] == "c"
    assert b"kept 1 of 4" in written.err


def test_what_cannot_be_used_is_counted_told_and_left_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "bad.jsonl"
    wrong = [
        b"{",
        b"[1]",
        b'"text"',
        b'{"output": 7}',
        b'{"output": " "}',
        b'{"other": "x"}',
        b'{"output": "\\ud800"}',
    ]
    path.write_bytes(b"\n".join([*wrong, b"\xff{}", lines(RECORDS)]))
    account = curate(capsys, path)
    assert account["kept"] == 4
    assert account["reasons"] == {
        "malformed": 3,
        "wrong_type": 1,
        "empty": 1,
        "missing_field": 1,
        "invalid_utf8": 2,
    }
    assert account["rejections"][3] == {
        "reason": "wrong_type",
        "file": str(path),
        "record": 3,
        "message": "response is no text but int",
    }
    path.write_bytes(wrong[0])
    assert main(["curate", str(path)]) == USAGE


def test_a_broken_file_gives_what_could_be_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "cut.jsonl.gz"
    path.write_bytes(gzip.compress(lines(RECORDS) * 2_000, 0)[:100_000])
    account = curate(capsys, path)
    assert account["reasons"] == {"truncated": 1}
    assert 700 < account["kept"] < 1_000


def test_fields_that_take_the_place_of_the_response(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "mixed.jsonl"
    turns = [{"from": "human", "value": "Why?"}, {"from": "gpt", "value": "one two three"}]
    mixed = [
        {"conversations": turns, "output": "x"},
        {"response": "one two", "output": "x x x x"},
        {"document": "one"},
    ]
    path.write_bytes(lines(mixed))
    curate(capsys, path, "--metric", "words", "--output", tmp_path / "out.jsonl")
    assert [one["length"] for one in read(tmp_path / "out.jsonl")] == [3, 2, 1]
    account = curate(capsys, path, "--metric", "words", "--field", "output", "--k", "all")
    assert (account["longest"], account["kept"], account["reasons"]) == (4, 2, {"missing_field": 1})


def test_other_selections_are_set_beside_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "scored.jsonl"
    path.write_bytes(
        lines([{"output": "word " * n, "score": 5.0 if n % 10 == 0 else 4.5} for n in range(1, 101)])
    )
    words = (path, "--k", "20", "--metric", "words", "--compare", "random,score=score", "--seed", "7")
    account = curate(capsys, *words)
    random, score = account["compared"]
    assert random["records"] == score["records"] == 20
    shared = {(one["one"], one["other"]): one["shared"] for one in account["overlaps"]}
    assert 0 < shared["these", "random"] < 20
    assert 2 <= shared["these", "score=score"] < 20
    assert 0 <= shared["random", "score=score"] < 20
    assert curate(capsys, *words)["overlaps"] == account["overlaps"]
    path.write_bytes(lines([{"output": "word", "score": "high"}]))
    assert main(["curate", str(path), "--compare", "score=score"]) == USAGE


@pytest.mark.parametrize(
    ("wanted", "why"),
    [
        ("c", "left out, its length 44 is over 30"),
        ("b", "kept, rank 1 of 2, length 27"),
        ("a", "not kept, length 2; the last that is kept has 4"),
        ("e", "no record has the id 'e'"),
    ],
)
def test_it_says_why(wanted: str, why: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "pairs.jsonl"
    path.write_bytes(lines(RECORDS))
    account = curate(capsys, path, "--k", "2", "--max-length", "30", "--explain", wanted)
    assert account["explained"][0].endswith(why)
    assert account["left_out"] == {"too_long": 1}


@pytest.mark.parametrize(
    "words",
    [
        ["nowhere.jsonl"],
        ["{folder}"],
        ["{folder}/notes.txt"],
        ["{folder}/not.parquet"],
        ["{folder}/in.jsonl", "--metric", "tokens"],
        ["{folder}/in.jsonl", "--max-length", "0"],
        ["{folder}/in.jsonl", "--compare", "best"],
        ["{folder}/in.jsonl", "--json", "--output", "-"],
    ],
)
def test_what_cannot_be_asked_for_is_said_in_one_line(
    words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("notes.txt", "not.parquet", "in.jsonl"):
        (tmp_path / name).write_bytes(lines(RECORDS))
    assert main(["curate", *(word.format(folder=tmp_path) for word in words)]) in {USAGE, FAILED}
    assert len(capsys.readouterr().err.strip().splitlines()) == 1
    assert {path.name for path in tmp_path.iterdir()} == {"notes.txt", "not.parquet", "in.jsonl"}


@pytest.mark.parametrize("k", ["0", "-1", "ten", "1000001"])
def test_k_is_a_number_or_all(k: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["curate", "x.jsonl", "--k", k])
    assert "a number from 1 to 1,000,000, or all" in capsys.readouterr().err


def shop(tmp_path: Path) -> Path:
    """Nine records of two sites, with a score; the site `a` has the longest."""
    path = tmp_path / "shop.jsonl"
    path.write_bytes(
        lines(
            [
                {"output": f"word{n} " * (n + (10 if site == "a" else 0)), "site": site, "score": n}
                for site, count in (("a", 6), ("b", 3))
                for n in range(1, count + 1)
            ]
        )
    )
    return path


@pytest.mark.parametrize(
    ("words", "by_stratum"),
    [
        ((), {"a": 4}),
        (("--share", "equal"), {"a": 2, "b": 2}),
        (("--share", "proportional"), {"a": 3, "b": 1}),
        (("--share", "a=1,b=3"), {"a": 1, "b": 3}),
        (("--quota", "a=1"), {"a": 1, "b": 3}),
        (("--quota", "a=3,b=0"), {"a": 3}),
    ],
)
def test_strata_have_their_shares(
    words: tuple[str, ...], by_stratum: dict[str, int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = ("--strata", "site", *words) if words else ()
    output = tmp_path / "out.jsonl"
    account = curate(capsys, shop(tmp_path), "--k", "4", "--metric", "words", *asked, "--output", output)
    kept = [one["site"] for one in read(output)]
    assert {site: kept.count(site) for site in "ab" if site in kept} == by_stratum
    assert account["kept_by_stratum"] == (by_stratum if words else {})
    assert account["exact"]


def test_each_input_may_be_a_stratum(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path, other = shop(tmp_path), tmp_path / "other.jsonl"
    other.write_bytes(lines([{"output": "few words"}]))
    account = curate(capsys, path, other, "--k", "4", "--metric", "words", "--strata", "input")
    assert account["kept_by_input"] == {str(path): 3, str(other): 1}


def test_a_baseline_can_be_written_as_well(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output = tmp_path / "out.jsonl"
    curate(capsys, shop(tmp_path), "--k", "2", "--by", "score=score", "--output", output)
    assert [one["score"] for one in read(output)] == [5, 6]
    drawn = []
    for seed in ("1", "2", "1"):
        curate(capsys, shop(tmp_path), "--k", "4", "--by", "random", "--seed", seed, "--output", output)
        drawn.append([one["output"] for one in read(output)])
    assert drawn[0] == drawn[2] != drawn[1]


def test_what_is_screened_out_makes_room_and_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "in.jsonl"
    prompt = "Say in a few plain words how the tide comes in and goes out again on a stormy day."
    (tmp_path / "tests.jsonl").write_bytes(lines([{"text": prompt}]))
    records = [
        {"id": "loop", "output": "the same again and " * 400},
        {
            "id": "sorry",
            "output": "I'm sorry, but I cannot help with that. " + "Because of rules, and more. " * 9,
        },
        {
            "id": "leak",
            "instruction": prompt,
            "output": "The moon draws the water, and so it comes and goes. " * 3,
        },
        {"id": "good", "output": "The mill turned all winter, and the river under it never froze."},
        {"id": "like", "output": "The mill turned all winter, and the river under it never froze!"},
        {"id": "small", "output": "A short one."},
    ]
    path.write_bytes(lines(records))
    words = (path, "--k", "2", "--screen", "repetition,refusal", "--against", tmp_path / "tests.jsonl")
    account = curate(capsys, *words, "--near-duplicates", "0.8", "--output", tmp_path / "out.jsonl")
    assert [one["id"] for one in read(tmp_path / "out.jsonl")] == ["good", "small"]
    assert account["left_out"] == {"contamination": 1, "near_duplicate": 1, "refusal": 1, "repetition": 1}
    for name, why in (
        ("loop", "screen repetition"),
        ("like", "nearly equal"),
        ("leak", "screen contamination"),
    ):
        assert why in curate(capsys, *words, "--near-duplicates", "0.8", "--explain", name)["explained"][0]


def test_near_duplicates_beyond_the_reserve_make_it_inexact(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "in.jsonl"
    path.write_bytes(
        lines([{"output": "one of many equal texts, word by word"}] * 20 + [{"output": "another"}])
    )
    account = curate(capsys, path, "--k", "2", "--near-duplicates", "0.8", "--reserve", "3")
    assert (account["kept"], account["exact"], account["short"]) == (1, False, True)
    account = curate(capsys, path, "--k", "2", "--near-duplicates", "0.8", "--reserve", "30")
    assert (account["kept"], account["exact"], account["short"]) == (2, True, False)


def test_a_picture_of_the_lengths_is_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    picture = tmp_path / "lengths.png"
    curate(capsys, shop(tmp_path), "--k", "4", "--compare", "random", "--plot", picture)
    assert picture.read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--by", "luck"), "--by"),
        (("--by", "score"), "--by"),
        (("--by", "random=3"), "--by"),
        (("--by", "score=colour"), "colour"),
        (("--compare", "furlongs"), "--compare"),
        (("--share", "equal"), "--strata"),
        (("--strata", "site", "--share", "most"), "--share"),
        (("--strata", "site", "--share", "a=x"), "--share"),
        (("--strata", "site", "--share", "equal", "--quota", "a=1"), "--quota"),
        (("--screen", "smell"), "smell"),
        (("--languages", "english"), "--screen"),
        (("--against", "nowhere.jsonl"), "nowhere.jsonl"),
        (("--near-duplicates", "0.2"), "--near-duplicates"),
        (("--reserve", "-1"), "--reserve"),
        (("--plot", "lengths.svg"), "--plot"),
    ],
)
def test_words_that_make_no_sense_are_told(
    words: tuple[str, ...], told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["curate", str(shop(tmp_path)), *words]) in {USAGE, FAILED}
    assert told in capsys.readouterr().err
