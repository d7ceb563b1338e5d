"""`longstream winrate` and `longstream compare`, as they are called."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from longstream.cli import main
from tests.judge.conftest import Board


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    generator = np.random.default_rng(0)
    path = tmp_path / "verdicts.jsonl"
    lines = []
    for number in range(80):
        preference = float(generator.beta(2, 2))
        row: dict[str, Any] = {
            "instruction_id": f"i{number}",
            "preference": preference,
            "forward": preference,
            "swapped": preference,
            "candidate_characters": int(generator.integers(10, 999)),
            "baseline_characters": int(generator.integers(10, 999)),
            "judge": "j@1",
            "prompt_revision": "p",
        }
        lines.append(json.dumps(row | {f"{side}_bold": number % 3 for side in ("candidate", "baseline")}))
    path.write_text("\n".join(lines))
    return path


def test_winrate_prints_the_figures_as_json(board: Board, capsys: pytest.CaptureFixture[str]) -> None:
    named = [f"{board.path}:{model}" for model in ("claude-2", "phi-2")]
    assert (
        main(
            ["winrate", "--preferences", *named, "--controls", str(board.path), "--bootstrap", "40", "--json"]
        )
        == 0
    )
    first, second = map(json.loads, capsys.readouterr().out.splitlines())
    assert (first["model"], first["n"], second["n"]) == ("claude-2", 805, 803)
    assert first["lc_win_rate"] == pytest.approx(board.published["claude-2"]["lc_win_rate"], abs=0.15)
    assert first["lc_ci"][0] < first["lc_win_rate"] < first["lc_ci"][1]
    assert set(first["flags"]) == {"slot_gap"}
    assert first["controls"] == board.controls.revision
    assert first["flip_rate"] is None
    longer, shorter, matched = (first["by_length"][name] for name in ("longer", "shorter", "matched"))
    assert longer[0] > first["win_rate"] > shorter[0]
    assert longer[1] + shorter[1] <= 805 > matched[1] > 20


def test_winrate_is_a_table_for_people(rows: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["winrate", "--preferences", str(rows), "--style", "bold"]) == 0
    head, row, *rest = capsys.readouterr().out.splitlines()
    assert head.split()[:2] == ["MODEL", "N"]
    assert row.split()[:2] == ["verdicts.jsonl", "80"]
    assert rest[-1] == "controls none, judge j@1/p"


def test_compare_says_whether_it_is_enough(board: Board, capsys: pytest.CaptureFixture[str]) -> None:
    one, other = f"{board.path}:claude-2", f"{board.path}:alpaca-7b"
    assert main(["compare", one, other, "--controls", str(board.path), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["promote"] is True
    assert found["lc_ci"][0] > 15
    assert found["head_to_head"] > 75
    assert main(["compare", other, one, "--controls", str(board.path)]) == 0
    assert "no: the length-controlled lead is -22.2 points" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["winrate", "--preferences", "ROWS", "--bootstrap", "10"], "needs 40 draws"),
        (["winrate", "--preferences", "ROWS", "--style", "italics"], "not italics"),
        (["winrate", "--preferences", "ROWS", "--style", "lists"], "does not count lists"),
        (["winrate", "--preferences", "ROWS", "--controls", "own"], "at least two runs"),
        (["winrate", "--preferences", "nothing.jsonl"], "there is no file nothing.jsonl"),
        (["compare", "ROWS", "ROWS", "--alpha", "1"], "between 0 and 1"),
    ],
)
def test_what_cannot_be_done_is_said(
    rows: Path, words: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(rows) if word == "ROWS" else word for word in words]) != 0
    assert told in capsys.readouterr().err
