"""One document to one instruction: what the model is asked, and what becomes of its reply."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from longstream.errors import InvalidInput
from longstream.llm.types import Adapter, Completion, Prompt, Sampling
from longstream.pipeline import Instruct
from longstream_instructor.prompts import Style
from longstream_instructor.quality import Limits
from longstream_instructor.writer import Writer, limits_from
from tests.support.ruledmodel import RuledModel

GOOD = "Explain how old mills ground their corn beside the river."
DOCUMENT = "Beside the river stood a mill whose wheel turned day and night for two hundred years."


class Noting(RuledModel):
    """Keeps what it was asked for beside the prompt."""

    def __init__(self, reply: str = GOOD) -> None:
        super().__init__(answering=lambda document, adapter: reply)
        self.samplings: list[Sampling] = []
        self.timeouts_s: list[float] = []

    def generate(
        self, prompt: Prompt, sampling: Sampling, *, adapter: Adapter | None = None, timeout_s: float
    ) -> Completion:
        self.samplings.append(sampling)
        self.timeouts_s.append(timeout_s)
        return super().generate(prompt, sampling, adapter=adapter, timeout_s=timeout_s)


def test_a_good_reply_becomes_the_instruction_with_all_that_made_it() -> None:
    model = Noting()
    written = Writer(model, 9.0).write(
        DOCUMENT, "d1", Instruct(seed=3, temperature=0.4, top_p=0.8, max_tokens=50)
    )
    assert (written.instruction, written.refusal, written.excerpted) == (GOOD, "", False)
    asked = model.samplings[0]
    assert (asked.max_tokens, asked.temperature, asked.top_p, asked.seed) == (50, 0.4, 0.8, written.seed)
    assert model.timeouts_s == [9.0]
    assert [part.text for part in model.asked[0].parts if part.data] == [DOCUMENT]


def test_a_callers_time_goes_before_the_writers_own_even_where_none_is_left() -> None:
    model = Noting()
    Writer(model, 300.0).write(DOCUMENT, "d1", Instruct(), timeout_s=0.0)
    assert model.timeouts_s == [0.0]


@given(st.integers(0, 2**63), st.text(max_size=40))
def test_the_same_document_and_task_are_asked_in_the_same_way(seed: int, document_id: str) -> None:
    model = Noting()
    writer = Writer(model, 1.0)
    first, second = (writer.write(DOCUMENT, document_id, Instruct(seed=seed)) for _ in range(2))
    assert first == second
    assert model.asked[0] == model.asked[1]
    assert 0 <= first.seed < 2**31


def test_styles_are_drawn_by_the_shares_of_the_task() -> None:
    writer = Writer(Noting(), 1.0)
    drawn = Counter(writer.write(DOCUMENT, f"d{n}", Instruct()).style for n in range(400))
    assert 160 < drawn[Style.INSTRUCTION] < 240
    assert 80 < drawn[Style.CHATBOT] < 160
    assert 40 < drawn[Style.QUERY] < 120
    assert {writer.write(DOCUMENT, f"d{n}", Instruct(styles={"query": 1.0})).style for n in range(20)} == {
        Style.QUERY
    }


def test_a_style_that_is_asked_for_is_taken() -> None:
    model = Noting()
    assert Writer(model, 1.0).write_as(Style.CHATBOT, DOCUMENT, "d1", Instruct()).style is Style.CHATBOT
    assert "chatbot" in model.asked[0].text


def test_a_long_document_is_shown_as_an_excerpt_and_says_so() -> None:
    model = Noting()
    written = Writer(model, 1.0).write(" ".join([DOCUMENT] * 100), "d1", Instruct())
    assert written.excerpted
    assert model.count_tokens(model.asked[0].text) < model.context_tokens


def test_a_reply_that_cannot_stand_is_a_refusal_without_a_text() -> None:
    written = Writer(Noting("Write."), 1.0).write(DOCUMENT, "d1", Instruct())
    assert (written.instruction, written.refusal) == ("", "too_short")


def test_a_pipeline_may_loosen_the_limits_by_name() -> None:
    task = Instruct(limits={"min_words": 1, "allow_cut": 1})
    assert Writer(Noting("Write."), 1.0).write(DOCUMENT, "d1", task).instruction == "Write."
    limits = limits_from({"min_words": 1, "allow_cut": 1})
    assert (limits.min_words, limits.allow_cut) == (1.0, True)
    assert limits_from({}) == Limits()


def test_an_unknown_limit_is_refused_with_the_known_ones() -> None:
    with pytest.raises(InvalidInput, match=r"unknown limits longest.*min_words") as raised:
        limits_from({"longest": 3})
    assert raised.value.field == "instruct.limits"


@pytest.mark.parametrize("document", ["", " \n\t"])
def test_an_empty_document_is_refused_before_the_model_is_asked(document: str) -> None:
    model = Noting()
    with pytest.raises(InvalidInput, match="empty"):
        Writer(model, 1.0).write(document, "d1", Instruct())
    assert model.asked == []
