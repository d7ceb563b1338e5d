"""The instructor over a real log and a real gRPC server: tasks in, rows out; and the call."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import grpc
import pytest

from longstream.errors import EngineDied, EngineUnavailable, SuiteError
from longstream.ids import digest
from longstream.instructing import Instruct, Refine
from longstream.llm.endpoint import EndpointModel
from longstream.llm.options import EngineOptions
from longstream.llm.types import LanguageModel, Prompt, Sampling
from longstream.topics import ROWS, SELECTED
from longstream.v1 import instructor_pb2 as pb
from longstream.v1.instructor_pb2_grpc import InstructorServiceStub, add_InstructorServiceServicer_to_server
from longstream.v1.records_pb2 import Example, Row, SelectedTask
from longstream.worker import WorkerOptions
from longstream_instructor.counting import words
from longstream_instructor.metrics import InstructorMetrics
from longstream_instructor.service import InstructorService
from tests.instructor.test_gates import NEW, OLD, REQUEST
from tests.instructor.test_refining import reply
from tests.support.house import House, details, headers, opened, soon, told
from tests.support.ruledmodel import RuledModel
from tests.support.scripted import ScriptedModel
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
        service = InstructorService(model, self.house.keys, metrics, timeout_s=10.0, in_flight=8)
        self.house.worker(SELECTED, service, POOLED)
        address = self.house.serve(partial(add_InstructorServiceServicer_to_server, service))
        stub = InstructorServiceStub(self.house.call(address))
        self.generate, self.stream, self.refine = stub.Generate, stub.GenerateStream, stub.Refine

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
    task = Instruct.model_validate({"seed": 1, "lengths": {"share": 0}, **instruct}).model_dump_json()
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
    "wrong_script": "Расскажи подробно о старой мельнице у большой реки",
    "wrong_language": "Erkläre, wie man früher ohne Maschinen Mehl gemacht hat.",
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
    ] * len(REFUSED)
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


PAIR = Example(id="e1", instruction=REQUEST, response=OLD, source="s")


def a_pair(row_id: str = "row-1", example: Example = PAIR, **refine: object) -> SelectedTask:
    return SelectedTask(
        pipeline="p",
        release_id="r1",
        row_id=row_id,
        example=example,
        task=Instruct().model_dump_json(),
        refine=Refine.model_validate(refine).model_dump_json(),
    )


def test_a_pair_that_is_to_be_refined_gets_a_row_with_both_answers_and_the_critique(start: Start) -> None:
    instructor = start(ScriptedModel(lambda prompt, sampling: reply()))
    instructor.ask(a_pair())
    row = instructor.rows(1)[0]
    assert (row.instruction, row.refusal, row.style) == (REQUEST, "", "")
    refinement = row.refinement
    assert (refinement.outcome, refinement.text, refinement.as_response) == ("refined", NEW, True)
    assert refinement.critique == "It is one dense block."
    assert refinement.prompt_revision
    assert instructor.house.sample("instructor_refinements_total", outcome="refined") == 1


def test_a_pair_whose_refinement_is_refused_keeps_its_answer_and_says_why(start: Start) -> None:
    instructor = start(ScriptedModel(lambda prompt, sampling: reply(OLD)))
    instructor.ask(a_pair())
    row = instructor.rows(1)[0]
    assert (row.refusal, row.refinement.outcome, row.refinement.text) == ("", "unchanged", "")
    assert instructor.house.sample("instructor_refinements_total", outcome="unchanged") == 1


def test_a_pair_with_which_the_engine_dies_three_times_keeps_its_answer(start: Start) -> None:
    def dying(prompt: Prompt, sampling: Sampling) -> str:
        raise EngineDied("gone")

    instructor = start(ScriptedModel(dying))
    instructor.ask(a_pair())
    row = instructor.rows(1)[0]
    assert (row.instruction, row.refusal, row.refinement.outcome) == (REQUEST, "", "engine_died")
    assert len(instructor.house.dead(SELECTED)) == 1


def test_a_document_gets_its_instruction_and_then_its_refinement_and_the_length_is_that_of_the_last(
    start: Start,
) -> None:
    def replying(prompt: Prompt, sampling: Sampling) -> str:
        return reply() if "[better answer" in prompt.text else "Explain why bread goes stale in the cold."

    instructor = start(ScriptedModel(replying))
    tasks = []
    for number in range(40):
        task = a_pair(f"row-{number}", Example(id=f"e{number}", response=OLD, source="s"))
        task.task = Instruct.model_validate({"lengths": {"share": 1.0, "exact": 1.0}}).model_dump_json()
        tasks.append(task)
    instructor.ask(*tasks)
    rows = instructor.rows(40)
    assert {row.refinement.outcome for row in rows} == {"refined"}
    told_lengths = {row.length_info.split("/")[2] for row in rows if "/words/" in row.length_info}
    assert told_lengths == {str(words(NEW))}
    assert all(row.instruction != "Explain why bread goes stale in the cold." for row in rows)


def test_refine_answers_with_the_new_answer_and_how_it_was_reached(start: Start) -> None:
    instructor = start(ScriptedModel(lambda prompt, sampling: reply()))
    answer = instructor.refine(pb.RefineRequest(instruction=REQUEST, response=OLD, seed=3), timeout=10)
    assert (answer.response, answer.refinement.outcome, answer.engine) == (NEW, "refined", "rules")
    kept = instructor.refine(
        pb.RefineRequest(instruction=REQUEST, response=OLD, options='{"max_tokens": 60}'), timeout=10
    )
    assert (kept.response, kept.refinement.outcome) == (OLD, "truncated")


@pytest.mark.parametrize(
    ("request_", "field"),
    [
        (pb.RefineRequest(instruction=REQUEST), "response"),
        (pb.RefineRequest(instruction=REQUEST, response=OLD, options='{"wit": 1}'), "options"),
        (
            pb.RefineRequest(instruction=REQUEST, response=OLD, options='{"limits": {"wit": 1}}'),
            "refine.limits",
        ),
    ],
)
def test_refine_names_the_field_that_is_wrong(start: Start, request_: pb.RefineRequest, field: str) -> None:
    instructor = start(replying(GOOD))
    with pytest.raises(grpc.RpcError) as raised:
        instructor.refine(request_, timeout=10)
    assert told(raised.value) == ("INVALID_ARGUMENT", "INVALID_INPUT")
    assert details(raised.value)["BadRequest"].field_violations[0].field == field


def test_generate_takes_the_options_of_an_instruct_section(start: Start) -> None:
    instructor = start(replying("Why?"))
    answer = instructor.generate(
        pb.GenerateRequest(
            document=DOCUMENT, options='{"limits": {"min_words": 1}, "lengths": {"share": 1}}'
        ),
        timeout=10,
    )
    assert answer.length_info
    assert "Why?" in answer.instruction
    with pytest.raises(grpc.RpcError) as raised:
        instructor.generate(pb.GenerateRequest(document=DOCUMENT, options='{"tries": 0}'), timeout=10)
    assert details(raised.value)["BadRequest"].field_violations[0].field == "options"


def test_a_stream_answers_each_request_once_under_its_id_and_goes_on_behind_a_wrong_one(start: Start) -> None:
    instructor = start(replying(GOOD))
    requests = [
        pb.GenerateStreamRequest(request_id=f"q{n}", request=pb.GenerateRequest(document=f"{DOCUMENT} {n}."))
        for n in range(50)
    ]
    requests.insert(
        20, pb.GenerateStreamRequest(request_id="wrong", request=pb.GenerateRequest(document=" "))
    )
    answers = {one.request_id: one for one in instructor.stream(iter(requests), timeout=20)}
    assert set(answers) == {one.request_id for one in requests}
    wrong = answers.pop("wrong")
    assert (wrong.failure.code, wrong.failure.reason, wrong.failure.field) == (
        "INVALID_ARGUMENT",
        "invalid_input",
        "document",
    )
    assert all(GOOD in one.response.instruction for one in answers.values())


def test_a_stream_answers_before_all_its_requests_have_come(start: Start) -> None:
    instructor = start(replying(GOOD))
    answered = threading.Event()

    def requests() -> Iterator[pb.GenerateStreamRequest]:
        yield pb.GenerateStreamRequest(request_id="first", request=pb.GenerateRequest(document=DOCUMENT))
        assert answered.wait(10)
        yield pb.GenerateStreamRequest(request_id="second", request=pb.GenerateRequest(document=DOCUMENT))

    answers = instructor.stream(requests(), timeout=20)
    assert next(answers).request_id == "first"
    answered.set()
    assert [one.request_id for one in answers] == ["second"]


def test_a_stream_has_so_many_requests_in_the_engine_as_it_may_and_no_more(start: Start) -> None:
    lock, now, most = threading.Lock(), 0, 0

    def slowly(document: str, adapter: str) -> str:
        nonlocal now, most
        with lock:
            now += 1
            most = max(most, now)
        time.sleep(0.02)
        with lock:
            now -= 1
        return GOOD

    instructor = start(RuledModel(answering=slowly))
    requests = (
        pb.GenerateStreamRequest(request_id=str(n), request=pb.GenerateRequest(document=f"{DOCUMENT} {n}."))
        for n in range(60)
    )
    assert len(list(instructor.stream(requests, timeout=20))) == 60
    assert most == 8


def test_a_stream_whose_caller_goes_asks_no_more(start: Start) -> None:
    asked = threading.Semaphore(0)

    def slowly(document: str, adapter: str) -> str:
        asked.release()
        time.sleep(0.05)
        return GOOD

    model = RuledModel(answering=slowly)
    instructor = start(model)
    requests = (
        pb.GenerateStreamRequest(request_id=str(n), request=pb.GenerateRequest(document=f"{DOCUMENT} {n}."))
        for n in range(10_000)
    )
    call = instructor.stream(requests, timeout=20)
    next(call)
    call.cancel()
    time.sleep(0.5)
    before = len(model.asked)
    time.sleep(0.5)
    assert len(model.asked) == before < 200
