"""The instructor over a real log and a real gRPC server: tasks in, rows out; and the call."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import grpc
import pytest

from longstream.errors import EngineDied, EngineUnavailable, SuiteError
from longstream.ids import digest
from longstream.llm.endpoint import EndpointModel
from longstream.llm.options import EngineOptions
from longstream.llm.types import LanguageModel
from longstream.pipeline import Instruct
from longstream.topics import ROWS, SELECTED
from longstream.v1 import instructor_pb2 as pb
from longstream.v1.instructor_pb2_grpc import InstructorServiceStub, add_InstructorServiceServicer_to_server
from longstream.v1.records_pb2 import Example, Row, SelectedTask
from longstream.worker import WorkerOptions
from longstream_instructor.metrics import InstructorMetrics
from longstream_instructor.service import InstructorService
from tests.support.house import House, details, headers, opened, soon, told
from tests.support.ruledmodel import RuledModel
from tests.support.standin import Server

DOCUMENT = "Beside the river stood a mill whose wheel turned day and night for two hundred years."
GOOD = "Explain how people made flour before there were engines."
POOLED = WorkerOptions(
    threads=4, window=8, idle_poll_s=0.02, busy_poll_s=0.005, backoff_s=0.01, max_backoff_s=0.02
)


class Instructor:
    """The instructor's parts over one model."""

    def __init__(self, folder: Path, model: LanguageModel) -> None:
        self.house = House(folder, "instructor", (SELECTED,))
        metrics = InstructorMetrics(self.house.metrics)
        service = InstructorService(model, self.house.keys, metrics, timeout_s=10.0)
        self.house.worker(SELECTED, service, POOLED)
        address = self.house.serve(partial(add_InstructorServiceServicer_to_server, service))
        self.generate = InstructorServiceStub(self.house.call(address)).Generate

    def ask(self, *tasks: SelectedTask) -> None:
        for task in tasks:
            self.house.publish(
                SELECTED, task.SerializeToString(), key=task.example.id.encode(), partition=None
            )

    def rows(self, count: int) -> list[Row]:
        return soon(lambda: rows if len(rows := self.house.facts(ROWS, Row)) >= count else None)

    def close(self) -> None:
        self.house.close()


def a_task(document: str = DOCUMENT, row_id: str = "row-1", **instruct: object) -> SelectedTask:
    task = Instruct.model_validate({"seed": 1, **instruct}).model_dump_json()
    example = Example(id=digest("example", document), response=document, source="s")
    return SelectedTask(pipeline="p", release_id="r1", row_id=row_id, example=example, task=task)


def replying(reply: str) -> RuledModel:
    return RuledModel(answering=lambda document, adapter: reply)


def failing(errors: Sequence[SuiteError]) -> RuledModel:
    """Raises each error once, whatever it is asked, then answers."""
    left = list(errors)

    def answering(document: str, adapter: str) -> str:
        if left:
            raise left.pop(0)
        return GOOD

    return RuledModel(answering=answering)


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[[LanguageModel], Instructor]]:
    started: list[Instructor] = []

    def starting(model: LanguageModel) -> Instructor:
        started.append(Instructor(tmp_path, model))
        return started[-1]

    yield starting
    for instructor in started:
        instructor.close()


Start = Callable[[LanguageModel], Instructor]


@contextmanager
def endpoint(latency_s: float = 0.0) -> Iterator[EndpointModel]:
    """The stand-in endpoint on a port of its own, as the instructor meets one."""
    server = Server(0, latency_s=latency_s)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    model = EndpointModel(f"http://127.0.0.1:{server.server_port}/v1?model=standin", EngineOptions())
    try:
        yield model
    finally:
        model.close()
        server.shutdown()
        server.server_close()


def test_a_task_becomes_a_row_that_says_who_wrote_it_and_for_whom(start: Start) -> None:
    instructor = start(replying(GOOD))
    instructor.ask(a_task())
    row = instructor.rows(1)[0]
    assert (row.instruction, row.refusal) == (GOOD, "")
    assert (row.pipeline, row.row_id, row.release_id) == ("p", "row-1", "r1")
    assert row.example_id == digest("example", DOCUMENT)
    assert row.style in {"instruction", "chatbot", "query"}
    assert (row.engine, row.model, row.model_revision) == ("rules", "ruled", "1")
    assert row.prompt_revision
    assert row.completion_tokens == len(GOOD.split())
    assert instructor.house.records(ROWS)[0].key == b"p/row-1"
    assert instructor.house.sample("instructor_instructions_total", style=row.style) == 1


