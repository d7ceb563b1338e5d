"""A sample for people to look at: blinded, seeded, and read back strictly."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from longstream.cli import main
from longstream_instructor.agreement import agreement, share_of


def pairs(path: Path, count: int, word: str = "text") -> Path:
    lines = [
        {"instruction": f"Tell of {word} {n}.", "output": f"A {word} of number {n}.", "id": f"{word}{n}"}
        for n in range(count)
    ]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def rows(sheet: Path) -> list[dict[str, str]]:
    with sheet.open(encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file))


def answered(sheet: Path, target: Path, answers: list[str]) -> Path:
    filled = rows(sheet)
    with target.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(filled[0]))
        writer.writeheader()
        for row, answer in zip(filled, answers, strict=True):
            writer.writerow({**row, "relevant": answer})
    return target


def scores(capsys: pytest.CaptureFixture[str], *words: object) -> dict[str, Any]:
    capsys.readouterr()
    assert main(["audit", "score", *map(str, words), "--json"]) == 0
    told: dict[str, Any] = json.loads(capsys.readouterr().out)
    return told


def test_the_papers_97_of_100_has_the_interval_that_it_should() -> None:
    one = share_of(97, 100)
    assert (round(one.low, 3), round(one.high, 3), one.share) == (0.915, 0.990, 0.97)


@given(st.integers(0, 300), st.integers(1, 300))
def test_an_interval_holds_its_share_and_stays_between_0_and_1(yes: int, n: int) -> None:
    one = share_of(min(yes, n), n)
    assert 0 <= one.low <= one.share <= one.high <= 1


def test_agreement_beyond_chance_is_cohens_kappa() -> None:
    # 20 both yes, 15 both no, 5 and 10 apart: agreement 0.7, by chance 0.5.
    one = [True] * 20 + [False] * 15 + [True] * 5 + [False] * 10
    other = [True] * 20 + [False] * 15 + [False] * 5 + [True] * 10
    found = agreement(one, other)
    assert (found.n, found.agreed) == (50, 35)
    assert found.kappa == pytest.approx(0.4)
    assert agreement([True], [True]).kappa is None


def test_the_sheet_is_a_seeded_sample_that_does_not_say_where_a_pair_is_from(tmp_path: Path) -> None:
    left, right = pairs(tmp_path / "left.jsonl", 50), pairs(tmp_path / "right.jsonl", 50, "tale")
    for sheet, seed in (("a", 0), ("b", 0), ("c", 1)):
        words = ["--n", "10", "--seed", str(seed), "--output", str(tmp_path / sheet)]
        assert main(["audit", "sheet", str(left), str(right), *words]) == 0
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes() != (tmp_path / "c").read_bytes()
    found = rows(tmp_path / "a")
    assert len(found) == 20
    kinds = ["text" in row["instruction"] for row in found]
    assert sum(kinds) == 10
    assert kinds not in (sorted(kinds), sorted(kinds, reverse=True))
    assert "jsonl" not in (tmp_path / "a").read_text(encoding="utf-8-sig")


def test_the_answers_are_told_by_file_and_of_two_raters_with_their_agreement(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    left, right = pairs(tmp_path / "left.jsonl", 9), pairs(tmp_path / "right.jsonl", 9, "tale")
    sheet = tmp_path / "sheet.csv"
    main(["audit", "sheet", str(left), str(right), "--n", "5", "--output", str(sheet)])
    kinds = ["text" in row["instruction"] for row in rows(sheet)]
    one = answered(sheet, tmp_path / "one.csv", ["yes" if kind else "No" for kind in kinds])
    other = answered(sheet, tmp_path / "two.csv", ["y"] * 9 + [""])
    told = scores(capsys, one, other, "--key", f"{sheet}.key.json")
    by_file = told["sheets"][0]["files"]
    assert (by_file[str(left)]["relevant"], by_file[str(right)]["relevant"]) == (5, 0)
    assert told["sheets"][1]["unanswered"] == 1
    assert told["agreement"]["n"] == 9


def test_no_cell_is_taken_for_a_formula(tmp_path: Path) -> None:
    path = tmp_path / "pairs.jsonl"
    path.write_text(
        json.dumps({"instruction": '=HYPERLINK("http://example.org")', "output": "@SUM(1)"}) + "\n"
    )
    main(["audit", "sheet", str(path), "--output", str(tmp_path / "sheet.csv")])
    (row,) = rows(tmp_path / "sheet.csv")
    assert row["instruction"].startswith("'=")
    assert row["response"].startswith("'@")


@pytest.mark.parametrize("answer", ["maybe", "97"])
def test_an_answer_that_is_neither_yes_nor_no_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], answer: str
) -> None:
    sheet = tmp_path / "sheet.csv"
    main(["audit", "sheet", str(pairs(tmp_path / "p.jsonl", 3)), "--output", str(sheet)])
    filled = answered(sheet, tmp_path / "filled.csv", [answer, "yes", "no"])
    assert main(["audit", "score", str(filled), "--key", f"{sheet}.key.json"]) == 2
    assert "neither yes nor no" in capsys.readouterr().err


def test_a_sheet_needs_its_key_and_a_sample_some_pairs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sheet = tmp_path / "sheet.csv"
    sheet.write_text("number,relevant\n1,yes\n")
    assert main(["audit", "score", str(sheet)]) == 2
    assert "--key" in capsys.readouterr().err
    (tmp_path / "docs.jsonl").write_text(json.dumps({"text": "A document."}) + "\n")
    assert main(["audit", "sheet", str(tmp_path / "docs.jsonl"), "--output", str(sheet)]) == 2
    assert "no pair" in capsys.readouterr().err
