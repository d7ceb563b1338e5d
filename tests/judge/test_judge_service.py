"""The judge's calls over a real gRPC server, answered by a real owner."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest

from longstream.client import Addresses, Client
from longstream.errors import AlreadyExists, EngineUnavailable, InvalidInput, NotFound, Refused, TooLarge
from longstream.v1 import judge_pb2 as pb
from longstream.v1.records_pb2 import Evaluation, Promotion
from tests.support.arena import Arena, Ruled
from tests.support.house import details, opened, soon, told

NATS = {"a": -5.0, "b": -4.0, "c": -3.0, "poor": -7.0}


@pytest.fixture
def judge() -> Ruled:
    return Ruled(NATS)


@pytest.fixture
def arena(tmp_path: Path, judge: Ruled) -> Iterator[Arena]:
    with opened(Arena(tmp_path, judge)) as arena:
        yield arena


@pytest.fixture
def client(arena: Arena) -> Iterator[Client]:
    with Client(Addresses(curator="", instructor="", trainer="", judge=arena.address)) as client:
        yield client


def test_other_teams_pairs_are_compared_in_both_orders_and_a_wrong_one_is_told(arena: Arena) -> None:
    requests = [
        pb.ComparePairsRequest(
            request_id=f"q{n}",
            question="Which is longer?",
            candidate="much longer" * (n + 1),
            baseline="short",
        )
        for n in range(30)
    ]
    wrong = {
        "empty": pb.ComparePairsRequest(request_id="empty", candidate="a", baseline="b"),
        "way": pb.ComparePairsRequest(
            request_id="way", question="q", candidate="a", baseline="b", way="loud"
        ),
        "long": pb.ComparePairsRequest(request_id="long", question="q", candidate="a " * 5_000, baseline="b"),
    }
    requests.insert(7, pb.ComparePairsRequest(request_id="same", question="q", candidate="a", baseline=" a"))
    told = arena.calls.ComparePairs(iter([*requests, *wrong.values()]), timeout=20)
    answers = {answer.request_id: answer for answer in told}
    assert set(answers) == {request.request_id for request in requests} | set(wrong)
    first = answers["q0"].comparison
    assert first.preference == (first.forward + first.swapped) / 2
    assert (first.engine, first.model_revision) == ("rules", "1")
    assert first.prompt_revision
    same = answers["same"].comparison
    assert same.preference == 0.5
    assert not same.HasField("forward")
    failures = {name: answers[name].failure for name in wrong}
    assert {failure.code for failure in failures.values()} == {"INVALID_ARGUMENT"}
    assert (failures["empty"].field, failures["way"].field) == ("question", "way")
    counted = {
        outcome: arena.house.sample("judge_compared_pairs_total", outcome=outcome)
        for outcome in ("read", "lost", "failed")
    }
    assert counted == {"read": 31, "lost": 0, "failed": 3}
    assert list(arena.evaluations.under("")) == []


def test_the_base_model_reigns_before_the_first_promotion(client: Client) -> None:
    answer = client.champion("p")
    assert not answer.HasField("champion")
    assert list(answer.history) == []


def test_the_champion_comes_with_the_decisions_that_led_there_newest_first(
    arena: Arena, client: Client
) -> None:
    for name in "ab":
        arena.decided(name)
    answer = client.champion("p")
    assert answer.champion.id == "b"
    assert [decision.model_id for decision in answer.history] == ["b", "a"]


def test_an_evaluation_can_be_asked_for_and_repeated_requests_get_the_same_one(
    arena: Arena, client: Client
) -> None:
    arena.decided("a")
    first, second = (client.create_evaluation("p", "a", request_id="one") for _ in range(2))
    third = client.create_evaluation("p", "a", request_id="two")
    assert first.id == second.id != third.id
    assert first.model_id == "a"
    assert first.id != arena.evaluation("a").id


def test_a_request_that_everybody_has_forgotten_finds_its_evaluation_as_it_is(
    arena: Arena, client: Client
) -> None:
    arena.decided("a")
    first = client.create_evaluation("p", "a", request_id="old")
    soon(lambda: client.get_evaluation("p", first.id).evaluation.state == Evaluation.STATE_DONE)
    for number in range(200):
        with pytest.raises(Refused):
            client.rollback("p", "nobody", "why", request_id=f"later-{number}")
    again = client.create_evaluation("p", "a", request_id="old")
    assert (again.id, again.state) == (first.id, Evaluation.STATE_DONE)


def test_an_evaluation_of_a_model_that_nobody_knows_is_refused(client: Client) -> None:
    with pytest.raises(Refused, match="there is no model x yet"):
        client.create_evaluation("p", "x")
    with pytest.raises(InvalidInput, match="model_id must be set"):
        client.create_evaluation("p", "")


def test_an_evaluation_that_is_done_comes_with_its_decision(
    arena: Arena, client: Client, judge: Ruled
) -> None:
    judge.open.clear()
    arena.model("a")
    running = arena.evaluation("a", Evaluation.STATE_RUNNING)
    assert not client.get_evaluation("p", running.id).HasField("promotion")
    judge.open.set()
    done = soon(lambda: a if (a := client.get_evaluation("p", running.id)).evaluation.promotion_id else None)
    assert done.promotion.id == done.evaluation.promotion_id
    assert done.promotion.evaluation_id == running.id


def test_an_evaluation_is_watched_until_it_has_ended(arena: Arena, client: Client, judge: Ruled) -> None:
    judge.open.clear()
    arena.model("a")
    running = soon(lambda: arena.evaluation("a", Evaluation.STATE_RUNNING))
    watched = client.watch_evaluation("p", running.id, timeout_s=20)
    assert next(watched).state == Evaluation.STATE_RUNNING
    judge.open.set()
    seen = list(watched)
    assert (seen[-1].state, seen[-1].promotion_id != "") == (Evaluation.STATE_DONE, True)
    assert list(client.watch_evaluation("p", running.id)) == seen[-1:]
    with pytest.raises(NotFound):
        next(client.watch_evaluation("p", "nobody"))


def test_an_evaluation_that_nobody_knows_is_not_found(client: Client) -> None:
    with pytest.raises(NotFound, match="no such evaluation"):
        client.get_evaluation("p", "x")


def test_evaluations_are_listed_newest_first_over_all_pages(arena: Arena, client: Client) -> None:
    arena.decided("a")
    made = [arena.evaluation("a").id, *(client.create_evaluation("p", "a").id for _ in range(4))]
    assert [evaluation.id for evaluation in client.list_evaluations("p", page_size=2)] == made[::-1]
    with pytest.raises(grpc.RpcError) as raised:
        arena.calls.ListEvaluations(pb.ListEvaluationsRequest(pipeline="p", page_token="nonsense"))
    assert raised.value.code() is grpc.StatusCode.INVALID_ARGUMENT


def test_a_rollback_is_done_once_for_all_calls_with_its_request_id(arena: Arena, client: Client) -> None:
    for name in "ab":
        arena.decided(name)
    first, second = (client.rollback("p", "b", "it flatters", request_id="back") for _ in range(2))
    assert first == second
    assert first.outcome == Promotion.OUTCOME_ROLLED_BACK
    assert client.champion("p").champion.id == "a"
    with pytest.raises(AlreadyExists):
        client.rollback("p", "a", "it flatters", request_id="back")


def test_a_rollback_that_cannot_be_is_refused_with_what_stands_against_it(arena: Arena) -> None:
    arena.decided("a")
    request = pb.RollbackRequest(pipeline="p", request_id="1", expected_champion_id="b", reason="x")
    with pytest.raises(grpc.RpcError) as raised:
        arena.calls.Rollback(request)
    assert told(raised.value) == ("FAILED_PRECONDITION", "REFUSED")
    assert (
        "the champion is a by now" in details(raised.value)["PreconditionFailure"].violations[0].description
    )


def test_a_model_is_promoted_by_hand_once_for_all_calls_with_its_request_id(
    arena: Arena, client: Client
) -> None:
    arena.decided("a")
    arena.decided("poor")
    first, second = (client.promote("p", "poor", "a", "a drill", request_id="up") for _ in range(2))
    assert first == second
    assert (first.outcome, first.by_hand) == (Promotion.OUTCOME_PROMOTED, True)
    assert client.champion("p").champion.id == "poor"
    with pytest.raises(InvalidInput, match="model_id"):
        client.promote("p", "", "poor", "nobody")


def test_a_drill_promotes_rolls_back_and_finds_who_reigned_before(arena: Arena, client: Client) -> None:
    """What docs/operations.md asks for: the champion of before reigns again, and the model of the drill stays away."""
    arena.decided("a")
    arena.decided("poor")
    client.promote("p", "poor", "a", "drill")
    back = client.rollback("p", "poor", "drill")
    assert (back.champion_id, client.champion("p").champion.id) == ("a", "a")
    evaluation = client.create_evaluation("p", "poor")
    soon(lambda: client.get_evaluation("p", evaluation.id).promotion.id)
    assert client.champion("p").champion.id == "a"


def test_the_leaderboard_ranks_everybody_over_the_base_model(arena: Arena, client: Client) -> None:
    for name in ("a", "poor", "b"):
        arena.decided(name)
    arena.roll_back("b")
    board = client.leaderboard("p")
    place = pb.Standing.Place.Name
    assert {one.model_id: place(one.place).removeprefix("PLACE_") for one in board.standings} == {
        "a": "CHAMPION",
        "b": "ROLLED_BACK",
        "poor": "REFUSED",
        "": "BASE",
    }
    rates = [one.win_rate.mean for one in board.standings if one.HasField("win_rate")]
    assert rates == sorted(rates, reverse=True)
    assert {one.model_id: one.evaluations for one in board.standings} == {"a": 3, "b": 1, "poor": 1, "": 1}
    bits = {one.model_id: one.bits_per_byte for one in board.standings}
    assert bits["b"] < bits["a"] < bits[""] < bits["poor"]


def test_pairs_are_compared_through_the_client_under_the_callers_ids(client: Client) -> None:
    requests = [
        pb.ComparePairsRequest(request_id=f"q{n}", question="q", candidate="a " * n, baseline="b")
        for n in (1, 2)
    ]
    told = {answer.request_id: answer.comparison for answer in client.compare_pairs(requests, 20.0)}
    assert set(told) == {"q1", "q2"}
    assert all(0 <= one.preference <= 1 for one in told.values())


def test_a_panel_compares_together_and_each_judge_is_told(tmp_path: Path, judge: Ruled) -> None:
    contrary = Ruled()
    contrary.lean = 1.5  # the shorter one is better
    narrow = Ruled()
    narrow.context_tokens = 200
    request = pb.ComparePairsRequest(question="q", candidate="much longer", baseline="short")
    long = pb.ComparePairsRequest(question="q", candidate="much longer " * 100, baseline="short")
    same = pb.ComparePairsRequest(question="q", candidate="a", baseline="a")
    hopeless = pb.ComparePairsRequest(question="q", candidate="a " * 5_000, baseline="b")
    with opened(Arena(tmp_path, judge, panel=(contrary, narrow))) as arena:
        both, cut, tie, failed = (
            next(arena.calls.ComparePairs(iter([one]), timeout=20)) for one in (request, long, same, hopeless)
        )
    verdicts = both.comparison.judges
    assert [one.preference > 0.5 for one in verdicts] == [True, False, True]
    assert both.comparison.preference == pytest.approx(sum(one.preference for one in verdicts) / 3)
    assert [one.lost for one in cut.comparison.judges] == ["", "", "judge_invalid_input"]
    assert cut.comparison.preference == pytest.approx(
        sum(one.preference for one in cut.comparison.judges[:2]) / 2
    )
    assert (tie.comparison.preference, list(tie.comparison.judges)) == (0.5, [])
    assert failed.failure.code == "INVALID_ARGUMENT"


def test_what_a_retry_may_mend_is_told_as_that_and_no_part_of_a_panel_answers_alone(
    tmp_path: Path, judge: Ruled, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*args: object, **kwargs: object) -> None:
        raise EngineUnavailable("it is being restarted")

    other = Ruled()
    monkeypatch.setattr(other, "choose", away)
    request = pb.ComparePairsRequest(question="q", candidate="much longer", baseline="short")
    with opened(Arena(tmp_path, judge, panel=(other,))) as arena:
        answer = next(arena.calls.ComparePairs(iter([request]), timeout=20))
    assert answer.failure.code == "UNAVAILABLE"


def test_a_reason_as_long_as_a_book_is_refused(arena: Arena, client: Client) -> None:
    arena.decided("a")
    with pytest.raises(TooLarge):
        client.rollback("p", "a", "x" * 70_000)
    assert client.champion("p").champion.id == "a"


def test_every_call_refuses_a_pipeline_that_is_not_run_here_and_names_those_that_are(arena: Arena) -> None:
    calls = arena.calls
    for call, request in (
        (calls.CreateEvaluation, pb.CreateEvaluationRequest(pipeline="x", request_id="1", model_id="m")),
        (calls.GetEvaluation, pb.GetEvaluationRequest(pipeline="x", evaluation_id="e")),
        (calls.ListEvaluations, pb.ListEvaluationsRequest(pipeline="x")),
        (lambda request: next(calls.WatchEvaluation(request)), pb.WatchEvaluationRequest(pipeline="x")),
        (calls.GetChampion, pb.GetChampionRequest(pipeline="x")),
        (calls.Rollback, pb.RollbackRequest(pipeline="x", request_id="1")),
        (calls.Promote, pb.PromoteRequest(pipeline="x", request_id="1", model_id="m")),
        (calls.GetLeaderboard, pb.GetLeaderboardRequest(pipeline="x")),
    ):
        with pytest.raises(grpc.RpcError, match="known: p") as raised:
            call(request)
        assert told(raised.value) == ("NOT_FOUND", "NOT_FOUND")
