"""One answer criticised and written anew by a language model: the prompt, its reading, and what it cost.

The introspection of "Long Is More for Alignment" (arXiv 2402.04833): criticise, then rewrite, and keep the old answer
where that fails. Its published parser cut answers at any "End"; here the marks bear a hash of the answer, stand on
lines of their own, and a reply that is not exactly of the form is refused. Stateless: the same answer, settings and
engine give the same prompt and seed.
"""

from __future__ import annotations

import re
import time
from dataclasses import dataclass, replace

from longstream.errors import InvalidInput
from longstream.ids import digest
from longstream.instructing import Refine
from longstream.llm.types import LanguageModel, Part, Prompt, Sampling
from longstream_instructor.gates import GATES, GateLimits, judge
from longstream_instructor.overrides import overridden
from longstream_instructor.wording import INTROSPECTION, REFINING_OPENING, REWRITING

REFINED = "refined"
FORM_FAILURES = ("no_room", "over_budget", "truncated", "no_answer", "several_answers")
"""Why there is no new answer to look at: the prompt or the reply does not fit, or the reply is not of the form."""
OUTCOMES = (REFINED, *FORM_FAILURES, *GATES)

_SEAMS = 16  # tokens for BOS and for what encoding in one piece adds at the borders


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What is refined, and what it answers."""

    instruction: str
    response: str
    input: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Refined:
    """A new response, or the reason why there is none; the critique as the model wrote it."""

    outcome: str
    text: str = ""
    critique: str = ""
    seed: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0


class Refiner:
    """Refines answers with one language model; may be called from many threads."""

    def __init__(self, model: LanguageModel, timeout_s: float) -> None:
        """timeout_s: of one generation, where the caller has no deadline of its own."""
        self._model = model
        self._timeout_s = timeout_s

    def refine(self, answer: Answer, answer_id: str, task: Refine, timeout_s: float | None = None) -> Refined:
        """Try until a new answer passes, the tries are used up or the budget is spent.

        Raises InvalidInput for an answer without instruction or response, else what the model raises.
        """
        if not answer.instruction.strip() or not answer.response.strip():
            missing = "response" if answer.instruction.strip() else "instruction"
            raise InvalidInput(f"the {missing} is empty: there is nothing to refine", field=missing)
        limits = overridden(GateLimits(), task.limits, "refine.limits")
        prompt = refine_prompt(answer, task)
        prompt_tokens = self._model.count_tokens(prompt.text) + _SEAMS
        needed = self._model.count_tokens(answer.response) // 2
        ends_at = None if timeout_s is None else time.monotonic() + timeout_s
        spent = Refined(outcome="over_budget")
        for number in range(task.tries):
            left = task.budget_tokens - spent.prompt_tokens - spent.completion_tokens - prompt_tokens
            room = self._model.context_tokens - prompt_tokens
            if min(room, left, task.max_tokens) < max(needed, 1):
                # What was tried before says more than that there is no more to spend.
                return replace(spent, outcome="no_room" if room < max(needed, 1) else spent.outcome)
            seed = int(digest("refine", task.seed, answer_id, number)[:8], 16) >> 1
            sampling = Sampling(
                max_tokens=min(room, left, task.max_tokens),
                temperature=task.temperature,
                top_p=task.top_p,
                seed=seed,
            )
            limit_s = self._timeout_s if ends_at is None else max(0.0, ends_at - time.monotonic())
            done = self._model.generate(prompt, sampling, timeout_s=limit_s)
            read = parse_reply(done.text, answer.response, critique=task.method == "introspection")
            if done.finish_reason == "length":
                read = replace(read, outcome="truncated", text="")
            if read.outcome == REFINED:
                request = f"{answer.instruction}\n{answer.input}"
                decision = judge(read.text, answer.response, request, limits)
                read = read if decision.kept else replace(read, outcome=decision.reason, text="")
            spent = replace(
                read,
                seed=seed,
                prompt_tokens=spent.prompt_tokens + done.prompt_tokens,
                completion_tokens=spent.completion_tokens + done.completion_tokens,
            )
            if spent.outcome == REFINED or task.temperature == 0:
                return spent  # without a draw another try says the same again
        return spent


def refine_prompt(answer: Answer, task: Refine) -> Prompt:
    """Ask for a better answer. Request, input and answer are data, each between marks of the answer's hash."""
    mark = _mark(answer.response)
    request = INTROSPECTION if task.method == "introspection" else REWRITING
    sections = [("request", answer.instruction), ("input", answer.input), ("answer", answer.response)]
    parts = [Part(REFINING_OPENING.text)]
    for name, text in sections:
        if text:
            parts += [Part(f"[{name} {mark}]\n"), Part(text, data=True), Part(f"\n[end of {name} {mark}]\n")]
    return Prompt((*parts, Part("\n" + request.text.format(mark=mark))))


def refine_revision(task: Refine) -> str:
    """Name of the wording: changes whenever a prompt would."""
    request = INTROSPECTION if task.method == "introspection" else REWRITING
    return digest("refine prompt", REFINING_OPENING.hash, request.hash)[:16]


def parse_reply(reply: str, response: str, *, critique: bool) -> Refined:
    """The one new answer in a reply, between its two marks, each on a line of its own.

    critique: a critique comes first; else the prompt has already opened the answer. Words such as "End" inside the
    text cut nothing, as no mark is without the hash.
    """
    mark = re.escape(_mark(response))
    opened = re.compile(rf"^[ \t]*\[better answer {mark}\][ \t]*$", re.MULTILINE)
    closed = re.compile(rf"^[ \t]*\[end of better answer {mark}\][ \t]*$", re.MULTILINE)
    starts, ends = list(opened.finditer(reply)), list(closed.finditer(reply))
    if not critique and not starts:
        begin, found = 0, ""
    elif starts:
        begin, found = starts[0].end(), reply[: starts[0].start()].strip()
    else:
        return Refined(outcome="no_answer", critique=reply.strip() if critique else "")
    if len(starts) > 1 or len(ends) > 1:
        return Refined(outcome="several_answers", critique=found)
    if not ends or ends[0].start() < begin:
        return Refined(outcome="no_answer", critique=found)
    return Refined(outcome=REFINED, text=reply[begin : ends[0].start()].strip(), critique=found)


def _mark(response: str) -> str:
    return digest("answer", response)[:8]
