"""What the instructor counts: instructions by outcome and style, and what was cut for the prompt."""

from __future__ import annotations

from longstream.telemetry import Metrics
from longstream.worker_metrics import error_reasons
from longstream_instructor.prompts import Style
from longstream_instructor.quality import REASONS
from longstream_instructor.writer import Written


class InstructorMetrics:
    """Counters of the instructor."""

    def __init__(self, metrics: Metrics) -> None:
        refusals = (*REASONS, *error_reasons())
        self._written = metrics.counter(
            "instructor_instructions_total", "Instructions accepted, by style.", style=tuple(Style)
        )
        self._refused = metrics.counter(
            "instructor_refusals_total", "Documents left without an instruction, by reason.", reason=refusals
        )
        self._excerpts = metrics.counter(
            "instructor_excerpts_total", "Documents too long for the prompt, shown as head and tail."
        )

    def written(self, written: Written) -> None:
        """A document was asked about."""
        if written.excerpted:
            self._excerpts.labels().inc()
        if written.refusal:
            self.refused(written.refusal)
        else:
            self._written.labels(style=written.style).inc()

    def refused(self, reason: str) -> None:
        """A document gets no instruction."""
        self._refused.labels(reason=reason).inc()
