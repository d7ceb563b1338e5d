"""Answers and verdicts as AlpacaEval and MT-Bench (FastChat) have them, for tools that go on from there."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TextIO

from longstream.ids import digest

FORMATS = ("longstream", "alpaca-eval", "mt-bench")
Row = Mapping[str, Any]


def answer_row(form: str, row: Row) -> Row:
    """An answer. row: id, instruction, output, generator and whatever else our own form has."""
    if form == "alpaca-eval":
        return {
            "instruction": row["instruction"],
            "output": row["output"],
            "generator": row["generator"],
            "dataset": row.get("dataset", "longstream"),
        }
    if form == "mt-bench":
        return {
            "question_id": _number(row["id"]),
            "answer_id": digest("answer", str(row["id"]), row["generator"])[:22],
            "model_id": row["generator"],
            "choices": [{"index": 0, "turns": row.get("outputs", [row["output"]])}],
        }
    return row


def verdict_row(form: str, row: Row, answers: tuple[str, str]) -> Row:
    """A verdict. row: in our own form. answers: the candidate's and the baseline's."""
    if form == "alpaca-eval":
        preference = row["preference"]
        return {
            "instruction": row["instruction"],
            "output_1": answers[1],
            "generator_1": row["baseline"],
            "output_2": answers[0],
            "generator_2": row["candidate"],
            "annotator": f"{row['judge']}/{row['prompt_revision']}",
            "preference": None if preference is None else 1.0 + preference,
        }
    if form == "mt-bench":
        return {
            "question_id": _number(row["instruction_id"]),
            "model_1": row["candidate"],
            "model_2": row["baseline"],
            "g1_winner": _winner(row["forward"], row["preference"]),
            "g2_winner": _winner(row["swapped"], row["preference"]),
            "judge": [row["judge"], row["prompt_revision"]],
            "turn": row["turn"],
        }
    return row


@contextmanager
def written(form: str, output: TextIO) -> Iterator[Callable[[Row], None]]:
    """Writes rows: AlpacaEval's as one JSON list, the others' a line each."""
    first = True

    def line(row: Row) -> None:
        nonlocal first
        text = json.dumps(row, ensure_ascii=False)
        if form == "alpaca-eval":
            output.write(("[\n" if first else ",\n") + text)
        else:
            output.write(text + "\n")
        first = False

    yield line
    if form == "alpaca-eval":
        output.write("[]\n" if first else "\n]\n")


def _winner(preference: float | None, both: float | None) -> str:
    """Of one order; a pair that nobody was shown has one verdict for both."""
    said = both if preference is None else preference
    if said is None:
        return "error"
    return "tie" if said == 0.5 else "model_1" if said > 0.5 else "model_2"


def _number(name: object) -> object:
    """MT-Bench's ids are numbers; another tool's id stays what it is."""
    return int(name) if isinstance(name, str) and name.isdecimal() else name
