"""What is asked is counted once, what was remembered costs nothing, and unread prompts are counted by a sample."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from longstream.errors import InvalidInput
from longstream.llm.replies import RememberingModel, ReplyStore
from longstream.llm.types import Part, Prompt, Sampling
from longstream_judge.ledger import Ledger
from tests.support.ruledmodel import RuledModel


def prompt(words: int) -> Prompt:
    return Prompt((Part("question", data=True), Part(" word" * words)))


def test_replies_that_were_there_are_told_apart_from_those_that_cost(tmp_path: Path) -> None:
    ledger, store = Ledger(), ReplyStore(tmp_path / "replies", 10**6)
    inner = RuledModel(answering=lambda instruction, adapter: "one two three")
    model = ledger.asked(RememberingModel(ledger.paid(inner), store, lambda completion: None, scope="e"))
    for _ in range(3):
        model.generate(prompt(4), Sampling(max_tokens=8), timeout_s=1)
        model.score(prompt(4), "and so on", timeout_s=1)
    told = {call: tally for (_, _, call), tally in ledger.account.items()}
    assert (told["generate"].asked, told["generate"].requests, told["generate"].remembered) == (3, 1, 2)
    assert (told["generate"].read, told["generate"].completion_tokens) == (5, 3)
    assert (told["score"].requests, told["score"].remembered) == (1, 2)
    assert told["generate"].seconds > 0
    store.close()


def test_tokens_of_prompts_that_are_only_read_follow_from_every_sixteenth() -> None:
    ledger, inner = Ledger(), RuledModel(judging=lambda question, first, second: 0.0)
    counted: list[str] = []
    inner.count_tokens = lambda text: counted.append(text) or len(text.split())  # type: ignore[method-assign,func-returns-value]
    model = ledger.paid(inner)
    shown = Prompt((Part("q", data=True), Part(" first", data=True), Part(" second", data=True)))
    for _ in range(40):
        model.choose(shown, ("A", "B"), timeout_s=1)
    (tally,) = ledger.account.values()
    assert (tally.requests, tally.read) == (40, 120)
    # The rules count each prompt themselves; the ledger added three of forty.
    assert len(counted) == 43


def test_an_engine_that_counts_nothing_costs_unknown_tokens_and_fails_nothing() -> None:
    def refuse(text: str) -> int:
        raise InvalidInput("the endpoint counts no tokens")

    ledger, inner = Ledger(), RuledModel(judging=lambda question, first, second: 0.0)
    model = ledger.paid(inner)
    model.count_tokens = refuse  # type: ignore[method-assign]
    shown = Prompt((Part("q", data=True), Part(" first", data=True), Part(" second", data=True)))
    assert model.choose(shown, ("A", "B"), timeout_s=1)
    (tally,) = ledger.account.values()
    assert (tally.requests, tally.read) == (1, 0)


def test_a_ledger_may_be_used_from_many_threads() -> None:
    ledger = Ledger()
    model = ledger.asked(ledger.paid(RuledModel()))

    def ask(number: int) -> None:
        model.generate(prompt(number % 7), Sampling(max_tokens=4), timeout_s=1)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(ask, range(200)))
    (tally,) = ledger.account.values()
    assert (tally.asked, tally.requests, tally.remembered) == (200, 200, 0)
    assert tally.read == pytest.approx(sum(1 + n % 7 for n in range(200)))
