"""The client against real local servers: batches, retries, pages, watches, request ids, errors."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from longstream.batches import BatchLimits, calls, document_message
from longstream.client import Client, Document, Pair, Patience, SubmitReport
from longstream.errors import (
    DeadlineExceeded,
    InvalidInput,
    NotFound,
    Refused,
    StorageFull,
    TooLarge,
    Unavailable,
)
from longstream.v1 import instructor_pb2, judge_pb2
from longstream.v1.records_pb2 import Evaluation, Model, Release, TrainingJob
from tests.support.local_suite import LocalSuite, local_suite

QUICK = Patience(call_s=5.0, submit_s=5.0, watch_s=5.0, attempts=4, first_wait_s=0.01, last_wait_s=0.02)
SMALL = BatchLimits(max_text_bytes=1_000, message_items=3, message_bytes=2_000, call_bytes=4_000)


@pytest.fixture
def suite() -> Iterator[LocalSuite]:
    with local_suite() as running:
        yield running


@pytest.fixture
def client(suite: LocalSuite) -> Iterator[Client]:
    with Client(suite.addresses, patience=QUICK, limits=SMALL) as opened:
        yield opened


def document(text: str, number: int = 0) -> Document:
    return Document(text=text, source="essays", source_index=number, external_id=f"d{number}")


def test_every_document_arrives_as_it_was_given(suite: LocalSuite, client: Client) -> None:
    given_document = Document(
        text="A text.",
        source="essays",
        source_index=0,
        external_id="x",
        licence="CC0",
        provenance={"file": "a.txt"},
    )
    report = client.submit_documents([given_document])
    assert (report.accepted, report.rejected) == (1, 0)
    [arrived] = suite.curator.documents
    assert (arrived.text, arrived.source, arrived.licence) == ("A text.", "essays", "CC0")
    assert arrived.HasField("source_index")
    assert dict(arrived.provenance) == {"file": "a.txt"}


def test_an_absent_source_index_stays_absent(suite: LocalSuite, client: Client) -> None:
    client.submit_documents([Document(text="A text.", source="essays")])
    assert not suite.curator.documents[0].HasField("source_index")


def test_pairs_go_by_their_own_call(suite: LocalSuite, client: Client) -> None:
    pair = Pair(instruction="Say it.", input="softly", response="It.", source="chat", source_index=7)
    assert client.submit_pairs(iter([pair])).accepted == 1
    [arrived] = suite.curator.pairs
    assert (arrived.instruction, arrived.input, arrived.response) == ("Say it.", "softly", "It.")


def test_messages_are_bounded_by_count_and_by_bytes(suite: LocalSuite, client: Client) -> None:
    client.submit_documents(
        [document("x" * 10, n) for n in range(7)] + [document("y" * 900, n) for n in range(5)]
    )
    assert len(suite.curator.documents) == 12
    assert suite.curator.messages == [3, 3, 3, 2, 1]


@given(st.lists(st.integers(min_value=0, max_value=1_200), max_size=60))
def test_calls_keep_every_item_in_order_within_the_limits(sizes: list[int]) -> None:
    items = [document("x" * size, number) for number, size in enumerate(sizes)]
    parts = list(calls(items, document_message, SMALL))
    sent = [message for part in parts for messages in part.messages for message in messages]
    assert [m.source_index for m in sent] == [n for n, size in enumerate(sizes) if size <= 1_000]
    assert [place for part in parts for place in part.places] == [m.source_index for m in sent]
    refused = [rejection.index for part in parts for rejection in part.refused]
    assert refused == [n for n, size in enumerate(sizes) if size > 1_000]
    for part in parts:
        assert part.bytes <= SMALL.call_bytes + 1_100
        for messages in part.messages:
            assert 0 < len(messages) <= SMALL.message_items
            assert len(messages) == 1 or sum(m.ByteSize() for m in messages) <= SMALL.message_bytes


def test_an_endless_source_is_read_no_further_than_the_call_in_hand(client: Client) -> None:
    read = 0

    def endless() -> Iterator[Document]:
        nonlocal read
        while True:
            read += 1
            yield document("x" * 900, read)

    part = next(calls(endless(), document_message, SMALL))
    assert read == len(part.places) == 5


def test_a_document_over_the_limit_is_refused_unsent_and_the_limit_is_named(
    suite: LocalSuite, client: Client
) -> None:
    report = client.submit_documents([document("short"), document("é" * 501, 1), document("also short", 2)])
    assert (report.accepted, report.rejected) == (2, 1)
    [rejection] = report.rejections
    assert (rejection.index, rejection.external_id, rejection.reason) == (1, "d1", TooLarge.reason)
    assert "1002 bytes, over the limit of 1000" in rejection.message
    assert [arrived.text for arrived in suite.curator.documents] == ["short", "also short"]


def test_nothing_is_sent_if_everything_is_refused_here(suite: LocalSuite, client: Client) -> None:
    report = client.submit_documents([document("x" * 2_000)])
    assert (report.accepted, report.rejected, suite.curator.messages) == (0, 1, [])


def test_a_text_that_is_not_unicode_is_rejected_alone(client: Client) -> None:
    report = client.submit_documents([document("lone \ud800 surrogate"), document("fine", 1)])
    assert (report.accepted, report.rejected) == (1, 1)
    assert report.rejections[0].reason == InvalidInput.reason
    assert "surrogate" not in report.rejections[0].message


def test_a_rejection_of_the_service_keeps_its_place_in_what_the_caller_gave(client: Client) -> None:
    texts = ["x" * 900] * 6 + ["x" * 2_000, "refuse", "x" * 900]
    report = client.submit_documents([document(text, number) for number, text in enumerate(texts)])
    assert [(r.index, r.reason) for r in report.rejections] == [(6, "too_large"), (7, "repetition")]
    assert (report.accepted, report.rejected, report.submitted) == (7, 2, 9)


def test_a_broken_stream_is_sent_again_whole(suite: LocalSuite, client: Client) -> None:
    suite.curator.failures = [Unavailable("restarting"), StorageFull("wait")]
    report = client.submit_documents([document("x" * 10, n) for n in range(3)])
    assert (report.accepted, suite.curator.messages) == (3, [3, 3, 3])


def test_a_stream_is_not_sent_for_ever(suite: LocalSuite, client: Client) -> None:
    suite.curator.failures = [StorageFull("the disk is full")] * 9
    with pytest.raises(StorageFull, match="the disk is full"):
        client.submit_documents([document("x")])
    assert suite.curator.messages == [1] * QUICK.attempts


def test_a_refusal_is_not_repeated(suite: LocalSuite, client: Client) -> None:
    suite.curator.failures = [Refused("no pipeline is in force")]
    with pytest.raises(Refused, match="no pipeline"):
        client.submit_documents([document("x")])
    assert suite.curator.messages == [1]


def test_progress_is_told_after_each_call(client: Client) -> None:
    told: list[int] = []

    def note(report: SubmitReport) -> None:
        told.append(report.accepted)

    client.submit_documents([document("x" * 900, n) for n in range(12)], note)
    assert told == [5, 10, 12]


def test_a_submission_of_nothing_is_answered(client: Client) -> None:
    assert client.submit_documents([]) == SubmitReport()


def test_a_service_that_is_not_there_is_unavailable() -> None:
    with local_suite() as suite:
        addresses = suite.addresses
    patience = Patience(call_s=1.0, submit_s=1.0, attempts=2, first_wait_s=0.01)
    with Client(addresses, patience=patience) as client, pytest.raises((Unavailable, DeadlineExceeded)):
        client.submit_documents([document("x")])


def test_own_texts_are_ranked(client: Client) -> None:
    answer = client.rank(["a", "ccc", "bb"], metric="chars", k=2)
    assert [(ranked.index, ranked.length) for ranked in answer.ranked] == [(1, 3), (2, 2)]


def test_a_selection_is_gathered_from_its_pages(suite: LocalSuite, client: Client) -> None:
    suite.curator.lengths, suite.curator.seen = [90, 80, 70, 60, 50], 9
    whole = client.selection("demo", at_most=100)
    assert [selected.rank.length for selected in whole.selected] == [90, 80, 70, 60, 50]
    assert (whole.seen, whole.kept) == (9, 5)
    assert [s.rank.length for s in client.selection("demo", at_most=3).selected] == [90, 80, 70]


def test_lists_page_through(suite: LocalSuite, client: Client) -> None:
    suite.curator.releases = [Release(id=f"r{n}") for n in range(5)]
    suite.trainer.jobs = [TrainingJob(id=f"j{n}") for n in range(3)]
    suite.judge.evaluations = [Evaluation(id=f"e{n}") for n in range(4)]
    assert [release.id for release in client.list_releases("demo")] == ["r0", "r1", "r2", "r3", "r4"]
    assert [job.id for job in client.list_training_jobs("demo")] == ["j0", "j1", "j2"]
    assert [evaluation.id for evaluation in client.list_evaluations("demo")] == ["e0", "e1", "e2", "e3"]


def test_a_request_id_is_made_unless_it_is_given(suite: LocalSuite, client: Client) -> None:
    for given_id in ("", "", "mine"):
        client.cut_release("demo", given_id)
    ids = [request.request_id for request in suite.curator.requests]
    assert ids[2] == "mine"
    assert len(set(ids)) == 3
    assert all(ids)


def test_a_release_that_is_not_there_is_not_found(client: Client) -> None:
    with pytest.raises(NotFound, match="no release r9"):
        client.get_release("demo", "r9")


def test_a_watch_goes_on_after_a_break_and_tells_nothing_twice(suite: LocalSuite, client: Client) -> None:
    first, last = Release(id="r1", rows_ready=1), Release(id="r1", rows_ready=2)
    suite.curator.changes, suite.curator.failures = [first], [Unavailable("restarting")]
    watch = client.watch_releases("demo")
    assert next(watch) == first
    suite.curator.changes = [first, last]
    assert next(watch) == last


def test_a_watch_ends_when_its_time_is_up(suite: LocalSuite, client: Client) -> None:
    suite.curator.changes = [Release(id="r1")]
    with pytest.raises(DeadlineExceeded):
        list(client.watch_releases("demo", timeout_s=0.3))


def test_a_watch_of_a_service_that_is_gone_ends(suite: LocalSuite, client: Client) -> None:
    suite.curator.failures = [Unavailable("restarting")] * 99
    with pytest.raises(Unavailable):
        list(client.watch_releases("demo"))


def test_a_jobs_events_are_told_once_each_also_over_a_break(suite: LocalSuite, client: Client) -> None:
    suite.trainer.failures = [Unavailable("restarting")]
    events = list(client.watch_training_job("demo", "j1"))
    assert [event.sequence for event in events] == [0, 1, 2, 3]


def test_a_job_is_created_shown_and_cancelled(suite: LocalSuite, client: Client) -> None:
    job = client.create_training_job("demo", "r1", {"epochs": 2})
    assert (job.id, suite.trainer.requests[0].recipe) == ("j-new", '{"epochs": 2}')
    suite.trainer.jobs = [TrainingJob(id="j1", model_id="m1")]
    suite.trainer.models = [Model(id="m1", job_id="j1")]
    assert client.get_training_job("demo", "j1").model.id == "m1"
    assert client.cancel_training_job("demo", "j1").state == TrainingJob.STATE_CANCELLED


def test_an_evaluation_is_created_and_shown(suite: LocalSuite, client: Client) -> None:
    assert client.create_evaluation("demo", "m1").id == "e-new"
    suite.judge.evaluations = [Evaluation(id="e1", model_id="m1")]
    assert client.get_evaluation("demo", "e1").evaluation.model_id == "m1"


def test_the_champion_and_its_rollback(suite: LocalSuite, client: Client) -> None:
    suite.judge.reign = judge_pb2.GetChampionResponse(champion=Model(id="m1"))
    assert client.champion("demo").champion.id == "m1"
    promotion = client.rollback("demo", "m1", "it repeats itself")
    assert (promotion.model_id, list(promotion.reasons)) == ("m1", ["it repeats itself"])


def test_an_instruction_is_written_for_a_document(client: Client) -> None:
    assert client.generate("A long story", "query").instruction == "Write: A long sto"
    assert client.generate("A long story", options='{"tries": 2}').refusal == '{"tries": 2}'


def test_an_answer_is_refined(client: Client) -> None:
    request = instructor_pb2.RefineRequest(instruction="Why?", response="because")
    assert client.refine(request).response == "BECAUSE"
    with pytest.raises(TooLarge, match="over the limit of 1000"):
        client.refine(instructor_pb2.RefineRequest(instruction="Why?", response="x" * 1_001))


def test_a_document_too_large_for_the_instructor_is_refused_here(client: Client) -> None:
    with pytest.raises(TooLarge, match="over the limit of 1000"):
        client.generate("x" * 1_001)
