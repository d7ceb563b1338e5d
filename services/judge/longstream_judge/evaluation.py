"""One evaluation from prompts to verdict: calibration, answers, held-out scores, comparisons, gate.

A plain function over language models, so that service, command line and tests run the same thing. Candidate
and champion are asked in turn, each for all it is needed for, so that a caller with memory for one model only
may load them one after the other. What can end an evaluation comes before what is dear: too few prompts before
everything, a judge that is not believed before the first answer, a clear lead before the last comparison.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from threading import Event

from longstream.ids import digest
from longstream.template import template_named
from longstream_judge.answering import Run, Scored, answers, contest, fitted, paired
from longstream_judge.asking import Asker, Progress
from longstream_judge.calibration import Calibration
from longstream_judge.costing import anchored_prompts, plan
from longstream_judge.drift import Drift
from longstream_judge.gate import Evidence, Verdict, chance_left, decide, thin
from longstream_judge.grading import Panel, checked, panel, row_of
from longstream_judge.guards import Finding, findings
from longstream_judge.heldout import heldout_change
from longstream_judge.planning import Plan, forbidden
from longstream_judge.spec import Answer, ComparedRow, EvaluationResult, EvaluationSpec, Example, Models
from longstream_judge.spending import look_levels
from longstream_judge.winrate import win_rate

ASKINGS = ("Answer at length and in every detail.", "Answer as briefly as you can.")
"""What makes the champion's answers longer and shorter than it would have them, for anchors."""


def evaluate(
    spec: EvaluationSpec,
    models: Models,
    progress: Progress,
    stop: Event | None = None,
    told: Callable[[Plan], None] | None = None,
) -> EvaluationResult:
    """Run one evaluation to its verdict. told: what it will ask for at most, before it asks for anything.

    Rows that a model refuses or fails at are lost with a reason and never stop the rest. Raises Cancelled
    when stop is set, Unavailable if an engine does not come back, InvalidInput for an unknown template or way.
    """
    run = Run(spec, template_named(spec.template), Asker(spec.patience, progress, stop or Event()))
    planned = plan(spec, models)
    if told is not None:
        told(planned)
    if why := forbidden(spec.policy, planned):
        return EvaluationResult(verdict=thin(f"{why}; nothing was asked"), evidence=Evidence(), plan=planned)
    judging = _judging(run, models)
    if spec.policy.decide_by == "judge" and (judging.calibration is None or not judging.calibration.passed):
        evidence = Evidence(calibration=judging.calibration, notes=spec.notes)
        return _result(_Ended(evidence, decide(spec.policy, evidence, spec.level)), planned, judging)
    return _result(_contested(judging, models, planned), planned, judging)


@dataclass(frozen=True, slots=True)
class _Judging:
    """The judges, and what is known of them before the contest."""

    run: Run
    panel: Panel | None
    calibration: Calibration | None
    drift: Drift | None


@dataclass(frozen=True, slots=True)
class _Ended:
    """Where an evaluation ended, and with what."""

    evidence: Evidence
    verdict: Verdict
    compared: Sequence[ComparedRow] = ()
    anchors: Sequence[ComparedRow] = ()
    scored: Scored | None = None
    looks: int = 0
    stopped: str = ""


def _judging(run: Run, models: Models) -> _Judging:
    if not models.judges:
        return _Judging(run, None, None, None)
    judges = panel(run, models.judges)
    found = judges.drift()
    return _Judging(run, judges, checked(judges.calibration, found, run.spec.policy.max_drift), found)


def _contested(judging: _Judging, models: Models, planned: Plan) -> _Ended:
    run, spec = judging.run, judging.run.spec
    heldout = fitted(run, models)
    candidate = contest(run, "candidate", models.candidate, heldout)
    champion = contest(run, "champion", models.champion, heldout)
    scored = paired(heldout, candidate.scores, champion.scores)
    evidence = Evidence(
        calibration=judging.calibration,
        heldout=heldout_change(scored.rows, spec.bootstrap, lost=sum(scored.lost.values())),
        findings=_found(spec, candidate.answers),
        notes=spec.notes,
        objections=spec.objections,
    )
    anchored = anchored_prompts(spec, models)
    other = answers(run, "champion_anchors", models.champion, _asked(anchored))
    if judging.panel is None:
        return _Ended(evidence, decide(spec.policy, evidence, spec.level), scored=scored)
    plain = champion.answers[: len(anchored)] * len(ASKINGS)
    anchors = judging.panel.compared(anchored * len(ASKINGS), (other, plain), "anchors")
    grades = _Grading(judging.panel, (candidate.answers, champion.answers), anchors, scored)
    return _graded(grades, evidence, planned)


