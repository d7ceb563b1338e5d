"""What the trainer shows: where the running attempt stands, and how jobs ended."""

from __future__ import annotations

from longstream.telemetry import Metrics
from longstream.v1.records_pb2 import TrainingEvent, TrainingJob

_ENDS = {
    TrainingJob.STATE_SUCCEEDED: "succeeded",
    TrainingJob.STATE_FAILED: "failed",
    TrainingJob.STATE_CANCELLED: "cancelled",
}


class TrainerMetrics:
    """Gauges of the attempt under way, counters of jobs and tokens."""

    def __init__(self, metrics: Metrics) -> None:
        self._step = metrics.gauge("trainer_step", "Optimizer step of the running attempt.")
        self._steps = metrics.gauge("trainer_steps_planned", "Steps that the running attempt will make.")
        self._loss = metrics.gauge("trainer_loss", "Mean loss of the last step, nats per supervised token.")
        self._rate = metrics.gauge("trainer_learning_rate", "Learning rate of the last step.")
        self._norm = metrics.gauge(
            "trainer_gradient_norm", "Gradient norm of the last step, before clipping."
        )
        self._tokens = metrics.gauge("trainer_attempt_tokens", "Tokens that the running attempt has seen.")
        self._last_step = metrics.gauge(
            "trainer_last_step_timestamp_seconds", "When the last step was reported, seconds since 1970."
        )
        self._checkpoint = metrics.gauge(
            "trainer_last_checkpoint_timestamp_seconds", "When the last checkpoint was reported."
        )
        self._jobs = metrics.counter(
            "trainer_jobs_total", "Jobs that ended, by outcome.", outcome=_ENDS.values()
        )

    def reported(self, event: TrainingEvent) -> None:
        """The attempt has said something."""
        kind = event.WhichOneof("event")
        if kind == "started":
            self._steps.labels().set(event.started.steps)
        elif kind == "step":
            self._step.labels().set(event.step.step)
            self._loss.labels().set(event.step.loss)
            self._rate.labels().set(event.step.learning_rate)
            self._norm.labels().set(event.step.gradient_norm)
            self._tokens.labels().set(event.step.tokens)
            self._last_step.labels().set(event.time.seconds)
        elif kind == "checkpoint":
            self._checkpoint.labels().set(event.time.seconds)

    def ended(self, state: TrainingJob.State) -> None:
        """A job has ended."""
        self._jobs.labels(outcome=_ENDS[state]).inc()
