"""One run of one trainer over the same tokens, in a process of its own; prints its figures as JSON.

Ours and TRL's SFTTrainer get the same model, the same tokens with the same share of them supervised, the same order of
magnitude of a step, float32, scaled-dot-product attention and threads; nothing is truncated. TRL is told not to
recompute layers and not to write anything.
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from transformers import AutoModelForCausalLM, AutoTokenizer
from trl.trainer.sft_config import SFTConfig
from trl.trainer.sft_trainer import SFTTrainer

from longstream_trainer.examples import Example, Examples
from longstream_trainer.loop import memory_held, prepared
from longstream_trainer.model import load_base
from longstream_trainer.neftune import _Stack, attach_neftune
from longstream_trainer.recipe import Recipe
from longstream_trainer.ways import layout_of

MAX_TOKENS = 2_048
STEP_EXAMPLES = 16
ROWS = 1
"""Rows of MAX_TOKENS computed at once where they are packed: TRL joins more into a longer one, which costs it more."""
PADDED_ROWS = 4
"""The same of one example each where they are padded."""


def examples_of(path: Path) -> list[Example]:
    """The examples that the benchmark wrote."""
    return [
        Example(
            row_id=str(number),
            prompt_ids=tuple(one["prompt"]),
            response_ids=tuple(one["response"]),
            response_bytes=1,
        )
        for number, one in enumerate(json.loads(path.read_text()))
    ]


def ours(folder: Path, made: Sequence[Example], *, packed: bool, alpha: float = 0.0) -> Callable[[], float]:
    """A run of one epoch; returns the share of the computed positions that was useful."""
    recipe = Recipe(
        method="full",
        epochs=1,
        batch_examples=STEP_EXAMPLES,
        micro_batch=ROWS if packed else PADDED_ROWS,
        packing="auto" if packed else "off",
        max_tokens=MAX_TOKENS,
        neftune_alpha=alpha,
        peak_flops=1e12,
        weight_decay=0.0,
        learning_rate=1e-5,
    )
    loaded = load_base(str(folder), recipe)
    examples = Examples(train=tuple(made), heldout=(), dropped={})
    training = prepared(loaded, layout_of(loaded, made, recipe), examples, recipe)
    if alpha:
        training.neftune = attach_neftune(training.loss.model, alpha, generator=training.noise)

    def run() -> float:
        computed = 0.0
        while not training.finished:
            step = training.advance(lambda: None)
            computed += step.step_tokens / step.useful_tokens_ratio
        return training.log[-1].tokens / computed

    return run


def trl(folder: Path, made: Sequence[Example], *, packed: bool) -> Callable[[], float]:
    """The same by SFTTrainer, as it is found when it is asked to pack or not."""
    records = [
        {
            "input_ids": [*one.prompt_ids, *one.response_ids],
            "completion_mask": [0] * len(one.prompt_ids) + [1] * len(one.response_ids),
        }
        for one in made
    ]
    rows = ROWS if packed else PADDED_ROWS
    config = SFTConfig(
        output_dir=str(folder / "trl"),
        num_train_epochs=1,
        per_device_train_batch_size=rows,
        # As many tokens a step as ours have, on average.
        gradient_accumulation_steps=max(1, STEP_EXAMPLES // rows // (4 if packed else 1)),
        packing=packed,
        max_length=MAX_TOKENS,
        learning_rate=1e-5,
        weight_decay=0.0,
        bf16=False,
        gradient_checkpointing=False,
        completion_only_loss=True,
        report_to="none",
        save_strategy="no",
        logging_strategy="no",
        disable_tqdm=True,
        use_cpu=True,
    )
    model = AutoModelForCausalLM.from_pretrained(folder, attn_implementation="sdpa", dtype=torch.float32)
    trainer = SFTTrainer(
        model=model,
        args=config,
        train_dataset=Dataset.from_list(records),
        processing_class=AutoTokenizer.from_pretrained(folder),
    )

    def run() -> float:
        trainer.train()
        return 0.0

    return run


def main(words: Sequence[str]) -> None:
    """Run the named contender."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name", choices=["ours-packed", "ours-padded", "trl-packed", "trl-padded", "noise"])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--threads", type=int, required=True)
    args = parser.parse_args(words)
    torch.set_num_threads(args.threads)
    logging.disable(logging.WARNING)
    made = examples_of(args.folder / "examples.json")
    who, _, kind = args.name.partition("-")
    warm = made[: 2 * STEP_EXAMPLES]
    told: dict[str, float] = {}
    if who == "noise":
        told["share"] = _noise_share(args.folder, made)
    else:
        prepare = ours if who == "ours" else trl
        prepare(args.folder, warm, packed=kind == "packed")()
        run = prepare(args.folder, made, packed=kind == "packed")
        began = time.perf_counter()
        told["useful_share"] = run()
        told["seconds"] = time.perf_counter() - began
        told["tokens"] = sum(map(len, made))
    told["peak_mib"] = memory_held(torch.device("cpu")) / 2**20
    print(json.dumps(told))


def _noise_share(folder: Path, made: Sequence[Example]) -> float:
    spent = 0.0

    def timed(method: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            nonlocal spent
            began = time.perf_counter()
            try:
                return method(*args, **kwargs)
            finally:
                spent += time.perf_counter() - began

        return call

    for name in ("_before", "_embedded", "_after"):
        setattr(_Stack, name, timed(getattr(_Stack, name)))
    run = ours(folder, made, packed=True, alpha=5.0)
    began = time.perf_counter()
    run()
    return spent / (time.perf_counter() - began)


if __name__ == "__main__":
    main(sys.argv[1:])
