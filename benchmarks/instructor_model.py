"""A model of random weights for throughput alone, and documents to ask it about: nothing to download, noise to read.

Its replies never end by themselves, so every run computes the same number of tokens.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from demo.corpus import standard_library_texts

CONTEXT_TOKENS = 2_048
_VOCABULARY = 4_096
_SEED = 0


def make_model(folder: Path, width: int, layers: int) -> Path:
    """A Llama with a byte-level tokenizer that knows the documents' words. Returns folder."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=_VOCABULARY,
        special_tokens=["<s>", "</s>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(standard_library_texts(), trainer)
    tokenizer.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 0)])
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>")
    config = LlamaConfig(
        vocab_size=len(fast),
        hidden_size=width,
        intermediate_size=3 * width,
        num_hidden_layers=layers,
        num_attention_heads=width // 64,
        num_key_value_heads=width // 64,
        max_position_embeddings=CONTEXT_TOKENS,
        bos_token_id=0,
        eos_token_id=1,
        dtype="float32",
    )
    torch.manual_seed(_SEED)
    model = LlamaForCausalLM(config)
    with torch.no_grad():
        # A reply that ended early would make one run do less than another.
        model.lm_head.weight[1] = 0.0
        model.model.norm.weight.fill_(1.0)
    model.save_pretrained(folder, safe_serialization=True)
    fast.save_pretrained(folder)
    return folder


def documents(count: int, characters: int) -> list[str]:
    """Texts of people, each of about so many characters, cut between sentences."""
    found: list[str] = []
    for text in standard_library_texts():
        rest = text
        while len(rest) >= characters and len(found) < count:
            end = max(
                (match.end() for match in re.finditer(r"[.!?](?=\s)", rest[:characters])), default=characters
            )
            found.append(rest[:end].strip())
            rest = rest[end:]
    return found[:count]


def salted(texts: Sequence[str], number: int) -> list[str]:
    """The same texts as nobody has seen them: no run finds in an engine's cache what another one put there."""
    return [f"Run {number:04}. {text}" for text in texts]
