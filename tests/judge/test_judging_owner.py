"""The judge's owner over a real log: which models are evaluated, who reigns, who is rolled back."""

from __future__ import annotations

import io
import time
from collections.abc import Iterator
from pathlib import Path

import grpc
import pyarrow.parquet as pq
import pytest

from longstream.errors import EngineDied, EngineUnavailable, StorageFull, SuiteError
from longstream.storage import OCTETS, Address
from longstream.storage.files import FileStorage
from longstream.topics import EVALUATIONS, JUDGING, PROMOTIONS, VERDICTS
from longstream.v1 import judge_pb2 as pb
from longstream.v1.records_pb2 import Evaluation, Promotion
from longstream_judge import queueing
from tests.support.arena import ROWS, Arena, Ruled, a_pipeline
from tests.support.house import opened, soon

NATS = {"a": -5.0, "b": -4.0, "c": -3.0, "poor": -7.0}


@pytest.fixture
def judge() -> Ruled:
    return Ruled(NATS)


@pytest.fixture
def arena(tmp_path: Path, judge: Ruled) -> Iterator[Arena]:
    with opened(Arena(tmp_path, judge)) as arena:
        yield arena


def test_a_better_model_is_promoted_over_the_base_model(arena: Arena) -> None:
    promotion = arena.decided("a")
    assert promotion.outcome == Promotion.OUTCOME_PROMOTED
    assert (promotion.sequence, promotion.model_id, promotion.champion_id) == (1, "a", "a")
    assert (promotion.expected_champion_id, promotion.reasons[0][:23]) == ("", "held-out bits per byte ")
    assert arena.champion() == "a"


def test_a_worse_model_is_refused_and_the_champion_stays(arena: Arena) -> None:
    arena.decided("a")
    promotion = arena.decided("poor")
    assert promotion.outcome == Promotion.OUTCOME_REFUSED
    assert (promotion.sequence, promotion.expected_champion_id, promotion.champion_id) == (2, "a", "a")
    assert arena.champion() == "a"
    assert arena.house.sample("judge_promotions_total", pipeline="p", outcome="refused") == 1


def test_an_evaluation_holds_what_was_found_and_every_answer_is_kept(arena: Arena) -> None:
    arena.decided("a")
    evaluation = arena.evaluation("a")
    assert (evaluation.attempt, evaluation.reason, evaluation.champion_id) == (1, "", "")
    assert evaluation.candidate_bits_per_byte < evaluation.champion_bits_per_byte
    assert evaluation.bits_per_byte_change.high < 0
    assert evaluation.judge.startswith("rules ruled 1 prompt ")
    assert evaluation.HasField("end_time")
    table = pq.read_table(io.BytesIO(arena.house.storage.get(evaluation.verdicts_address))).to_pylist()
    assert len(table) == ROWS
    assert {row["comparison_id"] for row in table} == {v.comparison_id for v in arena.verdicts()}
    assert all(row["candidate"].startswith("This is what a says") for row in table)


def test_what_an_evaluation_finds_is_written_in_one_act(arena: Arena) -> None:
    arena.decided("a")
    written = {
        record.timestamp_ms
        for topic in (VERDICTS, PROMOTIONS, EVALUATIONS)
        for record in arena.house.records(topic)[-1 if topic == EVALUATIONS else 0 :]
    }
    assert len(written) == 1
    assert len(arena.verdicts()) == ROWS


def test_a_model_is_evaluated_once_in_all_lives_of_the_judge(tmp_path: Path, judge: Ruled) -> None:
    with opened(Arena(tmp_path, judge)) as arena:
        arena.decided("a")
        before = len(arena.house.records(EVALUATIONS))
    with opened(Arena(tmp_path, judge)) as arena:
        arena.decided("b")
        assert [e.model_id for _, e in arena.evaluations.under("")] == ["a", "b"]
        assert len({record.key for record in arena.house.records(EVALUATIONS)}) == 2
        assert [e.model_id for e in arena.house.facts(EVALUATIONS, Evaluation)[before:]].count("a") == 0


def test_a_pipeline_that_evaluates_on_demand_only_waits_to_be_asked(tmp_path: Path, judge: Ruled) -> None:
    with opened(Arena(tmp_path, judge, {"p": a_pipeline(on_model=False)})) as arena:
        arena.model("a")
        arena.model("b")
        soon(lambda: arena.models.get("p/b"))
        request = pb.CreateEvaluationRequest(pipeline="p", request_id="1", model_id="b")
        arena.calls.CreateEvaluation(request)
        arena.evaluation("b")
        assert [e.model_id for _, e in arena.evaluations.under("")] == ["b"]


