"""One document to one instruction: what the model is asked, and what becomes of its reply."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from longstream.errors import InvalidInput
from longstream.instructing import Instruct
from longstream.llm.types import Adapter, Completion, Prompt, Sampling
from longstream_instructor.overrides import overridden
from longstream_instructor.quality import Limits
from longstream_instructor.styles import Style
from longstream_instructor.wording import ASKINGS, SCORING
from longstream_instructor.writer import Writer
from tests.support.ruledmodel import RuledModel
from tests.support.scripted import ScriptedModel

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
    assert Writer(model, 1.0).write(DOCUMENT, "d1", Instruct(), style=Style.CHATBOT).style is Style.CHATBOT
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
    limits = overridden(Limits(), {"min_words": 1, "allow_cut": 1}, "instruct.limits")
    assert (limits.min_words, limits.allow_cut) == (1.0, True)
    assert overridden(Limits(), {}, "instruct.limits") == Limits()


def test_an_unknown_limit_is_refused_with_the_known_ones() -> None:
    with pytest.raises(InvalidInput, match=r"unknown limits longest.*min_words") as raised:
        Writer(Noting(), 1.0).write(DOCUMENT, "d1", Instruct(limits={"longest": 3}))
    assert raised.value.field == "instruct.limits"


@pytest.mark.parametrize("document", ["", " \n\t"])
def test_an_empty_document_is_refused_before_the_model_is_asked(document: str) -> None:
    model = Noting()
    with pytest.raises(InvalidInput, match="empty"):
        Writer(model, 1.0).write(document, "d1", Instruct())
    assert model.asked == []


def saying(*replies: str) -> ScriptedModel:
    """Each reply once, then the last one for ever; a request for a score gets `5`."""
    left = list(replies)

    def replying(prompt: Prompt, sampling: Sampling) -> str:
        if prompt.text.endswith(SCORING.text):
            return "5"
        return left.pop(0) if len(left) > 1 else left[0]

    return ScriptedModel(replying)


def test_a_refused_reply_is_followed_by_another_try_with_its_own_seed() -> None:
    model = saying("Why?", "", GOOD)
    written = Writer(model, 1.0).write(DOCUMENT, "d1", Instruct(tries=5))
    assert (written.instruction, written.tries) == (GOOD, 3)
    assert len({sampling.seed for sampling in model.samplings}) == 3
    assert written.seed == model.samplings[-1].seed
    assert written.prompt_tokens == 3 * model.count_tokens(model.asked[0].text)


def test_tries_that_are_all_refused_tell_the_first_reason() -> None:
    written = Writer(saying("Why?", ""), 1.0).write(DOCUMENT, "d1", Instruct(tries=3))
    assert (written.refusal, written.tries) == ("too_short", 3)


def test_without_a_draw_nothing_is_asked_twice() -> None:
    assert Writer(saying("Why?"), 1.0).write(DOCUMENT, "d1", Instruct(tries=5, temperature=0)).tries == 1


def test_where_the_drawn_style_is_refused_another_one_stands_in() -> None:
    task = Instruct(candidates="all")
    drawn = Writer(saying(GOOD), 1.0).write(DOCUMENT, "d1", task)
    assert drawn.tries == 1
    instead = Writer(saying("Why?", GOOD), 1.0).write(DOCUMENT, "d1", task)
    assert (instead.instruction, instead.tries) == (GOOD, 2)
    assert instead.style is not drawn.style


def test_of_all_styles_the_best_scored_is_chosen() -> None:
    scores = iter(["4", "5", "4"])
    others = iter([GOOD, "Describe what became of the old mill.", "old mill history"])

    def replying(prompt: Prompt, sampling: Sampling) -> str:
        return next(scores) if prompt.text.endswith(SCORING.text) else next(others)

    model = ScriptedModel(replying)
    written = Writer(model, 1.0).write(DOCUMENT, "d1", Instruct(candidates="all", min_score=4))
    assert (written.instruction, written.score) == ("Describe what became of the old mill.", 5)
    assert (written.tries, len(model.samplings)) == (3, 6)


@pytest.mark.parametrize(
    ("said", "refusal", "failures"),
    [
        ("3", "low_score", ()),
        ("728", "unscored", ("score_out_of_range",)),
        ("4 or 5", "unscored", ("several_scores",)),
        ("Well fitting.", "unscored", ("no_score",)),
        ("Score: 4/5", "", ()),
    ],
)
def test_a_score_that_is_low_or_none_refuses_and_is_told_apart(
    said: str, refusal: str, failures: tuple[str, ...]
) -> None:
    def replying(prompt: Prompt, sampling: Sampling) -> str:
        return said if prompt.text.endswith(SCORING.text) else GOOD

    written = Writer(ScriptedModel(replying), 1.0).write(DOCUMENT, "d1", Instruct(min_score=4, tries=1))
    assert (written.refusal, written.failures) == (refusal, failures)
    assert (written.instruction == GOOD) == (refusal == "")


TEXTS = {
    "en": DOCUMENT,
    "de": "Neben dem Fluss stand eine Mühle, deren Rad sich zweihundert Jahre lang Tag und Nacht drehte.",
    "es": "Junto al río había un molino cuya rueda giró día y noche durante doscientos años seguidos.",
    "fr": "Au bord de la rivière se dressait un moulin dont la roue tournait jour et nuit depuis deux siècles.",
    "ru": "Возле реки стояла мельница, колесо которой двести лет вращалось днём и ночью без остановки.",
    "any": "Bredvid ån låg en kvarn vars hjul hade snurrat dag och natt i tvåhundra år utan att stanna.",
}


@pytest.mark.parametrize("language", TEXTS)
def test_the_request_is_in_the_documents_language_where_there_is_a_wording(language: str) -> None:
    model = saying(GOOD)
    written = Writer(model, 1.0).write(TEXTS[language], "d1", Instruct(limits={"min_script_share": 0}))
    assert written.language == language
    assert model.asked[0].text.startswith(ASKINGS[language].opening.text)
    assert model.asked[0].text.endswith(ASKINGS[language].requests[written.style].text)
    assert written.refusal == ("" if language == "en" else "wrong_language")


def test_a_language_that_is_asked_for_is_taken() -> None:
    written = Writer(saying(GOOD), 1.0).write(TEXTS["de"], "d1", Instruct(language="en"))
    assert (written.language, written.refusal) == ("en", "wrong_language")


def test_the_profile_says_how_often_and_whether_scores_are_asked_for() -> None:
    paper, production = (Instruct().on(profile) for profile in ("paper", "production"))
    assert (paper.tries, paper.min_score) == (1, 0)
    assert (production.tries, production.min_score) == (3, 4)
    assert Instruct(tries=2, min_score=0).on("production") == Instruct(tries=2, min_score=0)
