"""What the contestants do in an evaluation: they answer the prompts, and say how likely held-out text is to them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

from longstream.errors import TooLarge
from longstream.llm.types import Completion, LanguageModel, Prompt, Score
from longstream.template import Template
from longstream_judge.asking import Asker, Lost
from longstream_judge.fitting import longest_fitting
from longstream_judge.heldout import HeldoutRow
from longstream_judge.spec import Answer, Contestant, EvaluationSpec, Example, Models

_SEAMS = 8  # tokens for BOS and for what encoding prompt and continuation in one piece may add


@dataclass(frozen=True, slots=True)
class Run:
    """What every stage needs."""

    spec: EvaluationSpec
    template: Template
    asker: Asker

    def prompt(self, example: Example) -> Prompt:
        """The example as contestants read it."""
        return self.template.render(example.instruction, example.input)


@dataclass(frozen=True, slots=True)
class Contest:
    """What one contestant did, in the order of prompts and of held-out examples."""

    answers: list[Answer]
    scores: list[Score | Lost]


@dataclass(frozen=True, slots=True)
class Scored:
    """Held-out rows that both contestants scored, and why others are missing."""

    rows: list[HeldoutRow]
    lost: dict[str, int]


def fitted(run: Run, models: Models) -> list[Example]:
    """The held-out examples, each response cut to what the contexts of both contestants hold."""
    contestants = [models.candidate.model]
    if models.champion.model is not models.candidate.model:
        contestants.append(models.champion.model)

    def room(example: Example, model: LanguageModel) -> int:
        return model.context_tokens - model.count_tokens(run.prompt(example).text) - _SEAMS

    def cut(example: Example) -> Example:
        rooms = [(model, room(example, model)) for model in contestants]
        response = longest_fitting(
            example.response, lambda text: all(model.count_tokens(text) <= tokens for model, tokens in rooms)
        )
        return replace(example, response=response)

    for model in contestants if run.spec.heldout else []:
        model.wait_ready(run.spec.patience.timeout_s)
    return [cut(example) for example in run.spec.heldout]


def contest(run: Run, name: str, contestant: Contestant, heldout: Sequence[Example]) -> Contest:
    """All that is asked of one contestant. name: of its stages."""
    model, adapter, timeout_s = contestant.model, contestant.adapter, run.spec.patience.timeout_s

    def score(example: Example) -> Score:
        if not example.response:
            raise TooLarge("the context has no room for a word of the response")
        return model.score(run.prompt(example), example.response, adapter=adapter, timeout_s=timeout_s)

    given = answers(run, f"{name}_answers", contestant, run.spec.prompts)
    return Contest(given, run.asker.ask_all(f"{name}_heldout", model, heldout, score))


def answers(run: Run, stage: str, contestant: Contestant, prompts: Sequence[Example]) -> list[Answer]:
    """Its answers to the prompts, in their order."""
    model, adapter, timeout_s = contestant.model, contestant.adapter, run.spec.patience.timeout_s

    def answer(example: Example) -> Completion:
        prompt = run.prompt(example)
        return model.generate(prompt, run.spec.sampling, adapter=adapter, timeout_s=timeout_s)

    return list(map(_answer, run.asker.ask_all(stage, model, prompts, answer)))


def paired(
    heldout: Sequence[Example], candidate: Sequence[Score | Lost], champion: Sequence[Score | Lost]
) -> Scored:
    """The examples that both scored."""
    rows: list[HeldoutRow] = []
    missing: Counter[str] = Counter()
    for example, mine, theirs in zip(heldout, candidate, champion, strict=True):
        if isinstance(mine, Lost) or isinstance(theirs, Lost):
            sides = {"candidate": mine, "champion": theirs}
            missing["_and_".join(f"{k}_{v.reason}" for k, v in sides.items() if isinstance(v, Lost))] += 1
        else:
            rows.append(
                HeldoutRow(
                    document_id=example.id,
                    document_bytes=len(example.response.encode()),
                    candidate_nats=mine.log_probability,
                    champion_nats=theirs.log_probability,
                )
            )
    return Scored(rows, dict(sorted(missing.items())))


def _answer(reply: Completion | Lost) -> Answer:
    if isinstance(reply, Lost):
        return Answer(failure=reply.reason)
    truncated = reply.finish_reason == "length"
    # JSON from an endpoint may hold halves of characters, which no file and no other engine takes.
    text = reply.text.encode(errors="replace").decode()
    return Answer(text=text, truncated=truncated, tokens=reply.completion_tokens)
