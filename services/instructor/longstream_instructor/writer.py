"""One document to one instruction: draw the style, ask the model, clean the reply, accept or refuse it.

LongForm, arXiv 2304.08460, section 2. Stateless: the same document, task and engine give the same prompt and seed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from longstream.errors import InvalidInput
from longstream.ids import digest
from longstream.llm.types import Completion, LanguageModel, Sampling
from longstream.pipeline import Instruct
from longstream_instructor.prompts import (
    InstructionPrompt,
    Room,
    Style,
    prompt_for,
    prompt_revision,
    style_of,
)
from longstream_instructor.quality import Limits, assess, clean


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """An instruction or the reason why there is none, with everything that made it."""

    instruction: str
    refusal: str
    style: Style
    seed: int
    excerpted: bool
    completion: Completion


class Writer:
    """Writes instructions with one language model; may be called from many threads."""

    def __init__(self, model: LanguageModel, timeout_s: float) -> None:
        self._model = model
        self._timeout_s = timeout_s
        self.prompt_revision = prompt_revision()

    def write(
        self, document: str, document_id: str, task: Instruct, timeout_s: float | None = None
    ) -> Written:
        """Ask for one instruction. Raises InvalidInput for an empty document, else what the model raises."""
        style = style_of(task.seed, document_id, {Style(name): share for name, share in task.styles.items()})
        return self.write_as(style, document, document_id, task, timeout_s)

    def write_as(
        self, style: Style, document: str, document_id: str, task: Instruct, timeout_s: float | None = None
    ) -> Written:
        """The same in a given style."""
        limits = limits_from(task.limits)
        asked = self._ask(document, style, task.max_tokens)
        seed = int(digest("sample", task.seed, document_id)[:8], 16) >> 1
        sampling = Sampling(
            max_tokens=task.max_tokens,
            temperature=task.temperature,
            top_p=task.top_p,
            seed=seed,
            stop=("\n\n",),
        )
        limit_s = self._timeout_s if timeout_s is None else timeout_s
        completion = self._model.generate(asked.prompt, sampling, timeout_s=limit_s)
        instruction = clean(completion.text, completion.finish_reason)
        decision = assess(instruction, document, limits)
        return Written(
            instruction=instruction if decision.kept else "",
            refusal=decision.reason,
            style=style,
            seed=seed,
            excerpted=asked.excerpted,
            completion=completion,
        )

    def _ask(self, document: str, style: Style, reply_tokens: int) -> InstructionPrompt:
        room = Room(
            context_tokens=self._model.context_tokens,
            reply_tokens=reply_tokens,
            count_tokens=self._model.count_tokens,
        )
        return prompt_for(document, style, room)


def limits_from(overrides: Mapping[str, float]) -> Limits:
    """The acceptance limits with a pipeline's overrides. Raises InvalidInput for an unknown name."""
    known = {name: type(getattr(Limits(), name)) for name in Limits.__dataclass_fields__}
    unknown = sorted(set(overrides) - set(known))
    if unknown:
        raise InvalidInput(
            f"unknown limits {', '.join(unknown)}; known: {', '.join(known)}", field="instruct.limits"
        )
    return Limits(**{name: known[name](value) for name, value in overrides.items()})
