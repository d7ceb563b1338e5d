"""The instructor: SelectedTask in, Row out; and the same writing as a call.

A task is answered exactly once: the row and the task's position are committed together, and the row's id was made by
the owner who asked. A document that the model cannot be asked about gets a refused row beside its dead letter, so
that the release that waits for it goes on with the next rank.
"""

from __future__ import annotations

from collections.abc import Sequence

import grpc
from pydantic import ValidationError

from longstream.bus import Output, Partition, Record
from longstream.errors import InvalidInput, SuiteError
from longstream.ids import digest
from longstream.llm.types import LanguageModel
from longstream.pipeline import Instruct
from longstream.records import parse
from longstream.server import time_left_s
from longstream.topics import ROWS, PipelineTopics
from longstream.v1 import instructor_pb2 as pb
from longstream.v1.instructor_pb2_grpc import InstructorServiceServicer
from longstream.v1.records_pb2 import Row, SelectedTask
from longstream_instructor.metrics import InstructorMetrics
from longstream_instructor.prompts import Style
from longstream_instructor.writer import Writer, Written


class InstructorService(InstructorServiceServicer):
    """Handler of `selected` and servicer of `Generate`, over one language model."""

    def __init__(
        self, model: LanguageModel, pipelines: PipelineTopics, metrics: InstructorMetrics, timeout_s: float
    ) -> None:
        self._model = model
        self._pipelines = pipelines
        self._writer = Writer(model, timeout_s)
        self._metrics = metrics

    def gained(self, partition: Partition) -> None:
        """Nothing to restore: each task stands alone."""

    def lost(self, partition: Partition) -> None:
        """Nothing to drop."""

    def tick(self, partition: Partition) -> Sequence[Output]:
        """Nothing is done that no task asked for."""
        del partition
        return ()

    def handle(self, record: Record) -> Sequence[Output]:
        """Write the row of a task, accepted or refused."""
        task = parse(SelectedTask, record)
        spec = _spec(task)
        written = self._writer.write(task.example.response, task.example.id, spec)
        self._metrics.written(written)
        return [self._row(task, self._described(written))]

    def refuse(self, record: Record, error: SuiteError) -> Sequence[Output]:
        """A refused row for a task that cannot be done; none where not even its id can be read."""
        try:
            task = parse(SelectedTask, record)
        except InvalidInput:
            return ()
        self._metrics.refused(error.reason)
        return [self._row(task, Row(refusal=error.reason))] if task.row_id else ()

    def Generate(self, request: pb.GenerateRequest, context: grpc.ServicerContext) -> pb.GenerateResponse:
        """One document, now. Raises InvalidInput, EngineUnavailable, EngineDied, DeadlineExceeded."""
        spec = Instruct(seed=request.seed)
        document_id = digest("document", request.document)
        timeout_s = time_left_s(context)
        if request.style:
            style = _style(request.style)
            written = self._writer.write_as(style, request.document, document_id, spec, timeout_s)
        else:
            written = self._writer.write(request.document, document_id, spec, timeout_s)
        self._metrics.written(written)
        row = self._described(written)
        shared = {field.name for field in pb.GenerateResponse.DESCRIPTOR.fields}
        return pb.GenerateResponse(**{f.name: value for f, value in row.ListFields() if f.name in shared})

    def _described(self, written: Written) -> Row:
        identity = self._model.identity
        return Row(
            instruction=written.instruction,
            refusal=written.refusal,
            style=written.style.value,
            prompt_revision=self._writer.prompt_revision,
            engine=identity.engine,
            model=identity.model,
            model_revision=identity.revision,
            seed=written.seed,
            excerpted=written.excerpted,
            prompt_tokens=written.completion.prompt_tokens,
            completion_tokens=written.completion.completion_tokens,
        )

    def _row(self, task: SelectedTask, row: Row) -> Output:
        row.pipeline, row.row_id, row.release_id = task.pipeline, task.row_id, task.release_id
        row.example_id = task.example.id
        return self._pipelines.output(
            ROWS, task.pipeline, task.row_id, row.SerializeToString(deterministic=True)
        )


def _spec(task: SelectedTask) -> Instruct:
    try:
        return Instruct.model_validate_json(task.task)
    except ValidationError:
        raise InvalidInput("the task is no instruct section of a pipeline file") from None


def _style(name: str) -> Style:
    try:
        return Style(name)
    except ValueError:
        raise InvalidInput(f"unknown style {name!r}; known: {', '.join(Style)}", field="style") from None
