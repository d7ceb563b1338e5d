"""One evaluation from prompts to verdict: answers, held-out scores, calibration, comparisons, gate.

A plain function over language models, so that service, command line and tests run the same thing. Candidate
and champion are asked in turn, each for all it is needed for, so that a caller with memory for one model only
may load them one after the other.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from threading import Event

from longstream.errors import TooLarge
from longstream.llm.types import Completion, EngineIdentity, LanguageModel, Prompt, Score
from longstream.template import Template, template_named
from longstream_judge.asking import Asker, Lost, Progress
from longstream_judge.calibration import calibrate, known_pairs
from longstream_judge.comparison import LABELS, TIE, Comparison, Pair, lost, prompts_for, verdict
from longstream_judge.fitting import longest_fitting
from longstream_judge.gate import Evidence, decide
from longstream_judge.guards import findings
from longstream_judge.heldout import HeldoutRow, heldout_change
from longstream_judge.spec import (
    Answer,
    CalibratedRow,
    ComparedRow,
    Contestant,
    EvaluationResult,
    EvaluationSpec,
    Example,
    Models,
)
from longstream_judge.winrate import Row, WinRate, win_rate

ASKINGS = ("Answer at length and in every detail.", "Answer as briefly as you can.")
"""What makes the champion's answers longer and shorter than it would have them, for anchors."""
_SEAMS = 8  # tokens for BOS and for what encoding prompt and continuation in one piece may add


def evaluate(
    spec: EvaluationSpec, models: Models, progress: Progress, stop: Event | None = None
) -> EvaluationResult:
    """Run one evaluation to its verdict.

    Rows that a model refuses or fails at are lost with a reason and never stop the rest. Raises Cancelled
    when stop is set, Unavailable if an engine does not come back, InvalidInput for an unknown template.
    """
    run = _Run(spec, template_named(spec.template), Asker(spec.patience, progress, stop or Event()))
    heldout = _fitted(run, models)
    candidate = _contest(run, "candidate", models.candidate, heldout)
    champion = _contest(run, "champion", models.champion, heldout)
    scored = _paired(heldout, candidate.scores, champion.scores)
    anchored = _anchored(spec, models)
    other = _answers(run, "champion_anchors", models.champion, _asked(anchored))
    judged = _Judged()
    if models.judge is not None:
        calibrated = _calibrated(run, models.judge)
        compared = _compared(run, models.judge, spec.prompts, (candidate.answers, champion.answers))
        plain = champion.answers[: len(anchored)] * len(ASKINGS)
        anchors = _compared(run, models.judge, anchored * len(ASKINGS), (other, plain), "anchors")
        judged = _Judged(models.judge.identity, calibrated, compared, anchors)
    return _result(spec, judged, scored, candidate.answers)


@dataclass(frozen=True, slots=True)
class _Run:
    """What every stage needs."""

    spec: EvaluationSpec
    template: Template
    asker: Asker

    def prompt(self, example: Example) -> Prompt:
        return self.template.render(example.instruction, example.input)


@dataclass(frozen=True, slots=True)
class _Contest:
    """What one contestant did, in the order of prompts and of held-out examples."""

    answers: list[Answer]
    scores: list[Score | Lost]


@dataclass(frozen=True, slots=True)
class _Judged:
    """Who judged and what came of it; empty where nobody does."""

    judge: EngineIdentity | None = None
    calibrated: Sequence[CalibratedRow] = ()
    compared: Sequence[ComparedRow] = ()
    anchors: Sequence[ComparedRow] = ()


def _anchored(spec: EvaluationSpec, models: Models) -> list[Example]:
    """The prompts that the champion answers at length and briefly besides: none where no judge decides."""
    decides = models.judge is not None and spec.policy.decide_by == "judge"
    return list(spec.prompts[: spec.anchors]) if decides else []


def _asked(prompts: Sequence[Example]) -> list[Example]:
    return [
        replace(prompt, instruction=f"{prompt.instruction}\n\n{asking}")
        for asking in ASKINGS
        for prompt in prompts
    ]


def _fitted(run: _Run, models: Models) -> list[Example]:
    """The held-out examples, each response cut to what the contexts of both contestants hold."""
    contestants = [models.candidate.model]
    if models.champion.model is not models.candidate.model:
        contestants.append(models.champion.model)

    def room(example: Example, model: LanguageModel) -> int:
        return model.context_tokens - model.count_tokens(run.prompt(example).text) - _SEAMS

    def fitted(example: Example) -> Example:
        rooms = [(model, room(example, model)) for model in contestants]
        response = longest_fitting(
            example.response, lambda text: all(model.count_tokens(text) <= tokens for model, tokens in rooms)
        )
        return replace(example, response=response)

    for model in contestants if run.spec.heldout else []:
        model.wait_ready(run.spec.patience.timeout_s)
    return [fitted(example) for example in run.spec.heldout]


def _contest(run: _Run, name: str, contestant: Contestant, heldout: Sequence[Example]) -> _Contest:
    model, adapter, timeout_s = contestant.model, contestant.adapter, run.spec.patience.timeout_s

    def score(example: Example) -> Score:
        if not example.response:
            raise TooLarge("the context has no room for a word of the response")
        return model.score(run.prompt(example), example.response, adapter=adapter, timeout_s=timeout_s)

    answers = _answers(run, f"{name}_answers", contestant, run.spec.prompts)
    scores = run.asker.ask_all(f"{name}_heldout", model, heldout, score)
    return _Contest(answers, scores)