LONG = " ".join(f"word{n}" for n in range(70))
REFUSED = {
    "empty": "...",
    "cut": " ".join(f"word{n}" for n in range(300)),
    "refusal": "I'm sorry, but I cannot help with that request today.",
    "too_short": "Why?",
    "too_long": f"Explain {LONG}",
    "copies_document": "Beside the river stood a mill whose wheel turned day and night for two hundred years",
    "refers_to_text": "Summarise the document above in three short sentences.",
    "wrong_script": "Расскажи подробно о старой мельнице у большой реки",  # noqa: RUF001
}


def test_every_reason_for_a_refusal_makes_a_refused_row(start: Start) -> None:
    documents = {reason: f"{DOCUMENT} It is the mill of number {n}." for n, reason in enumerate(REFUSED)}
    replies = {document: REFUSED[reason] for reason, document in documents.items()}
    instructor = start(RuledModel(answering=lambda document, adapter: replies[document]))
    instructor.ask(*(a_task(document, f"row-{reason}") for reason, document in documents.items()))
    rows = {row.row_id: row for row in instructor.rows(len(REFUSED))}
    assert {reason: rows[f"row-{reason}"].refusal for reason in REFUSED} == {
        reason: reason for reason in REFUSED
    }
    assert all(row.instruction == "" and row.engine for row in rows.values())
    assert [instructor.house.sample("instructor_refusals_total", reason=reason) for reason in REFUSED] == [
        1
    ] * 8
    assert instructor.house.dead(SELECTED) == []


def test_a_task_whose_document_is_empty_is_a_dead_letter_and_a_refused_row(start: Start) -> None:
    instructor = start(replying(GOOD))
    instructor.ask(a_task(" \n"), a_task(row_id="row-2"))
    rows = {row.row_id: row for row in instructor.rows(2)}
    assert rows["row-1"].refusal == "invalid_input"
    assert rows["row-2"].instruction == GOOD
    (dead,) = instructor.house.dead(SELECTED)
    assert dead.value == a_task(" \n").SerializeToString()
    assert headers(dead)["x-error-reason"] == "invalid_input"
    assert headers(dead)["x-origin"].startswith("selected/")
    assert instructor.house.sample("dlq_records_total", topic=SELECTED, reason="invalid_input") == 1


@pytest.mark.parametrize("task", ["", "no JSON", '{"styles": 3}', '{"unknown": 1}'])
def test_a_task_without_its_instruct_section_is_invalid_and_not_an_unexpected_failure(
    start: Start, task: str
) -> None:
    instructor = start(replying(GOOD))
    instructor.ask(SelectedTask(pipeline="p", row_id="row-1", example=Example(response=DOCUMENT), task=task))
    assert instructor.rows(1)[0].refusal == "invalid_input"
    assert headers(instructor.house.dead(SELECTED)[0])["x-error-class"] == "InvalidInput"


def test_bytes_that_are_no_task_are_a_dead_letter_without_a_row(start: Start) -> None:
    instructor = start(replying(GOOD))
    instructor.house.publish(SELECTED, b"\xff\xfe\xfd")
    instructor.ask(a_task())
    assert [row.row_id for row in instructor.rows(1)] == ["row-1"]
    assert [record.value for record in soon(lambda: instructor.house.dead(SELECTED))] == [b"\xff\xfe\xfd"]


def test_an_engine_that_is_away_is_waited_for_and_makes_no_dead_letter(start: Start) -> None:
    instructor = start(failing([EngineUnavailable("loading")] * 12))
    instructor.ask(a_task())
    assert instructor.rows(1)[0].instruction == GOOD
    assert instructor.house.dead(SELECTED) == []
    assert instructor.house.sample("worker_retries_total", topic=SELECTED, reason="engine_unavailable") == 12


def test_an_engine_that_dies_twice_with_a_document_may_still_write_its_row(start: Start) -> None:
    instructor = start(failing([EngineDied("gone")] * 2))
    instructor.ask(a_task())
    assert instructor.rows(1)[0].instruction == GOOD


