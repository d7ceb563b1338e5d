"""What every engine behind the door owes its callers."""

from __future__ import annotations

import math
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from longstream.errors import DeadlineExceeded, InvalidInput
from longstream.llm import Part, Prompt, Sampling
from tests.longstream.llm.conftest import Subject

KINDS = ["hf", "t5", "endpoint", "endpoint_ids", pytest.param("vllm", marks=pytest.mark.engine)]
HARBOUR = Prompt((Part("Question: "), Part("How old is the harbour?", data=True), Part("\nAnswer:")))
PATIENT_S = 60.0


@pytest.fixture(params=KINDS)
def subject(request: pytest.FixtureRequest) -> Subject:
    subject: Subject = request.getfixturevalue(f"{request.param}_subject")
    return subject


@pytest.fixture
def slow(subject: Subject) -> Iterator[Subject]:
    if subject.server is not None:
        subject.server.latency_s = 1.0
    yield subject
    if subject.server is not None:
        subject.server.latency_s = 0.0


def said(subject: Subject, prompt: Prompt = HARBOUR, **sampling: object) -> str:
    settings = Sampling(**{"max_tokens": 12, **sampling})  # type: ignore[arg-type]
    return subject.model.generate(prompt, settings, timeout_s=PATIENT_S).text


def test_it_says_who_answered(subject: Subject) -> None:
    identity = subject.model.identity
    assert identity.model == subject.name
    assert " " in identity.engine
    assert identity.revision


def test_it_is_ready_and_knows_its_context(subject: Subject) -> None:
    subject.model.wait_ready(PATIENT_S)
    assert subject.model.ready
    assert subject.model.context_tokens >= 512


def test_a_completion_is_cut_at_max_tokens_and_says_so(subject: Subject) -> None:
    completion = subject.model.generate(HARBOUR, Sampling(max_tokens=3), timeout_s=PATIENT_S)
    assert completion.finish_reason == "length"
    assert completion.completion_tokens == 3
    assert completion.prompt_tokens > 5


def test_greedy_text_is_the_same_each_time(subject: Subject) -> None:
    assert said(subject) == said(subject) != ""


def test_a_seed_fixes_the_draw(subject: Subject) -> None:
    drawn = [said(subject, temperature=1.0, seed=seed) for seed in (1, 2, 3, 1, 2, 3)]
    assert drawn[:3] == drawn[3:]
    assert len(set(drawn)) == 3


def test_a_stop_string_ends_the_text_and_is_not_in_it(subject: Subject) -> None:
    whole = said(subject)
    stop = whole[4:6]
    completion = subject.model.generate(HARBOUR, Sampling(max_tokens=12, stop=(stop,)), timeout_s=PATIENT_S)
    assert completion.text == whole[: whole.index(stop)]
    assert completion.finish_reason == "stop"


def test_choices_get_log_probabilities_among_all_tokens(subject: Subject) -> None:
    told = subject.model.choose(HARBOUR, ["A", "B", "7"], timeout_s=PATIENT_S)
    assert list(told) == ["A", "B", "7"]
    assert 0 < sum(math.exp(value) for value in told.values()) < 1


@pytest.mark.parametrize("choices", [[], [""], ["A", "A"]])
def test_choices_that_cannot_be_told_apart_are_refused(subject: Subject, choices: list[str]) -> None:
    with pytest.raises(InvalidInput):
        subject.model.choose(HARBOUR, choices, timeout_s=PATIENT_S)


def test_a_longer_continuation_is_less_likely(subject: Subject) -> None:
    short = subject.model.score(HARBOUR, " It is old", timeout_s=PATIENT_S)
    long = subject.model.score(HARBOUR, " It is old and the mill is older", timeout_s=PATIENT_S)
    assert long.log_probability < short.log_probability < 0
    assert long.tokens > short.tokens > 0


def test_an_empty_continuation_is_certain(subject: Subject) -> None:
    score = subject.model.score(HARBOUR, "", timeout_s=PATIENT_S)
    assert (score.log_probability, score.tokens) == (0.0, 0)


def test_adapters_change_the_answer_side_by_side(subject: Subject) -> None:
    def by(number: int | None) -> str:
        adapter = None if number is None else subject.adapters[number]
        sampling = Sampling(max_tokens=12)
        return subject.model.generate(HARBOUR, sampling, adapter=adapter, timeout_s=PATIENT_S).text

    with ThreadPoolExecutor(6) as pool:
        bare, first, second, *again = pool.map(by, [None, 0, 1, None, 0, 1])
    assert len({bare, first, second}) == 3
    assert again == [bare, first, second]


def test_adapters_count_for_choices_and_scores_too(subject: Subject) -> None:
    chosen = [
        subject.model.choose(HARBOUR, ["A"], adapter=adapter, timeout_s=PATIENT_S)["A"]
        for adapter in (None, subject.adapters[0])
    ]
    scored = [
        subject.model.score(HARBOUR, " It is old", adapter=adapter, timeout_s=PATIENT_S).log_probability
        for adapter in (None, subject.adapters[0])
    ]
    assert chosen[0] != chosen[1]
    assert scored[0] != scored[1]


def test_an_unknown_adapter_is_refused(subject: Subject) -> None:
    with pytest.raises(InvalidInput):
        subject.model.generate(HARBOUR, Sampling(), adapter=subject.refused, timeout_s=PATIENT_S)
    assert said(subject)


def test_a_prompt_over_the_context_is_refused(subject: Subject) -> None:
    long = Prompt((Part("harbour town " * subject.model.context_tokens, data=True),))
    with pytest.raises(InvalidInput):
        subject.model.generate(long, Sampling(max_tokens=1), timeout_s=PATIENT_S)


def test_an_empty_prompt_is_refused_where_nothing_stands_before_it(endpoint_subject: Subject) -> None:
    with pytest.raises(InvalidInput):
        endpoint_subject.model.generate(Prompt(()), Sampling(), timeout_s=PATIENT_S)


def test_a_deadline_ends_the_wait(slow: Subject) -> None:
    with pytest.raises(DeadlineExceeded):
        slow.model.generate(HARBOUR, Sampling(max_tokens=400), timeout_s=0.02)


@pytest.mark.parametrize("subject", [kind for kind in KINDS if kind != "endpoint"], indirect=True)
def test_control_tokens_in_data_are_letters(subject: Subject) -> None:
    text = "The mill</s><|user|> is <tool_call> old <pad>."
    prompt = Prompt((Part(text, data=True),))
    completion = subject.model.generate(prompt, Sampling(max_tokens=1), timeout_s=PATIENT_S)
    assert completion.prompt_tokens == subject.model.count_tokens(text) + 1  # BOS, or an encoder's EOS
    assert subject.model.count_tokens("</s>") > 1


def test_threads_get_what_they_would_get_alone(subject: Subject) -> None:
    prompts = [Prompt((Part(f"{number} bridges over the river", data=True),)) for number in range(12)]
    with ThreadPoolExecutor(12) as pool:
        together = list(pool.map(lambda prompt: said(subject, prompt), prompts))
    assert together == [said(subject, prompt) for prompt in prompts]
