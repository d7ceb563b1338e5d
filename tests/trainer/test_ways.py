"""Which fast ways fit which models: found out on the model itself, for every architecture that the recipes name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import (
    AttentionInterface,
    GraniteConfig,
    GraniteForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
    OPTConfig,
    OPTForCausalLM,
    Qwen2Config,
    Qwen2ForCausalLM,
    T5Config,
    T5ForConditionalGeneration,
)

from longstream_trainer.attention import SEGMENTS, segment_attention
from longstream_trainer.examples import Example
from longstream_trainer.layout import Layout, Packed, Padded, Paired
from longstream_trainer.loss import SummedLoss
from longstream_trainer.model import Loaded
from longstream_trainer.recipe import Recipe
from longstream_trainer.ways import is_direct, layout_of

SIZES: dict[str, Any] = {
    "vocab_size": 90,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "max_position_embeddings": 256,
    "initializer_range": 0.2,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
GROUPED: dict[str, Any] = {"intermediate_size": 48, "num_key_value_heads": 2}
MODELS: dict[str, Any] = {
    "llama": lambda: LlamaForCausalLM(LlamaConfig(**SIZES, **GROUPED)),
    "llama with tied matrices": lambda: LlamaForCausalLM(
        LlamaConfig(**SIZES, **GROUPED, tie_word_embeddings=True)
    ),
    "mistral": lambda: MistralForCausalLM(MistralConfig(**SIZES, **GROUPED, sliding_window=16)),
    "qwen2": lambda: Qwen2ForCausalLM(Qwen2Config(**SIZES, **GROUPED)),
    "opt": lambda: OPTForCausalLM(OPTConfig(ffn_dim=48, word_embed_proj_dim=32, init_std=0.2, **SIZES)),
}
PAIRS = [(20, 30), (5, 60), (9, 9), (40, 13)]
RECIPE = Recipe(max_tokens=128, micro_batch=2)


def examples() -> list[Example]:
    generator = torch.Generator().manual_seed(3)

    def drawn(count: int) -> tuple[int, ...]:
        return tuple(torch.randint(3, 90, (count,), generator=generator).tolist())

    return [
        Example(row_id=f"r{n}", prompt_ids=drawn(a), response_ids=drawn(b), response_bytes=b)
        for n, (a, b) in enumerate(PAIRS)
    ]


def loaded(model: Any) -> Loaded:
    torch.manual_seed(0)
    tokenizer: Any = type("", (), {"pad_token_id": 0, "eos_token_id": 2})()
    return Loaded(
        folder=Path(),
        model=model.eval(),
        tokenizer=tokenizer,
        device=torch.device("cpu"),
        precision="fp32",
    )


def losses(base: Loaded, layout: Layout, made: list[Example]) -> float:
    direct = is_direct(base, base.model, made, layout)
    loss = SummedLoss(base.model, base.model, direct=direct)
    with torch.no_grad():
        groups = layout.groups(made)
        return float(sum(loss(layout.batch([made[one] for one in group])).item() for group in groups))


@pytest.mark.parametrize("name", MODELS)
def test_packed_examples_have_the_loss_that_they_have_alone(name: str) -> None:
    base = loaded(MODELS[name]())
    made = examples()
    with torch.no_grad():
        alone = 0.0
        for one in made:
            ids = torch.tensor([[*one.prompt_ids, *one.response_ids]])
            logits = base.model(input_ids=ids).logits[0, len(one.prompt_ids) - 1 : -1]
            wanted = torch.tensor(one.response_ids)
            alone += torch.nn.functional.cross_entropy(logits, wanted, reduction="sum").item()
    layout = layout_of(base, made, RECIPE)
    assert isinstance(layout, Packed)
    assert layout.capacity == 256
    assert is_direct(base, base.model, made, layout)
    assert losses(base, layout, made) == pytest.approx(alone, rel=1e-5)
    padded = layout_of(base, made, Recipe(max_tokens=128, micro_batch=2, packing="off"))
    assert isinstance(padded, Padded)
    assert losses(base, padded, made) == pytest.approx(alone, rel=1e-5)


def test_scaled_logits_are_left_to_the_model() -> None:
    base = loaded(GraniteForCausalLM(GraniteConfig(**SIZES, **GROUPED, logits_scaling=4.0)))
    layout = layout_of(base, examples(), RECIPE)
    assert isinstance(layout, Packed)
    assert not is_direct(base, base.model, examples(), layout)


def test_a_model_that_lets_examples_see_each_other_is_padded() -> None:
    def leaking(*args: Any, segment_lengths: Any = None, **told: Any) -> Any:
        return segment_attention(*args, **told)

    base = loaded(MODELS["llama"]())
    before = base.model.config._attn_implementation
    AttentionInterface.register(SEGMENTS, leaking)
    try:
        assert isinstance(layout_of(base, examples(), RECIPE), Padded)
    finally:
        AttentionInterface.register(SEGMENTS, segment_attention)
    assert base.model.config._attn_implementation == before


def test_a_model_that_takes_no_attention_function_is_padded() -> None:
    base = loaded(MODELS["llama"]())
    base.model._supports_attention_backend = False
    assert isinstance(layout_of(base, examples(), RECIPE), Padded)


def test_an_encoder_decoder_is_paired() -> None:
    config = T5Config(vocab_size=90, d_model=32, d_kv=8, d_ff=48, num_layers=2, num_heads=4)
    config.decoder_start_token_id = 7
    base = loaded(T5ForConditionalGeneration(config))
    assert layout_of(base, examples(), RECIPE) == Paired(2, 0, 7)
    assert not is_direct(base, base.model, examples(), Paired(2, 0, 7))
