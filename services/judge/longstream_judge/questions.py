"""Prompts and answers of files, in the forms that test sets and other tools have them.

Known are AlpacaEval (`instruction`, `output`), MT-Bench (`question_id`, `turns`, of which those after the first follow
in the same conversation), LIMA (`conversations`, of which the first is the prompt), Self-Instruct (`instances`, whose
first input is joined to the instruction), WizardLM (`Instruction`), Koala (`prompt`), Vicuna (`text`) and our own
(`id`, `instruction`, `input`).
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from longstream.errors import InvalidInput, NotFound
from longstream.ids import digest
from longstream_judge.spec import Example
from longstream_judge.turns import said

_NAMES = ("id", "instruction_id", "question_id", "idx")
_TEXTS = ("instruction", "Instruction", "prompt", "text", "question")
_ANSWERS = ("output", "response", "answer")


@dataclass(frozen=True, slots=True)
class Questions:
    """Prompts in the order of their files. repeated: those left out because the same text came before, by file."""

    examples: tuple[Example, ...]
    repeated: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Answers:
    """One model's answers. name: the generator that they name, else the file's. bits: what it needs for the prompts'
    own answers, by text, else by id, where it was asked. family: the model's, where every answer tells it.
    """

    name: str
    by_id: Mapping[str, str]
    by_text: Mapping[str, str]
    bits: Mapping[str, float] = field(default_factory=dict)
    family: str = ""

    def beside(self, example: Example) -> str | None:
        """The answer by the prompt's text, where ids may be those of another file; else as `to`."""
        found = self.by_text.get(_bare(example.question))
        return self.to(example) if found is None else found

    def bits_of(self, example: Example) -> float | None:
        """What the model needs for the prompt's own answer, found in the same way."""
        return self.bits.get(_bare(example.question), self.bits.get(example.id))

    def to(self, example: Example) -> str | None:
        """The answer to a prompt: by its id, else by its text; None if there is none."""
        plain = example.id.rpartition("/")[2]
        for name in (example.id, plain):
            if name in self.by_id:
                return self.by_id[name]
        return self.by_text.get(_bare(example.question))


def read_questions(paths: Sequence[Path], *, keep_repeated: bool = False) -> Questions:
    """Prompts of files, each text once. Of several files an id is FILE/ID. Raises NotFound, InvalidInput."""
    found: list[Example] = []
    seen: set[str] = set()
    repeated: Counter[str] = Counter()
    for path in paths:
        for number, row in json_rows(path):
            example = _example(path, number, row)
            if len(paths) > 1:
                example = replace(example, id=f"{path.stem}/{example.id}")
            text = _bare(example.question)
            if text in seen and not keep_repeated:
                repeated[path.name] += 1
                continue
            seen.add(text)
            found.append(example)
    ids = Counter(example.id for example in found)
    if ids and (most := ids.most_common(1)[0])[1] > 1:
        raise InvalidInput(f"the prompts have the id {most[0]} twice; give each its own")
    if not found:
        raise InvalidInput(f"{', '.join(map(str, paths))} hold no prompt")
    return Questions(tuple(found), dict(repeated))


def with_references(examples: Sequence[Example], paths: Sequence[Path], turn: int = 1) -> tuple[Example, ...]:
    """The prompts of those files with the answers that stand beside them. Raises InvalidInput, where one has none."""
    answered = [read_answers(path, turn) for path in paths]

    def reference(example: Example) -> str:
        return next((text for one in answered if (text := one.beside(example)) is not None), "")

    return tuple(replace(example, response=reference(example)) for example in examples)


