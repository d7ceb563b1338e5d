"""What a person sees while the demo runs: the status screen on a terminal, plain lines elsewhere."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from types import TracebackType
from typing import Self

from rich.console import Console, RenderableType
from rich.live import Live
from rich.text import Text

from longstream.report import Span
from longstream.status import PipelineStatus, SuiteStatus
from longstream.status_screen import champion_name, screen
from longstream.v1.records_pb2 import Evaluation, Release, TrainingJob

_REPEAT_S = 5.0


class Progress:
    """Tells what happens, with the seconds since the beginning before each line. Safe from any thread."""

    def __init__(self, console: Console, now_s: Callable[[], float]) -> None:
        """now_s: seconds since 1970."""
        self._console = console
        self._now_s = now_s
        self._began_s = now_s()
        self._live: Live | None = None
        self._told: dict[str, tuple[str, float]] = {}
        self.spans: list[Span] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self.close()

    @property
    def seconds(self) -> float:
        """Since the beginning."""
        return self._now_s() - self._began_s

    def say(self, text: str, style: str = "") -> None:
        """One line that stays."""
        self._console.print(Text.assemble((f"{self.seconds:6.1f} s  ", "dim"), (text, style)), soft_wrap=True)

    def tell(self, text: str) -> None:
        """Text as it is."""
        self._console.print(text, soft_wrap=True, markup=False)

    def measured(self, name: str, began_s: float) -> None:
        """Keep how long something took, from began_s until now."""
        self.spans.append(Span(name=name, begin_s=began_s, end_s=self._now_s()))

    def show(self, status: SuiteStatus) -> None:
        """The status as it is now: on a terminal the whole screen, else what is new in it."""
        if self._console.is_terminal:
            self._draw(screen(status, datetime.now()))
            return
        for pipeline in status.pipelines:
            for stage, (state, detail) in stages(pipeline).items():
                self._tell(stage, state, detail)

    def running(self, stage: str, state: str, detail: str) -> None:
        """How far something is that has no service to be asked."""
        if self._console.is_terminal:
            self._draw(Text.assemble((f"{self.seconds:6.1f} s  ", "dim"), f"{stage}: {state}, {detail}"))
        else:
            self._tell(stage, state, detail)

    def close(self) -> None:
        """Leave the screen as it is; what is said from now on stands below it."""
        if self._live is not None:
            self._live.stop()
            self._live = None

    def _draw(self, what: RenderableType) -> None:
        if self._live is None:
            self._live = Live(console=self._console, auto_refresh=False, vertical_overflow="visible")
            self._live.start()
        self._live.update(what, refresh=True)

    def _tell(self, stage: str, state: str, detail: str) -> None:
        line, at_s = self._told.get(stage, ("", 0.0))
        new = f"{state}: {detail}" if detail else state
        # A count that runs is told now and then, a new state at once.
        if new == line or (line.startswith(state) and self.seconds - at_s < _REPEAT_S):
            return
        self._told[stage] = (new, self.seconds)
        self.say(f"{stage:<10} {new}")


def stages(pipeline: PipelineStatus) -> dict[str, tuple[str, str]]:
    """State and running detail of each stage that has begun."""
    told: dict[str, tuple[str, str]] = {}
    if pipeline.release is not None:
        told["release"] = _release(pipeline.release)
    if pipeline.job is not None:
        told["training"] = _training(pipeline.job)
    if pipeline.evaluation is not None:
        told["judging"] = _judging(pipeline.evaluation)
    if pipeline.champion is not None and pipeline.champion.history:
        told["champion"] = (champion_name(pipeline.champion.champion.id), "")
    return told


def _release(release: Release) -> tuple[str, str]:
    state = Release.State.Name(release.state).removeprefix("STATE_").lower()
    refused = f", {sum(release.refused.values()):,} refused" if release.refused else ""
    return state, f"{release.rows_ready:,} of {release.rows_wanted:,} rows{refused}"


def _training(job: TrainingJob) -> tuple[str, str]:
    state = TrainingJob.State.Name(job.state).removeprefix("STATE_").lower()
    loss = f", loss {job.loss:.3f}" if job.step else ""
    return state, f"step {job.step:,} of {job.steps:,}{loss}" if job.steps else job.reason


def _judging(evaluation: Evaluation) -> tuple[str, str]:
    state = Evaluation.State.Name(evaluation.state).removeprefix("STATE_").lower()
    if evaluation.state != Evaluation.STATE_RUNNING or not evaluation.stage:
        return state, evaluation.reason
    stage = evaluation.stage.replace("_", " ")
    return f"{state} {stage}", f"{evaluation.stage_done:,} of {evaluation.stage_total:,}"
