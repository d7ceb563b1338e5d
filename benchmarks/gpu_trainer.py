"""Fine-tuning on a GPU: tokens per second and MFU of a randomly initialised model with LoRA, on real texts.

    python -m benchmarks.gpu_trainer --data FOLDER [--shape 7b] [--steps 8] [--json] [--check-noise]

Needs torch, transformers, peft and accelerate and this repository's folders on PYTHONPATH (`.` and `services/trainer`),
nothing else: no tokenizer is at hand on a bare machine, so a word or sign of the texts is a token, by hash. The peer is
the same run padded instead of packed. --check-noise draws NEFTune's noise in bfloat16 there and tells its bound and
norm.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from transformers import LlamaConfig, LlamaForCausalLM

from benchmarks.report import Figure, emit
from longstream_trainer.examples import Example, Examples
from longstream_trainer.loop import prepared
from longstream_trainer.model import Loaded, device_flops
from longstream_trainer.neftune import attach_neftune
from longstream_trainer.recipe import Recipe
from longstream_trainer.report import Step
from longstream_trainer.ways import layout_of

SHAPES: dict[str, dict[str, Any]] = {
    "7b": {
        "hidden_size": 4_096,
        "intermediate_size": 11_008,
        "num_hidden_layers": 32,
        "num_attention_heads": 32,
    },
    "tiny": {"hidden_size": 128, "intermediate_size": 256, "num_hidden_layers": 2, "num_attention_heads": 4},
}
WORDS = 32_000
_SPECIAL = 3
_FILES = ("alpaca/score_1k.json", "lima/lima_1k.json")


def main(words: Sequence[str]) -> None:
    """Measure and tell."""
    args = _parser().parse_args(words)
    emit(figures(args), args.json)


def figures(args: argparse.Namespace) -> Iterator[Figure]:
    """Packed against padded, in one process and on one model."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    base = _base(args.shape, device)
    made = examples(args.data, args.max_tokens)
    if args.check_noise:
        yield from _noise(base, made)
    speed: dict[str, float] = {}
    for kind in ("padded", "packed"):
        steps = _steps(base, made, args, packing="auto" if kind == "packed" else "off")
        tokens, seconds = sum(step.step_tokens for step in steps), sum(step.seconds for step in steps)
        speed[kind] = tokens / seconds
        peer = f"padded, {speed['padded']:,.0f} tokens/s" if kind == "packed" else ""
        ratio = speed[kind] / speed["padded"] if peer else None
        yield Figure(name=kind, value=speed[kind], unit="useful tokens/s", against=peer, ratio=ratio)
        mfu = sum(step.flops for step in steps) / seconds / device_flops(device, Recipe())
        yield Figure(name=f"{kind}-mfu", value=mfu, unit="of the device's speed")
        share = sum(step.useful_tokens_ratio for step in steps) / len(steps)
        yield Figure(name=f"{kind}-useful-share", value=share, unit="of computed positions")
        yield Figure(name=f"{kind}-memory", value=steps[-1].memory_bytes / 2**30, unit="GiB")


def examples(data: Path, max_tokens: int) -> list[Example]:
    """Pairs of both files in turn, as far as they fit."""
    sources = [json.loads((data / name).read_text()) for name in _FILES]
    found = []
    for number, record in enumerate(one for both in zip(*sources, strict=False) for one in both):
        turns = [turn["value"] for turn in record["conversations"]]
        prompt, response = _ids(turns[0]), _ids(turns[1])
        if len(prompt) + len(response) < max_tokens:
            found.append(
                Example(
                    row_id=str(number),
                    prompt_ids=(1, *prompt),
                    response_ids=(*response, 2),
                    response_bytes=len(turns[1].encode()),
                )
            )
    return found


def _ids(text: str) -> tuple[int, ...]:
    signs = re.findall(r"\w+|[^\w\s]", text)
    return tuple(
        _SPECIAL + int.from_bytes(hashlib.sha256(sign.encode()).digest()[:4]) % (WORDS - _SPECIAL)
        for sign in signs
    )


def _base(shape: str, device: torch.device) -> Loaded:
    torch.manual_seed(0)
    config = LlamaConfig(vocab_size=WORDS, max_position_embeddings=4_096, **SHAPES[shape])
    half = device.type == "cuda"
    torch.set_default_dtype(torch.bfloat16 if half else torch.float32)
    with device:
        model = LlamaForCausalLM(config)
    torch.set_default_dtype(torch.float32)
    return Loaded(
        folder=Path(),
        model=model,
        tokenizer=_NoTokenizer(),
        device=device,
        precision="bf16" if half else "fp32",
    )


class _NoTokenizer:
    pad_token_id, eos_token_id = 0, 2


def _steps(base: Loaded, made: Sequence[Example], args: argparse.Namespace, packing: str) -> list[Step]:
    """Steps after one that warms up, with NEFTune on."""
    values: dict[str, Any] = {
        "epochs": 100,
        "max_steps": args.steps + 1,
        "batch_examples": args.batch,
        "micro_batch": args.rows,
        "max_tokens": args.max_tokens,
        "packing": packing,
        "neftune_alpha": 5.0,
        "gradient_checkpointing": args.gradient_checkpointing,
    }
    recipe = Recipe(**values)
    layout = layout_of(base, made, recipe)
    training = prepared(base, layout, Examples(train=tuple(made), heldout=(), dropped={}), recipe)
    model = training.loss.model
    with attach_neftune(model, recipe.neftune_alpha, generator=training.noise) as noise:
        training.neftune = noise
        steps = [training.advance(lambda: None) for _ in range(args.steps + 1)]
    model.unload()
    return steps[1:]


def _noise(base: Loaded, made: Sequence[Example]) -> Iterator[Figure]:
    """The largest noise over its bound, and the root-mean-square norm over alpha / sqrt(3), in the model's numbers."""
    alpha, one = 5.0, max(made, key=len)
    ids = torch.tensor([[*one.prompt_ids, *one.response_ids]], device=base.device)
    seen: list[torch.Tensor] = []
    layer = base.model.model.layers[0]
    handle = layer.register_forward_pre_hook(lambda _, args: seen.append(args[0].detach().float()))
    base.model.train()
    with torch.no_grad(), attach_neftune(base.model, alpha) as noise:
        noise.next_seeds([7])
        base.model.model(input_ids=ids, position_ids=torch.arange(ids.shape[1], device=base.device)[None])
        effective = noise.effective_alpha() or 0.0
    handle.remove()
    embedded = base.model.get_input_embeddings()(ids).detach().float()
    bound = alpha / math.sqrt(ids.numel() * embedded.shape[-1])
    largest = (seen[0] - embedded).abs().max().item()
    yield Figure(
        name="noise-largest", value=largest / bound, unit="of its bound (rounding of the sum included)"
    )
    yield Figure(name="noise-norm", value=effective / alpha, unit="of alpha / sqrt(3)")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    option = parser.add_argument
    option("--data", type=Path, required=True, help="folder with alpaca/score_1k.json and lima/lima_1k.json")
    option("--shape", choices=list(SHAPES), default="7b")
    option("--steps", type=int, default=8)
    option("--batch", type=int, default=64, help="examples a step (%(default)s)")
    option("--rows", type=int, default=2, help="rows of --max-tokens computed at once (%(default)s)")
    option("--max-tokens", type=int, default=2_048)
    option("--gradient-checkpointing", action="store_true")
    option("--check-noise", action="store_true")
    option("--json", action="store_true", help="one JSON object per figure")
    return parser


if __name__ == "__main__":
    main(sys.argv[1:])
