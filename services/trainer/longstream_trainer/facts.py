"""What a child reports, as the facts that other programs read."""

from __future__ import annotations

from longstream.records import now
from longstream.v1.records_pb2 import (
    TrainingCheckpoint,
    TrainingEvent,
    TrainingFailed,
    TrainingFinished,
    TrainingJob,
    TrainingStarted,
    TrainingStep,
)
from longstream_trainer.report import Checkpoint, Done, Event, Failed, Started, Step


def fact_of(event: Event) -> TrainingEvent:
    """The record of a child's event, without the job's name and time."""
    match event:
        case Started():
            return TrainingEvent(started=_started(event))
        case Step():
            return TrainingEvent(step=_step(event))
        case Checkpoint():
            return TrainingEvent(checkpoint=TrainingCheckpoint(step=event.step, address=_address(event)))
        case Done():
            return TrainingEvent(finished=finished_of(event))
        case Failed():
            failed = TrainingFailed(reason=event.reason, message=event.message, retryable=event.retryable)
            return TrainingEvent(failed=failed)


def finished_of(done: Done) -> TrainingFinished:
    """The figures of a finished attempt; a held-out figure stays unset where nothing is held out."""
    return TrainingFinished(
        loss=done.loss,
        base_bits_per_byte=done.base_bits_per_byte,
        bits_per_byte=done.bits_per_byte,
        seconds=done.seconds,
    )


def progressed(job: TrainingJob, event: Event) -> None:
    """Take what the event says about progress into the job."""
    if isinstance(event, Started):
        job.steps, job.step, job.gpus = event.steps_planned, event.resumed_from_step, event.gpus
    elif isinstance(event, Step):
        job.step, job.loss = event.step, event.loss
        job.latest.CopyFrom(_step(event))
    elif isinstance(event, Checkpoint):
        job.checkpoint_time.CopyFrom(now())
        job.checkpoint = _address(event) or job.checkpoint
    if isinstance(event, Started | Step):
        job.progress_time.CopyFrom(now())


def _address(event: Checkpoint) -> str:
    """Of a checkpoint in storage; a path on the attempt's machine tells nobody else anything."""
    return event.path if event.path.startswith("sha256:") else ""


def _started(event: Started) -> TrainingStarted:
    return TrainingStarted(
        steps=event.steps_planned,
        examples=event.examples,
        supervised_tokens=event.trained_tokens,
        dropped=event.dropped,
        resumed_from_step=event.resumed_from_step,
        gpus=event.gpus,
        memory_needed_bytes=event.memory_needed_bytes,
        least_seconds=event.least_seconds,
    )


def _step(event: Step) -> TrainingStep:
    return TrainingStep(
        step=event.step,
        loss=event.loss,
        learning_rate=event.learning_rate,
        gradient_norm=event.grad_norm,
        tokens=event.tokens,
        seconds=event.seconds,
        step_tokens=event.step_tokens,
        seconds_left=event.seconds_left,
        memory_bytes=event.memory_bytes,
        useful_tokens_ratio=event.useful_tokens_ratio,
        neftune_effective_alpha=event.neftune_effective_alpha,
        flops=event.flops,
        mfu_ratio=event.mfu_ratio,
    )
