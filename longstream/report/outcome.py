"""The report's beginning and end: what was decided and why, in plain words, and how long each stage took."""

from __future__ import annotations

from collections.abc import Iterator

from google.protobuf.timestamp_pb2 import Timestamp

from longstream.pipeline import of_revision
from longstream.report import charts
from longstream.report.charts import Span
from longstream.report.facts import Facts
from longstream.report.figures import bounds, duration, percent
from longstream.report.markup import Child, Markup, quoted, tag
from longstream.status_screen import champion_name, short
from longstream.v1.records_pb2 import Evaluation, Promotion, Release, TrainingJob

_REASON_CHARACTERS = 600

Headline = tuple[str, str, list[str]]
"""A class for the colour, the sentence, and the reasons."""


def headline(facts: Facts) -> Headline:
    """What became of the newest model, or how far it has come and what holds it up."""
    if facts.promotion is not None:
        return _decided(facts, facts.promotion)
    if facts.evaluation is not None:
        return _undecided(facts.evaluation)
    if facts.job is not None:
        return _training(facts.job)
    if facts.release is not None:
        return "open", "No model yet", [_unfinished(facts.release)]
    return "open", "Nothing has been cut yet", ["`longstream cut` makes a release of what is kept now."]


def decided_by(facts: Facts) -> str:
    """What the pipeline's gate goes by: `judge` or `heldout_bits_per_byte`; empty without a model."""
    if facts.model is None or not facts.model.revision.document:
        return ""
    return str(of_revision(facts.model.revision).evaluate.gate.get("decide_by", "judge"))


def opening(facts: Facts) -> Markup:
    """The headline with its reasons and the figures that matter most."""
    kind, sentence, reasons = headline(facts)
    told = [tag("li", quoted(reason, _REASON_CHARACTERS)) for reason in reasons]
    return tag(
        "section",
        tag("p", f"pipeline {facts.pipeline}", class_="eyebrow"),
        tag("h1", sentence),
        tag("ul", told, class_="reasons") if told else None,
        tag("div", list(_tiles(facts)), class_="tiles"),
        class_=f"hero {kind}",
    )


def timing(facts: Facts) -> Markup:
    """How long each stage took."""
    spans = sorted([*facts.spans, *_stages(facts)], key=lambda span: span.begin_s)
    if not spans:
        return tag("p", "No stage has ended yet.", class_="missing")
    return tag("div", charts.spans(spans))


def _decided(facts: Facts, promotion: Promotion) -> Headline:
    model = champion_name(promotion.model_id)
    before = champion_name(promotion.expected_champion_id)
    reasons = list(promotion.reasons)
    history = facts.champion.history
    later = history[0] if history and history[0].sequence > promotion.sequence else None
    if later is not None:
        reasons.append(f"Since then another decision was made: {champion_name(later.champion_id)} reigns.")
    if promotion.outcome == Promotion.OUTCOME_PROMOTED:
        return "good", f"Promoted: {model} replaces {before}", reasons
    return "held", f"Refused: {before} stays, {model} does not replace it", reasons


def _undecided(evaluation: Evaluation) -> Headline:
    if evaluation.state == Evaluation.STATE_FAILED:
        return "bad", "The comparison failed, so nothing was decided", [evaluation.reason]
    state = Evaluation.State.Name(evaluation.state).removeprefix("STATE_").lower()
    return "open", "No decision yet", [f"The comparison is {state}{_stage(evaluation)}."]


def _unfinished(release: Release) -> str:
    if release.state == Release.STATE_FINAL:
        return "The release is final and no training job has been queued for it."
    return f"The release is being made: {release.rows_ready:,} of {release.rows_wanted:,} rows are written."


def _stage(evaluation: Evaluation) -> str:
    if not evaluation.stage:
        return ""
    name = evaluation.stage.replace("_", " ")
    return f": {name} {evaluation.stage_done:,} of {evaluation.stage_total:,}"


