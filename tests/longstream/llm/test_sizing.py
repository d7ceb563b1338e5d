"""Settings of an engine from a model's files and a GPU's data sheet."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from longstream.cli import main
from longstream.errors import InvalidInput, TooLarge
from longstream.llm.sizing import GPUS, Shape, setup, shape_of
from tests.support.tinymodel import make_tiny_llama

LLAMA_2_7B = {
    "model_type": "llama",
    "hidden_size": 4096,
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
    "max_position_embeddings": 4096,
}
MISTRAL_7B = {**LLAMA_2_7B, "num_key_value_heads": 8, "max_position_embeddings": 32768}
NUMBERS = 6_738_415_616
"""Weights of Llama-2-7B, as its authors count them."""


def a_model(folder: Path, config: dict[str, Any], dtype: str = "BF16", width: int = 2) -> Path:
    """A model's files whose weights are told and not there."""
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(config))
    half = NUMBERS // 2 * width
    for number in range(2):
        tensor = {"dtype": dtype, "shape": [NUMBERS // 2], "data_offsets": [0, half]}
        header = json.dumps({"__metadata__": {"format": "pt"}, f"w{number}": tensor}).encode()
        (folder / f"model-{number}.safetensors").write_bytes(len(header).to_bytes(8, "little") + header)
    return folder


def test_weights_and_kept_tokens_are_those_that_are_known(tmp_path: Path) -> None:
    llama = shape_of(str(a_model(tmp_path / "llama", LLAMA_2_7B)))
    assert (llama.weights, llama.token_bytes) == (2 * NUMBERS, 512 * 1024)
    # Grouped queries keep a quarter; what is stored in four bytes is computed with in two.
    mistral = shape_of(str(a_model(tmp_path / "mistral", MISTRAL_7B, "F32", 4)))
    assert (mistral.weights, mistral.token_bytes) == (2 * NUMBERS, 128 * 1024)


def test_a_models_own_files_say_what_it_has(tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM

    folder = make_tiny_llama(tmp_path / "model")
    model = AutoModelForCausalLM.from_pretrained(folder)
    config = model.config
    shape = shape_of(str(folder))
    assert shape.weights == 2 * sum(tensor.numel() for tensor in model.parameters())
    heads = config.num_key_value_heads * config.hidden_size // config.num_attention_heads
    assert shape.token_bytes == 2 * config.num_hidden_layers * heads * 2


@given(st.sampled_from(sorted(GPUS)), st.integers(1, 3_000), st.integers(1, 1_000), st.floats(0.3, 1.0))
def test_what_is_set_up_fits_and_one_more_step_of_requests_would_not(
    name: str, prompt: int, answer: int, ratio: float
) -> None:
    shape = Shape(weights=2 * NUMBERS, layers=32, kv_heads=32, head=128, context_tokens=4096)
    gpu = GPUS[name]
    try:
        found = setup(shape, gpu, prompt, answer, ratio)
    except TooLarge:
        assert ratio * gpu.memory < shape.weights + 2e9 + (prompt + answer) * shape.token_bytes
        return
    taken = shape.weights + 2e9 + found.sequences * (prompt + answer) * shape.token_bytes
    assert taken <= ratio * gpu.memory
    assert found.sequences == 512 or found.cache_tokens < (found.sequences + 8) * (prompt + answer)
    assert prompt + answer <= found.context_tokens <= 4096
    assert found.in_flight > found.sequences >= 1
    # No faster than reading the weights once for all of them.
    assert found.most_tokens_s <= found.sequences * gpu.bandwidth / shape.weights


def test_the_command_prints_variables_that_a_service_reads(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = str(a_model(tmp_path / "m", MISTRAL_7B))
    assert main(["sizing", "--model", model, "--gpu", "h100"]) == 0
    lines = capsys.readouterr().out.splitlines()
    told = dict(line.split("=") for line in lines if not line.startswith("#"))
    assert told["INSTRUCTOR_ENGINE_CONTEXT_TOKENS"] == "2048"
    assert int(told["INSTRUCTOR_IN_FLIGHT"]) > int(told["INSTRUCTOR_ENGINE_MAX_SEQUENCES"]) == 264
    assert main(["sizing", "--model", model, "--gpu", "24,600", "--service", "judge", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["gpu"] == {"memory": 24 * 2**30, "bandwidth": 600e9}
    assert document["settings"]["JUDGE_ENGINE_MAX_SEQUENCES"] == str(document["sequences"])


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["--gpu", "abacus"], "H100"),
        (["--gpu", "24,nan"], "H100"),
        (["--gpu", "T4"], "18.1 GB, and the GPU has 16"),
        (["--gpu", "L4", "--prompt-tokens", "5000"], "context holds 4,096"),
        (["--gpu", "L4", "--memory-ratio", "1.5"], "at most 1"),
        (["--gpu", "L4", "--answer-tokens", "0"], "at least 1"),
    ],
)
def test_what_cannot_be_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str], why: str
) -> None:
    model = str(a_model(tmp_path / "m", LLAMA_2_7B))
    assert main(["sizing", "--model", model, *words]) == 2
    assert why in capsys.readouterr().err


def test_damaged_files_are_named(tmp_path: Path) -> None:
    folder = a_model(tmp_path / "m", LLAMA_2_7B)
    (folder / "model-1.safetensors").write_bytes(b"\xff" * 64)
    with pytest.raises(InvalidInput, match=r"model-1\.safetensors is damaged"):
        shape_of(str(folder))
    (folder / "config.json").write_text("{}")
    with pytest.raises(InvalidInput, match="num_attention_heads"):
        shape_of(str(folder))
