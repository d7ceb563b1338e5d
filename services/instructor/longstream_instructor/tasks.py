"""From a task to its row: an instruction where none came along, a refined answer where one is wanted.

The number of sentences or words that an instruction tells is counted on the answer that will be trained on, so it is
written last.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TypeVar

from pydantic import ValidationError

from longstream.errors import InvalidInput
from longstream.instructing import Instruct, Refine
from longstream.llm.types import EngineIdentity, LanguageModel
from longstream.selecting import Section
from longstream.v1.records_pb2 import Example, Refinement, Row, SelectedTask
from longstream_instructor.lengths import LengthInfo, length_info, told
from longstream_instructor.refining import REFINED, Answer, Refined, Refiner, refine_revision
from longstream_instructor.writer import Writer, Written

S = TypeVar("S", bound=Section)


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """What was done for an example: written where it came without an instruction, refined where that was asked."""

    written: Written | None
    refined: Refined | None
    refine: Refine | None
    info: LengthInfo | None

    def row(self, example: Example, identity: EngineIdentity) -> Row:
        """What was written and what made it; the ids are those of whoever asked, and come later."""
        row = Row(engine=identity.engine, model=identity.model, model_revision=identity.revision)
        if self.written is None:
            row.instruction = example.instruction
        else:
            _tell(row, self.written, self.info)
        if self.refined is not None and self.refine is not None:
            row.refinement.CopyFrom(refinement(self.refined, self.refine))
        return row


class TaskRunner:
    """Does tasks with one language model; may be called from many threads."""

    def __init__(self, model: LanguageModel, timeout_s: float) -> None:
        """timeout_s: of one generation."""
        self.writer = Writer(model, timeout_s)
        self.refiner = Refiner(model, timeout_s)

    def do(self, example: Example, instruct: Instruct, refine: Refine | None) -> Done:
        """Raises InvalidInput, or what the model raises."""
        written = None if example.instruction else self.writer.write(example.response, example.id, instruct)
        if written is not None and written.refusal:
            return Done(written=written, refined=None, refine=refine, info=None)
        asked = written.instruction if written is not None else example.instruction
        refined = None
        if refine is not None:
            answer = Answer(instruction=asked, input=example.input, response=example.response)
            refined = self.refiner.refine(answer, example.id, refine)
        target = example.response
        if refine is not None and refined is not None and refined.outcome == REFINED and refine.as_response:
            target = refined.text
        if written is None:
            return Done(written=None, refined=refined, refine=refine, info=None)
        written, info = with_length(written, target, example.id, instruct)
        return Done(written=written, refined=refined, refine=refine, info=info)


def with_length(
    written: Written, answer: str, example_id: str, instruct: Instruct
) -> tuple[Written, LengthInfo | None]:
    """The instruction with what it tells of its answer's length, if a draw says that it does."""
    if written.refusal:
        return written, None
    info = length_info(answer, example_id, written.language, instruct.lengths, instruct.seed)
    if info is None:
        return written, None
    return replace(written, instruction=told(written.instruction, info, written.language)), info


def refinement(refined: Refined, refine: Refine) -> Refinement:
    """What a row keeps of a refinement: all that stands between the two answers."""
    return Refinement(
        outcome=refined.outcome,
        text=refined.text,
        critique=refined.critique,
        prompt_revision=refine_revision(refine),
        seed=refined.seed,
        prompt_tokens=refined.prompt_tokens,
        completion_tokens=refined.completion_tokens,
        as_response=refine.as_response,
    )


def sections_of(task: SelectedTask) -> tuple[Instruct, Refine | None]:
    """The sections that the release was cut with; they travel with the task, as JSON. Raises InvalidInput."""
    instruct = section(Instruct, task.task, "the task is no instruct section of a pipeline file")
    if not task.refine:
        return instruct, None
    return instruct, section(Refine, task.refine, "the task's refine is no refine section of a pipeline file")


def section(kind: type[S], text: str, message: str, field: str = "") -> S:
    """A section from its JSON. Raises InvalidInput with that message."""
    try:
        return kind.model_validate_json(text)
    except ValidationError as error:
        wrong = ", ".join(sorted({".".join(map(str, one["loc"])) for one in error.errors()} - {""}))
        raise InvalidInput(f"{message}{f' ({wrong})' if wrong else ''}", field=field) from None


def _tell(row: Row, written: Written, info: LengthInfo | None) -> None:
    row.instruction, row.refusal, row.style = written.instruction, written.refusal, written.style.value
    row.prompt_revision, row.seed, row.excerpted = written.prompt_revision, written.seed, written.excerpted
    row.prompt_tokens, row.completion_tokens = written.prompt_tokens, written.completion_tokens
    row.language, row.score, row.tries = written.language, written.score, written.tries
    row.length_info = "" if info is None else str(info)
