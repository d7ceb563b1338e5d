"""The instructor: SelectedTask in, Row out; and the same work as calls.

A task is answered exactly once: the row and the task's position are committed together, and the row's id was made by
the owner who asked. A document that the model cannot be asked about gets a refused row beside its dead letter, so
that the release that waits for it goes on with the next rank; a pair that cannot be refined stays as it came.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import grpc

from longstream.bus import Output, Partition, Record
from longstream.errors import InvalidInput, SuiteError
from longstream.ids import digest
from longstream.instructing import Instruct, Refine
from longstream.llm.types import LanguageModel
from longstream.records import parse
from longstream.server import time_left_s
from longstream.streaming import Stream
from longstream.topics import RELEASE_HEADER, ROW_HEADER, ROWS, PipelineTopics
from longstream.v1 import instructor_pb2 as pb
from longstream.v1.instructor_pb2_grpc import InstructorServiceServicer
from longstream.v1.records_pb2 import Example, Refinement, Row, SelectedTask
from longstream_instructor.metrics import InstructorMetrics
from longstream_instructor.refining import REFINED, Answer
from longstream_instructor.styles import Style
from longstream_instructor.tasks import Done, TaskRunner, refinement, section, sections_of, with_length


class InstructorService(InstructorServiceServicer):
    """Handler of `selected` and servicer of the calls, over one language model.

    Both do the same work; only a call has no ids for its row, and writes nothing into the log.
    """

    def __init__(
        self,
        model: LanguageModel,
        pipelines: PipelineTopics,
        metrics: InstructorMetrics,
        timeout_s: float,
        in_flight: int = 32,
    ) -> None:
        """timeout_s: of one generation for a task; a call's own deadline holds for the call.

        in_flight: documents of one stream that are asked about at once.
        """
        self._model = model
        self._pipelines = pipelines
        self._tasks = TaskRunner(model, timeout_s)
        self._metrics = metrics
        self._in_flight = in_flight

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
        instruct, refine = sections_of(task)
        done = self._tasks.do(task.example, instruct, refine)
        self._metrics.done(done)
        return [self._output(task, done.row(task.example, self._model.identity))]

    def refuse(self, record: Record, error: SuiteError) -> Sequence[Output]:
        """A refused row for a document that cannot be asked about, an unrefined one for a pair that cannot be refined;
        none where not even its id can be read.
        """
        try:
            task = parse(SelectedTask, record) if record.fault is None else _told_of(record)
        except InvalidInput:
            return ()
        pair = bool(task.example.instruction)
        self._metrics.failed(error.reason, refined=pair)
        if not task.row_id:  # no release waits for it
            return ()
        if pair:
            row = Row(instruction=task.example.instruction, refinement=Refinement(outcome=error.reason))
        else:
            row = Row(refusal=error.reason)
        return [self._output(task, row)]

    def Generate(self, request: pb.GenerateRequest, context: grpc.ServicerContext) -> pb.GenerateResponse:
        """One document, now, in the style that is asked for, or else in one that is drawn.

        Raises InvalidInput, EngineUnavailable, EngineDied, DeadlineExceeded.
        """
        return self._generate(request, time_left_s(context))

    def GenerateStream(
        self, requests: Iterator[pb.GenerateStreamRequest], context: grpc.ServicerContext
    ) -> Iterator[pb.GenerateStreamResponse]:
        """Many documents, so many at once as keep the engine full, each answered as soon as it is done."""

        def generate(request: pb.GenerateStreamRequest) -> pb.GenerateStreamResponse:
            response = self._generate(request.request, time_left_s(context))
            return pb.GenerateStreamResponse(request_id=request.request_id, response=response)

        return Stream(generate, _failed, self._in_flight).answers(requests)

    def Refine(self, request: pb.RefineRequest, context: grpc.ServicerContext) -> pb.RefineResponse:
        """One answer, criticised and written anew; or as it came, with the reason.

        Raises InvalidInput, EngineUnavailable, EngineDied, DeadlineExceeded.
        """
        refine = Refine()
        if request.options:
            refine = section(Refine, request.options, "options is no refine section", "options")
        refine = refine.model_copy(update={"seed": request.seed})
        answer = Answer(instruction=request.instruction, input=request.input, response=request.response)
        answer_id = digest("answer", request.instruction, request.input, request.response)
        refined = self._tasks.refiner.refine(answer, answer_id, refine, time_left_s(context))
        self._metrics.refined(refined)
        identity = self._model.identity
        return pb.RefineResponse(
            response=refined.text if refined.outcome == REFINED else request.response,
            refinement=refinement(refined, refine),
            engine=identity.engine,
            model=identity.model,
            model_revision=identity.revision,
        )

    def _generate(self, request: pb.GenerateRequest, timeout_s: float) -> pb.GenerateResponse:
        instruct = Instruct()
        if request.options:
            instruct = section(Instruct, request.options, "options is no instruct section", "options")
        instruct = instruct.model_copy(update={"seed": request.seed})
        document_id = digest("document", request.document)
        style = _style(request.style) if request.style else None
        written = self._tasks.writer.write(request.document, document_id, instruct, timeout_s, style)
        written, info = with_length(written, request.document, document_id, instruct)
        done = Done(written=written, refined=None, refine=None, info=info)
        self._metrics.done(done)
        # The answer's fields are fields of a row, under the same names: a row without its ids and its seed.
        row = done.row(Example(), self._model.identity)
        answered = {field.name for field in pb.GenerateResponse.DESCRIPTOR.fields}
        row_fields = {field.name: value for field, value in row.ListFields()}
        return pb.GenerateResponse(**{name: row_fields[name] for name in answered & row_fields.keys()})

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


def _failed(request: pb.GenerateStreamRequest, error: SuiteError) -> pb.GenerateStreamResponse:
    failure = pb.GenerateFailure(
        code=error.code, reason=error.reason, message=error.message, field=error.field or ""
    )
    return pb.GenerateStreamResponse(request_id=request.request_id, failure=failure)


def _style(name: str) -> Style:
    try:
        return Style(name)
    except ValueError:
        raise InvalidInput(f"unknown style {name!r}; known: {', '.join(Style)}", field="style") from None
