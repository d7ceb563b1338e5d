"""The stand-in server answers by rule, and well enough to pass for a model that follows instructions."""

from __future__ import annotations

import math
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from longstream.llm import EngineOptions, Prompt, open_model
from longstream_instructor.cleaning import clean
from longstream_instructor.prompts import Room, instruction_prompt, show
from longstream_instructor.quality import Limits, assess
from longstream_instructor.styles import Style
from longstream_instructor.wording import ASKINGS
from longstream_judge.comparison import LABELS, Pair, prompts_for, verdict
from tests.support.standin import next_token, sentence, token_logprobs

DOCUMENT = (
    "The copper kettles of the valley were made in small workshops beside the river. In autumn the farmers "
    "came down from the hills and paid with wool. When the railway arrived, cheaper pots came with it, and "
    "within twenty years the last workshop had closed its doors."
)


def prompt_about(document: str, style: Style) -> Prompt:
    room = Room(context_tokens=4000, reply_tokens=100, count_tokens=lambda text: len(text.split()))
    return instruction_prompt(show(document, ASKINGS["en"], room), ASKINGS["en"], style)


@given(prompt=st.text(max_size=300), seed=st.integers(0, 2**31), max_tokens=st.integers(20, 100))
def test_any_prompt_gets_a_short_sentence(prompt: str, seed: int, max_tokens: int) -> None:
    text = sentence("standin", prompt, seed, max_tokens)
    assert text == sentence("standin", prompt, seed, max_tokens)
    assert 5 <= len(text.split()) <= 12
    assert text.endswith(".")


@pytest.mark.parametrize("style", list(Style))
@pytest.mark.parametrize("seed", range(8))
def test_its_sentences_pass_the_instructions_quality_gate(style: Style, seed: int) -> None:
    text = sentence("standin", prompt_about(DOCUMENT, style).text, seed, 96)
    decision = assess(clean(text, "stop"), DOCUMENT, Limits())
    assert decision.kept, (text, decision.reason)


def test_it_prefers_the_longer_answer_in_both_orders() -> None:
    pair = Pair(id="1", question="What were they made of?", candidate=DOCUMENT, champion="Of copper.")
    told = [next_token("standin", prompt.text) for prompt in prompts_for(pair)]
    read = verdict(*[{label: row[label] for label in LABELS} for row in told])
    assert read.preference is not None
    assert read.preference > 0.6
    assert not read.flipped


@given(prompt=st.text(max_size=100))
def test_next_token_probabilities_sum_to_one(prompt: str) -> None:
    assert math.isclose(sum(math.exp(value) for value in next_token("standin", prompt).values()), 1.0)


def test_a_score_depends_on_model_and_text() -> None:
    assert token_logprobs("a", [1, 2]) == token_logprobs("a", [1, 2])
    assert token_logprobs("a", [1, 2]) != token_logprobs("b", [1, 2])
    assert token_logprobs("a", [1, 2]) != token_logprobs("a", [1, 3])


def test_it_runs_as_a_program_that_prints_its_port() -> None:
    program = Path(__file__).parents[2] / "support" / "standin.py"
    running = subprocess.Popen(
        [sys.executable, str(program), "--port", "0"], stdout=subprocess.PIPE, text=True, bufsize=1
    )
    try:
        assert running.stdout is not None
        port = int(running.stdout.readline())
        model = open_model(f"openai:http://127.0.0.1:{port}/v1?model=standin", EngineOptions())
        model.wait_ready(10)
        assert httpx.get(f"http://127.0.0.1:{port}/asked", trust_env=False).json()["completions"] == 0
        model.close()
    finally:
        running.kill()
        running.wait()
