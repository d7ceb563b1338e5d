"""The arithmetic of a step, against torch's own counter, and what a device of a name can do."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from peft import LoraConfig, get_peft_model
from torch.utils.flop_counter import FlopCounterMode
from transformers import LlamaConfig, LlamaForCausalLM

from longstream_trainer.flops import ModelSize, peak_flops, step_flops
from longstream_trainer.model import model_sizes

LENGTHS = (7, 40)


def llama(*, tied: bool = False) -> Any:
    config = LlamaConfig(
        vocab_size=50,
        hidden_size=64,
        intermediate_size=96,
        num_hidden_layers=3,
        num_attention_heads=4,
        tie_word_embeddings=tied,
    )
    config._attn_implementation = "eager"
    return LlamaForCausalLM(config).train()


def counted(model: Any) -> int:
    """FLOP of matrix products that torch counts in one pass forward and back, one example at a time."""
    with FlopCounterMode(display=False) as counter:
        for length in LENGTHS:
            ids = torch.arange(length).unsqueeze(0) % 50
            model(input_ids=ids, labels=ids).loss.backward()
    return int(counter.get_total_flops())


def size_of(model: Any, base: Any) -> ModelSize:
    [(size, side)] = model_sizes(model, base)
    assert side == "all"
    return size


@pytest.mark.parametrize("tied", [False, True])
def test_training_all_weights_costs_what_torch_counts(tied: bool) -> None:
    model = llama(tied=tied)
    # The rotary positions are a product as well, of 8 numbers a token in each example.
    assert counted(model) == pytest.approx(step_flops(size_of(model, model), LENGTHS), rel=1e-4)


def test_an_adapter_spares_the_gradients_of_frozen_weights() -> None:
    base = llama()
    model = get_peft_model(base, LoraConfig(r=4, target_modules="all-linear", task_type="CAUSAL_LM"))
    size = size_of(model, base)
    assert size.trained == sum(weight.numel() for weight in model.parameters() if weight.requires_grad)
    # Torch spares the gradients of the first layer's inputs besides, since nothing before it is trained.
    assert 0.85 * step_flops(size, LENGTHS) < counted(model) <= step_flops(size, LENGTHS)


def test_it_is_six_for_each_weight_and_token_where_all_are_trained_and_lengths_are_short() -> None:
    size = ModelSize(matrices=1_000, trained=1_000, layers=2, width=10)
    assert step_flops(size, [3]) == 6 * 1_000 * 3 + 12 * 2 * 10 * 9
    assert step_flops(size, [2, 1]) < step_flops(size, [3])
    assert step_flops(size, []) == 0


@pytest.mark.parametrize(
    ("device", "peak"),
    [
        ("NVIDIA H100 80GB HBM3", 989e12),
        ("NVIDIA H100 PCIe", 756e12),
        ("NVIDIA A100-SXM4-80GB", 312e12),
        ("NVIDIA L40S", 362e12),
        ("NVIDIA GeForce GTX 1080", None),
        ("", None),
    ],
)
def test_a_devices_speed_is_known_by_its_name_or_not_at_all(device: str, peak: float | None) -> None:
    assert peak_flops(device) == peak


def test_a_model_without_output_matrix_or_attention_counts_its_matrices() -> None:
    table, layer = torch.nn.Embedding(50, 8), torch.nn.Linear(8, 3)
    model = torch.nn.Sequential(table, layer)
    base = SimpleNamespace(
        config=SimpleNamespace(),
        get_input_embeddings=lambda: table,
        get_output_embeddings=lambda: None,
    )
    assert size_of(model, base) == ModelSize(matrices=24, trained=24)