def test_a_challenger_that_met_a_champion_who_is_gone_is_refused(arena: Arena, judge: Ruled) -> None:
    arena.decided("a")
    judge.open.clear()
    arena.model("b")
    soon(lambda: arena.evaluation("b", Evaluation.STATE_RUNNING).champion_id == "a")
    assert arena.roll_back("a").champion_id == ""
    judge.open.set()
    evaluation = arena.evaluation("b")
    promotion = soon(lambda: arena.promotions.get(f"p/{evaluation.promotion_id}"))
    assert promotion.outcome == Promotion.OUTCOME_REFUSED
    assert promotion.reasons[0] == "the champion changed meanwhile: the base model reigns"
    assert arena.champion() == ""


def test_a_refused_challenger_may_be_evaluated_anew(arena: Arena, judge: Ruled) -> None:
    arena.decided("poor")
    judge.nats["poor"] = -1.0
    request = pb.CreateEvaluationRequest(pipeline="p", request_id="again", model_id="poor")
    arena.calls.CreateEvaluation(request)
    arena.evaluation("poor", nth=2)
    soon(lambda: arena.champion() == "poor")


def test_rolling_back_puts_the_predecessor_back_step_by_step(tmp_path: Path, judge: Ruled) -> None:
    with opened(Arena(tmp_path, judge)) as arena:
        assert [arena.decided(name).champion_id for name in "abc"] == ["a", "b", "c"]
        promotion = arena.roll_back("c", reason="it flatters")
        assert (promotion.outcome, promotion.model_id) == (Promotion.OUTCOME_ROLLED_BACK, "c")
        assert (promotion.champion_id, list(promotion.reasons)) == ("b", ["it flatters"])
    with opened(Arena(tmp_path, judge)) as arena:
        assert arena.champion() == "b"
        assert arena.roll_back("b").champion_id == "a"
        assert arena.roll_back("a").champion_id == ""
        assert arena.champion() == ""
        assert [promotion.sequence for promotion in arena.decisions()] == [1, 2, 3, 4, 5, 6]
        assert arena.house.sample("judge_promotions_total", pipeline="p", outcome="rolled_back") == 2


def test_an_evaluation_says_what_it_may_ask_for_and_what_it_took(arena: Arena) -> None:
    promotion, evaluation = arena.decided("a"), arena.evaluation("a")
    assert evaluation.plan.prompts == ROWS
    assert evaluation.plan.level == promotion.error_level > 0
    spent = {one.call: one for one in evaluation.spent}
    assert set(spent) == {"generate", "score", "choose"}
    assert spent["generate"].requests == 2 * ROWS
    assert spent["generate"].completion_tokens > 0
    assert spent["score"].requests == 2 * ROWS
    tokens = sum(one.prompt_tokens + one.completion_tokens for one in evaluation.spent)
    assert 0 < tokens <= evaluation.plan.tokens
    assert {one.remembered for one in evaluation.spent} == {0}
    assert [one.model for one in evaluation.panel] == ["ruled"]


def test_the_judge_sees_pairs_again_and_its_drift_is_told(tmp_path: Path) -> None:
    judge = Ruled(NATS)
    with opened(Arena(tmp_path, judge)) as arena:
        arena.decided("a")
        first = arena.evaluation("a")
        assert (first.canaries_address != "", first.HasField("drift")) == (True, False)
        arena.decided("b")
        second = arena.evaluation("b")
        assert (second.drift.mean, second.canaries_address) == (0.0, first.canaries_address)
        judge.lean = 1.0
        arena.decided("c")
        assert arena.evaluation("c").drift.mean > 0.1
        assert arena.house.shown("judge_drift_ratio", pipeline="p") == arena.evaluation("c").drift.mean


def test_a_judge_that_is_seldom_needed_is_rechecked_on_schedule(
    tmp_path: Path, judge: Ruled, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        queueing, "recheck_due", lambda known, every_s: len(known) == 1 and known[0].state == 3
    )
    with opened(Arena(tmp_path, judge, {"p": a_pipeline(recheck_s=3_600)})) as arena:
        first = arena.decided("a")
        found = arena.evaluation("")
        assert (found.kind, found.drift.mean, found.promotion_id) == (Evaluation.KIND_RECHECK, 0.0, "")
        assert found.canaries_address == arena.evaluation("a").canaries_address
        assert [promotion.id for promotion in arena.decisions()] == [first.id]
        # It is no evaluation of a model: gauges and champion are those of before.
        shown = arena.house.shown("judge_comparisons", pipeline="p")
        assert shown == arena.evaluation("a").win_rate.n