def test_a_document_with_which_the_engine_dies_three_times_is_a_dead_letter_and_a_refused_row(
    start: Start,
) -> None:
    instructor = start(failing([EngineDied("gone")] * 3))
    instructor.ask(a_task())
    assert instructor.rows(1)[0].refusal == "engine_died"
    (dead,) = instructor.house.dead(SELECTED)
    assert (headers(dead)["x-error-reason"], headers(dead)["x-attempt"]) == ("engine_died", "3")


def test_the_same_task_twice_gives_the_same_bytes_under_one_key(tmp_path: Path) -> None:
    with endpoint() as model, opened(Instructor(tmp_path, model)) as instructor:
        instructor.ask(a_task(), a_task())
        instructor.rows(2)
        assert len({(record.key, record.value) for record in instructor.house.records(ROWS)}) == 1


def test_a_restart_reads_no_task_twice(tmp_path: Path) -> None:
    with opened(Instructor(tmp_path, replying(GOOD))) as instructor:
        instructor.ask(a_task())
        instructor.rows(1)
    with opened(
        Instructor(tmp_path, replying("Describe how the corn was ground in former times."))
    ) as instructor:
        instructor.ask(a_task(row_id="row-2"))
        assert [row.row_id for row in instructor.rows(2)] == ["row-1", "row-2"]


def test_generate_answers_with_the_instruction_and_what_made_it(tmp_path: Path) -> None:
    with endpoint() as model, opened(Instructor(tmp_path, model)) as instructor:
        answer = instructor.generate(pb.GenerateRequest(document=DOCUMENT, style="query", seed=7), timeout=10)
        again = instructor.generate(pb.GenerateRequest(document=DOCUMENT, style="query", seed=7), timeout=10)
        drawn = instructor.generate(pb.GenerateRequest(document=DOCUMENT), timeout=10)
    assert answer == again
    assert answer.instruction
    assert (answer.style, answer.engine, answer.model) == ("query", "openai standin-1", "standin")
    assert answer.prompt_tokens > len(DOCUMENT.split())
    assert drawn.style in {"instruction", "chatbot", "query"}


def test_generate_keeps_nothing(start: Start) -> None:
    instructor = start(replying(GOOD))
    instructor.generate(pb.GenerateRequest(document=DOCUMENT), timeout=10)
    assert instructor.house.records(ROWS) == []


def test_generate_tells_a_refusal_by_its_reason(start: Start) -> None:
    answer = start(replying("Why?")).generate(pb.GenerateRequest(document=DOCUMENT), timeout=10)
    assert (answer.instruction, answer.refusal) == ("", "too_short")


@pytest.mark.parametrize(
    ("request_", "field"),
    [
        (pb.GenerateRequest(document=DOCUMENT, style="sonnet"), "style"),
        (pb.GenerateRequest(document=" "), "document"),
    ],
)
def test_generate_names_the_field_that_is_wrong(
    start: Start, request_: pb.GenerateRequest, field: str
) -> None:
    instructor = start(replying(GOOD))
    with pytest.raises(grpc.RpcError) as raised:
        instructor.generate(request_, timeout=10)
    assert told(raised.value) == ("INVALID_ARGUMENT", "INVALID_INPUT")
    assert details(raised.value)["BadRequest"].field_violations[0].field == field


def test_generate_ends_at_the_callers_deadline(tmp_path: Path) -> None:
    with endpoint(latency_s=1.5) as model, opened(Instructor(tmp_path, model)) as instructor:
        with pytest.raises(grpc.RpcError) as raised:
            instructor.generate(pb.GenerateRequest(document=DOCUMENT), timeout=0.4)
        assert raised.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
        soon(
            lambda: instructor.house.sample(
                "grpc_server_handled_total",
                grpc_service="longstream.v1.InstructorService",
                grpc_method="Generate",
                grpc_code="DEADLINE_EXCEEDED",
            )
        )


def test_generate_says_when_to_come_again_while_the_engine_is_away(start: Start) -> None:
    model = EndpointModel(
        "http://127.0.0.1:9/v1?model=m", EngineOptions(connect_timeout_s=0.2, context_tokens=400)
    )
    with pytest.raises(grpc.RpcError) as raised:
        start(model).generate(pb.GenerateRequest(document=DOCUMENT), timeout=10)
    assert told(raised.value) == ("UNAVAILABLE", "ENGINE_UNAVAILABLE")
    assert details(raised.value)["RetryInfo"].retry_delay.seconds == 5
    model.close()
