"""How many requests and tokens an evaluation can take, counted before its first one."""

from __future__ import annotations

from collections.abc import Sequence

from longstream.llm.types import LanguageModel
from longstream_judge.comparison import Pair, prompts_for
from longstream_judge.planning import SPREAD, Plan, detectable, look_sizes
from longstream_judge.spec import EvaluationSpec, Example, Models
from longstream_judge.ways import way_named


def plan(spec: EvaluationSpec, models: Models) -> Plan:
    """The most that the evaluation can ask for. Raises as LanguageModel.count_tokens does, InvalidInput for the way."""
    most, contestants = spec.sampling.max_tokens, (models.candidate.model, models.champion.model)
    anchored = anchored_prompts(spec, models)
    answered = [(model, spec.prompts) for model in contestants] + [(models.champion.model, anchored * 2)]
    tokens = sum(sum(_questions(model, asked)) + most * len(asked) for model, asked in answered)
    scored = [model.count_tokens(one.response) for model in contestants for one in spec.heldout]
    tokens += sum(scored) + sum(sum(_questions(model, spec.heldout)) for model in contestants)
    verdicts = 0
    for judge in models.judges:
        number, each = _verdicts(spec, judge, [*spec.prompts, *anchored * 2])
        verdicts, tokens = verdicts + number, tokens + each
    return Plan(
        prompts=len(spec.prompts),
        level=spec.level,
        looks=look_sizes(len(spec.prompts), spec.policy) if models.judges else (),
        detectable=detectable(len(spec.prompts), spec.level, spec.spread or SPREAD),
        answers=sum(len(asked) for _, asked in answered) + len(scored),
        verdicts=verdicts,
        tokens=tokens,
    )


def anchored_prompts(spec: EvaluationSpec, models: Models) -> list[Example]:
    """The prompts that the champion answers at length and briefly besides: none where no judge decides."""
    decides = models.judges and spec.policy.decide_by == "judge"
    return list(spec.prompts[: spec.anchors]) if decides else []


def _verdicts(spec: EvaluationSpec, judge: LanguageModel, prompts: Sequence[Example]) -> tuple[int, int]:
    """Requests to one judge, and their tokens."""
    way, most = way_named(spec.way), spec.sampling.max_tokens
    empty = Pair(id="", question="", candidate="", champion="", reference="-", rubric="-")
    frame = judge.count_tokens(prompts_for(empty)[0].text)
    questions = _questions(judge, prompts) + [judge.count_tokens(known.question) for known in spec.known]
    given = judge.count_tokens(spec.rubric)
    shown = [judge.count_tokens(one.response) for one in prompts] if spec.references else [0] * len(prompts)
    shown += [0] * len(spec.known)
    read = [
        frame + given + more + question + 2 * most for question, more in zip(questions, shown, strict=True)
    ]
    for canary in spec.canaries:
        pair = canary.pair
        texts = (pair.question, pair.candidate, pair.champion, pair.reference, pair.rubric)
        read.append(frame + judge.count_tokens("\n".join(texts)))
    requests = 2 * way.calls * len(read)
    return requests, 2 * way.calls * sum(read) + 2 * way.most_tokens * len(read)


def _questions(model: LanguageModel, examples: Sequence[Example]) -> list[int]:
    return [model.count_tokens(example.question) for example in examples]
