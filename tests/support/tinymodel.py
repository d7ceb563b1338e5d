"""Tiny models with random weights that real engines load: a Llama, a LoRA adapter for it, and a T5.

Each is built in about a second from a seed, so that no test needs a download. The text they write is noise;
their token ids and log-probabilities are as real as any model's.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, get_peft_model
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoModelForSeq2SeqLM,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedModel,
    PreTrainedTokenizerFast,
    T5Config,
    T5ForConditionalGeneration,
)

CONTEXT_TOKENS = 512
CONTROL_TOKENS = ("<s>", "</s>", "<pad>", "<|user|>", "<|assistant|>")
ADDED_WORD = "<tool_call>"
"""An added token that is not special, as Qwen's tokenizer has them: it steers the model all the same."""
SENTENCES = (
    "Write a long answer to the question about the river and the mill.",
    "The old harbour town keeps its records in the tall stone house by the water.",
    "Explain how the gardener keeps the roses alive through a hard winter.",
    "Which of the two answers is better? The first answer is longer, the second is right.",
    "In 1987 the council paid 12,400 crowns for the bridge; nobody knows who drew the plans.",
)


def make_tiny_llama(folder: Path, seed: int = 0, spread: float = 0.4) -> Path:
    """A Llama of 2 layers, width 64, context 512; its byte-level tokenizer puts <s> first. Returns folder.

    spread: of the first weights; the default is wide enough that greedy choices stand clear of rounding, so that two
    engines agree on every token. 0.02 is what learns well.
    """
    tokenizer = _byte_tokenizer("$A", lead="<s> ")
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        head_dim=32,  # the least that vLLM attends with on a CPU
        max_position_embeddings=CONTEXT_TOKENS,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        initializer_range=spread,
        dtype="float32",
    )
    return _save(_seeded(LlamaForCausalLM, config, seed), tokenizer, folder)


def make_tiny_t5(folder: Path, seed: int = 0, spread: float = 8.0) -> Path:
    """An encoder-decoder of 2 + 2 layers, width 64; its tokenizer puts </s> last. Returns folder.

    spread: of the first weights, as above; 1 is what learns well.
    """
    tokenizer = _byte_tokenizer("$A </s>", lead="")
    settings: dict[str, Any] = {"decoder_start_token_id": tokenizer.pad_token_id}
    config = T5Config(
        vocab_size=len(tokenizer),
        d_model=64,
        d_kv=16,
        d_ff=128,
        num_layers=2,
        num_heads=4,
        initializer_factor=spread,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        dtype="float32",
        **settings,
    )
    return _save(_seeded(T5ForConditionalGeneration, config, seed), tokenizer, folder)


def make_tiny_adapter(model: Path, folder: Path, seed: int = 1) -> Path:
    """A LoRA adapter of rank 4 for a tiny model, large enough to change its answers. Returns folder."""
    if AutoConfig.from_pretrained(model).is_encoder_decoder:
        base = AutoModelForSeq2SeqLM.from_pretrained(model)
        config = LoraConfig(r=4, lora_alpha=16, target_modules=["q", "v"], task_type="SEQ_2_SEQ_LM")
    else:
        base = AutoModelForCausalLM.from_pretrained(model)
        config = LoraConfig(r=4, lora_alpha=16, target_modules=["q_proj", "v_proj"], task_type="CAUSAL_LM")
    adapted = get_peft_model(base, config)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, weight in adapted.named_parameters():
            if "lora_" in name:
                weight.copy_(torch.randn(weight.shape, generator=generator) * 0.3)
    adapted.save_pretrained(str(folder))
    return folder


def _byte_tokenizer(single: str, *, lead: str) -> PreTrainedTokenizerFast:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=512,
        special_tokens=list(CONTROL_TOKENS),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(SENTENCES, trainer)
    frame = f"{lead}{single}"
    specials = [(token, tokenizer.token_to_id(token)) for token in ("<s>", "</s>")]
    tokenizer.post_processor = processors.TemplateProcessing(single=frame, special_tokens=specials)
    tokenizer.add_tokens([AddedToken(ADDED_WORD, special=False, normalized=False)])
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>", pad_token="<pad>"
    )


def _seeded(kind: type[PreTrainedModel], config: Any, seed: int) -> PreTrainedModel:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return kind(config)


def _save(model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder
