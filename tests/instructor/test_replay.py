"""Questions that people asked, put in a model's place: what the machinery keeps and refuses, without any model.

For each answer of three FAQ collections the "model" replies with the question that was asked, another one, a copy of
the first sentence, a generic line, a question in another language, and so on. `pytest -s` prints the table.
"""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Literal

import pytest

from longstream.data import Document
from longstream_instructor.cleaning import clean
from longstream_instructor.commands.screening import INCONSISTENT, REPEATED, Screened, Screening
from longstream_instructor.quality import REASONS, Limits, assess
from longstream_instructor.styles import Style
from longstream_instructor.writer import Written
from tests.support import faq

KEPT = "kept"
RANK_SHARE = 0.035
"""As docs/instruct.md gives it to `--max-rank-share`."""
GENERIC = "Write a detailed text about the topic of interest."


@cache
def answers() -> tuple[str, ...]:
    return tuple(entry.answer for entry in faq.pool())


def document(answer: str) -> Document:
    return Document(source_index=0, text=answer, source="faq")


def replied(answer: str, reply: str, finish: Literal["stop", "length"]) -> Screened:
    """What the writer makes of a reply, before the instructions of all documents are compared."""
    instruction = clean(reply, finish)
    refusal = assess(instruction, answer, Limits(), "en").reason
    written = Written(
        instruction="" if refusal else instruction,
        refusal=refusal,
        style=Style.QUERY,
        seed=0,
        excerpted=False,
        language="en",
        prompt_revision="",
    )
    return Screened(written=written, plain=written.instruction)


def questions() -> list[str]:
    return [entry.question for entry in faq.pool()]


def verdicts(replies: Sequence[str], finish: Literal["stop", "length"] = "stop") -> Counter[str]:
    """What becomes of a reply for each answer: kept, or the reason."""
    done = [
        (Path("faq"), document(answer), replied(answer, reply, finish))
        for answer, reply in zip(answers(), replies, strict=True)
    ]
    screened = [one.written for _, _, one in Screening(RANK_SHARE).screened(done)]
    found = Counter((written.refusal or KEPT) for written in screened if written is not None)
    assert found.total() == len(answers())
    assert set(found) <= {KEPT, INCONSISTENT, REPEATED, *REASONS}
    return found


def share_kept(name: str, replies: Sequence[str], finish: Literal["stop", "length"] = "stop") -> float:
    found = verdicts(replies, finish)
    told = ", ".join(f"{reason} {count}" for reason, count in found.most_common() if reason != KEPT)
    print(f"| {name} | {found[KEPT] / found.total():.1%} | {told or '-'} |")
    return found[KEPT] / found.total()


def test_the_questions_that_were_asked_are_kept() -> None:
    assert share_kept("the human question", questions()) >= 0.8


def test_they_are_kept_in_quotation_marks_behind_a_label() -> None:
    labelled = [f'**Instruction:** "{question}"' for question in questions()]
    assert share_kept("the same, quoted and labelled", labelled) >= 0.8


def test_questions_about_other_documents_are_refused() -> None:
    shares = []
    for seed in range(5):
        order = list(range(len(answers())))
        random.Random(seed).shuffle(order)
        others = [questions()[at] if at != number else GENERIC for number, at in enumerate(order)]
        shares.append(share_kept(f"another document's question, draw {seed + 1}", others))
    assert sum(shares) / len(shares) <= 0.05


def test_copies_of_the_first_sentence_are_refused() -> None:
    copies = [re.split(r"(?<=[.!?])\s", answer)[0] for answer in answers()]
    assert share_kept("a copy of the first sentence", copies) <= 0.01


def test_a_generic_line_is_refused() -> None:
    assert share_kept("a generic line", [GENERIC] * len(answers())) <= 0.01


@pytest.mark.parametrize("language", ["de", "fr", "it", "ja", "nl", "ru", "zh-cn"])
def test_questions_in_another_language_are_refused(language: str) -> None:
    asked = [entry.question for entry in faq.debian(language)]
    # Some of the translations leave questions in English.
    english = {entry.question for entry in faq.debian("en")}
    foreign = [question for question in asked if question not in english]
    if not foreign:
        pytest.skip(f"apt-get install debian-faq-{language}: questions in that language")
    replies = [foreign[number % len(foreign)] for number in range(len(answers()))]
    assert share_kept(f"a question in {language}", replies) <= 0.05


def test_no_reply_a_refusal_and_a_cut_reply_are_refused() -> None:
    cut = [question[: max(9, len(question) // 2)] for question in questions()]
    assert share_kept("nothing", [""] * len(answers())) == 0
    assert share_kept("a refusal", ["I'm sorry, but I can't help with that request."] * len(answers())) == 0
    assert share_kept("a reply cut at the limit", cut, "length") == 0
