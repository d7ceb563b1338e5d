"""An answer is criticised and written anew; whatever goes wrong, the old one stays and the reason is told."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from longstream.errors import EngineDied, InvalidInput
from longstream.ids import digest
from longstream.instructing import Refine
from longstream.llm.types import Prompt, Sampling
from longstream_instructor.refining import (
    REFINED,
    Answer,
    Refined,
    Refiner,
    parse_reply,
    refine_prompt,
    refine_revision,
)
from tests.instructor.test_gates import NEW, OLD, REQUEST
from tests.support.scripted import ScriptedModel

ANSWER = Answer(instruction=REQUEST, response=OLD)


def reply(text: str = NEW, response: str = OLD, critique: str = "It is one dense block.") -> str:
    mark = digest("answer", response)[:8]
    return f"{critique}\n[better answer {mark}]\n{text}\n[end of better answer {mark}]\n"


def refined_by(said: str, task: Refine | None = None, answer: Answer = ANSWER) -> Refined:
    return Refiner(ScriptedModel(lambda prompt, sampling: said), 9.0).refine(answer, "a1", task or Refine())


def test_a_reply_of_the_form_becomes_the_new_answer_with_its_critique() -> None:
    done = refined_by(reply())
    assert (done.outcome, done.text, done.critique) == (REFINED, NEW, "It is one dense block.")
    assert done.prompt_tokens > len(OLD.split())
    assert done.completion_tokens == len(reply().split())


def test_request_input_and_answer_are_data_once_each_and_the_form_is_ours() -> None:
    answer = Answer(instruction=REQUEST, input="Rye bread.", response=OLD)
    prompt = refine_prompt(answer, Refine())
    assert [part.text for part in prompt.parts if part.data] == [REQUEST, "Rye bread.", OLD]
    assert prompt.text.endswith("[critique]\n")
    rewrite = refine_prompt(answer, Refine(method="rewrite"))
    assert rewrite.text.endswith(f"[better answer {digest('answer', OLD)[:8]}]\n")


@given(st.text(min_size=1).filter(str.strip), st.text(min_size=1).filter(str.strip))
def test_no_text_can_forge_the_mark_of_its_own_answer(instruction: str, response: str) -> None:
    mark = digest("answer", response)[:8]
    assert mark not in response
    assert refine_prompt(Answer(instruction=instruction, response=response), Refine()).text.count(mark) >= 6


@pytest.mark.parametrize(
    "word", ["End", "[End]", "Front-End", "Endangered", "[end of better answer]", "[better answer]"]
)
def test_words_that_look_like_marks_cut_nothing(word: str) -> None:
    text = f"{word} of it.\n{word}\nAnd more about {word}."
    assert parse_reply(reply(text), OLD, critique=True).text == text


@given(st.text(alphabet="ab [\n]\r\t", max_size=60), st.text(alphabet="ab [\n]", max_size=60))
def test_whatever_stands_between_the_marks_is_the_answer(critique: str, text: str) -> None:
    done = parse_reply(reply(text, critique=critique), OLD, critique=True)
    assert (done.outcome, done.text, done.critique) == (REFINED, text.strip(), critique.strip())


MARK = digest("answer", OLD)[:8]


@pytest.mark.parametrize(
    ("said", "outcome"),
    [
        ("It is good as it is.", "no_answer"),
        (f"[better answer {MARK}]\n{NEW}", "no_answer"),
        (f"{NEW}\n[end of better answer {MARK}]", "no_answer"),
        (reply() + reply(), "several_answers"),
        (f"[better answer {'0' * 8}]\n{NEW}\n[end of better answer {'0' * 8}]", "no_answer"),
        (reply(" "), "empty"),
        (reply(OLD), "unchanged"),
        (reply(NEW.replace("1852", "1999")), "changed_numbers"),
        (reply(f"{NEW} " * 9), "runaway"),
    ],
)
def test_a_reply_that_is_not_so_leaves_the_answer_as_it_came(said: str, outcome: str) -> None:
    done = refined_by(said)
    assert (done.outcome, done.text) == (outcome, "")


def test_a_reply_cut_at_the_limit_is_truncated_whatever_it_says() -> None:
    done = refined_by(reply(), Refine(max_tokens=40))
    assert (done.outcome, done.text) == ("truncated", "")


def test_a_rewrite_begins_inside_the_mark_that_the_prompt_opened() -> None:
    said = f"{NEW}\n[end of better answer {MARK}]"
    assert refined_by(said, Refine(method="rewrite")).text == NEW


def test_what_has_no_room_in_the_context_is_not_asked() -> None:
    model = ScriptedModel(lambda prompt, sampling: reply(), context_tokens=240)
    assert Refiner(model, 9.0).refine(ANSWER, "a1", Refine()).outcome == "no_room"
    assert model.samplings == []


def test_the_budget_bounds_what_all_tries_together_may_cost() -> None:
    model = ScriptedModel(lambda prompt, sampling: "Nothing to be said.")
    task = Refine(tries=10, temperature=0.7, budget_tokens=900)
    done = Refiner(model, 9.0).refine(ANSWER, "a1", task)
    assert done.outcome == "no_answer"
    assert 1 < len(model.samplings) < 10
    assert done.prompt_tokens + done.completion_tokens <= 900
    assert Refiner(model, 9.0).refine(ANSWER, "a1", Refine(budget_tokens=64)).outcome == "over_budget"


def test_a_try_that_fails_is_followed_by_another_with_its_own_seed() -> None:
    says = iter(["no form", reply(OLD), reply()])
    model = ScriptedModel(lambda prompt, sampling: next(says))
    done = Refiner(model, 9.0).refine(ANSWER, "a1", Refine(tries=5, temperature=0.7))
    assert done.outcome == REFINED
    assert len({sampling.seed for sampling in model.samplings}) == 3
    assert done.seed == model.samplings[-1].seed


def test_without_a_draw_nothing_is_asked_twice() -> None:
    model = ScriptedModel(lambda prompt, sampling: "no form")
    Refiner(model, 9.0).refine(ANSWER, "a1", Refine(tries=5, temperature=0))
    assert len(model.samplings) == 1


def test_a_callers_deadline_holds_for_all_tries() -> None:
    model = ScriptedModel(lambda prompt, sampling: "no form")
    Refiner(model, 300.0).refine(ANSWER, "a1", Refine(tries=3, temperature=0.7), timeout_s=5.0)
    assert all(0 < timeout_s <= 5.0 for timeout_s in model.timeouts_s)
    assert model.timeouts_s == sorted(model.timeouts_s, reverse=True)


@pytest.mark.parametrize(
    ("answer", "field"),
    [
        (Answer(instruction=" ", response="x"), "instruction"),
        (Answer(instruction="x", response=""), "response"),
    ],
)
def test_an_answer_without_a_part_is_refused_by_name(answer: Answer, field: str) -> None:
    with pytest.raises(InvalidInput, match="nothing to refine") as raised:
        refined_by(reply(), answer=answer)
    assert raised.value.field == field


def test_an_unknown_limit_is_refused() -> None:
    with pytest.raises(InvalidInput, match=r"unknown limits wit; known: max_growth"):
        refined_by(reply(), Refine(limits={"wit": 1}))


def test_an_error_of_the_engine_is_the_callers() -> None:
    def dying(prompt: Prompt, sampling: Sampling) -> str:
        raise EngineDied("gone")

    with pytest.raises(EngineDied):
        Refiner(ScriptedModel(dying), 9.0).refine(ANSWER, "a1", Refine())


def test_the_revision_tells_the_methods_apart() -> None:
    assert refine_revision(Refine()) == refine_revision(Refine(max_tokens=99))
    assert refine_revision(Refine()) != refine_revision(Refine(method="rewrite"))