def read_answers(path: Path, turn: int = 1) -> Answers:
    """One model's answers of a file, up to that turn of a conversation; who has fewer has none.

    Raises NotFound, InvalidInput, which names a prompt that is answered twice.
    """
    by_id: dict[str, str] = {}
    by_text: dict[str, str] = {}
    bits: dict[str, float] = {}
    names: Counter[str] = Counter()
    families: set[str] = set()
    for number, row in json_rows(path):
        if row.get("failure"):
            continue  # no answer, as `longstream answer` says
        if row.get("generator"):
            names[str(row["generator"])] += 1
        families.add(str(row.get("family") or ""))
        text = said(_outputs(path, number, row), turn)
        if text is None:
            continue
        name = _id(row)
        question = _question(row)
        if name is None and not question:
            raise InvalidInput(f"{path}:{number} says neither by id nor by instruction what it answers")
        for key, table in ((name, by_id), (_bare(question), by_text)):
            if key and table.setdefault(key, text) != text:
                raise InvalidInput(f"{path}:{number} answers {key[:80]!r} a second time, otherwise")
        if isinstance(row.get("reference_bits"), int | float):
            bits[_bare(question) or str(name)] = float(row["reference_bits"])
    family = families.pop() if len(families) == 1 else ""
    return Answers(names.most_common(1)[0][0] if names else path.stem, by_id, by_text, bits, family)


def json_rows(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Objects of JSON lines or of one JSON list, with their numbers. Raises NotFound, InvalidInput."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise NotFound(f"there is no file {path}") from None
    except UnicodeDecodeError as error:
        raise InvalidInput(f"{path} is no UTF-8 text: {error}") from error
    if text.lstrip().startswith("["):
        lines: Iterator[tuple[int, Any]] = enumerate(_json(path, 1, text), start=1)
    else:
        told = ((number, line) for number, line in enumerate(text.split("\n"), start=1) if line.strip())
        lines = ((number, _json(path, number, line)) for number, line in told)
    for number, row in lines:
        if not isinstance(row, dict):
            raise InvalidInput(f"{path}:{number} must be a JSON object")
        yield number, row


def _json(path: Path, number: int, text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InvalidInput(f"{path}:{number} is not JSON: {error}") from error


def _example(path: Path, number: int, row: Mapping[str, Any]) -> Example:
    told, given = _parts(row)
    example = Example(id="", instruction=told, input=given)
    if not example.question.strip():
        raise InvalidInput(
            f"{path}:{number} has no prompt: none of {', '.join(_TEXTS)}, turns, conversations is a text"
        )
    return replace(
        example, id=_id(row) or digest("prompt", example.question)[:16], later=_later(path, number, row)
    )


def _id(row: Mapping[str, Any]) -> str | None:
    for name in _NAMES:
        value = row.get(name)
        if isinstance(value, str | int) and not isinstance(value, bool) and str(value):
            return str(value)
    return None


def _question(row: Mapping[str, Any]) -> str:
    """The prompt's text; "" where the row has none."""
    told, given = _parts(row)
    return Example(id="", instruction=told, input=given).question


def _parts(row: Mapping[str, Any]) -> tuple[str, str]:
    """The prompt's instruction and input, as a template takes them; "" for what the row has not."""
    for name in ("conversations", "turns"):
        turns = row.get(name)
        if isinstance(turns, list) and turns and isinstance(turns[0], str):
            return turns[0], ""
    told = next((row[name] for name in _TEXTS if isinstance(row.get(name), str)), "")
    given = row.get("input")
    instances = row.get("instances")
    if isinstance(instances, list) and instances and isinstance(instances[0], dict):
        given = instances[0].get("input")
    return told, given if isinstance(given, str) else ""


def _later(path: Path, number: int, row: Mapping[str, Any]) -> tuple[str, ...]:
    """Requests after the first. LIMA's conversations are an answer and a request by turns, and stay one request."""
    turns = row.get("turns")
    if not isinstance(turns, list):
        return ()
    if not all(isinstance(turn, str) and turn.strip() for turn in turns):
        raise InvalidInput(f"{path}:{number} has a turn that is no text")
    return tuple(turns[1:])


def _outputs(path: Path, number: int, row: Mapping[str, Any]) -> Sequence[str]:
    """The answers to all turns."""
    choices = row.get("choices")
    first = choices[0] if isinstance(choices, list) and choices and isinstance(choices[0], dict) else {}
    for turns in (first.get("turns"), row.get("outputs")):
        if isinstance(turns, list) and turns and all(isinstance(turn, str) for turn in turns):
            return turns
    for name in _ANSWERS:
        if isinstance(row.get(name), str):
            return [str(row[name])]
    raise InvalidInput(f"{path}:{number} has no answer: none of {', '.join(_ANSWERS)} is a text")


def _bare(text: str) -> str:
    return text.strip()
