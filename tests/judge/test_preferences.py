"""What files of preferences hold is read as it is, and what they lack is said."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from longstream.errors import InvalidInput, NotFound
from longstream_judge.preferences import read_preferences

ROW: dict[str, Any] = {
    "instruction_id": "a",
    "preference": 0.75,
    "forward": 0.9,
    "swapped": 0.6,
    "candidate_characters": 10,
    "baseline_characters": 30,
    "judge": "j",
    "prompt_revision": "p",
}


def lines(path: Path, *rows: dict[str, Any]) -> str:
    path.write_text("".join(json.dumps({**ROW, **row}) + "\n" for row in rows) + "\n")
    return str(path)


def arrays(path: Path, **changes: Any) -> str:
    named: dict[str, Any] = {
        "y/m": np.array([0.1, 0.9]),
        "cand/m": np.array([5.0, 7.0]),
        "base/m": np.array([6.0, 6.0]),
        "row/m": np.array([2, 0]),
        "shown_first": np.array([1.0, 0.0, 0.0]),
        **changes,
    }
    np.savez(path, **{name: array for name, array in named.items() if array is not None})
    return f"{path}:m"


def test_lines_are_rows_and_those_without_a_verdict_are_counted(tmp_path: Path) -> None:
    style = {
        f"{side}_{mark}": 1 for side in ("candidate", "baseline") for mark in ("headers", "lists", "bold")
    }
    named = lines(
        tmp_path / "v.jsonl",
        style,
        {"instruction_id": "b", "preference": 0.5, "forward": None, "swapped": None, **style},
        {"instruction_id": "c", "preference": None, "failure": "judge_too_large"},
    )
    found = read_preferences(named)
    assert found.ids == ("a", "b")
    assert found.preferences.tolist() == [0.75, 0.5]
    assert found.differences.tolist() == [20, 20]
    assert found.forward is not None
    assert np.isnan(found.forward).tolist() == [False, True]
    assert set(found.style) == {"headers", "lists", "bold"}
    assert found.lost == {"judge_too_large": 1}
    assert found.judges == ("j/p",)


def test_marks_that_some_rows_do_not_count_are_not_there(tmp_path: Path) -> None:
    named = lines(tmp_path / "v.jsonl", {"candidate_bold": 1, "baseline_bold": 2}, {"instruction_id": "b"})
    assert read_preferences(named).style == {}


def test_arrays_are_joined_by_instruction(tmp_path: Path) -> None:
    found = read_preferences(arrays(tmp_path / "a.npz"))
    assert found.ids == ("2", "0")
    assert found.shown_first is not None
    assert found.shown_first.tolist() == [0.0, 1.0]
    assert found.chosen(("0",)).preferences.tolist() == [0.9]


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ({"preference": 1.5}, "between 0 and 1"),
        ({"preference": "high"}, "needs numbers"),
        ({"preference": True}, "needs numbers"),
        ({"candidate_characters": None}, "needs numbers"),
        ({"candidate_characters": -1}, "numbers of characters"),
        ({"preference": float("nan")}, "between 0 and 1"),
    ],
)
def test_a_row_that_says_nothing_of_use_is_refused(tmp_path: Path, row: dict[str, Any], words: str) -> None:
    with pytest.raises(InvalidInput, match=words):
        read_preferences(lines(tmp_path / "v.jsonl", row))


def test_an_instruction_that_comes_twice_is_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="instruction a comes twice"):
        read_preferences(lines(tmp_path / "v.jsonl", {}, {}))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"{", "v.jsonl:1 is not JSON"),
        (b"[]", "must be an object"),
        (b'{"preference": 1}', "must be an object with instruction_id"),
        (b"\xff", "no UTF-8"),
        (b"", "no row with a verdict"),
        (b"[" * 100_000, "is not JSON"),
    ],
)
def test_a_file_of_something_else_is_refused(tmp_path: Path, content: bytes, words: str) -> None:
    (tmp_path / "v.jsonl").write_bytes(content)
    with pytest.raises(InvalidInput, match=words):
        read_preferences(str(tmp_path / "v.jsonl"))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"y/m": None}, "holds no y/m"),
        ({"cand/m": np.array([1.0])}, "of one length"),
        ({"row/m": np.array([2, 9])}, "shown_first does not have"),
        ({"y/m": np.array([0.1, np.inf])}, "between 0 and 1"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(tmp_path: Path, changes: dict[str, Any], words: str) -> None:
    with pytest.raises(InvalidInput, match=words):
        read_preferences(arrays(tmp_path / "a.npz", **changes))


def test_arrays_of_objects_run_nothing(tmp_path: Path) -> None:
    class Harm:
        def __reduce__(self) -> tuple[Any, ...]:
            return (Path.touch, (tmp_path / "harm",))

    named = arrays(tmp_path / "a.npz", **{"y/m": np.array([Harm(), Harm()], dtype=object)})
    with pytest.raises(InvalidInput, match="no file of arrays"):
        read_preferences(named)
    assert not (tmp_path / "harm").exists()


def test_which_models_there_are_is_said_where_none_is_named(tmp_path: Path) -> None:
    arrays(tmp_path / "a.npz")
    with pytest.raises(InvalidInput, match="holds m; name one"):
        read_preferences(str(tmp_path / "a.npz"))
    with pytest.raises(NotFound):
        read_preferences(str(tmp_path / "b.npz:m"))
    with pytest.raises(NotFound):
        read_preferences(str(tmp_path / "b.jsonl"))
    (tmp_path / "c.npz").write_bytes(b"PK")
    with pytest.raises(InvalidInput, match="no file of arrays"):
        read_preferences(str(tmp_path / "c.npz:m"))
