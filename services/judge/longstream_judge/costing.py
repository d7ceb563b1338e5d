"""How many requests and tokens an evaluation can take, counted before its first one."""

from __future__ import annotations

from longstream.llm.types import LanguageModel
from longstream_judge.comparison import Pair, prompts_for
from longstream_judge.planning import SPREAD, Plan, detectable, look_sizes
from longstream_judge.spec import EvaluationSpec, Example, Models
from longstream_judge.ways import way_named


def plan(spec: EvaluationSpec, models: Models) -> Plan:
    """The most that the evaluation can ask for. Raises as LanguageModel.count_tokens does, InvalidInput for the way."""
    anchors = len(anchored_prompts(spec, models))
    candidate, champion = models.candidate.model, models.champion.model
    mine = _Counts(spec, candidate)
    theirs = mine if champion is candidate else _Counts(spec, champion)
    tokens = mine.contest(spec) + theirs.contest(spec) + 2 * theirs.answers(spec, anchors)
    verdicts = 0
    for judge in models.judges:
        counts = {id(candidate): mine, id(champion): theirs}.get(id(judge)) or _Counts(spec, judge)
        number, each = _verdicts(spec, judge, counts, anchors)
        verdicts, tokens = verdicts + number, tokens + each
    return Plan(
        prompts=len(spec.prompts),
        level=spec.level,
        looks=look_sizes(len(spec.prompts), spec.policy) if models.judges else (),
        detectable=detectable(len(spec.prompts), spec.level, spec.spread or SPREAD),
        answers=2 * (len(spec.prompts) + anchors + len(spec.heldout)),
        verdicts=verdicts,
        tokens=tokens,
    )


def anchored_prompts(spec: EvaluationSpec, models: Models) -> list[Example]:
    """The prompts that the champion answers at length and briefly besides: none where no judge decides."""
    decides = models.judges and spec.policy.decide_by == "judge"
    return list(spec.prompts[: spec.anchors]) if decides else []


class _Counts:
    """Tokens of prompts and held-out rows by one model's tokenizer, each text counted once."""

    def __init__(self, spec: EvaluationSpec, model: LanguageModel) -> None:
        self.questions = [model.count_tokens(one.question) for one in spec.prompts]
        self._heldout = sum(
            model.count_tokens(one.question) + model.count_tokens(one.response) for one in spec.heldout
        )

    def answers(self, spec: EvaluationSpec, count: int) -> int:
        """Of answers to so many of the prompts, the first ones."""
        return sum(self.questions[:count]) + count * spec.sampling.max_tokens

    def contest(self, spec: EvaluationSpec) -> int:
        """Of all answers and of the held-out rows, which are read."""
        return self.answers(spec, len(self.questions)) + self._heldout


def _verdicts(spec: EvaluationSpec, judge: LanguageModel, counts: _Counts, anchors: int) -> tuple[int, int]:
    """Requests to one judge, and their tokens."""
    way, answers = way_named(spec.way), 2 * spec.sampling.max_tokens
    empty = Pair(id="", question="", candidate="", champion="", reference="-", rubric=spec.rubric)
    frame = judge.count_tokens(prompts_for(empty)[0].text)
    shown = counts.questions
    if spec.references:
        references = [judge.count_tokens(one.response) for one in spec.prompts]
        shown = [sum(each) for each in zip(shown, references, strict=True)]
    known = [judge.count_tokens(one.question) for one in spec.known]
    read = [frame + answers + tokens for tokens in (*shown, *shown[:anchors] * 2, *known)]
    for canary in spec.canaries:
        pair = canary.pair
        texts = (pair.question, pair.candidate, pair.champion, pair.reference, pair.rubric)
        read.append(frame + judge.count_tokens("\n".join(texts)))
    return 2 * way.calls * len(read), 2 * (way.calls * sum(read) + way.most_tokens * len(read))