@dataclass(frozen=True, slots=True)
class _Grading:
    """What comparisons are made of."""

    panel: Panel
    sides: tuple[Sequence[Answer], Sequence[Answer]]
    anchors: Sequence[ComparedRow]
    scored: Scored

    def rows(self, chosen: Sequence[int], stage: str) -> dict[int, ComparedRow]:
        """Those prompts' comparisons, by their place."""
        prompts = [self.panel.run.spec.prompts[place] for place in chosen]
        mine, theirs = ([side[place] for place in chosen] for side in self.sides)
        return dict(zip(chosen, self.panel.compared(prompts, (mine, theirs), stage), strict=True))


def _graded(grades: _Grading, evidence: Evidence, planned: Plan) -> _Ended:
    """Compare look by look, until one is clear, hopeless or the last."""
    spec, sizes = grades.panel.run.spec, planned.looks
    levels = look_levels([size / sizes[-1] for size in sizes], spec.level) if sizes else ()
    order, rows = _drawn(spec), dict[int, ComparedRow]()
    verdict, stopped, looks = decide(spec.policy, evidence, spec.level), "", 0
    for looks, (size, level) in enumerate(zip(sizes, levels, strict=True), start=1):
        stage = "comparisons" if len(sizes) == 1 else f"comparisons_{looks}_of_{len(sizes)}"
        rows |= grades.rows(order[len(rows) : size], stage)
        read = [row_of(rows[place]) for place in sorted(rows)]
        rates = win_rate(read, spec.bootstrap, map(row_of, grades.anchors))
        evidence = replace(evidence, win_rate=rates)
        verdict = decide(spec.policy, evidence, level)
        if size < sizes[-1]:
            stopped = _stopped(spec, evidence, verdict, (size / sizes[-1], levels[-1]))
            if stopped:
                stopped += f" after {size} of {sizes[-1]} prompts"
                break
    compared = [rows[place] for place in sorted(rows)]
    return _Ended(evidence, verdict, compared, grades.anchors, grades.scored, looks, stopped)


def _stopped(spec: EvaluationSpec, evidence: Evidence, verdict: Verdict, rest: tuple[float, float]) -> str:
    """Why it ends at a look before the last; empty: it goes on. rest: share seen so far, level of the last look."""
    if verdict.outcome == "promote":
        return "clear"
    if verdict.tested and chance_left(spec.policy, evidence, *rest) < spec.policy.hopeless:
        return "hopeless"
    return ""


def _drawn(spec: EvaluationSpec) -> list[int]:
    """The prompts in an order drawn by seed: what a look has seen is a sample of all."""
    places = range(len(spec.prompts))
    return sorted(places, key=lambda place: digest("look", spec.seed, spec.prompts[place].id))


def _asked(prompts: Sequence[Example]) -> list[Example]:
    return [
        replace(prompt, instruction=f"{prompt.instruction}\n\n{asking}")
        for asking in ASKINGS
        for prompt in prompts
    ]


def _found(spec: EvaluationSpec, answered: Sequence[Answer]) -> tuple[Finding, ...]:
    given = [answer for answer in answered if not answer.failure]
    found = findings([a.text for a in given], [a.truncated for a in given], spec.policy.guards)
    if not spec.contaminated:
        return found
    asked = spec.contaminated + len(spec.prompts)
    message = f"{spec.contaminated} of {asked} prompts share a run of words with the training rows and were left out"
    return (*found, Finding(name="contaminated_prompts", share=spec.contaminated / asked, message=message))


def _result(ended: _Ended, planned: Plan, judging: _Judging) -> EvaluationResult:
    judges = judging.panel
    return EvaluationResult(
        verdict=ended.verdict,
        evidence=ended.evidence,
        plan=planned,
        compared=ended.compared,
        anchors=ended.anchors,
        calibrated=judges.calibrated if judges else (),
        heldout=ended.scored.rows if ended.scored else (),
        heldout_lost=ended.scored.lost if ended.scored else {},
        members=judges.reports(ended.compared) if judges else (),
        drift=judging.drift,
        canaries=judges.canaries(ended.compared) if judges else (),
        contaminated=judging.run.spec.contaminated,
        looks=ended.looks,
        stopped=ended.stopped,
        prompt_revision=judges.way.revision if judges else "",
    )
