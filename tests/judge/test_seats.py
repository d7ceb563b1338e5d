"""Whole weights that are loaded one after the other where memory holds one of them."""

from __future__ import annotations

import gc
import time
import weakref
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from longstream.errors import InvalidInput
from longstream.llm import EngineOptions, open_model
from longstream.llm.hf import HfModel
from longstream.llm.types import Completion, LanguageModel, Prompt, Sampling
from longstream.storage import Storage, open_storage
from longstream.template import render
from longstream.v1.records_pb2 import Model
from longstream_judge.comparison import Pair, prompts_for
from longstream_judge.contest import Engines, contestants, spec_for
from longstream_judge.evaluation import evaluate
from longstream_judge.seats import Seat, Seated
from longstream_judge.spec import EvaluationResult
from tests.support.arena import Ruled, a_model, a_pipeline, a_release
from tests.support.tinymodel import make_tiny_llama

PROMPT = render("sections", "Tell of the mill.", "")
PAIR = prompts_for(Pair(id="p", question="q", candidate="a", champion="b"))[0]
GREEDY = Sampling(max_tokens=4)


class Memory:
    """Holds so many models at once; more is a failure, as it would be on a GPU."""

    def __init__(self, room: int) -> None:
        self.room = room
        self.loaded: list[str] = []
        self.history: list[str] = []

    def load(self, name: str) -> LanguageModel:
        assert len(self.loaded) < self.room, f"no memory for {name} beside {self.loaded}"
        self.loaded.append(name)
        self.history.append(name)
        return Weights(self, name)


class Weights(Ruled):
    def __init__(self, memory: Memory, name: str) -> None:
        super().__init__({"": -3.0 if "better" in name else -6.0})
        self.memory, self.name = memory, name

    def generate(self, prompt: Prompt, sampling: Sampling, **how: Any) -> Completion:
        assert self.name in self.memory.loaded
        time.sleep(0.001)
        return super().generate(prompt, sampling, **how)

    def close(self) -> None:
        super().close()
        self.memory.loaded.remove(self.name)


def seated(memory: Memory, seat: Seat, name: str) -> Seated:
    return Seated(partial(memory.load, name), seat, 1.0)


def test_who_is_asked_takes_the_seat_and_what_is_known_stays_known() -> None:
    memory, seat = Memory(1), Seat()
    one, other = seated(memory, seat, "one"), seated(memory, seat, "other")
    assert memory.history == ["one", "other"]  # each is loaded once to see that it can be
    assert (one.ready, other.ready) == (False, True)
    one.wait_ready(0.1)  # nothing to wait for
    assert one.count_tokens("three small words") == other.count_tokens("three small words")
    assert one.context_tokens == other.context_tokens
    assert memory.loaded == ["other"]
    one.generate(PROMPT, GREEDY, timeout_s=5)
    one.score(PROMPT, "more", timeout_s=5)
    assert (memory.loaded, memory.history) == (["one"], ["one", "other", "one"])
    other.choose(PAIR, ("A", "B"), timeout_s=5)
    one.close()  # it has gone already
    assert memory.loaded == ["other"]
    other.close()
    assert memory.loaded == []


def test_a_model_is_not_taken_away_while_it_is_asked() -> None:
    memory, seat = Memory(1), Seat()
    models = [seated(memory, seat, name) for name in ("one", "other")]
    with ThreadPoolExecutor(8) as pool:
        asked = [pool.submit(models[n // 7 % 2].generate, PROMPT, GREEDY, timeout_s=5) for n in range(140)]
        assert {len(one.result().text) > 0 for one in asked} == {True}
    assert memory.loaded in (["one"], ["other"])


def test_one_that_cannot_be_loaded_says_so_and_leaves_the_seat_free() -> None:
    memory, seat = Memory(1), Seat()

    def broken() -> LanguageModel:
        model = memory.load("broken")
        model.wait_ready = partial(_refuse)  # type: ignore[method-assign]
        return model

    good = seated(memory, seat, "good")
    with pytest.raises(InvalidInput, match="no such layer"):
        Seated(broken, seat, 1.0)
    assert memory.loaded == []
    good.generate(PROMPT, GREEDY, timeout_s=5)
    assert memory.loaded == ["good"]


def _refuse(timeout_s: float) -> None:
    raise InvalidInput("no such layer")


def held(storage: Storage, folder: Path, memory: Memory, *, together: bool) -> EvaluationResult:
    """An evaluation of whole weights against whole weights, by a judge elsewhere."""
    release = a_release(storage, folder, a_pipeline())
    better, worse = (
        a_model(storage, folder, release, name, kind=Model.KIND_WEIGHTS) for name in ("better", "worse")
    )
    engines = Engines(
        judges=(Ruled(),),
        judge_serves=lambda name: False,
        open_weights=memory.load,
        remembering=lambda model, name: model,
        together=together,
    )
    with contestants(engines, storage, folder / "cache", better, worse) as models:
        result = evaluate(spec_for(better, release, storage), models, lambda *_: None)
    assert memory.loaded == []
    return result


def test_an_evaluation_with_room_for_one_says_what_one_with_room_for_both_says(tmp_path: Path) -> None:
    storage = open_storage((tmp_path / "objects").as_uri())
    tight, wide = Memory(1), Memory(2)
    one, both = (held(storage, tmp_path, memory, together=memory is wide) for memory in (tight, wide))
    assert one.verdict == both.verdict
    assert [row.candidate.text for row in one.compared] == [row.candidate.text for row in both.compared]
    assert [Path(name).name for name in tight.history] == ["worse", "better", "worse"]
    assert len(wide.history) == 2


def test_a_real_model_that_leaves_its_seat_is_gone_and_comes_back_as_it_was(tmp_path: Path) -> None:
    folder = make_tiny_llama(tmp_path / "model")
    seat, opened = Seat(), []

    def load() -> LanguageModel:
        model = open_model(f"hf:{folder}", EngineOptions())
        assert isinstance(model, HfModel)
        opened.append(weakref.ref(model._model))
        return model

    one, other = Seated(load, seat, 60.0), Seated(load, seat, 60.0)
    gc.collect()
    assert [ref() is None for ref in opened] == [True, False]
    said = other.generate(PROMPT, GREEDY, timeout_s=60).text
    assert one.generate(PROMPT, GREEDY, timeout_s=60).text == said
    gc.collect()
    assert [ref() is None for ref in opened] == [True, True, False]
    one.close()
