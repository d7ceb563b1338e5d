"""One model's answers to prompts of files: what `longstream answer` and `longstream evaluate` let a model write."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from longstream.commands.engine import steadily
from longstream.commands.together import in_order
from longstream.errors import InvalidInput, SuiteError
from longstream.llm.types import Adapter, Completion, LanguageModel, Sampling
from longstream.template import Template
from longstream_judge.spec import Example

_TOKENS = ("prompt_tokens", "completion_tokens")


@dataclass(frozen=True, slots=True, kw_only=True)
class Writing:
    """How a model is asked. references: whether it is asked, too, how likely a person's answer is to it."""

    generator: str
    template: Template
    sampling: Sampling
    adapter: Adapter | None = None
    references: bool = False
    timeout_s: float = 300.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """A line of the output. failure: why there is no answer, as a reason."""

    example: Example
    row: dict[str, Any]
    tokens: int = 0
    failure: str = ""


def write(
    model: LanguageModel, examples: Sequence[Example], how: Writing, in_flight: int
) -> Iterator[Written]:
    """Answers in the order of the prompts. Raises InvalidInput where the model itself is wrong."""
    for _, written in in_order(examples, partial(_written, model, how), in_flight):
        yield written


def _written(model: LanguageModel, how: Writing, example: Example) -> Written:
    row: dict[str, Any] = {
        "id": example.id,
        "instruction": example.question,
        "output": "",
        "generator": how.generator,
        "family": model.identity.family,
    }
    try:
        turns = _conversation(model, how, example)
        cut = any(turn.finish_reason == "length" for turn in turns)
        row |= {"output": turns[0].text, "finish_reason": "length" if cut else "stop"}
        row |= {name: sum(getattr(turn, name) for turn in turns) for name in _TOKENS}
        if example.later:
            row["outputs"] = [turn.text for turn in turns]
        if how.references and example.response:
            row["reference_bits"] = steadily(model, partial(_bits, model, how, example))
    except SuiteError as error:
        if isinstance(error, InvalidInput) and error.field in {"model", "adapter"}:
            raise
        return Written(example=example, row={**row, "failure": error.reason}, failure=error.reason)
    return Written(example=example, row=row, tokens=row["completion_tokens"])


def _conversation(model: LanguageModel, how: Writing, example: Example) -> list[Completion]:
    """The answer to each request, every one after those before it and their answers."""
    past: list[tuple[str, str]] = []
    turns: list[Completion] = []
    for request in (example.instruction, *example.later):  # what has several turns has no input
        prompt = how.template.converse(past, request, example.input)
        asked = partial(model.generate, prompt, how.sampling, adapter=how.adapter, timeout_s=how.timeout_s)
        turns.append(steadily(model, asked))
        past.append((request, turns[-1].text))
    return turns


def _bits(model: LanguageModel, how: Writing, example: Example) -> float:
    prompt = how.template.render(example.instruction, example.input)
    score = model.score(prompt, example.response, adapter=how.adapter, timeout_s=how.timeout_s)
    return -score.log_probability / math.log(2)