def _answers(run: _Run, stage: str, contestant: Contestant, prompts: Sequence[Example]) -> list[Answer]:
    model, adapter, timeout_s = contestant.model, contestant.adapter, run.spec.patience.timeout_s

    def answer(example: Example) -> Completion:
        prompt = run.prompt(example)
        return model.generate(prompt, run.spec.sampling, adapter=adapter, timeout_s=timeout_s)

    return list(map(_answer, run.asker.ask_all(stage, model, prompts, answer)))


def _answer(reply: Completion | Lost) -> Answer:
    if isinstance(reply, Lost):
        return Answer(failure=reply.reason)
    truncated = reply.finish_reason == "length"
    # JSON from an endpoint may hold halves of characters, which no file and no other engine takes.
    text = reply.text.encode(errors="replace").decode()
    return Answer(text=text, truncated=truncated, tokens=reply.completion_tokens)


def _calibrated(run: _Run, judge: LanguageModel) -> list[CalibratedRow]:
    """The judge's verdicts on known pairs, whose answers are cut to the length that contestants may write."""
    most = run.spec.sampling.max_tokens
    judge.wait_ready(run.spec.patience.timeout_s)
    cut = [
        replace(known, answer=longest_fitting(known.answer, lambda text: judge.count_tokens(text) <= most))
        for known in run.spec.known
    ]
    pairs = known_pairs(cut, run.spec.seed)
    comparisons = _judged(run, "calibration", judge, [known.pair for known in pairs])
    return [CalibratedRow(known=known, comparison=c) for known, c in zip(pairs, comparisons, strict=True)]


def _compared(
    run: _Run,
    judge: LanguageModel,
    prompts: Sequence[Example],
    sides: tuple[Sequence[Answer], Sequence[Answer]],
    stage: str = "comparisons",
) -> list[ComparedRow]:
    candidate, champion = sides
    pairs = [
        Pair(id=prompt.id, question=prompt.question, candidate=mine.text, champion=theirs.text)
        for prompt, mine, theirs in zip(prompts, candidate, champion, strict=True)
    ]
    failures = [_missing(mine, theirs) for mine, theirs in zip(candidate, champion, strict=True)]
    whole = [pair for pair, failure in zip(pairs, failures, strict=True) if not failure]
    comparisons = iter(_judged(run, stage, judge, whole))
    said = [lost(failure) if failure else next(comparisons) for failure in failures]
    return [
        ComparedRow(prompt=prompt, candidate=mine, champion=theirs, comparison=comparison)
        for prompt, mine, theirs, comparison in zip(prompts, candidate, champion, said, strict=True)
    ]


def _missing(candidate: Answer, champion: Answer) -> str:
    sides = {"candidate": candidate.failure, "champion": champion.failure}
    return "_and_".join(f"{side}_{failure}" for side, failure in sides.items() if failure)


def _judged(run: _Run, stage: str, judge: LanguageModel, pairs: Sequence[Pair]) -> list[Comparison]:
    """Both orders of each pair, asked side by side so that they share the question in the prefix cache."""
    prompts = [prompt for pair in pairs if not pair.identical for prompt in prompts_for(pair)]

    def choose(prompt: Prompt) -> dict[str, float]:
        return judge.choose(prompt, LABELS, timeout_s=run.spec.patience.timeout_s)

    replies = iter(run.asker.ask_all(stage, judge, prompts, choose))
    # Replies come in the order of prompts: two for each pair that was shown.
    return [TIE if pair.identical else _read(run, next(replies), next(replies)) for pair in pairs]


def _read(run: _Run, forward: dict[str, float] | Lost, swapped: dict[str, float] | Lost) -> Comparison:
    if isinstance(forward, Lost):
        return lost(f"judge_{forward.reason}")
    if isinstance(swapped, Lost):
        return lost(f"judge_{swapped.reason}")
    return verdict(forward, swapped, max_lost_mass=run.spec.policy.max_lost_mass)


@dataclass(frozen=True, slots=True)
class _Scored:
    """Held-out rows that both contestants scored, and why others are missing."""

    rows: list[HeldoutRow]
    lost: dict[str, int]


def _paired(
    heldout: Sequence[Example], candidate: Sequence[Score | Lost], champion: Sequence[Score | Lost]
) -> _Scored:
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
    return _Scored(rows, dict(sorted(missing.items())))


def _result(
    spec: EvaluationSpec, judged: _Judged, scored: _Scored, answers: Sequence[Answer]
) -> EvaluationResult:
    given = [answer for answer in answers if not answer.failure]
    known = [(row.known, row.comparison) for row in judged.calibrated]
    evidence = Evidence(
        win_rate=_win_rate(spec, judged) if judged.judge else None,
        calibration=calibrate(known, spec.policy.calibration) if judged.judge else None,
        heldout=heldout_change(scored.rows, spec.bootstrap, lost=sum(scored.lost.values())),
        findings=findings([a.text for a in given], [a.truncated for a in given], spec.policy.guards),
    )
    return EvaluationResult(
        verdict=decide(spec.policy, evidence),
        evidence=evidence,
        compared=judged.compared,
        anchors=judged.anchors,
        calibrated=judged.calibrated,
        heldout=scored.rows,
        heldout_lost=scored.lost,
        judge=judged.judge,
    )


def _win_rate(spec: EvaluationSpec, judged: _Judged) -> WinRate:
    return win_rate(map(_row, judged.compared), spec.bootstrap, map(_row, judged.anchors))


def _row(row: ComparedRow) -> Row:
    return Row(
        instruction_id=row.prompt.id,
        comparison=row.comparison,
        candidate_characters=len(row.candidate.text),
        champion_characters=len(row.champion.text),
    )
