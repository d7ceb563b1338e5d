"""The curator's calls over a real gRPC server, with real keepers and a real owner behind it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest

from longstream.client import Addresses, Client
from longstream.errors import InvalidInput, NotFound, TooLarge
from longstream.topics import EXAMPLES
from longstream.v1 import curator_pb2 as pb
from longstream.v1.records_pb2 import ExamplesRecord, Release
from tests.support.curating import CuratorHouse, a_pipeline, document, pair
from tests.support.house import details, opened, soon, told


@pytest.fixture
def curator(tmp_path: Path) -> Iterator[CuratorHouse]:
    with opened(CuratorHouse(tmp_path)) as curator:
        yield curator


@pytest.fixture
def client(curator: CuratorHouse) -> Iterator[Client]:
    with Client(Addresses(curator=curator.address, instructor="", trainer="", judge="")) as client:
        yield client


def selection(curator: CuratorHouse, pipeline: str = "p", **fields: object) -> pb.GetSelectionResponse:
    request = pb.GetSelectionRequest(pipeline=pipeline, **fields)  # type: ignore[arg-type]
    answer: pb.GetSelectionResponse = curator.calls.GetSelection(request)
    return answer


def examples(curator: CuratorHouse) -> list[str]:
    facts = curator.house.facts(EXAMPLES, ExamplesRecord)
    return sorted(fact.example.response for fact in facts if fact.HasField("example"))


def test_every_message_of_a_stream_is_durable_when_the_call_has_its_answer(curator: CuratorHouse) -> None:
    answer = curator.submit([document("a"), document("b")], [document("c")])
    assert (answer.accepted, answer.rejected, list(answer.rejections)) == (3, 0, [])
    assert examples(curator) == ["a", "b", "c"]
    assert curator.house.sample("curator_submissions_accepted_total") == 3


def test_pairs_are_taken_with_their_instructions(curator: CuratorHouse) -> None:
    answer = curator.submit_pairs([pair("answer", instruction="ask", input="data")])
    assert answer.accepted == 1
    facts = [f.example for f in curator.house.facts(EXAMPLES, ExamplesRecord) if f.HasField("example")]
    assert [(e.instruction, e.input, e.response) for e in facts] == [("ask", "data", "answer")]


def test_rejections_are_told_by_their_place_in_the_whole_stream(curator: CuratorHouse) -> None:
    answer = curator.submit(
        [document("a"), document(" ", external_id="blank")],
        [document("b", source="", external_id="nowhere"), document("c")],
    )
    assert (answer.accepted, answer.rejected) == (2, 2)
    assert [(r.index, r.external_id, r.reason) for r in answer.rejections] == [
        (1, "blank", "missing_field"),
        (2, "nowhere", "missing_field"),
    ]
    assert examples(curator) == ["a", "c"]
    assert len(curator.house.dead(EXAMPLES)) == 2
    assert curator.house.sample("curator_submissions_rejected_total", reason="missing_field") == 2


def test_a_stream_without_a_message_is_an_answer_of_zeros(curator: CuratorHouse) -> None:
    assert curator.submit() == pb.SubmitDocumentsResponse()
    assert curator.submit([]) == pb.SubmitDocumentsResponse()
    assert curator.submit_pairs() == pb.SubmitPairsResponse()


def test_a_message_of_too_many_items_ends_the_call_and_what_came_before_stays(curator: CuratorHouse) -> None:
    with pytest.raises(grpc.RpcError, match="send several messages") as raised:
        curator.submit([document("a")], [document(f"d{n}") for n in range(1_001)])
    assert told(raised.value) == ("INVALID_ARGUMENT", "INVALID_INPUT")
    assert examples(curator) == ["a"]


def test_the_same_submission_again_adds_no_other_example_to_the_selection(curator: CuratorHouse) -> None:
    for _ in range(2):
        curator.submit([document("a"), document("bb")])
    soon(lambda: selection(curator).seen == 4)
    assert [chosen.rank.length for chosen in selection(curator).selected] == [2, 1]


def test_submissions_wait_until_the_pipelines_are_in_force(tmp_path: Path) -> None:
    with opened(CuratorHouse(tmp_path, working=False)) as curator:
        assert not curator.service.in_force
        with pytest.raises(grpc.RpcError) as raised:
            curator.submit([document("a")])
        assert told(raised.value) == ("UNAVAILABLE", "UNAVAILABLE")
        assert "RetryInfo" in details(raised.value)
        assert examples(curator) == []
        with pytest.raises(grpc.RpcError):
            curator.submit_pairs([pair("a")])
        curator.work()
        soon(lambda: curator.service.in_force)
        assert curator.submit([document("a")]).accepted == 1


def test_texts_are_ranked_longest_first_and_equal_ones_as_they_came(client: Client) -> None:
    answer = client.rank(["bb", "a", "cc", "dddd"], "chars")
    assert [(ranked.index, ranked.length) for ranked in answer.ranked] == [(3, 4), (0, 2), (2, 2), (1, 1)]
    assert answer.metric.startswith("chars")


@pytest.mark.parametrize(
    ("metric", "lengths"), [("chars", [4, 2]), ("bytes", [5, 2]), ("words", [2, 1]), ("nltk-words", [2, 1])]
)
def test_each_metric_ranks_by_its_own_measure(client: Client, metric: str, lengths: list[int]) -> None:
    assert [ranked.length for ranked in client.rank(["é bc", "zz"], metric).ranked] == lengths


def test_only_the_k_longest_are_told_where_k_is_given(client: Client) -> None:
    assert [ranked.index for ranked in client.rank(["a", "bbb", "cc"], "chars", k=2).ranked] == [1, 2]
    assert len(client.rank(["a"], "chars", k=5).ranked) == 1
    assert list(client.rank([], "chars").ranked) == []


def test_ranking_refuses_what_it_cannot_measure(client: Client) -> None:
    with pytest.raises(InvalidInput, match="metric"):
        client.rank(["a"], "furlongs")
    with pytest.raises(InvalidInput, match="tokenizer"):
        client.rank(["a"], "tokens")
    with pytest.raises(InvalidInput, match="at most 1000"):
        client.rank(["a"] * 1_001, "chars")


def test_the_selection_is_the_best_of_all_partitions_and_no_more(curator: CuratorHouse) -> None:
    curator.submit([document("x" * n, external_id=f"e{n}") for n in range(1, 21)])
    whole = soon(lambda: s if (s := selection(curator)).seen == 20 else None)
    assert [chosen.rank.length for chosen in whole.selected] == [20, 19, 18, 17, 16]
    assert [chosen.external_id for chosen in whole.selected] == ["e20", "e19", "e18", "e17", "e16"]
    assert (whole.kept, whole.next_page_token) == (5, "")
    assert whole.metric.startswith("chars")
    partitions = {r.partition for r in curator.house.records(EXAMPLES) if r.key}
    assert len(partitions) == 4


def test_the_selection_is_told_page_by_page(curator: CuratorHouse, client: Client) -> None:
    curator.submit([document("x" * n) for n in range(1, 9)])
    soon(lambda: selection(curator).seen == 8)
    first = selection(curator, page_size=2)
    second = selection(curator, page_size=2, page_token=first.next_page_token)
    third = selection(curator, page_size=2, page_token=second.next_page_token)
    pages = [[chosen.rank.length for chosen in page.selected] for page in (first, second, third)]
    assert pages == [[8, 7], [6, 5], [4]]
    assert third.next_page_token == ""
    assert [chosen.rank.length for chosen in client.selection("p", at_most=3).selected] == [8, 7, 6]


def test_the_selection_tells_what_was_dropped(tmp_path: Path) -> None:
    with opened(CuratorHouse(tmp_path, {"p": a_pipeline(dedup="response")})) as curator:
        curator.submit_pairs([pair("same", instruction=f"Ask {n}.") for n in range(3)])
        whole = soon(lambda: s if (s := selection(curator)).seen == 3 else None)
        assert len(whole.selected) == 1
        assert sum(whole.dropped.values()) == 2


def test_each_pipeline_has_its_own_selection(tmp_path: Path) -> None:
    pipelines = {"p": a_pipeline(), "q": a_pipeline("q", k=1, reserve=0)}
    with opened(CuratorHouse(tmp_path, pipelines)) as curator:
        curator.submit([document("a"), document("bb")])
        soon(lambda: selection(curator).seen == selection(curator, "q").seen == 2)
        assert [len(selection(curator, name).selected) for name in "pq"] == [2, 1]


def test_a_token_of_another_pipelines_selection_is_refused(tmp_path: Path) -> None:
    with opened(CuratorHouse(tmp_path, {"p": a_pipeline(), "q": a_pipeline("q")})) as curator:
        curator.submit([document("a"), document("bb")])
        soon(lambda: selection(curator).seen == 2)
        token = selection(curator, page_size=1).next_page_token
        with pytest.raises(grpc.RpcError) as raised:
            selection(curator, "q", page_token=token)
        assert details(raised.value)["BadRequest"].field_violations[0].field == "page_token"


def test_a_release_is_cut_once_for_all_calls_with_its_request_id(
    curator: CuratorHouse, client: Client
) -> None:
    curator.submit_pairs([pair("a"), pair("bb")])
    first, second = (client.cut_release("p", request_id="one") for _ in range(2))
    assert first.id == second.id
    assert first.asked_by == "caller"
    curator.final(first)
    assert client.cut_release("p", request_id="one").id == first.id
    assert client.cut_release("p").id != first.id


def test_a_second_cut_is_refused_while_one_is_open(curator: CuratorHouse) -> None:
    curator.submit([document("waits for its instruction")])
    release = curator.cut("one")
    with pytest.raises(grpc.RpcError, match=f"{release.id} is still open") as raised:
        curator.cut("two")
    assert told(raised.value) == ("FAILED_PRECONDITION", "REFUSED")
    assert "PreconditionFailure" in details(raised.value)


def test_the_newest_final_release_is_the_one_without_an_id(curator: CuratorHouse, client: Client) -> None:
    with pytest.raises(NotFound, match="cut one"):
        client.get_release("p")
    curator.submit_pairs([pair("a")])
    first = curator.final(client.cut_release("p"))
    curator.submit_pairs([pair("bb")])
    second = curator.final(client.cut_release("p"))
    curator.submit([document("waits for its instruction")])
    third = client.cut_release("p")
    assert client.get_release("p") == second
    assert client.get_release("p", first.id) == first
    assert client.get_release("p", third.id).state in {Release.STATE_OPEN, Release.STATE_INSTRUCTING}
    with pytest.raises(NotFound):
        client.get_release("p", "r99999-00000000")


def test_releases_are_listed_newest_first_over_all_pages(curator: CuratorHouse, client: Client) -> None:
    curator.submit_pairs([pair("a")])
    made = [curator.final(client.cut_release("p")).id for _ in range(5)]
    assert [release.id for release in client.list_releases("p", page_size=2)] == made[::-1]
    with pytest.raises(grpc.RpcError):
        curator.calls.ListReleases(pb.ListReleasesRequest(pipeline="p", page_token="nonsense"))


def test_a_watcher_sees_the_releases_there_are_and_then_each_change(
    curator: CuratorHouse, client: Client
) -> None:
    curator.submit_pairs([pair("a")])
    first = curator.final(client.cut_release("p"))
    changes = client.watch_releases("p", timeout_s=30)
    assert next(changes) == first
    second = threading.Thread(target=lambda: client.cut_release("p"))
    second.start()
    states = []
    for release in changes:
        assert release.id != first.id
        states.append(release.state)
        if release.state == Release.STATE_FINAL:
            break
    second.join()
    assert states == sorted(states)
    assert states[-1] == Release.STATE_FINAL


def test_every_call_refuses_a_pipeline_that_is_not_run_here_and_names_those_that_are(
    curator: CuratorHouse,
) -> None:
    calls = curator.calls
    for call, request in (
        (calls.GetSelection, pb.GetSelectionRequest(pipeline="x")),
        (calls.CutRelease, pb.CutReleaseRequest(pipeline="x", request_id="1")),
        (calls.GetRelease, pb.GetReleaseRequest(pipeline="x")),
        (calls.ListReleases, pb.ListReleasesRequest(pipeline="x")),
    ):
        with pytest.raises(grpc.RpcError, match="known: p") as raised:
            call(request)
        assert told(raised.value) == ("NOT_FOUND", "NOT_FOUND")
        assert details(raised.value)["ErrorInfo"].metadata["field"] == "pipeline"
    with pytest.raises(grpc.RpcError, match="known: p"):
        list(calls.WatchReleases(pb.WatchReleasesRequest(pipeline="x")))


def test_a_cut_without_a_request_id_is_refused(curator: CuratorHouse) -> None:
    with pytest.raises(grpc.RpcError, match="fresh UUID") as raised:
        curator.cut("")
    assert details(raised.value)["BadRequest"].field_violations[0].field == "request_id"


def test_a_request_id_as_long_as_a_text_does_not_reach_the_owner(
    curator: CuratorHouse, client: Client
) -> None:
    with pytest.raises(TooLarge, match="use a UUID"):
        client.cut_release("p", request_id="x" * 129)
    assert curator.releases.under("p/") == []
