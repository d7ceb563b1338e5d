"""Cleaning finds the instruction in a reply; the assessment refuses what must not become training data."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from longstream_instructor.cleaning import clean
from longstream_instructor.quality import Limits, assess, shared_run, words
from tests.support.questions import QUESTIONS

LIMITS = Limits()
QUESTION, ANSWER = QUESTIONS[0]
RUSSIAN = "Почему хлеб в холодильнике черствеет быстрее?"
JAPANESE = "パンが冷蔵庫で早く固くなるのはなぜですか。"


def reason(instruction: str, document: str = ANSWER, limits: Limits = LIMITS) -> str:
    return assess(instruction, document, limits).reason


def first_sentence(text: str) -> str:
    return text.partition(". ")[0] + "."


def kept_share(replies: list[str], finish_reason: str = "stop") -> float:
    kept = 0
    for reply, (_, answer) in zip(replies, QUESTIONS, strict=True):
        cut = clean(reply, "length" if finish_reason == "length" else "stop")
        kept += assess(cut, answer, LIMITS).kept
    return kept / len(QUESTIONS)


@pytest.mark.parametrize(
    "reply",
    [
        " Why does bread go stale?",
        '"Why does bread go stale?"',
        "\u201cWhy does bread go stale?\u201d",
        "Instruction: Why does bread go stale?",
        "**Instruction:** Why does bread go stale?",
        "The instruction: 'Why does bread go stale?'",
        "Query 1: Why does bread go stale?\nQuery 2: How is bread stored?",
        "1. Why does bread go stale?\n2. How is bread stored?",
        "- Why does bread go stale?",
        "# Why does bread go stale?",
        "> **Why does bread go stale?**",
        "```\nWhy does bread go stale?\n```",
        "Sure! Here is the message:\n\nWhy does bread go stale?",
        "Sure, here's a possible instruction: Why does bread go stale?",
        "Certainly. Why does bread go stale?",
        "The instruction could be: Why does bread go stale?",
        "User: Why does bread go stale?\nChatbot: Because of the starch.",
        "X: Why does bread go stale?<|im_end|>\n<|im_start|>user",
        "Why   does bread\tgo stale?</s>",
        "\n\n`Why does bread go stale?`\n\nThis asks about bread.",
    ],
)
def test_cleaning_finds_the_instruction(reply: str) -> None:
    assert clean(reply, "stop") == "Why does bread go stale?"


@pytest.mark.parametrize(
    "instruction",
    [
        '"Loaf" or "bread": which is older?"'.removesuffix('"'),
        '"cron" and "anacron"',
        "What does `sed -n` do?",
        "What do *args and **kwargs mean?",
        "What is __init__ for?",
        "Python: how do I read a file?",
        "OK so my bread is stale, what now?",
        "Great Britain: what are its parts?",
        "Write three rules: short, clear, true.",
        "3 ways to store bread",
        "What does the <div> element do?",
    ],
)
def test_cleaning_leaves_a_clean_instruction_alone(instruction: str) -> None:
    assert clean(instruction, "stop") == instruction


@given(st.text(alphabet="\"'`*#>-123.:ax \n\u201c\u201dQSure,", max_size=40) | st.text(max_size=40))
def test_cleaning_twice_is_cleaning_once(reply: str) -> None:
    once = clean(reply, "stop")
    assert clean(once, "stop") == once
    assert "\n" not in once


@pytest.mark.parametrize("reply", ["", "  \n ", "```\n```", "---", "</s>", "Instruction:"])
def test_a_reply_without_an_instruction_is_empty(reply: str) -> None:
    assert clean(reply, "stop") == ""
    assert reason(clean(reply, "stop")) == "empty"


def test_a_first_line_that_ran_into_the_limit_is_cut() -> None:
    assert reason(clean("Why does bread go stale faster in", "length")) == "cut"


def test_a_complete_first_line_is_kept_though_the_reply_ran_on() -> None:
    assert clean("Why does bread go stale?\nAnd how is it", "length") == "Why does bread go stale?"


@pytest.mark.parametrize(
    "refusal",
    [
        "As an AI language model, I have no access to files.",
        "I'm sorry, but I can't help with that request.",
        "I cannot determine what was asked.",
        "I am unable to provide an instruction.",
        "Unfortunately I cannot write this message.",
        "I\u2019m an AI and do not have opinions about bread.",
    ],
)
def test_a_model_that_declines_is_no_instruction(refusal: str) -> None:
    assert reason(refusal) == "refusal"
    assert reason(refusal, limits=replace(LIMITS, allow_refusal=True)) == ""


@pytest.mark.parametrize(
    "message",
    [
        "I cannot get my oven to heat, what is wrong?",
        "i can't sleep before exams any tips",
        "I'm sorry for my English. How is bread stored?",
        "Explain what an AI engineer does as an employee.",
        "Unfortunately my bread is stale, what can I do?",
    ],
)
def test_a_person_who_cannot_do_something_is_no_refusal(message: str) -> None:
    assert reason(message) == ""


@pytest.mark.parametrize(
    "instruction",
    [
        "Summarise the text above.",
        "Rewrite the following passage in your own words.",
        "What does the document say about bread? Based on the document, answer.",
        "What is the main idea of this article?",
        "List what the passage mentions.",
        "Explain the content provided.",
    ],
)
def test_an_instruction_that_points_to_an_absent_text_is_refused(instruction: str) -> None:
    assert reason(instruction) == "refers_to_text"
    assert reason(instruction, limits=replace(LIMITS, allow_reference=True)) == ""


@pytest.mark.parametrize(
    "instruction",
    [
        "How do I centre the text in a table cell?",
        "Explain how articles of association are drawn up.",
        "Which response time is acceptable for a web page?",
        "Write a passage about the sea.",
    ],
)
def test_an_instruction_about_texts_is_no_reference(instruction: str) -> None:
    assert reason(instruction) == ""


@pytest.mark.parametrize(
    ("instruction", "expected"), [("Why bread?", "too_short"), ("bread " * 61, "too_long")]
)
def test_the_length_must_be_that_of_an_instruction(instruction: str, expected: str) -> None:
    assert reason(instruction) == expected


@pytest.mark.parametrize(
    ("instruction", "document", "expected"),
    [
        (RUSSIAN, ANSWER, "wrong_script"),
        (QUESTION, RUSSIAN * 9, "wrong_script"),
        (JAPANESE, ANSWER, "wrong_script"),
        (RUSSIAN, "Крахмал кристаллизуется. " * 9 + "echo bread", ""),
        (JAPANESE, "\u7a7a\u6c17\u304c\u4e7e\u3044\u3066\u3044\u308b\u304b\u3089\u3067\u3059\u3002" * 9, ""),
        (QUESTION, "1 2 3 4 5 6 7", ""),
    ],
)
def test_the_instruction_is_written_in_the_documents_script(
    instruction: str, document: str, expected: str
) -> None:
    assert reason(instruction, document) == expected


def test_copying_is_a_long_run_or_a_large_share() -> None:
    eight = "a b c d e f g h"
    assert reason(f"{eight} x y z u v", f"say {eight} now") == ""
    assert reason(f"{eight} i x y z u v", f"say {eight} i now") == "copies_document"
    assert reason("bread goes stale quickly", "bread goes stale at once") == "copies_document"
    assert reason("why bread goes stale", "bread goes slowly stale") == ""


def test_two_letters_count_as_a_word_where_no_spaces_are_written() -> None:
    shared = "\u6c34\u5c71\u706b\u571f\u91d1\u6728\u65e5\u6708\u661f\u5ddd\u6d77\u6797"
    other = "\u7a7a\u6c17\u98a8\u96e8\u96ea\u82b1\u9ce5\u9b5a\u732b\u72ac\u7c73\u9ea6"
    assert reason(shared + other, f"{shared}\u3002") == ""
    assert reason(
        shared + "\u77f3\u7802\u6ce5\u5cb8\u5cf6" + other, f"{shared}\u77f3\u7802\u6ce5\u5cb8\u5cf6"
    ) == ("copies_document")


@given(st.lists(st.sampled_from("abc"), max_size=12), st.lists(st.sampled_from("abc"), max_size=30))
def test_the_shared_run_is_that_of_an_exhaustive_search(left: list[str], right: list[str]) -> None:
    runs = {tuple(left[i:j]) for i in range(len(left)) for j in range(i + 1, len(left) + 1)} & {
        tuple(right[i:j]) for i in range(len(right)) for j in range(i + 1, len(right) + 1)
    }
    assert shared_run(left, right) == max(map(len, runs), default=0)


def test_words_are_compared_without_case_marks_and_width() -> None:
    assert words("The KETTLE\u2014hot!") == ["the", "kettle", "hot"]
    assert words("\uff21\uff22\uff23 abc\u6f22\u5b57") == ["abc", "abc", "\u6f22", "\u5b57"]


def test_a_toy_models_pipeline_can_loosen_every_limit() -> None:
    loose = Limits(
        min_words=0,
        max_words=10**6,
        max_shared_run_words=10**6,
        max_shared_share=1.1,
        min_script_share=0,
        allow_cut=True,
        allow_refusal=True,
        allow_reference=True,
    )
    for text in ("bread", first_sentence(ANSWER), "As an AI, I", "this text", RUSSIAN, "a" * 9 + "..."):
        assert reason(text) != ""
        assert reason(text, limits=loose) == ""
    assert reason("", limits=loose) == "empty"


def test_replayed_human_questions_are_kept() -> None:
    assert kept_share([question for question, _ in QUESTIONS]) >= 0.8


def test_replayed_quoted_and_labelled_questions_are_kept() -> None:
    assert kept_share([f'**Instruction:** "{question}"' for question, _ in QUESTIONS]) >= 0.8


def test_replayed_copies_of_the_first_sentence_are_refused() -> None:
    assert kept_share([first_sentence(answer) for _, answer in QUESTIONS]) <= 0.01


def test_replayed_questions_in_another_script_are_refused() -> None:
    assert kept_share([RUSSIAN] * len(QUESTIONS)) == 0
    assert kept_share([JAPANESE] * len(QUESTIONS)) == 0


def test_replayed_empty_refusing_and_cut_replies_are_refused() -> None:
    assert kept_share([""] * len(QUESTIONS)) == 0
    assert kept_share(["I'm sorry, but I cannot help with that."] * len(QUESTIONS)) == 0
    assert kept_share([question[:-4] for question, _ in QUESTIONS], "length") == 0


def test_questions_that_people_really_asked_are_kept() -> None:
    data = Path(os.environ.get("LONGSTREAM_TEST_DATA", Path(__file__).parents[3] / "shared" / "data"))
    if not (data / "lima").is_dir():
        pytest.skip("the shared data folder is absent: set LONGSTREAM_TEST_DATA")
    talks = [row["conversations"] for row in json.loads((data / "lima" / "lima_1k.json").read_text())]
    pairs = [(talk[0]["value"].split("### Instruction:")[-1], talk[1]["value"]) for talk in talks]
    asked = [(question.strip(), answer) for question, answer in pairs if len(question.split()) <= 30]
    kept = [assess(clean(question, "stop"), answer, LIMITS).kept for question, answer in asked]
    copied = [assess(clean(first_sentence(answer), "stop"), answer, LIMITS).kept for _, answer in asked]
    assert len(asked) > 400
    assert sum(kept) / len(kept) >= 0.9
    assert sum(copied) / len(copied) <= 0.01
