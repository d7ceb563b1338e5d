"""A reply that was given is not asked for again, and what keeps replies never stands in their way."""

from __future__ import annotations

import math
import threading
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from longstream.llm.replies import UNKNOWN, RememberingModel, ReplyStore, reply_key
from longstream.llm.types import Adapter, Completion, EngineIdentity, Part, Prompt, Sampling, Score
from tests.support.ruledmodel import RuledModel
from tests.support.scripted import ScriptedModel

DRAWN = Sampling(max_tokens=9, temperature=0.7, seed=3)
PROMPT = Prompt((Part("Say it: "), Part("a text", data=True)))
WHO = EngineIdentity("rules", "ruled", "1")


def completion(text: str = "reply") -> Completion:
    return Completion(text=text, finish_reason="stop", prompt_tokens=3, completion_tokens=1)


def remembering(
    store: ReplyStore, *, trusted: bool = False
) -> tuple[RememberingModel, ScriptedModel, list[Completion]]:
    inner, hits = ScriptedModel(lambda prompt, sampling: f"{sampling.seed} said"), list[Completion]()
    return RememberingModel(inner, store, hits.append, trusted=trusted), inner, hits


@pytest.fixture
def store(tmp_path: Path) -> ReplyStore:
    return ReplyStore(tmp_path / "new" / "replies", 1_000_000)


def test_the_same_request_is_asked_once_and_answered_alike(store: ReplyStore) -> None:
    model, inner, hits = remembering(store)
    first = model.generate(PROMPT, DRAWN, timeout_s=1)
    assert model.generate(PROMPT, DRAWN, timeout_s=1) == first
    assert (len(inner.asked), hits) == (1, [first])


def test_it_is_remembered_by_the_next_process_too(tmp_path: Path) -> None:
    for _ in range(2):
        model, inner, hits = remembering(ReplyStore(tmp_path / "replies", 10_000))
        model.generate(PROMPT, DRAWN, timeout_s=1)
        model.close()
    assert (len(inner.asked), len(hits)) == (0, 1)


def test_choices_and_scores_are_remembered_as_they_were(tmp_path: Path) -> None:
    pair = Prompt((Part("q", data=True), Part("one", data=True), Part("three", data=True)))
    told = []
    for _ in range(2):
        model, inner, hits = remembering(ReplyStore(tmp_path / "replies", 10_000))
        told.append(
            (
                model.choose(pair, ("A", "B"), timeout_s=1),
                model.choose(pair, ("B", "A"), timeout_s=1),
                model.score(PROMPT, "three more words", timeout_s=1),
                model.score(PROMPT, "others", adapter=Adapter("a", "/a"), timeout_s=1),
            )
        )
        model.close()
    assert told[0] == told[1]
    assert (len(inner.asked), len(hits)) == (0, 4)
    assert told[0][2] == Score(-6.0, 3)


def test_a_label_without_mass_is_remembered_too(store: ReplyStore) -> None:
    model = RememberingModel(RuledModel(mass=0.0), store, lambda reply: None)
    pair = Prompt((Part("q", data=True), Part("one", data=True), Part("three", data=True)))
    found = [model.choose(pair, ("A", "B"), timeout_s=1) for _ in range(2)]
    assert found[0] == found[1] == {"A": -math.inf, "B": -math.inf}


def test_what_tells_no_revision_is_remembered_in_its_scope_alone(store: ReplyStore) -> None:
    class Nameless(RuledModel):
        @property
        def identity(self) -> EngineIdentity:
            return EngineIdentity("openai", "any", UNKNOWN)

    inner, hits = Nameless(), list[Completion]()
    for scope in ("", "one", "one", "other"):
        model = RememberingModel(inner, store, hits.append, scope=scope)
        model.generate(PROMPT, DRAWN, timeout_s=1)
        model.score(PROMPT, "words", timeout_s=1)
    assert (len(inner.asked), len(hits)) == (6, 2)
    assert model.identity.revision == UNKNOWN


@pytest.mark.parametrize(
    "other",
    [
        (replace(WHO, revision="2"), PROMPT, DRAWN, None),
        (WHO, Prompt((Part("Say it: a text"),)), DRAWN, None),
        (WHO, Prompt((Part("Say it: "), Part("a text"))), DRAWN, None),
        (WHO, PROMPT, replace(DRAWN, seed=4), None),
        (WHO, PROMPT, replace(DRAWN, top_p=0.5), None),
        (WHO, PROMPT, replace(DRAWN, stop=("x",)), None),
        (WHO, PROMPT, DRAWN, Adapter("a", "/a")),
    ],
)
def test_whatever_determines_a_reply_is_in_its_key(
    other: tuple[EngineIdentity, Prompt, Sampling, Adapter | None],
) -> None:
    assert reply_key(*other) != reply_key(WHO, PROMPT, DRAWN, None)


@given(st.text(max_size=30), st.text(max_size=30), st.integers(0, 30))
def test_no_two_ways_to_divide_a_text_share_a_key(one: str, other: str, at: int) -> None:
    whole = one + other
    left, right = whole[:at], whole[at:]
    same = (left, right) == (one, other)
    keys = [
        reply_key(WHO, Prompt((Part(first), Part(second, data=True))), DRAWN, None)
        for first, second in ((one, other), (left, right))
    ]
    assert (keys[0] == keys[1]) == same


def test_a_draw_without_a_seed_is_never_remembered(store: ReplyStore) -> None:
    model, inner, hits = remembering(store)
    for _ in range(2):
        model.generate(PROMPT, replace(DRAWN, seed=None), timeout_s=1)
    assert (len(inner.asked), hits) == (2, [])


def test_a_model_of_unknown_revision_is_remembered_only_where_somebody_vouches(tmp_path: Path) -> None:
    for trusted in (False, True):
        model, _, hits = remembering(ReplyStore(tmp_path / f"{trusted}", 10_000), trusted=trusted)
        model._identity = replace(WHO, revision="unknown")
        for _ in range(2):
            model.generate(PROMPT, DRAWN, timeout_s=1)
        assert len(hits) == trusted


def test_the_oldest_go_when_there_is_no_more_room(tmp_path: Path) -> None:
    store = ReplyStore(tmp_path / "replies", 100_000)
    for number in range(1_000):
        store.put(f"key {number}", completion("x" * 1_000))
    assert store.get("key 0") is None
    assert store.get("key 999") is not None
    kept = sum(store.get(f"key {number}") is not None for number in range(1_000))
    assert 60 < kept < 100
    store.close()
    assert sum((tmp_path / name).stat().st_size for name in ("replies",)) < 400_000


def test_a_file_that_is_gone_or_broken_only_costs_the_saving(store: ReplyStore) -> None:
    model, inner, _ = remembering(store)
    store.close()
    assert model.generate(PROMPT, DRAWN, timeout_s=1).text == "3 said"
    assert model.generate(PROMPT, DRAWN, timeout_s=1).text == "3 said"
    assert len(inner.asked) == 2


def test_many_threads_may_ask_at_once(store: ReplyStore) -> None:
    model, inner, hits = remembering(store)

    def ask(seed: int) -> None:
        for _ in range(20):
            assert model.generate(PROMPT, replace(DRAWN, seed=seed), timeout_s=1).text == f"{seed} said"

    threads = [threading.Thread(target=ask, args=(seed,)) for seed in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(inner.asked) + len(hits) == 160
    assert len(inner.asked) == 8


def test_what_is_removed_leaves_nothing(tmp_path: Path) -> None:
    store = ReplyStore(tmp_path / "replies", 10_000)
    store.put("key", completion())
    store.remove()
    assert list(tmp_path.iterdir()) == []
