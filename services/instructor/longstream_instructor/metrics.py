"""What the instructor counts: instructions and refinements by outcome, and what was cut for the prompt."""

from __future__ import annotations

from longstream.llm.types import Completion
from longstream.telemetry import Metrics
from longstream.worker_metrics import error_reasons
from longstream_instructor.refining import OUTCOMES, Refined
from longstream_instructor.scoring import FAILURES
from longstream_instructor.styles import Style
from longstream_instructor.tasks import Done
from longstream_instructor.writer import REFUSALS, Written


class InstructorMetrics:
    """Counters of the instructor."""

    def __init__(self, metrics: Metrics) -> None:
        errors = tuple(error_reasons())
        self._written = metrics.counter(
            "instructor_instructions_total", "Instructions accepted, by style.", style=tuple(Style)
        )
        self._refused = metrics.counter(
            "instructor_refusals_total",
            "Documents left without an instruction, by reason.",
            reason=(*REFUSALS, *errors),
        )
        self._tries = metrics.counter(
            "instructor_tries_total", "Times that the model was asked for an instruction."
        )
        self._excerpts = metrics.counter(
            "instructor_excerpts_total", "Documents too long for the prompt, shown as head and tail."
        )
        self._unscored = metrics.counter(
            "instructor_score_failures_total", "Replies that gave no score, by reason.", reason=FAILURES
        )
        self._remembered = metrics.counter(
            "instructor_remembered_replies_total", "Requests to the model whose replies were there already."
        )
        self._refined = metrics.counter(
            "instructor_refinements_total",
            "Answers that were to be refined, by outcome: refined, or why they stay as they came.",
            outcome=(*OUTCOMES, *errors),
        )

    def remembered(self, completion: Completion) -> None:
        """A reply was there already."""
        del completion
        self._remembered.labels().inc()

    def done(self, done: Done) -> None:
        """An example's task was done."""
        if done.written is not None:
            self._asked(done.written)
        if done.refined is not None:
            self.refined(done.refined)

    def refined(self, refined: Refined) -> None:
        """An answer was to be refined."""
        self._refined.labels(outcome=refined.outcome).inc()

    def failed(self, reason: str, *, refined: bool) -> None:
        """A document gets no instruction, or an answer is not refined, for an error."""
        if refined:
            self._refined.labels(outcome=reason).inc()
        else:
            self._refused.labels(reason=reason).inc()

    def _asked(self, written: Written) -> None:
        self._tries.labels().inc(written.tries)
        if written.excerpted:
            self._excerpts.labels().inc()
        for failure in written.failures:
            self._unscored.labels(reason=failure).inc()
        if written.refusal:
            self._refused.labels(reason=written.refusal).inc()
        else:
            self._written.labels(style=written.style).inc()
