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
from longstream.topics import RELEASE_HEADER, ROW_HEADER, ROWS, PipelineTopics
from longstream.v1 import instructor_pb2 as pb
from longstream.v1.instructor_pb2_grpc import InstructorServiceServicer
from longstream.v1.records_pb2 import Example, Row, SelectedTask
from longstream_instructor.metrics import InstructorMetrics
from longstream_instructor.prompts import Style
from longstream_instructor.writer import Writer, Written


class InstructorService(InstructorServiceServicer):
    """Handler of `selected` and servicer of `Generate`, over one language model.

    Both write with the same writer; only a call has no ids for its row, and writes nothing into the log.
    """

    def __init__(
        self, model: LanguageModel, pipelines: PipelineTopics, metrics: InstructorMetrics, timeout_s: float
    ) -> None:
        """timeout_s: of one generation for a task; a call's own deadline holds for the call."""
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
        """Write the row of a task, accepted or refused. Raises InvalidInput, or what the model raises."""
        task = parse(SelectedTask, record)
        document = task.example.response  # the text that the instruction is to be written for
        written = self._writer.write(document, task.example.id, _instruct(task))
        self._metrics.written(written)
        return [self._output(task, self._row(written))]

    def refuse(self, record: Record, error: SuiteError) -> Sequence[Output]:
        """A refused row for a task that cannot be done; none where not even its id can be read."""
        try:
            task = parse(SelectedTask, record) if record.fault is None else _told_of(record)
        except InvalidInput:
            return ()
        self._metrics.refused(error.reason)
        if not task.row_id:  # no release waits for it
            return ()
        return [self._output(task, Row(refusal=error.reason))]

    def Generate(self, request: pb.GenerateRequest, context: grpc.ServicerContext) -> pb.GenerateResponse:
        """One document, now, in the style that is asked for, or else in one that is drawn.

        Raises InvalidInput, EngineUnavailable, EngineDied, DeadlineExceeded.
        """
        settings = Instruct(seed=request.seed)  # a call names no pipeline, so the defaults hold
        document_id = digest("document", request.document)
        timeout_s = time_left_s(context)
        if request.style:
            style = _style(request.style)
            written = self._writer.write_as(style, request.document, document_id, settings, timeout_s)
        else:
            written = self._writer.write(request.document, document_id, settings, timeout_s)
        self._metrics.written(written)
        # The answer's fields are fields of a row, under the same names: a row without its ids and its seed.
        answered = {field.name for field in pb.GenerateResponse.DESCRIPTOR.fields}
        row_fields = {field.name: value for field, value in self._row(written).ListFields()}
        return pb.GenerateResponse(**{name: row_fields[name] for name in answered & row_fields.keys()})

    def _row(self, written: Written) -> Row:
        """What was written and what made it; the ids are those of whoever asked, and come later."""
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

    def _output(self, task: SelectedTask, row: Row) -> Output:
        """The row under the ids of its task, ready to be committed."""
        row.pipeline, row.row_id, row.release_id = task.pipeline, task.row_id, task.release_id
        row.example_id = task.example.id
        return self._pipelines.output(
            ROWS, task.pipeline, task.row_id, row.SerializeToString(deterministic=True)
        )


def _told_of(record: Record) -> SelectedTask:
    """What the headers say of a task whose value is lost: whose row it asks for."""
    pipeline, _, row_id = (record.header(ROW_HEADER) or b"").decode(errors="replace").rpartition("/")
    return SelectedTask(
        pipeline=pipeline,
        row_id=row_id,
        release_id=(record.header(RELEASE_HEADER) or b"").decode(errors="replace"),
        example=Example(id=record.key.decode(errors="replace")),
    )


def _instruct(task: SelectedTask) -> Instruct:
    """The `instruct` section that the release was cut with; it travels with the task, as JSON."""
    try:
        return Instruct.model_validate_json(task.task)
    except ValidationError:
        raise InvalidInput("the task is no instruct section of a pipeline file") from None


def _style(name: str) -> Style:
    try:
        return Style(name)
    except ValueError:
        raise InvalidInput(f"unknown style {name!r}; known: {', '.join(Style)}", field="style") from None
