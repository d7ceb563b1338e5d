"""A refined answer that lost, invented or leaked something does not take the old one's place."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from longstream_instructor.gates import GATES, GateLimits, judge, likeness, names, numbers

LIMITS = GateLimits()
REQUEST = "How does bread go stale?"
OLD = (
    "When bread cools, the starch in it slowly becomes crystalline again, and water moves from the crumb into the "
    "crust. In 1852 the chemist Boussingault showed that bread stales even when it cannot dry. At 4 degrees it happens "
    "six times as fast as at 20, which is why a refrigerator is a bad place for it."
)
NEW = (
    "Bread goes stale because its starch crystallises again as it cools:\n\n"
    "- Water leaves the crumb and moves into the crust.\n"
    "- Drying is not the cause. As the chemist Boussingault found in 1852, a loaf stales even if it cannot dry.\n"
    "- Cold makes it faster: at 4 degrees about six times as fast as at 20, so keep it out of the refrigerator."
)


def reason(new: str, old: str = OLD, request: str = REQUEST, limits: GateLimits = LIMITS) -> str:
    return judge(new, old, request, limits).reason


def test_an_answer_that_says_the_same_in_another_way_is_taken() -> None:
    assert reason(NEW) == ""


BAD = {
    "empty": " \n- ",
    "refusal": "I'm sorry, but I cannot help with that." + NEW,
    "leaks_critique": f"The original answer was too dense. {NEW}",
    "runaway": f"{NEW} " * 4,
    "shrunk": "Starch crystallises when bread cools.",
    "wrong_language": (
        "Brot wird altbacken, weil seine Stärke beim Abkühlen wieder kristallisiert. Das Wasser wandert aus der Krume "
        "in die Kruste. Der Chemiker Boussingault zeigte das 1852. Bei 4 Grad geht es sechsmal so schnell wie bei 20, "
        "und darum gehört Brot nicht in den Kühlschrank."
    ),
    "changed_numbers": NEW.replace("1852", "1853"),
    "changed_names": NEW.replace("Boussingault", "Lavoisier"),
    "unchanged": OLD.replace("  ", " ") + " ",
}


@pytest.mark.parametrize("expected", GATES)
def test_each_gate_refuses_what_it_is_for(expected: str) -> None:
    assert reason(BAD[expected]) == expected


@pytest.mark.parametrize(
    "leak",
    [
        "Here is a better answer: ",
        "This revised version improves on the structure. ",
        "The previous response lacks detail. ",
        "Critique: too short. ",
        "The answer is too vague and misses the point. ",
        "Die verbesserte Antwort lautet: ",
    ],
)
def test_what_speaks_of_the_old_answer_leaks(leak: str) -> None:
    assert reason(leak + NEW) == "leaks_critique"


def test_a_stray_end_mark_leaks() -> None:
    assert reason(f"{NEW}\nEnd") == "leaks_critique"
    assert reason(f"{NEW}\n[End]") == "leaks_critique"


def test_a_text_about_answers_may_go_on_to_speak_of_them() -> None:
    old = f"{OLD} A critique of the first answer came soon."
    assert reason(f"{NEW} A critique came soon, of the first answer.", old=old) == ""


def test_numbers_that_only_count_items_are_none() -> None:
    assert numbers("1. Take 3,000 g.\n2) Wait 4.5 hours\n**3.** Eat\nStep 4: rest") == {"3000", "4.5"}


def test_a_number_of_the_request_may_come_in() -> None:
    assert reason(f"{NEW} That makes 3 reasons.") == "changed_numbers"
    assert reason(f"{NEW} That makes 3 reasons.", request="Give me 3 reasons") == ""


def test_names_are_capitals_inside_sentences_that_are_never_small() -> None:
    assert names("He met Anna in Paris. Paris was cold. the Mill, a mill") == {"Anna", "Paris"}


def test_a_text_that_capitalises_every_noun_is_not_asked_for_names() -> None:
    old = (
        "Wenn das Brot abkühlt, wird die Stärke wieder fest, und das Wasser wandert aus der Krume in die Kruste, weil "
        "der Kühlschrank die Alterung der Backwaren durch die Kälte noch um ein Vielfaches beschleunigt und der "
        "Geschmack der Kruste dabei leidet."
    )
    new = (
        "Beim Abkühlen kristallisiert die Stärke, und Feuchtigkeit zieht von innen nach außen. Kälte macht das "
        "schneller, und darum ist der Kühlschrank kein guter Ort für Brote, wenn ihre Rinde knusprig bleiben und gut "
        "schmecken soll."
    )
    assert reason(new, old, "Warum wird Brot alt?") == ""


@given(st.text(max_size=200), st.text(max_size=200))
def test_likeness_is_a_share_and_symmetric(one: str, other: str) -> None:
    assert 0 <= likeness(one, other) <= 1
    assert likeness(one, other) == likeness(other, one)
    assert likeness(one, one) == 1


@given(st.text(max_size=200), st.text(max_size=200))
def test_any_two_texts_get_a_verdict(new: str, old: str) -> None:
    assert reason(new, old) in {"", *GATES}


def test_every_gate_can_be_loosened() -> None:
    loose = GateLimits(
        max_growth=1e9,
        min_growth=0,
        max_likeness=1.1,
        min_kept_numbers=0,
        max_new_numbers=1e9,
        min_kept_names=0,
        max_new_names=1e9,
        min_language_probability=1.1,
        allow_refusal=True,
        allow_leak=True,
    )
    assert {reason(text, limits=loose) for name, text in BAD.items() if name != "empty"} == {""}


def test_answers_that_people_wrote_pass_for_their_own_refinement_only_as_unchanged() -> None:
    data = Path(os.environ.get("LONGSTREAM_TEST_DATA", Path(__file__).parents[3] / "shared" / "data"))
    if not (data / "lima").is_dir():
        pytest.skip("the shared data folder is absent: set LONGSTREAM_TEST_DATA")
    talks = [row["conversations"] for row in json.loads((data / "lima" / "lima_1k.json").read_text())]
    found = {reason(answer["value"], answer["value"], asked["value"]) for asked, answer, *_ in talks}
    assert found == {"unchanged"}