def _training(job: TrainingJob) -> Headline:
    if job.state == TrainingJob.STATE_FAILED:
        return "bad", "Training failed, so there is no model", [job.reason]
    if job.state == TrainingJob.STATE_CANCELLED:
        return "held", "Training was cancelled, so there is no model", [job.reason]
    if job.state == TrainingJob.STATE_SKIPPED:
        return "held", "The release was not trained on", [job.decision]
    if job.state == TrainingJob.STATE_WAITING:
        return "open", "The release waits for its training", [job.decision]
    if job.state == TrainingJob.STATE_SUCCEEDED:
        return "open", "The model is trained and waits for its comparison", []
    return "open", "No model yet", [f"Training is at step {job.step:,} of {job.steps:,}."]


def _tiles(facts: Facts) -> Iterator[Markup]:
    release, evaluation = facts.release, facts.evaluation
    if release is not None:
        yield _tile("rows in the release", f"{release.rows_ready:,}", f"from {release.seen:,} examples seen")
    if facts.job is not None and facts.job.step:
        yield _tile("training", f"{facts.job.step:,} steps", f"last loss {facts.job.loss:.3f} nats per token")
    if evaluation is not None and evaluation.HasField("bits_per_byte_change"):
        old, new = evaluation.champion_bits_per_byte, evaluation.candidate_bits_per_byte
        share = f"{100 * (new - old) / old:+.1f} %; lower is better" if old else "lower is better"
        yield _tile("held-out bits per byte", f"{old:.3f} → {new:.3f}", share)
    if evaluation is not None and evaluation.HasField("win_rate"):
        counted = "decides" if decided_by(facts) == "judge" else "does not decide here"
        passed = evaluation.HasField("calibration") and evaluation.calibration.passed
        note = counted if passed else "the judge is not to be believed"
        yield _tile("win rate by the judge", percent(evaluation.win_rate.mean), note)


def _tile(name: str, figure: str, note: Child) -> Markup:
    return tag(
        "div",
        tag("div", name, class_="dim"),
        tag("div", figure, class_="figure"),
        tag("div", note, class_="dim"),
        class_="tile",
    )


def _stages(facts: Facts) -> Iterator[Span]:
    release, job, evaluation = facts.release, facts.job, facts.evaluation
    if release is not None and job is not None and release.HasField("cut_time"):
        yield _span("Instructions written, release made final", release.cut_time, job.create_time)
    if job is not None and job.HasField("end_time") and job.HasField("start_time"):
        yield _span(f"Training, job {short(job.id)}", job.start_time, job.end_time)
    if evaluation is not None and evaluation.HasField("end_time"):
        yield _span("Answers, comparison and decision", evaluation.create_time, evaluation.end_time)


def _span(name: str, begin: Timestamp, end: Timestamp) -> Span:
    begin_s, end_s = (time.ToNanoseconds() / 1e9 for time in (begin, end))
    return Span(name=name, begin_s=begin_s, end_s=end_s)


def _judged(facts: Facts) -> list[str]:
    """What the judge said, whether or not it decided."""
    evaluation = facts.evaluation
    if evaluation is None or evaluation.state != Evaluation.STATE_DONE:
        return []
    rated = evaluation.HasField("win_rate")
    rate = bounds(evaluation.win_rate, "%", share=True) if rated else "none, no comparison gave a verdict"
    calibration = evaluation.calibration
    # The gate's reasons say why wherever it asked the judge.
    said = any(calibration.reason in reason for reason in headline(facts)[2])
    why = "" if said else f": {calibration.reason}"
    passed = "passed" if calibration.passed else f"failed, so it abstains{why}"
    known = passed if evaluation.HasField("calibration") else "none, nobody judged"
    return [f"  win rate by the judge: {rate}", f"  its calibration: {known}"]


def told(facts: Facts) -> str:
    """The outcome as a few plain lines for a terminal."""
    _, sentence, reasons = headline(facts)
    spans = sorted([*facts.spans, *_stages(facts)], key=lambda span: span.begin_s)
    took = [f"{duration(span.end_s - span.begin_s):>9}  {span.name}" for span in spans]
    return "\n".join([sentence, *(f"  {reason}" for reason in reasons), *_judged(facts), *took])
