"""The status as a screen: one row a stage, calm while something starts, readable without colour or width."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from longstream.health import Health
from longstream.status import Lengths, PipelineStatus, SuiteStatus
from longstream.v1.curator_pb2 import GetSelectionResponse
from longstream.v1.judge_pb2 import GetChampionResponse
from longstream.v1.records_pb2 import Evaluation, Interval, Promotion, Release, TrainingJob

BAR_CELLS = 16
ID_CELLS = 15
SHORT_ID = 8

_HEALTH_STYLES = {"ready": "green", "starting": "yellow", "failing": "red", "down": "red"}
_HEALTH_SIGNS = {"ready": "●", "starting": "◐", "failing": "◑", "down": "○"}
_SERVICE_OF_STAGE = {
    "documents": "curator",
    "release": "curator",
    "training": "trainer",
    "evaluation": "judge",
    "champion": "judge",
}


def screen(status: SuiteStatus, now: datetime) -> RenderableType:
    """The whole status; now stands in its first line."""
    head = Text.assemble(("longstream status", "bold"), ("  " + now.strftime("%H:%M:%S"), "dim"))
    services = _grid([("services", _services(status.services))])
    parts: list[RenderableType] = [head, Text(), services]
    for pipeline in status.pipelines:
        parts += [Text(), Text.assemble(("pipeline ", "dim"), (pipeline.name, "bold cyan"))]
        parts.append(_grid(_stages(pipeline, status.services)))
    if not status.pipelines:
        parts += [Text(), Text("no pipeline is known here; name one with --pipeline", "yellow")]
    return Padding(Group(*parts), (0, 1))


def _grid(rows: Iterable[tuple[str, Text]]) -> Table:
    table = Table.grid(padding=(0, 2))
    table.add_column(style="dim", no_wrap=True, min_width=10)
    table.add_column(overflow="fold")
    for label, text in rows:
        table.add_row(label, text)
    return table


def _services(services: Mapping[str, Health]) -> Text:
    lines: list[Text] = []
    line = Text("  ").join(
        Text(f"{_HEALTH_SIGNS[health.state]} {name} {health.state}", _HEALTH_STYLES[health.state])
        for name, health in services.items()
    )
    lines.append(line)
    for name, health in services.items():
        if health.detail:
            lines.append(Text(f"{name}: {health.detail}", _HEALTH_STYLES[health.state]))
    return Text("\n").join(lines)


def _stages(pipeline: PipelineStatus, services: Mapping[str, Health]) -> list[tuple[str, Text]]:
    rows = {
        "documents": _documents(pipeline),
        "release": _release(pipeline.release) if pipeline.release else None,
        "training": _training(pipeline.job, pipeline.training_left_s) if pipeline.job else None,
        "evaluation": _evaluation(pipeline.evaluation) if pipeline.evaluation else None,
        "champion": _champion(pipeline.champion) if pipeline.champion else None,
    }
    return [(stage, text or _nothing(stage, services)) for stage, text in rows.items()]


def _nothing(stage: str, services: Mapping[str, Health]) -> Text:
    service = _SERVICE_OF_STAGE[stage]
    health = services.get(service)
    if health is None:
        return Text(f"no {service} in this suite", "dim")
    if health.state == "ready":
        return Text("none yet", "dim")
    return Text(f"unknown while the {service} is {health.state}", "dim")


def _documents(pipeline: PipelineStatus) -> Text | None:
    selection = pipeline.selection
    if selection is None:
        return None
    text = Text.assemble(f"seen {selection.seen:,}   kept ", (f"{selection.kept:,}", "bold"))
    if pipeline.lengths is not None:
        text.append(f"   {_lengths(pipeline.lengths, selection)}")
    dropped = _by_reason(selection.dropped)
    return text.append(f"\ndropped {dropped}", "dim") if dropped else text


def _lengths(lengths: Lengths, selection: GetSelectionResponse) -> str:
    whole = lengths.count >= selection.kept
    last = "shortest" if whole else _ordinal(lengths.count)
    median = "median" if whole else f"median of {lengths.count:,}"
    figures = f"longest {lengths.longest:,}, {median} {lengths.median:,.0f}, {last} {lengths.last:,}"
    return f"{figures} ({selection.metric})"


def _ordinal(count: int) -> str:
    ending = "th" if 10 <= count % 100 <= 20 else {1: "st", 2: "nd", 3: "rd"}.get(count % 10, "th")
    return f"{count:,}{ending}"


def _release(release: Release) -> Text:
    state = Release.State.Name(release.state).removeprefix("STATE_").lower()
    text = _headed(release.id, state, "green" if release.state == Release.STATE_FINAL else "cyan")
    if release.state != Release.STATE_OPEN:
        text.append_text(_bar(release.rows_ready, release.rows_wanted))
        text.append(f"  {release.rows_ready:,} of {release.rows_wanted:,} rows")
    else:
        text.append("the cut is on its way through the partitions")
    if release.state == Release.STATE_FINAL:
        exact = "exact" if release.exact else "not exact"
        text.append(f"  {exact}{', short: too few rows were accepted' if release.short else ''}")
    refused = _by_reason(release.refused)
    return text.append(f"\nrefused {refused}", "dim") if refused else text


def _training(job: TrainingJob, left_s: float | None) -> Text:
    state = TrainingJob.State.Name(job.state).removeprefix("STATE_").lower()
    styles = {TrainingJob.STATE_SUCCEEDED: "green", TrainingJob.STATE_FAILED: "red"}
    text = _headed(job.id, state, styles.get(job.state, "cyan"))
    if job.steps:
        text.append_text(_bar(job.step, job.steps))
        text.append(f"  step {job.step:,} of {job.steps:,}")
    if job.step:
        text.append(f"  loss {job.loss:.3f}")
    if left_s is not None:
        text.append(f"  about {duration(left_s)} left")
    if job.attempt > 1:
        text.append(f"  attempt {job.attempt}", "yellow")
    if job.state in {TrainingJob.STATE_WAITING, TrainingJob.STATE_SKIPPED}:
        return text.append(f"\n{job.decision}", "dim")
    return text.append(f"\n{job.reason}", "red") if job.reason else text


def _evaluation(evaluation: Evaluation) -> Text:
    state = Evaluation.State.Name(evaluation.state).removeprefix("STATE_").lower()
    styles = {Evaluation.STATE_DONE: "green", Evaluation.STATE_FAILED: "red"}
    text = _headed(evaluation.id, state, styles.get(evaluation.state, "cyan"))
    if evaluation.state == Evaluation.STATE_RUNNING and evaluation.stage:
        text.append_text(_bar(evaluation.stage_done, evaluation.stage_total))
        text.append(f"  {evaluation.stage} {evaluation.stage_done:,} of {evaluation.stage_total:,}")
    against = f"model {short(evaluation.model_id)} against {champion_name(evaluation.champion_id)}"
    text.append(f"\n{against}", "dim")
    for line, style in _findings(evaluation):
        text.append(f"\n{line}", style)
    return text


def _findings(evaluation: Evaluation) -> Iterable[tuple[str, str]]:
    if evaluation.HasField("win_rate"):
        yield f"win rate {interval(evaluation.win_rate)}", ""
    if evaluation.HasField("length_controlled"):
        yield f"with length set equal {interval(evaluation.length_controlled)}", ""
    if evaluation.HasField("bits_per_byte_change"):
        change = interval(evaluation.bits_per_byte_change, signed=True)
        yield f"bits per byte {change}; below zero is better", ""
    if evaluation.HasField("calibration"):
        calibration = evaluation.calibration
        if calibration.passed:
            yield f"the judge passed its calibration: accuracy {interval(calibration.accuracy)}", "dim"
        else:
            yield f"the judge abstains: {calibration.reason}", "yellow"
    if evaluation.reason:
        yield evaluation.reason, "red"


def _champion(answer: GetChampionResponse) -> Text:
    text = Text.assemble((champion_name(answer.champion.id), "bold"))
    if not answer.history:
        return text.append("  no decision yet", "dim")
    last = answer.history[0]
    outcome = Promotion.Outcome.Name(last.outcome).removeprefix("OUTCOME_").lower().replace("_", " ")
    styles = {Promotion.OUTCOME_PROMOTED: "green", Promotion.OUTCOME_REFUSED: "yellow"}
    text.append(f"\ndecision {last.sequence}: model {short(last.model_id)} ")
    text.append(outcome, styles.get(last.outcome, "red"))
    for reason in last.reasons:
        text.append(f"\n  {reason}")
    return text


def _headed(identifier: str, state: str, style: str) -> Text:
    return Text.assemble((f"{short(identifier):<{ID_CELLS}}", "bold"), "  ", (f"{state:<12}", style))


def _bar(done: int, total: int) -> Text:
    share = min(done / total, 1.0) if total else 0.0
    full = int(share * BAR_CELLS)
    return Text.assemble(("█" * full, "cyan"), ("░" * (BAR_CELLS - full), "dim"))


def _by_reason(counts: Mapping[str, int]) -> str:
    if not counts:
        return ""
    most_first = sorted(counts.items(), key=lambda item: -item[1])
    named = ", ".join(f"{reason} {count:,}" for reason, count in most_first)
    return f"{sum(counts.values()):,}: {named}"


def short(identifier: str) -> str:
    """As much of an id as the eye needs; every command takes it whole."""
    return identifier if len(identifier) <= ID_CELLS else identifier[:SHORT_ID]


def champion_name(model_id: str) -> str:
    """A champion's short id; the base model has none."""
    return f"model {short(model_id)}" if model_id else "the base model"


def interval(value: Interval, *, signed: bool = False) -> str:
    """An interval as people read it."""
    sign = "+" if signed else ""
    return (
        f"{value.mean:{sign}.3f} ({value.confidence:.0%} between {value.low:{sign}.3f} and "
        f"{value.high:{sign}.3f}, n {value.n})"
    )


def duration(seconds: float) -> str:
    """Seconds as the largest unit that is not coarse."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 90 * 60:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3_600:.1f} h"