def test_a_recheck_is_due_once_nothing_was_judged_for_so_long() -> None:
    def ended(seconds_ago: float) -> Evaluation:
        evaluation = Evaluation(state=Evaluation.STATE_DONE)
        evaluation.end_time.FromNanoseconds(time.time_ns() - int(seconds_ago * 1e9))
        return evaluation

    assert not queueing.recheck_due([], 60)
    assert not queueing.recheck_due([ended(59)], 60)
    assert queueing.recheck_due([ended(500), ended(61)], 60)
    assert not queueing.recheck_due([ended(61), Evaluation(state=Evaluation.STATE_QUEUED)], 60)
    names = [queueing.recheck("p", [Evaluation(kind=Evaluation.KIND_RECHECK)] * n).id for n in range(3)]
    assert len(set(names)) == 3


def test_what_was_rolled_back_returns_neither_by_itself_nor_by_anothers_fall(
    tmp_path: Path, judge: Ruled
) -> None:
    with opened(Arena(tmp_path, judge)) as arena:
        for name in "ab":
            arena.decided(name)
        arena.roll_back("b")
    with opened(Arena(tmp_path, judge)) as arena:
        assert arena.decided("c").expected_champion_id == "a"
        assert arena.roll_back("c").champion_id == "a"
        assert [e.model_id for _, e in arena.evaluations.under("")] == ["a", "b", "c"]
        assert arena.roll_back("a").champion_id == ""


def test_a_model_that_fell_returns_by_hand_only_and_is_a_predecessor_like_any_other_then(
    arena: Arena,
) -> None:
    arena.decided("a")
    arena.roll_back("a")
    arena.calls.CreateEvaluation(pb.CreateEvaluationRequest(pipeline="p", request_id="again", model_id="a"))
    won = soon(lambda: arena.promotions.get(f"p/{arena.evaluation('a', nth=2).promotion_id}"))
    assert (won.outcome, arena.champion()) == (Promotion.OUTCOME_REFUSED, "")
    assert won.reasons[0] == "it was rolled back: only a promotion by hand brings it back"
    promoted = arena.promote("a", expected="", reason="it was the data")
    assert (promoted.by_hand, promoted.error_level, arena.champion()) == (True, 0.0, "a")
    assert list(promoted.reasons) == ["by hand: it was the data"]
    arena.decided("b")
    assert arena.roll_back("b").champion_id == "a"


@pytest.mark.parametrize(
    ("model", "expected", "said"),
    [
        ("nobody", "a", "there is no model nobody"),
        ("b", "", "the champion is a by now"),
        ("a", "a", "reigns already"),
    ],
)
def test_a_promotion_by_hand_that_means_another_state_is_refused(
    arena: Arena, model: str, expected: str, said: str
) -> None:
    arena.decided("a")
    arena.model("b")
    with pytest.raises(grpc.RpcError, match=said) as raised:
        arena.promote(model, expected=expected)
    assert raised.value.code() is grpc.StatusCode.FAILED_PRECONDITION
    assert arena.champion() == "a"


def test_the_error_rate_is_spent_over_the_pipelines_life_and_promotions_earn(arena: Arena) -> None:
    """0.1 in all: half of it at first, its first share 1 / zeta(1.6); a rollback takes back what was earned."""
    levels = [arena.decided(name).error_level for name in ("a", "poor", "b")]
    assert levels[0] == pytest.approx(0.05 / 2.2857656998)
    assert levels[1] == pytest.approx(0.05 * (2**-1.6 + 1) / 2.2857656998)
    assert levels[2] == pytest.approx(0.05 * (3**-1.6 + 2**-1.6) / 2.2857656998)
    arena.roll_back("b")
    assert arena.decided("c").error_level == pytest.approx(0.05 * (4**-1.6 + 3**-1.6) / 2.2857656998)


def test_two_models_that_replaced_each_other_fall_one_after_the_other(arena: Arena, judge: Ruled) -> None:
    arena.decided("b")
    judge.nats["c"] = -3.0
    arena.decided("c")
    judge.nats["b"] = -2.0
    arena.calls.CreateEvaluation(pb.CreateEvaluationRequest(pipeline="p", request_id="again", model_id="b"))
    arena.evaluation("b", nth=2)
    assert arena.roll_back("b").champion_id == "c"
    assert arena.roll_back("c").champion_id == ""


@pytest.mark.parametrize("expected", ["b", ""])
def test_a_rollback_that_expects_another_champion_is_refused(arena: Arena, expected: str) -> None:
    arena.decided("a")
    with pytest.raises(grpc.RpcError, match="the champion is a by now") as raised:
        arena.roll_back(expected)
    assert raised.value.code() is grpc.StatusCode.FAILED_PRECONDITION
    assert arena.champion() == "a"
    assert len(arena.decisions()) == 1


def test_the_base_model_cannot_be_rolled_back(arena: Arena) -> None:
    with pytest.raises(grpc.RpcError, match="nothing to go back to"):
        arena.roll_back("")


