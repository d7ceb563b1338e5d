"""What the trainer shows: counters of what it does, and gauges of the facts, read from the log's views at each scrape.

The gauges are the same in every replica and after every restart, so a query takes their `max by (pipeline)`.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Sequence

from longstream.fact_gauges import newest, seconds, waiting
from longstream.telemetry import Course, Metrics, Told, tell_fact
from longstream.v1.records_pb2 import Model, Release, TrainingEvent, TrainingJob, TrainingStep
from longstream.view import View
from longstream_trainer.retraining import gpu_seconds

_ENDS = {
    TrainingJob.STATE_SUCCEEDED: "succeeded",
    TrainingJob.STATE_FAILED: "failed",
    TrainingJob.STATE_CANCELLED: "cancelled",
    TrainingJob.STATE_SKIPPED: "skipped",
}
_WAITS = {
    TrainingJob.STATE_WAITING: "waiting",
    TrainingJob.STATE_QUEUED: "queued",
    TrainingJob.STATE_RUNNING: "running",
}
RUNNING = {
    "trainer_step": "Optimizer step of the running attempt.",
    "trainer_planned_steps": "Steps that the running attempt will make.",
    "trainer_attempts": "Attempts of the running job so far, this one included.",
    "trainer_gpus": "GPUs that the running attempt holds.",
    "trainer_progress_timestamp_seconds": "When the running attempt began or reported its latest step, since 1970.",
    "trainer_checkpoint_timestamp_seconds": "When the running job reported its latest checkpoint, since 1970.",
}
LATEST_STEP = {
    "trainer_loss": "Mean loss of the latest step, nats per supervised token.",
    "trainer_learning_rate": "Learning rate of the latest step.",
    "trainer_gradient_norm": "Gradient norm of the latest step, before clipping.",
    "trainer_step_seconds": "Duration of the latest step.",
    "trainer_tokens_per_second": "Real tokens of the latest step over its duration.",
    "trainer_useful_tokens_ratio": "Real tokens over computed positions, padding included, in the latest step.",
    "trainer_neftune_effective_alpha": "The alpha that NEFTune's noise acted like in the latest step, as measured.",
    "trainer_flops_per_second": "FLOP that the model needed in the latest step over its duration.",
    "trainer_mfu_ratio": "That over what the device could have done (MFU).",
    "trainer_memory_bytes": "The most that the attempt's first process held so far: of its GPU, or of the machine.",
}
_SPENT = {
    "trainer_gpu_seconds": "GPU seconds that all jobs in the log have held, from each one's first beginning on.",
}
_LATENCY = {
    "pipeline_document_to_model_seconds": "From a document's arrival to the newest model that was trained after it: "
    "at least for the newest, at most for the oldest document of the model's cut."
}


class TrainerMetrics:
    """Counters of steps, tokens and jobs."""

    def __init__(self, metrics: Metrics, pipelines: Collection[str]) -> None:
        self._steps = metrics.counter(
            "trainer_steps_total", "Optimizer steps that were reported.", pipeline=pipelines
        )
        self._tokens = metrics.counter(
            "trainer_tokens_total", "Real tokens of those steps.", pipeline=pipelines
        )
        self._failures = metrics.counter(
            "trainer_attempts_failed_total", "Attempts that did not end with a model.", pipeline=pipelines
        )
        self._jobs = metrics.counter(
            "trainer_jobs_total",
            "Jobs that ended, by outcome.",
            pipeline=pipelines,
            outcome=_ENDS.values(),
        )

    def reported(self, event: TrainingEvent) -> None:
        """An attempt has said something."""
        if event.WhichOneof("event") == "step":
            self._steps.labels(pipeline=event.pipeline).inc()
            self._tokens.labels(pipeline=event.pipeline).inc(event.step.step_tokens)

    def attempt_failed(self, pipeline: str) -> None:
        """An attempt has failed, died or was stopped from outside."""
        self._failures.labels(pipeline=pipeline).inc()

    def ended(self, job: TrainingJob) -> None:
        """A job has ended."""
        self._jobs.labels(pipeline=job.pipeline, outcome=_ENDS[job.state]).inc()
        tell_fact(
            "training",
            Course(
                job.trace, job.parent_trace, job.create_time.ToNanoseconds(), job.end_time.ToNanoseconds()
            ),
            attributes={
                "longstream.pipeline": job.pipeline,
                "longstream.job_id": job.id,
                "longstream.release_id": job.release_id,
                "longstream.model_id": job.model_id,
                "longstream.attempts": job.attempt,
                "longstream.steps": job.step,
            },
            error=job.reason if job.state == TrainingJob.STATE_FAILED else "",
        )


class TrainingFacts:
    """Gauges of jobs and models as the log has them."""

    def __init__(self, jobs: View[TrainingJob], models: View[Model], releases: View[Release]) -> None:
        self._jobs = jobs
        self._models = models
        self._releases = releases

    def show(self, metrics: Metrics, pipelines: Collection[str]) -> None:
        """Declare the gauges."""
        for docs, look in (
            (RUNNING, self._running),
            (LATEST_STEP, self._latest_step),
            (_SPENT, self._spent),
            ({"pipeline_model_timestamp_seconds": "When the newest model was made, since 1970."}, self._made),
        ):
            metrics.at_scrape(docs, look, pipeline=pipelines)
        open_jobs = {"trainer_open_jobs": "Jobs that wait or run."}
        metrics.at_scrape(open_jobs, self._open, pipeline=pipelines, state=_WAITS.values())
        metrics.at_scrape(_LATENCY, self._latency, pipeline=pipelines, document=("newest", "oldest"))

    def _known(self) -> list[TrainingJob]:
        return [job for _, job in self._jobs.under("")]

    def _open(self) -> Told:
        return waiting(self._known(), _WAITS)

    def _running(self) -> Told:
        return {
            (job.pipeline,): running(job) for job in self._known() if job.state == TrainingJob.STATE_RUNNING
        }

    def _latest_step(self) -> Told:
        return {
            (job.pipeline,): latest_step(job.latest)
            for job in self._known()
            if job.state == TrainingJob.STATE_RUNNING and job.HasField("latest")
        }

    def _spent(self) -> Told:
        held: dict[str, float] = {}
        for job in self._known():
            held[job.pipeline] = held.get(job.pipeline, 0.0) + gpu_seconds(job, time.time())
        return {(pipeline,): (spent_s,) for pipeline, spent_s in held.items()}

    def _newest(self) -> dict[str, Model]:
        return newest((model for _, model in self._models.under("")), lambda model: model.create_time)

    def _made(self) -> Told:
        return {(pipeline,): (seconds(model.create_time),) for pipeline, model in self._newest().items()}

    def _latency(self) -> Told:
        told: Told = {}
        for pipeline, model in self._newest().items():
            release = self._releases.get(f"{pipeline}/{model.release_id}")
            if release is None:
                continue
            made_s = seconds(model.create_time)
            told[pipeline, "newest"] = (made_s - seconds(release.cut_time),)
            before = self._releases.get(f"{pipeline}/{release.parent_id}") if release.parent_id else None
            if before is not None:
                told[pipeline, "oldest"] = (made_s - seconds(before.cut_time),)
        return told


def running(job: TrainingJob) -> Sequence[float | None]:
    """What RUNNING tells of a job."""
    return (
        *(job.step, job.steps, job.attempt, job.gpus),
        seconds(job.progress_time) if job.HasField("progress_time") else None,
        seconds(job.checkpoint_time) if job.HasField("checkpoint_time") else None,
    )


def latest_step(step: TrainingStep) -> Sequence[float | None]:
    """What LATEST_STEP tells of a step."""
    return (
        *(step.loss, step.learning_rate, step.gradient_norm, step.seconds),
        step.step_tokens / step.seconds if step.seconds else None,
        step.useful_tokens_ratio,
        step.neftune_effective_alpha if step.HasField("neftune_effective_alpha") else None,
        step.flops / step.seconds if step.seconds else None,
        step.mfu_ratio if step.HasField("mfu_ratio") else None,
        step.memory_bytes or None,
    )
