"""Screens catch what they are named for, pass what only looks like it, and stand in the order of their cost."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from longstream.data.language import language_of
from longstream.data.personal import personal
from longstream.errors import InvalidInput, NotFound
from longstream.selecting import SCREENS, Screens
from longstream_curator.kept import KeptSet, pipeline_metric
from longstream_curator.metrics import DROPS
from longstream_curator.screening.debris import is_debris
from longstream_curator.screening.declining import declines
from longstream_curator.screening.repetition import repeats_itself
from longstream_curator.screening.screens import Screening, Text
from tests.curator.test_modes import example
from tests.support.curating import a_pipeline

PROSE = (
    "In the first year they built the wall of the harbour, and in the second the light. Ships came from the north "
    "with timber and left with salt; the town grew up the hill, street by street, until it met the wood. Nobody now "
    "remembers who laid the first stone, though three families say it was theirs, and each has a drawing of it."
)


@pytest.mark.parametrize(
    "text",
    [
        "and so it goes on " * 60,
        "!" * 600,
        "\u54c8" * 300,
        "#laughing #matchmaker " * 50,
        "\n".join(["This is a line that comes back.", "And this one does as well."] * 20) + PROSE,
        PROSE + PROSE + PROSE,
    ],
)
def test_a_text_that_loops_repeats_itself(text: str) -> None:
    assert repeats_itself(text)


@pytest.mark.parametrize(
    "text",
    [
        PROSE,
        "yes " * 30,
        "\n".join(f"{n} times {m} is {n * m}" for n in range(2, 9) for m in range(2, 9)),
        PROSE + "\n\nLa la la, the sea, the sea.\n" + PROSE[::-1] + "\n\nLa la la, the sea, the sea.\n",
        "def area(shape):\n    if shape.kind == 'circle':\n        return pi * shape.radius ** 2\n"
        "    if shape.kind == 'square':\n        return shape.side ** 2\n" + PROSE,
    ],
)
def test_songs_tables_and_code_do_not(text: str) -> None:
    assert not repeats_itself(text)


@pytest.mark.parametrize(
    ("text", "debris"),
    [
        ("<div class=\"x\"><a href='/'>Home</a></div><p>Hi</p>", True),
        ("&nbsp;&nbsp;&amp;nbsp; one &#160;&#160;", True),
        ("{{Infobox|name=x}} {{cite web|url=y}} Some words of text.", True),
        ("function(e){ window.location = 1 }", True),
        (PROSE + " <b>bold</b>", False),
        ("Write it so:\n```html\n<div><p>Hello</p></div>\n```\nThat is all there is to it.", False),
        ("a < b and c > d, or 3 <4> 5", False),
        ("Use `<div>` and `<p>` for this.", False),
    ],
)
def test_what_pages_leave_behind_is_debris(text: str, debris: bool) -> None:
    assert is_debris(text) is debris


@pytest.mark.parametrize(
    ("text", "declined"),
    [
        ("I'm sorry, but I cannot help with that.", True),
        ("As an AI language model, I do not have a body.", True),
        ("I am unable to assist you with this.", True),
        ("Unfortunately, it is not possible to answer.", True),
        ("<noinput>", True),
        ("I'm sorry you had to wait. Your order is on its way.", False),
        ("I cannot help but admire the way she wrote of the sea.", False),
        ("Sorry is a hard word. " + PROSE, False),
        (PROSE + " As an AI language model, I cannot say.", False),
        ("Unfortunately the rain came early that year, and the hay was lost.", False),
    ],
)
def test_an_answer_that_begins_by_declining_is_a_refusal(text: str, declined: bool) -> None:
    assert declines(text) is declined


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("Write to ann@example.org or to bob.b+x@mail.example.co.uk.", {"email": 2}),
        ("Call +49 30 1234 5678 or (030) 555 0199 22.", {"telephone": 2}),
        ("Card 4111 1111 1111 1111, not 4111 1111 1111 1112.", {"card": 1}),
        ("IBAN DE89 3704 0044 0532 0130 00 and DE88 3704 0044 0532 0130 00.", {"iban": 1}),
        ("8.8.8.8 is one, 192.168.0.1 is nobody's, 1.2.3 is a version", {"ip_address": 1}),
        ("In 1998 and 2001 some 12 345 678 people; ISBN 0 00 00", {}),
        ("0000 0000 0000 0000", {}),
    ],
)
def test_what_may_name_a_person_is_counted_by_kind(text: str, found: dict[str, int]) -> None:
    assert personal(text) == found


@pytest.mark.parametrize(
    ("text", "language"),
    [
        (PROSE, "en"),
        (
            "Der Hafen wurde im ersten Jahr gebaut, und im zweiten kam der Leuchtturm dazu, den alle sahen.",
            "de",
        ),
        (
            "Le port fut construit la premiere annee, et la seconde on y ajouta un phare que tous voyaient.",
            "fr",
        ),
        (
            "El puerto se construyo en el primer ano, y en el segundo llego el faro que todos podian ver.",
            "es",
        ),
        (
            "\u0413\u0430\u0432\u0430\u043d\u044c \u043f\u043e\u0441\u0442\u0440\u043e\u0438\u043b\u0438 \u0432 "
            "\u043f\u0435\u0440\u0432\u044b\u0439 "
            "\u0433\u043e\u0434, \u0430 \u0432\u043e \u0432\u0442\u043e\u0440\u043e\u0439 "
            "\u043f\u043e\u0441\u0442\u0430\u0432\u0438\u043b\u0438 \u043c\u0430\u044f\u043a.",
            "ru",
        ),
    ],
)
def test_languages_are_told_apart(text: str, language: str) -> None:
    assert language_of(text).code == language


@given(st.text(max_size=300), st.text(max_size=40))
def test_no_text_breaks_a_screen(response: str, instruction: str) -> None:
    on = tuple(name for name in SCREENS if name != "contamination")
    screening = Screening(Screens(languages=("en",)), on)
    assert screening.reason(Text(response * 20, instruction)) in {"", *SCREENS}


def reason(text: Text, on: tuple[str, ...] = SCREENS, prompts: tuple[str, ...] = (), **screens: Any) -> str:
    return Screening(Screens(**screens), on, prompts).reason(text)


def test_the_first_screen_that_catches_a_text_is_its_reason() -> None:
    assert reason(Text(PROSE, "Tell a story.", licence="CC0")) == ""
    assert reason(Text(PROSE, "Tell a story.")) == "licence"
    assert reason(Text("Tell a story!", "tell a story", licence="CC0")) == "trivial"
    assert reason(Text("?!", "x", licence="CC0")) == "trivial"
    assert reason(Text("Sorry, I can't. " + "a@b.org " * 9, "x", licence="CC0")) == "refusal"
    assert reason(Text(PROSE + " a@b.org" * 6, "x", licence="CC0")) == "pii"
    assert reason(Text(PROSE + " a@b.org" * 5, "x", licence="CC0")) == ""
    assert reason(Text(PROSE, "x", licence="CC0"), languages=("de", "fr")) == "language"
    assert reason(Text("Too short to tell.", "x", licence="CC0"), languages=("de",)) == ""
    assert reason(Text(PROSE, "x", licence="CC0"), prompts=(PROSE[20:150],)) == "contamination"


def test_licences_are_accepted_by_source() -> None:
    accepted = {"*": ("CC*", "MIT"), "ours": ("",)}
    assert reason(Text(PROSE, licence="cc-by-4.0"), ("licence",), licences=accepted) == ""
    assert reason(Text(PROSE, licence="GPL-3.0"), ("licence",), licences=accepted) == "licence"
    assert reason(Text(PROSE, source="ours"), ("licence",), licences=accepted) == ""


def test_texts_to_keep_out_may_stand_in_files(tmp_path: Path) -> None:
    path = tmp_path / "tests.jsonl"
    path.write_text(json.dumps({"instruction": "i", "output": PROSE[50:200]}), encoding="utf-8")
    assert reason(Text(PROSE), ("contamination",), against=(str(path),)) == "contamination"
    path.write_text("", encoding="utf-8")
    with pytest.raises(InvalidInput, match="holds no text"):
        reason(Text(PROSE), ("contamination",), against=(str(path),))
    with pytest.raises((NotFound, InvalidInput)):
        reason(Text(PROSE), ("contamination",), against=(str(tmp_path / "none.jsonl"),))


def test_profiles_say_what_is_on_and_a_file_may_say_otherwise() -> None:
    assert Screens().on("paper") == ()
    assert Screens().on("production") == SCREENS
    assert Screens(pii=False, markup=True).on("paper") == ("markup",)
    assert "pii" not in Screens(pii=False).on("production")


def test_a_pipeline_keeps_out_what_its_screens_catch_and_counts_it() -> None:
    pipeline = a_pipeline(k=2, reserve=0, screens={"repetition": True, "refusal": True})
    kept = KeptSet(pipeline.revision(), lambda p: pipeline_metric(p, None))
    for number, text in enumerate(
        ("so it goes on " * 90, PROSE, "As an AI, I cannot.", "short", "shorter one")
    ):
        kept.offer(example(number, text))
    assert [item.rank.length for item in kept.kept()] == [len(PROSE), len("shorter one")]
    assert dict(kept.marks.dropped) == {"repetition": 1, "refusal": 1, "evicted": 1}
    assert set(kept.marks.dropped) <= set(DROPS)


@pytest.mark.slow
def test_long_human_answers_pass(test_data: Path) -> None:
    answers = [
        record["conversations"][1]["value"]
        for record in json.loads((test_data / "lima" / "lima_1k.json").read_text(encoding="utf-8"))
    ]
    assert sum(map(repeats_itself, answers)) == 0
    assert sum(map(is_debris, answers)) <= 1
    assert sum(personal(answer).total() > 5 for answer in answers) == 0
    assert sum(map(declines, answers)) <= 6
