"""Releases, jobs, evaluations, champions: listed, started, stopped, followed, taken back."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from longstream.v1 import judge_pb2
from longstream.v1.records_pb2 import (
    Evaluation,
    Interval,
    Model,
    Promotion,
    Release,
    Spending,
    TrainingJob,
    WritingCost,
)
from tests.support.local_suite import LocalSuite
from tests.support.shell import Shell


def test_a_cut_tells_the_open_release(shell: Shell) -> None:
    assert shell("cut") == 0
    assert shell.out.startswith("release r-new open")


def test_a_cut_waits_until_its_release_is_final(suite: LocalSuite, shell: Shell) -> None:
    states = [Release.STATE_OPEN, Release.STATE_INSTRUCTING, Release.STATE_FINAL]
    suite.curator.changes = [
        Release(id="r-old", state=Release.STATE_FINAL),
        *(Release(id="r-new", state=state, rows_wanted=9, content_hash="abc") for state in states),
    ]
    assert shell("cut", "--wait") == 0
    assert "release r-new final" in shell.out
    assert "content abc" in shell.out
    assert "instructing" in shell.err
    assert "r-old" not in shell.out + shell.err


def test_waiting_can_be_bounded(suite: LocalSuite, shell: Shell) -> None:
    assert shell("cut", "--wait", "--timeout-s", "0.2") == 75
    assert "did not come" in shell.err


def test_releases_are_listed_with_whole_ids(suite: LocalSuite, shell: Shell) -> None:
    suite.curator.releases = [
        Release(id=f"{n:032x}", state=Release.STATE_FINAL, rows_ready=n, rows_wanted=5, exact=True)
        for n in range(3)
    ]
    assert shell("releases") == 0
    lines = shell.out.splitlines()
    assert lines[0].split() == ["RELEASE", "STATE", "ROWS", "REFUSED", "SEEN", "EXACT", "CUT", "AT"]
    assert lines[3].split() == [f"{2:032x}", "final", "2/5", "0", "0", "yes"]


def test_a_list_is_bounded_and_can_be_json(suite: LocalSuite, shell: Shell) -> None:
    suite.curator.releases = [Release(id=f"r{n}", state=Release.STATE_OPEN) for n in range(5)]
    told = shell.json("releases", "--limit", "3")
    assert isinstance(told, list)
    assert [(release["id"], release["state"]) for release in told] == [
        (f"r{n}", "STATE_OPEN") for n in range(3)
    ]


def test_an_empty_list_says_so(shell: Shell) -> None:
    assert shell("evaluations") == 0
    assert shell.out == "none yet\n"


def test_costs_are_told_of_releases_and_evaluations_and_priced(suite: LocalSuite, shell: Shell) -> None:
    written = WritingCost(
        engine="vllm", model="m", rows=4, refused=1, prompt_tokens=3_000_000, completion_tokens=500_000
    )
    judged = Spending(
        engine="vllm", model="m", call="choose", requests=8, prompt_tokens=1_000_000, remembered=2
    )
    suite.curator.releases = [Release(id="r1", state=Release.STATE_FINAL, costs=[written])]
    suite.judge.evaluations = [
        Evaluation(id="e1", model_id="m1", spent=[judged, Spending(model="other", completion_tokens=7)])
    ]
    assert shell("costs", "--read-price", "0.5", "--write-price", "2") == 0
    releases, evaluations, totals = shell.out.split("\n\n")
    assert releases.splitlines()[1].split() == ["r1", "m", "4", "1", "3,000,000", "500,000", "0"]
    assert evaluations.splitlines()[1].split()[-5:] == ["choose", "8", "1,000,000", "0", "2"]
    assert totals.splitlines()[0] == "m: 4,000,000 tokens read, 500,000 written, 3.0000 by these prices"
    told = shell.json("costs", "--read-price", "0.5")
    assert isinstance(told, dict)
    assert told["totals"]["m"] == {
        "tokens_read": 4_000_000,
        "tokens_written": 500_000,
        "remembered": 2,
        "price": 2.0,
    }
    assert told["releases"][0]["refused"] == 1


def test_jobs_are_listed_created_and_cancelled(suite: LocalSuite, shell: Shell) -> None:
    suite.trainer.jobs = [TrainingJob(id="j1", state=TrainingJob.STATE_RUNNING, step=3, steps=9, loss=2.5)]
    assert shell("jobs") == 0
    assert shell.out.splitlines()[1].split()[:5] == ["j1", "running", "3/9", "2.500", "0"]
    assert shell("jobs", "--create", "r1", "--recipe", '{"epochs": 2}') == 0
    assert shell.out == "job j-new queued\n"
    assert suite.trainer.requests[0].recipe == '{"epochs": 2}'
    assert shell("jobs", "--cancel", "j1") == 0
    assert shell.out == "job j1 cancelled\n"


@pytest.mark.parametrize("words", [("--create", "r1", "--recipe", "[]"), ("--recipe", "{}")])
def test_a_recipe_that_makes_no_sense_is_bad_input(shell: Shell, words: tuple[str, ...]) -> None:
    assert shell("jobs", *words) == 2
    assert "--recipe" in shell.err


def test_an_evaluation_is_started_and_listed(suite: LocalSuite, shell: Shell) -> None:
    assert shell("evaluations", "--create", "m1") == 0
    assert shell.out == "evaluation e-new queued\n"
    suite.judge.evaluations = [Evaluation(id="e1", state=Evaluation.STATE_DONE, model_id="m1")]
    assert shell("evaluations") == 0
    assert shell.out.splitlines()[1].split() == ["e1", "done", "m1", "base", "model"]


def test_the_champion_is_told_with_every_decision(suite: LocalSuite, shell: Shell) -> None:
    decision = Promotion(
        sequence=1, model_id="m1", outcome=Promotion.OUTCOME_PROMOTED, reasons=["it is better"]
    )
    suite.judge.reign = judge_pb2.GetChampionResponse(
        champion=Model(id="m1", address="sha256:00"), history=[decision]
    )
    assert shell("champion") == 0
    assert "model m1 reigns, at sha256:00" in shell.out
    assert "m1 promoted\n      it is better" in shell.out


def test_a_rollback_expects_the_champion_of_this_moment(suite: LocalSuite, shell: Shell) -> None:
    suite.judge.reign = judge_pb2.GetChampionResponse(champion=Model(id="m1"))
    assert shell("rollback", "--reason", "it repeats itself") == 0
    assert "m1 rolled back\n      it repeats itself" in shell.out
    assert suite.judge.requests[0].expected_champion_id == "m1"


def test_a_model_is_promoted_by_hand_over_the_champion_of_this_moment(
    suite: LocalSuite, shell: Shell
) -> None:
    suite.judge.reign = judge_pb2.GetChampionResponse(champion=Model(id="m1"))
    assert shell("promote", "m2", "--reason", "the judge was away") == 0
    assert "m2 promoted\n      the judge was away" in shell.out
    assert shell("promote", "m3", "--reason", "x", "--expected", "m0") == 0
    asked = [(request.model_id, request.expected_champion_id) for request in suite.judge.requests]
    assert asked == [("m2", "m1"), ("m3", "m0")]


def test_the_leaderboard_is_told_and_written_as_table_and_page(
    suite: LocalSuite, shell: Shell, tmp_path: Path
) -> None:
    rate = Interval(mean=0.625, low=0.55, high=0.7, confidence=0.95, n=80, error=0.04)
    even = Interval(mean=0.5, low=0.5, high=0.5, confidence=0.95, n=80)
    suite.judge.board = judge_pb2.GetLeaderboardResponse(
        standings=[
            judge_pb2.Standing(
                model_id="=m<1>",
                place="PLACE_CHAMPION",
                win_rate=rate,
                length_controlled=rate,
                bits_per_byte=1.25,
            ),
            judge_pb2.Standing(place="PLACE_BASE", win_rate=even),
        ]
    )
    table, page = tmp_path / "board.csv", tmp_path / "board.html"
    assert shell("leaderboard", "--csv", str(table), "--html", str(page)) == 0
    assert shell.out.splitlines()[1].split()[:6] == ["=m<1>", "champion", "62.5", "55.0", "to", "70.0"]
    with table.open(newline="") as file:
        first, second = csv.DictReader(file)
    assert (first["model"], first["win_rate"], first["length_controlled_low"]) == ("'=m<1>", "0.625", "0.55")
    assert (second["model"], second["place"], second["length_controlled"]) == ("base model", "base", "")
    written = page.read_text()
    assert "=m&lt;1&gt;: 62.5 % (55.0 to 70.0)" in written
    assert "<m" not in written.replace("<meta", "").replace("<main", "")


def test_costs_are_told_by_evaluation_and_together(suite: LocalSuite, shell: Shell) -> None:
    def evaluation(name: str, read: int) -> Evaluation:
        made = Evaluation(id=name, model_id="m1", state=Evaluation.STATE_DONE)
        made.spent.add(
            engine="vllm", model="judge", call="choose", requests=8, prompt_tokens=read, remembered=3
        )
        made.spent.add(
            engine="vllm", model="toy", call="generate", requests=4, prompt_tokens=9, completion_tokens=50
        )
        return made

    assert shell("costs") == 0
    assert shell.out == "none yet\n"
    suite.judge.evaluations = [evaluation("e2", 1_500_000), evaluation("e1", 500_000)]
    assert shell("costs", "--read-price", "2", "--write-price", "10") == 0
    lines = shell.out.splitlines()
    assert lines[1].split() == ["e2", "m1", "judge", "choose", "8", "1,500,000", "0", "3"]
    assert "judge: 2,000,000 tokens read, 0 written, 4.0000 by these prices" in lines
    assert "toy: 18 tokens read, 100 written, 0.0010 by these prices" in lines
    assert shell("costs", "--json") == 0
    told = json.loads(shell.out)
    assert told["totals"]["judge"]["price"] is None
    assert [line["evaluation"] for line in told["evaluations"]] == ["e2", "e2", "e1", "e1"]
    assert shell("costs", "--read-price", "-1") == 2


def test_the_base_model_cannot_be_rolled_back(suite: LocalSuite, shell: Shell) -> None:
    assert shell("rollback", "--reason", "why not") == 1
    assert "nothing to roll back" in shell.err
    assert suite.judge.requests == []


def test_the_status_is_told_once_and_plainly(suite: LocalSuite, shell: Shell) -> None:
    suite.curator.lengths, suite.curator.seen = [9, 8], 2
    assert shell("status") == 0
    assert "● curator ready" in shell.out
    assert "seen 2   kept 2   longest 9" in shell.out
    assert "\x1b" not in shell.out


def test_the_status_of_a_suite_that_is_down_is_no_failure(suite: LocalSuite, shell: Shell) -> None:
    for server in suite.servers.values():
        server.stop()
    assert shell("status") == 0
    assert "○ judge down" in shell.out
