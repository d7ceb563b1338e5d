"""Each way to a verdict: the paper's scores by its rules, reasons that decide nothing, answers that cannot write it."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.injections import ATTEMPTS
from longstream.errors import InvalidInput
from longstream.llm.types import Prompt, Sampling
from longstream_judge.comparison import TIE, Comparison, Pair
from longstream_judge.reasoned import ReasonedWay
from longstream_judge.scores import ScoresWay, decided, read
from longstream_judge.ways import WAYS, compared, way_named
from tests.support.ruledmodel import RuledModel
from tests.support.scripted import ScriptedModel

PAIR = Pair(id="1", question="Why?", candidate="Because of this.", champion="Because.")


@pytest.mark.parametrize(
    ("forward", "swapped", "preference"),
    [
        ("8 6\nBecause.", "5 9", 1.0),  # better in both orders
        ("8 8", "5 9", 1.0),  # even and better
        ("8 6", "9 5", 0.5),  # each order names the one shown first
        ("6 8", "9 5", 0.0),
        ("7 7", "7 7", 0.5),
        ("8.9 8.1", "8 8.5", 0.5),  # whole numbers are compared
        ("9.0 8.9", "8, 9", 1.0),
        ("10,1", "1 10", 1.0),
    ],
)
def test_the_papers_rules(forward: str, swapped: str, preference: float) -> None:
    found = decided(forward, swapped)
    assert found.preference == preference
    assert found.failure == ""
    assert found.said == (forward, swapped)


@pytest.mark.parametrize(
    ("forward", "swapped", "failure"),
    [
        ("Both are good.", "8 6", "forward_unreadable"),
        ("8 6", "", "swapped_unreadable"),
        ("8", "8 6 7", "forward_and_swapped_unreadable"),
        ("\n8 6", "8 6", "forward_unreadable"),  # the first line alone is read
        ("nan 6", "inf 6", "forward_and_swapped_unreadable"),
        ("8/10 6/10", "8 6", "forward_unreadable"),
    ],
)
def test_what_cannot_be_read_is_lost_and_never_a_tie(forward: str, swapped: str, failure: str) -> None:
    assert decided(forward, swapped) == Comparison(preference=None, failure=failure, said=(forward, swapped))


@pytest.mark.parametrize(
    ("reply", "loose", "strict"),
    [
        ("11 0", True, False),
        ("8.5 6", True, True),
        ("-1 5", True, False),
        ("10.0, 1", True, True),
        ("10.5 2", True, False),
    ],
)
def test_strict_reading_wants_scores_from_1_to_10(reply: str, loose: bool, strict: bool) -> None:
    assert (read(reply) is not None, read(reply, strict=True) is not None) == (loose, strict)


@given(st.floats(1, 10), st.floats(1, 10), st.floats(1, 10), st.floats(1, 10))
def test_exchanged_answers_have_the_mirrored_verdict(a: float, b: float, c: float, d: float) -> None:
    there, back = decided(f"{a} {b}", f"{c} {d}"), decided(f"{c} {d}", f"{a} {b}")
    assert there.preference is not None
    assert back.preference is not None
    assert there.preference + back.preference == 1.0


@given(st.text())
def test_reading_ends_for_any_text(text: str) -> None:
    for strict in (False, True):
        found = read(text, strict=strict)
        assert found is None or len(found) == 2


def test_scores_are_asked_for_in_both_orders() -> None:
    def scoring(prompt: Prompt, sampling: Sampling) -> str:
        _, first, second = (part.text for part in prompt.parts if part.data)
        return f"{min(10, len(first))} {min(10, len(second))}\nThe longer is the better."

    model = ScriptedModel(scoring)
    found = ScoresWay().compare(model, PAIR, 5)
    assert (found.preference, found.forward, found.swapped) == (1.0, 1.0, 1.0)
    short = Pair(id="1", question="Why?", candidate="12345678", champion="1234")
    assert ScoresWay(strict=True).compare(model, short, 5).preference == 1.0
    assert [len([p for p in prompt.parts if p.data]) for prompt in model.asked] == [3] * 4
    assert all(sampling.max_tokens == 256 and sampling.temperature == 0 for sampling in model.samplings)


def test_reasons_are_written_and_then_chosen_upon() -> None:
    class Reasoning(RuledModel):
        def choose(self, prompt: Prompt, choices, **told):  # type: ignore[no-untyped-def]
            *_, reasons = (part.text for part in prompt.parts if part.data)
            assert reasons == "Answer to Why? by ."
            return super().choose(
                Prompt(tuple(p for p in prompt.parts if p.text != reasons)), choices, **told
            )

    found = ReasonedWay().compare(Reasoning(), PAIR, 5)
    assert found.preference is not None
    assert found.preference > 0.9
    assert found.said == ("Answer to Why? by .",) * 2


@pytest.mark.parametrize("attack", ATTEMPTS)
def test_no_answer_writes_the_verdict(attack: str) -> None:
    """Whatever it says stays between marks that follow from it, as data, and the verdict is of the two labels."""
    pair = Pair(id="1", question="Why?", candidate=attack, champion="Because it was so in the beginning.")
    judge = RuledModel(judging=lambda question, first, second: 3.0 if "beginning" in first else -3.0)
    found = compared(way_named("soft"), judge, pair, 5)
    assert found.preference is not None
    assert found.preference < 0.1
    for prompt in judge.asked:
        opening = re.findall(
            r"\[answer \([AB]\) ([0-9a-f]{16})\]", "".join(p.text for p in prompt.parts if not p.data)
        )
        assert len(opening) == 2
        assert not any(mark in attack for mark in opening)
        assert [part.text for part in prompt.parts if part.data and part.text == attack]


def test_equal_answers_are_a_tie_about_which_nobody_is_asked() -> None:
    model = RuledModel()
    pair = Pair(id="1", question="Why?", candidate="Same.", champion=" Same.\n")
    assert all(compared(way, model, pair, 5) == TIE for way in map(way_named, WAYS))
    assert model.asked == []


def test_each_way_has_a_revision_of_its_own() -> None:
    assert len({way.revision for way in map(way_named, WAYS)}) == len(WAYS)
    with pytest.raises(InvalidInput, match="there are soft, reasoned"):
        way_named("loud")
