"""The demo's base model: made from scratch in seconds, the same for a seed, and an ordinary model folder."""

from __future__ import annotations

import math
import pydoc_data.topics
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from demo.base_model import BaseModelPlan, Progress, main, make_base_model, make_tokenizer
from demo.corpus import folder_texts, standard_library_texts
from longstream.errors import InvalidInput

TEXTS = [
    "The mill stands by the river, and the river turns the wheel of the mill. " * 8,
    "Nobody knows who drew the plans of the bridge. The council paid for the bridge. " * 8,
]
SMALL = BaseModelPlan(
    steps=30, vocabulary=300, width=64, layers=1, rows=2, row_tokens=64, long_row_tokens=128
)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Progress]]:
    told: list[Progress] = []
    return make_base_model(tmp_path_factory.mktemp("demo") / "base", TEXTS, SMALL, told.append), told


def test_it_learns_and_tells_how_far_it_is(made: tuple[Path, list[Progress]]) -> None:
    _, told = made
    assert [progress.step for progress in told] == list(range(1, 31))
    assert told[-1].share == 1
    assert told[-1].tokens == 30 * 128
    assert told[0].loss == pytest.approx(math.log(300), rel=0.1)
    assert told[-1].loss < 0.5 * told[0].loss


def test_it_loads_like_any_model_and_knows_its_control_tokens(made: tuple[Path, list[Progress]]) -> None:
    folder, _ = made
    model: Any = AutoModelForCausalLM.from_pretrained(folder, use_safetensors=True)
    tokenizer: Any = AutoTokenizer.from_pretrained(folder)
    assert model.config.max_position_embeddings == 2_048
    assert model.config.eos_token_id == tokenizer.eos_token_id
    assert model.generation_config.eos_token_id == tokenizer.eos_token_id
    ids = tokenizer("The river", return_tensors="pt")
    assert ids["input_ids"][0, 0] == tokenizer.bos_token_id
    assert torch.isfinite(model(**ids).logits).all()


def test_the_same_seed_and_steps_give_the_same_model(
    made: tuple[Path, list[Progress]], tmp_path: Path
) -> None:
    again = make_base_model(tmp_path / "again", TEXTS, SMALL, lambda progress: None)
    weights = [load_file(folder / "model.safetensors") for folder in (made[0], again)]
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])
    assert (made[0] / "tokenizer.json").read_bytes() == (again / "tokenizer.json").read_bytes()


@pytest.mark.parametrize("text", [*TEXTS, "12345 " * 60, "ábć" * 90])
def test_verdicts_are_single_tokens_whatever_the_texts(text: str) -> None:
    tokenizer: Any = make_tokenizer([text], 300)
    for verdict in ("A", "B", " A", " B"):
        assert len(tokenizer(verdict, add_special_tokens=False)["input_ids"]) == 1
    assert tokenizer.decode(tokenizer("Zoë ☃ <s>!", add_special_tokens=False)["input_ids"]) == "Zoë ☃ <s>!"


def test_a_time_budget_ends_the_steps(tmp_path: Path) -> None:
    plan = BaseModelPlan(seconds=1.0, vocabulary=300, width=64, layers=1, rows=1, row_tokens=32)
    told: list[Progress] = []
    started = time.monotonic()
    make_base_model(tmp_path / "base", TEXTS, plan, told.append)
    assert time.monotonic() - started > 1.0
    assert told[-1].share == 1
    assert [progress.share for progress in told] == sorted(progress.share for progress in told)


def test_the_standard_librarys_texts_do_not_hold_the_demos_documents() -> None:
    texts = standard_library_texts()
    assert sum(map(len, texts)) > 1_000_000
    joined = "\n".join(texts)
    for topic in pydoc_data.topics.topics.values():
        lines = sorted(topic.splitlines(), key=len)[-3:]
        assert not all(line in joined for line in lines)


def test_a_folders_texts_come_by_path_and_an_empty_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "b.MD").write_bytes("Zoë".encode("latin-1"))
    (tmp_path / "a.txt").write_text("first")
    (tmp_path / "c.py").write_text("no text")
    (tmp_path / "d.txt").write_text(" \n")
    assert folder_texts(tmp_path) == ["first", "Zo\ufffd"]
    with pytest.raises(InvalidInput, match="holds no"):
        folder_texts(tmp_path / "deep" / "none")


def test_the_command_line_makes_a_model_from_a_folder(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "a.txt").write_text("\n".join(TEXTS))
    assert main([str(tmp_path / "out"), "--documents", str(tmp_path), "--steps", "2"]) == 0
    assert (tmp_path / "out" / "model.safetensors").is_file()
    told = capsys.readouterr().err
    assert "100%  step 2" in told
    assert "1 texts" in told
