"""Evaluations that wait to be held: of a new model, of one that somebody asks about, of the judge itself."""

from __future__ import annotations

from collections.abc import Sequence

from longstream.ids import digest
from longstream.records import now
from longstream.telemetry import begin_fact
from longstream.v1.records_pb2 import Evaluation, Model

OPEN = frozenset({Evaluation.STATE_QUEUED, Evaluation.STATE_RUNNING})


def age(evaluation: Evaluation) -> tuple[int, str]:
    """What they are taken in the order of."""
    return evaluation.create_time.ToNanoseconds(), evaluation.id


def name_of(model: Model, asked_by: str) -> str:
    """The id of a model's evaluation. asked_by: "model" for the one that it gets by itself."""
    return digest("evaluation", model.pipeline, model.id, asked_by)


def queued(model: Model, asked_by: str) -> Evaluation:
    """A model's evaluation, below the trace of the model."""
    own_trace, parent_trace = begin_fact(model.trace)
    return Evaluation(
        pipeline=model.pipeline,
        id=name_of(model, asked_by),
        state=Evaluation.STATE_QUEUED,
        model_id=model.id,
        create_time=now(),
        trace=own_trace,
        parent_trace=parent_trace,
    )


def recheck_due(known: Sequence[Evaluation], every_s: float) -> bool:
    """Whether nothing waits, and nothing has ended for so long."""
    ended = [item.end_time.ToNanoseconds() for item in known if item.HasField("end_time")]
    waits = any(item.state in OPEN for item in known)
    return not waits and bool(ended) and now().ToNanoseconds() >= max(ended) + every_s * 1e9


def recheck(pipeline: str, known: Sequence[Evaluation]) -> Evaluation:
    """The next recheck of the judge."""
    number = sum(item.kind == Evaluation.KIND_RECHECK for item in known) + 1
    return Evaluation(
        pipeline=pipeline,
        id=digest("evaluation", pipeline, "recheck", number),
        kind=Evaluation.KIND_RECHECK,
        state=Evaluation.STATE_QUEUED,
        create_time=now(),
    )