@pytest.mark.parametrize(
    ("trouble", "reason"), [(EngineDied("the engine died"), "the engine died"), (EngineDied(""), "")]
)
def test_an_evaluation_with_which_the_engine_dies_fails_after_three_tries(
    arena: Arena, judge: Ruled, trouble: SuiteError, reason: str
) -> None:
    judge.trouble = [trouble] * 3
    arena.model("a")
    evaluation = arena.evaluation("a", Evaluation.STATE_FAILED)
    assert (evaluation.attempt, evaluation.reason) == (3, reason)
    assert evaluation.HasField("end_time")
    assert arena.decisions() == []
    assert arena.verdicts() == []


def test_a_failure_that_passes_is_forgotten(arena: Arena, judge: Ruled) -> None:
    judge.trouble = [EngineDied("the engine died")]
    arena.decided("a")
    assert (arena.evaluation("a").attempt, arena.evaluation("a").reason) == (2, "")


def test_an_engine_that_is_away_is_waited_for_and_uses_up_no_tries(arena: Arena, judge: Ruled) -> None:
    judge.trouble = [EngineUnavailable("loading")] * 5
    assert arena.decided("a").champion_id == "a"
    assert arena.evaluation("a").attempt == 6


def test_an_evaluation_that_cannot_be_right_fails_at_once_and_the_next_one_runs(
    tmp_path: Path, judge: Ruled
) -> None:
    pipelines = {"p": a_pipeline(), "q": a_pipeline("q", gate={"nonsense": 1})}
    with opened(Arena(tmp_path, judge, pipelines)) as arena:
        arena.model("x", "q")
        evaluation = arena.evaluation("x", Evaluation.STATE_FAILED)
        assert evaluation.attempt == 1
        assert "nonsense" in evaluation.reason
        assert arena.decided("a").champion_id == "a"


def test_an_unexpected_failure_is_tried_again_and_then_told(tmp_path: Path) -> None:
    class Broken(Ruled):
        def count_tokens(self, text: str) -> int:
            raise ZeroDivisionError

    with opened(Arena(tmp_path, Broken(NATS))) as arena:
        arena.model("a")
        evaluation = arena.evaluation("a", Evaluation.STATE_FAILED)
        assert (evaluation.attempt, evaluation.reason) == (3, "unexpected failure; the log has it")


def test_an_evaluation_goes_on_under_a_new_number_after_a_restart_and_doubles_nothing(
    tmp_path: Path, judge: Ruled
) -> None:
    judge.open.clear()
    with opened(Arena(tmp_path, judge)) as arena:
        arena.model("a")
        arena.evaluation("a", Evaluation.STATE_RUNNING)
        soon(lambda: judge.asked)
    judge.open.set()
    with opened(Arena(tmp_path, judge)) as arena:
        assert arena.evaluation("a").attempt == 2
        assert len({verdict.comparison_id for verdict in arena.verdicts()}) == len(arena.verdicts()) == ROWS
        assert len(arena.decisions()) == 1


def test_progress_is_shown_while_an_evaluation_runs(arena: Arena, judge: Ruled) -> None:
    judge.open.clear()
    arena.model("a")
    answering = "candidate_answers"
    running = soon(
        lambda: e if (e := arena.evaluation("a", Evaluation.STATE_RUNNING)).stage == answering else None
    )
    assert (running.stage_done, running.stage_total, running.plan.prompts) == (0, ROWS, ROWS)


class FullOnce(FileStorage):
    """Has no space for the first object."""

    full = True

    def put(self, content: bytes, media_type: str = OCTETS) -> Address:
        if self.full:
            self.full = False
            raise StorageFull("no space left in the storage; nothing was written")
        return super().put(content, media_type)


def test_verdicts_for_which_there_is_no_space_wait_and_nothing_is_asked_again(
    tmp_path: Path, judge: Ruled
) -> None:
    storage = FullOnce(tmp_path / "objects")
    with opened(Arena(tmp_path, judge, storage=storage)) as arena:
        assert arena.decided("a").champion_id == "a"
        assert arena.evaluation("a").attempt == 1
    assert not storage.full


def test_an_answer_that_is_no_text_does_not_end_the_judge(tmp_path: Path) -> None:
    class Garbled(Ruled):
        def _answer(self, instruction: str, adapter: str) -> str:
            return "\ud800"

    with opened(Arena(tmp_path, Garbled(NATS))) as arena:
        assert arena.decided("a").champion_id == "a"
        assert arena.worker.failed() is None


def test_bytes_that_are_no_command_are_a_dead_letter_and_work_goes_on(arena: Arena) -> None:
    place = arena.house.keys.partition("p")
    arena.house.publish(JUDGING, b"\xff\xff", key=b"p", partition=place)
    arena.house.publish(JUDGING, b"", key=b"p", partition=place)
    assert arena.decided("a").champion_id == "a"
    assert len(soon(lambda: dead if len(dead := arena.house.dead(JUDGING)) == 2 else None)) == 2
