"""Preferences of a panel's files together, and of two logs of an objective test."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from longstream.cli import main
from longstream.errors import InvalidInput
from longstream_judge.gathering import gathered


def write(path: Path, rows: list[dict[str, Any]]) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def verdict(name: str, preference: float | None, **more: Any) -> dict[str, Any]:
    row = {
        "instruction_id": name,
        "preference": preference,
        "candidate_characters": 9,
        "baseline_characters": 4,
    }
    return {**row, "judge": "j", "prompt_revision": "1", **more}


def test_a_panels_files_count_as_their_mean_over_those_that_have_a_verdict(tmp_path: Path) -> None:
    one = write(
        tmp_path / "one.jsonl",
        [
            verdict("a", 0.8, forward=0.9, swapped=0.7),
            verdict("b", 0.4, forward=0.4, swapped=0.4),
            verdict("c", None, failure="unread"),
            verdict("d", None, failure="unread"),
        ],
    )
    other = write(
        tmp_path / "other.jsonl",
        [
            verdict("b", 0.6, forward=0.8, swapped=0.4, judge="k"),
            verdict("a", 0.5),
            verdict("c", 0.1, forward=0.1, swapped=0.1),
            verdict("d", None, failure="unread"),
        ],
    )
    both = gathered(f"{one}+{other}")
    assert dict(zip(both.ids, both.preferences.tolist(), strict=True)) == pytest.approx(
        {"a": 0.65, "b": 0.5, "c": 0.1}
    )
    assert both.forward is not None
    assert both.forward.tolist() == pytest.approx([0.9, 0.6, 0.1])
    assert (both.lost, both.judges) == ({"no_judge": 1}, ("j/1", "k/1"))
    assert gathered(one).ids == ("a", "b")


def test_judges_that_saw_different_answers_are_no_panel(tmp_path: Path) -> None:
    one = write(tmp_path / "one.jsonl", [verdict("a", 0.8)])
    other = write(tmp_path / "other.jsonl", [verdict("a", 0.8, candidate_characters=99)])
    with pytest.raises(InvalidInput, match="saw different answers to instruction a"):
        gathered(f"{one}+{other}")


def sample(number: int, right: float, **more: Any) -> dict[str, Any]:
    row = {
        "doc_id": number,
        "doc": {"q": 1},
        "target": "x",
        "filtered_resps": ["so long"],
        "metrics": ["acc"],
    }
    return {**row, "acc": right, **more}


def test_two_logs_of_an_objective_task_are_paired_by_their_samples(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ours = write(tmp_path / "ours.jsonl", [sample(n, float(n % 4 != 0)) for n in range(80)])
    theirs = write(tmp_path / "theirs.jsonl", [sample(n, float(n % 2)) for n in range(2, 82)])
    found = gathered(f"lm-eval:{ours},{theirs}")
    assert found.lost == {"not_in_theirs": 2, "not_in_ours": 2}
    assert set(found.preferences.tolist()) == {0.5, 1.0}
    assert found.preferences.mean() == pytest.approx(0.5 + 0.5 * np.mean([n % 4 == 2 for n in range(2, 80)]))
    assert found.candidate_characters.tolist() == [7.0] * 78
    assert (
        main(["winrate", "--preferences", f"lm-eval:{ours},{theirs},acc", "--bootstrap", "0", "--json"]) == 0
    )
    told = json.loads(capsys.readouterr().out)
    assert (told["n"], told["judges"]) == (78, ["lm-eval acc"])


@pytest.mark.parametrize(
    ("rows", "metric", "said"),
    [
        ([{"question": "x"}], "", "neither doc_hash nor doc_id"),
        ([sample(1, 1.0), sample(1, 0.0)], "", "comes twice"),
        ([sample(1, 1.0, metrics=["acc", "f1"], f1=0.5)], "", "has the metrics acc, f1; name one"),
        ([sample(1, 3.0)], "", "has no acc between 0 and 1"),
        ([sample(1, 1.0)], ",bleu", "has no bleu between"),
        ([sample(99, 1.0)], "", "no sample in common"),
    ],
)
def test_a_log_that_cannot_be_paired_says_why(
    tmp_path: Path, rows: list[dict[str, Any]], metric: str, said: str
) -> None:
    ours = write(tmp_path / "ours.jsonl", rows)
    theirs = write(tmp_path / "theirs.jsonl", [sample(1, 1.0, metrics=["acc", "f1"], f1=1.0)])
    with pytest.raises(InvalidInput, match=said):
        gathered(f"lm-eval:{ours},{theirs}{metric}")


def test_a_leaderboard_of_files_is_written_as_table_and_page(tmp_path: Path) -> None:
    names = []
    for model, mean in (("weak", 0.3), ("strong", 0.7)):
        rows = [
            verdict(str(n), min(max(mean + (n % 5 - 2) / 10, 0), 1), candidate_characters=50 + n % 7)
            for n in range(60)
        ]
        names.append(write(tmp_path / f"{model}.jsonl", rows))
    table, page = tmp_path / "board.csv", tmp_path / "board.html"
    assert (
        main(
            [
                "winrate",
                "--preferences",
                *names,
                "--bootstrap",
                "40",
                "--csv",
                str(table),
                "--html",
                str(page),
            ]
        )
        == 0
    )
    lines = table.read_text().splitlines()
    assert [line.split(",")[0] for line in lines] == ["model", "strong.jsonl", "weak.jsonl"]
    assert page.read_text().count("<svg") == 2
