"""Prompts and answers are read as their publishers write them, and joined by id or by text."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from longstream.errors import InvalidInput, NotFound
from longstream_judge.questions import read_answers, read_questions
from longstream_judge.spec import Example
from longstream_judge.style import marks
from tests.judge.conftest import Board


def lines(path: Path, *rows: Any) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("row", "name", "text"),
    [
        ({"id": "koala_0", "prompt": "List films."}, "koala_0", "List films."),
        ({"question_id": 7, "text": "How?"}, "7", "How?"),
        ({"idx": 3, "Instruction": "Sum."}, "3", "Sum."),
        ({"id": "l", "conversations": ["First.", "Then."]}, "l", "First."),
        ({"question_id": 81, "turns": ["One?", "Two?"]}, "81", "One?"),
        ({"id": "s", "instruction": "Rewrite.", "instances": [{"input": "This."}]}, "s", "Rewrite.\n\nThis."),
        ({"id": "s", "instruction": "Write.", "instances": [{"input": " "}]}, "s", "Write."),
        ({"instruction_id": "a", "instruction": "Do.", "input": "It."}, "a", "Do.\n\nIt."),
    ],
)
def test_each_form_of_a_prompt(tmp_path: Path, row: dict[str, Any], name: str, text: str) -> None:
    (found,) = read_questions([lines(tmp_path / "p.jsonl", row)]).examples
    assert (found.id, found.question) == (name, text)


def test_the_five_test_sets_have_988_texts_among_1030(board: Board) -> None:
    folder = board.path.parents[1] / "eval_prompts"
    counts = {"koala": 180, "lima": 300, "sinstruct": 252, "vicuna": 80, "wizardlm": 218}
    paths = [next(folder.glob(f"{name}*")) for name in counts]
    for path, count in zip(paths, counts.values(), strict=True):
        assert len(read_questions([path], keep_repeated=True).examples) == count
    whole = read_questions(paths)
    assert len(whole.examples) == 988
    assert sum(whole.repeated.values()) == 1030 - 988
    assert len({example.id for example in whole.examples}) == 988
    assert not any(
        example.question.startswith(("[", "{")) for example in whole.examples if "lima" in example.id
    )


def test_answers_are_found_by_id_or_by_text(tmp_path: Path) -> None:
    alpaca = tmp_path / "a.json"
    alpaca.write_text(json.dumps([{"instruction": "Do.", "output": "Done.", "generator": "m"}]))
    bench = lines(tmp_path / "b.jsonl", {"question_id": 81, "choices": [{"turns": ["Answer.", "More."]}]})
    by_text, by_id = read_answers(alpaca), read_answers(bench)
    assert (by_text.name, by_id.name) == ("m", "b")
    assert by_text.to(Example(id="x", instruction=" Do. ")) == "Done."
    assert (
        by_id.to(Example(id="81", instruction="?"))
        == by_id.to(Example(id="bench/81", instruction="?"))
        == "Answer."
    )
    assert by_id.to(Example(id="82", instruction="?")) is None


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ('{"id": "a"}', "has no prompt"),
        ('{"id": "a", "prompt": "  "}', "has no prompt"),
        ("[1]", "must be a JSON object"),
        ('{"prompt": ', "is not JSON"),
        ("", "hold no prompt"),
        ('{"id": 1, "prompt": "a"}\n{"id": 1, "prompt": "b"}', "the id 1 twice"),
    ],
)
def test_prompts_that_are_none_are_refused(tmp_path: Path, content: str, words: str) -> None:
    (tmp_path / "p.jsonl").write_text(content)
    with pytest.raises(InvalidInput, match=words):
        read_questions([tmp_path / "p.jsonl"])
    with pytest.raises(NotFound):
        read_questions([tmp_path / "none.jsonl"])


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ([{"id": "a"}], "has no answer"),
        ([{"output": "x"}], "neither by id nor by instruction"),
        ([{"id": "a", "output": "x"}, {"id": "a", "output": "y"}], "a second time"),
    ],
)
def test_answers_that_are_none_are_refused(tmp_path: Path, rows: list[Any], words: str) -> None:
    with pytest.raises(InvalidInput, match=words):
        read_answers(lines(tmp_path / "a.jsonl", *rows))


def test_marks_of_style_are_counted() -> None:
    text = "# Title\n\n- one\n2. two\n\n**bold** and __too__, not #this or 3.5\n"
    assert marks(text) == {"headers": 1, "lists": 2, "bold": 2}
    assert marks("") == {"headers": 0, "lists": 0, "bold": 0}
