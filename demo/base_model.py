"""Trains a small base model from scratch: `python -m demo.base_model OUT`.

A byte-level BPE tokenizer and a Llama of a million weights, on a CPU in about a minute, so that the demo
needs no download. It writes recognisable words, not sense. The folder is an ordinary transformers model
that vLLM and the trainer load like any other.

Matrices are trained by Muon, which orthogonalises each update (torch.optim.Muon): in so short a training it
reaches the loss that AdamW alone needs three times the tokens for. The last quarter uses longer rows, so
that positions far into a text are known too.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from torch import Tensor
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from demo.corpus import folder_texts, standard_library_texts

CONTEXT_TOKENS = 2_048
_CONTROL = ("<s>", "</s>", "<pad>")
_CHOICES = (" A", " B")
"""Verdicts that a judge model must be able to give in one token; "A" and "B" are bytes and hence tokens."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BaseModelPlan:
    """How large and how long. Depends on seed and steps; with a time budget, on the machine too."""

    seconds: float = 50.0
    """Time for the steps alone; reading, the tokenizer and saving take some seconds more."""
    steps: int | None = None
    """If given, exactly so many steps, however long they take."""
    seed: int = 0
    threads: int = 2
    vocabulary: int = 2_048
    width: int = 128
    layers: int = 4
    rows: int = 4
    """Rows of row_tokens in a step; long rows come in like amounts of tokens."""
    row_tokens: int = 256
    long_row_tokens: int = 1_024
    learning_rate: float = 1e-2


@dataclass(frozen=True, slots=True)
class Progress:
    """After a step: its number, the share of all work (0 to 1), loss in nats per token, tokens so far."""

    step: int
    share: float
    loss: float
    tokens: int


def make_base_model(
    folder: Path, texts: Sequence[str], plan: BaseModelPlan, progress: Callable[[Progress], None]
) -> Path:
    """Train tokenizer and model on texts and save both into folder. Returns folder."""
    torch.set_num_threads(plan.threads)
    torch.manual_seed(plan.seed)
    tokenizer = make_tokenizer(texts, plan.vocabulary)
    model = LlamaForCausalLM(_config(tokenizer, plan))
    stream = _one_stream(texts, tokenizer)
    for done in _train(model, stream, plan):
        progress(done)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def make_tokenizer(texts: Sequence[str], vocabulary: int) -> PreTrainedTokenizerFast:
    """A byte-level BPE tokenizer that puts <s> first and has " A" and " B" as tokens."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=list(_CONTROL),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    # Often enough to be merged whatever the texts are.
    choices = "".join(_CHOICES) * max(map(len, texts))
    tokenizer.train_from_iterator([*texts, choices], trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A", special_tokens=[("<s>", tokenizer.token_to_id("<s>"))]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token="<s>",
        eos_token="</s>",
        pad_token="<pad>",
        model_max_length=CONTEXT_TOKENS,
    )


def _config(tokenizer: PreTrainedTokenizerFast, plan: BaseModelPlan) -> LlamaConfig:
    heads = plan.width // 32  # 32 is the least width of a head that vLLM attends with on a CPU
    return LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=plan.width,
        intermediate_size=3 * plan.width,
        num_hidden_layers=plan.layers,
        num_attention_heads=heads,
        num_key_value_heads=heads,
        max_position_embeddings=CONTEXT_TOKENS,
        tie_word_embeddings=True,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        dtype="float32",
    )


def _one_stream(texts: Sequence[str], tokenizer: Any) -> Tensor:
    encoded = tokenizer(list(texts), add_special_tokens=False, verbose=False)["input_ids"]
    bos, eos = tokenizer.bos_token_id, tokenizer.eos_token_id
    return torch.tensor([token for ids in encoded for token in (bos, *ids, eos)])


def _train(model: LlamaForCausalLM, stream: Tensor, plan: BaseModelPlan) -> Iterator[Progress]:
    draw = torch.Generator().manual_seed(plan.seed)
    optimizers = _optimizers(model, plan)
    started, step, tokens, share = time.monotonic(), 0, 0, 0.0
    while share < 1:
        rate = plan.learning_rate * min(1.0, (step + 1) / 20) * (1 - 0.95 * share)
        batch = _batch(stream, plan, share, draw)
        loss = model(input_ids=batch, labels=batch, use_cache=False).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for optimizer in optimizers:
            for group in optimizer.param_groups:
                group["lr"] = rate
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        step, tokens = step + 1, tokens + batch.numel()
        elapsed = (time.monotonic() - started) / plan.seconds
        share = min(1.0, step / plan.steps if plan.steps else elapsed)
        yield Progress(step, share, loss.item(), tokens)


def _batch(stream: Tensor, plan: BaseModelPlan, share: float, draw: torch.Generator) -> Tensor:
    width, rows = plan.row_tokens, plan.rows
    if share >= 0.75:
        width, rows = plan.long_row_tokens, max(1, plan.rows * plan.row_tokens // plan.long_row_tokens)
    width = min(width, len(stream) - 1)
    starts = torch.randint(0, len(stream) - width, (rows,), generator=draw)
    return torch.stack([stream[start : start + width] for start in starts])


def _optimizers(model: LlamaForCausalLM, plan: BaseModelPlan) -> list[torch.optim.Optimizer]:
    named = dict(model.named_parameters())
    matrices = [weight for name, weight in named.items() if weight.ndim == 2 and "embed" not in name]
    others = [weight for name, weight in named.items() if weight.ndim != 2 or "embed" in name]
    muon = torch.optim.Muon(matrices, lr=plan.learning_rate, weight_decay=0.0, adjust_lr_fn="match_rms_adamw")
    return [muon, torch.optim.AdamW(others, lr=plan.learning_rate, betas=(0.9, 0.95), weight_decay=0.0)]


def main(arguments: Sequence[str]) -> int:
    """Read the command line, train, and say on standard error how it goes."""
    parser = argparse.ArgumentParser(prog="python -m demo.base_model", description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path, help="folder for the model")
    parser.add_argument(
        "--documents", type=Path, help="folder of text files instead of the standard library's"
    )
    parser.add_argument("--seed", type=int, default=0)
    length = parser.add_mutually_exclusive_group()
    length.add_argument("--seconds-budget", type=float, default=60.0, help="time in all (default 60)")
    length.add_argument("--steps", type=int, help="so many steps, however long they take")
    options = parser.parse_args(arguments)
    started = time.monotonic()
    texts = folder_texts(options.documents) if options.documents else standard_library_texts()
    print(f"{len(texts)} texts, {sum(map(len, texts)) / 1e6:.1f} million characters", file=sys.stderr)
    # The tokenizer and saving take about three seconds.
    seconds = max(1.0, options.seconds_budget - (time.monotonic() - started) - 3)
    plan = BaseModelPlan(seconds=seconds, steps=options.steps, seed=options.seed)
    make_base_model(options.out, texts, plan, _Told())
    print(f"\nsaved in {options.out} after {time.monotonic() - started:.0f} s", file=sys.stderr)
    return 0


class _Told:
    """One line on standard error that says how far it is, once a second."""

    def __init__(self) -> None:
        self._last = 0.0

    def __call__(self, progress: Progress) -> None:
        if time.monotonic() - self._last < 1 and progress.share < 1:
            return
        self._last = time.monotonic()
        line = (
            f"{progress.share:4.0%}  step {progress.step}  loss {progress.loss:.2f}  {progress.tokens} tokens"
        )
        print(f"\r{line:<60}", end="", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
