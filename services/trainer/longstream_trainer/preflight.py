"""What a run will need, told before any weight is read: memory, steps, and the least time; and whether that fits.

The model is built without its numbers (on torch's meta device) and run once on so many tokens as will be computed at
once, and what a backward pass would keep of it is added up. So the figure follows the architecture, whatever it is. It
is an estimate all the same: what kernels need for themselves, and what lies between used blocks, is not in it.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import (
    AttentionInterface,
    AutoConfig,
    AutoModelForCausalLM,
    AutoModelForSeq2SeqLM,
)

from longstream.errors import InvalidInput
from longstream_trainer.examples import Example
from longstream_trainer.flops import flops_of
from longstream_trainer.layout import by_length
from longstream_trainer.loss import PIECE
from longstream_trainer.model import Loaded, choose_precision, model_sizes, trainable
from longstream_trainer.recipe import Recipe

_log = logging.getLogger(__name__)

GIB = 2**30
_MEASURED = "longstream_measured"
_FOUR_BITS = 0.56
"""Bytes of a weight in nf4, its scales included."""
_MARGIN = 0.95
"""Of the memory that is free, so much may be planned with."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Need:
    """Bytes for each process, and arithmetic of all. parameters, trained: numbers of them."""

    parameters: int
    trained: int
    weights: int
    gradients: int
    optimizer: int
    activations: int
    logits: int
    flops: float
    """Of the whole run."""

    @property
    def bytes(self) -> int:
        """All together."""
        return self.weights + self.gradients + self.optimizer + self.activations + self.logits

    def text(self) -> str:
        """For people."""
        parts = {name: value for name, value in asdict(self).items() if name in _PARTS}
        told = ", ".join(f"{name} {value / GIB:.2f}" for name, value in parts.items())
        return f"{self.bytes / GIB:.2f} GiB ({told})"


_PARTS = ("weights", "gradients", "optimizer", "activations", "logits")


@dataclass(frozen=True, slots=True, kw_only=True)
class Sides:
    """Tokens that are computed at once: of both sides together, or of encoder and decoder, padding included."""

    rows: int
    prompt: int
    response: int

    @classmethod
    def of(cls, examples: Sequence[Example], recipe: Recipe, *, encoder_decoder: bool) -> Sides:
        """The most that a group of these examples may have."""
        longest = sorted(examples, key=len, reverse=True)
        if encoder_decoder or recipe.packing == "off":
            group = [longest[one] for one in by_length([len(e) for e in longest], recipe.micro_batch)[0]]
            if encoder_decoder:
                sides = (max(len(e.prompt_ids) for e in group), max(len(e.response_ids) for e in group))
                return cls(rows=len(group), prompt=sides[0], response=sides[1])
            return cls(rows=len(group), prompt=0, response=len(group[0]))
        step = sum(len(e) for e in longest[: recipe.batch_examples])
        capacity = max(recipe.micro_batch * recipe.max_tokens, len(longest[0]))
        return cls(rows=1, prompt=0, response=min(step, capacity))


def needed(
    folder: Path, recipe: Recipe, examples: Sequence[Example], device: torch.device, world: int = 1
) -> Need:
    """What a run over these examples needs, in each of so many processes. Raises InvalidInput for a bad config."""
    precision = choose_precision(recipe, device)
    loaded = _without_numbers(folder, precision, device)
    sides = Sides.of(examples, recipe, encoder_decoder=loaded.encoder_decoder)
    plain = replace(recipe, quantization="none", gradient_checkpointing=False)
    model = trainable(loaded, plain)
    parameters = sum(weight.numel() for weight in model.parameters())
    trained = sum(weight.numel() for weight in model.parameters() if weight.requires_grad)
    activations = _activations(model, loaded, sides)
    if recipe.gradient_checkpointing:
        activations = _checkpointed(activations, loaded, sides, precision)
    logits = 3 * 4 * PIECE
    if loaded.encoder_decoder:
        logits = 3 * 4 * sides.rows * sides.response * loaded.model.config.vocab_size
    parts = world if recipe.sharding == "fsdp" else 1
    return Need(
        parameters=parameters,
        trained=trained,
        weights=int(_weight_bytes(parameters, trained, recipe, precision) / parts),
        gradients=4 * trained // parts,
        optimizer=8 * trained // parts,
        activations=activations,
        logits=logits,
        flops=flops_of(model_sizes(model, loaded.model), examples)
        * recipe.draws_planned(len(examples))
        / len(examples),
    )


def check_fit(need: Need, available: int, recipe: Recipe, others: Iterable[tuple[str, Need]]) -> None:
    """Raises InvalidInput with the numbers, and the first of the other ways that would fit, if this does not."""
    if need.bytes <= _MARGIN * available:
        return
    if recipe.fit == "warn":
        _log.warning("the run needs about %s, and %.2f GiB are free", need.text(), available / GIB)
        return
    fitting = next((name for name, other in others if other.bytes <= _MARGIN * available), None)
    advice = f"{fitting} would fit" if fitting else "no other setting of this recipe would fit either"
    raise InvalidInput(
        f"the run needs about {need.text()}, and {available / GIB:.2f} GiB are free: {advice}; fit: warn tries it "
        "all the same",
        field="recipe.fit",
    )


def alternatives(recipe: Recipe, device: torch.device) -> list[tuple[str, Recipe]]:
    """Ways to need less, the mildest first, each with the recipe that it makes."""
    steps: list[dict[str, Any]] = []
    if not recipe.gradient_checkpointing:
        steps.append({"gradient_checkpointing": True})
    if recipe.micro_batch > 1:
        steps.append({"micro_batch": 1})
    if recipe.method == "full":
        steps.append({"method": "lora"})
    if device.type == "cuda" and recipe.quantization == "none" and recipe.sharding == "none":
        steps.append({"quantization": "nf4"})
    changed: dict[str, Any] = {}
    ways = []
    for step in steps:
        changed |= step
        name = ", ".join(f"{key}: {str(value).lower()}" for key, value in changed.items())
        ways.append((name, replace(recipe, **changed)))
    return ways


def free_bytes(device: torch.device, processes: int = 1) -> int:
    """For each of so many processes: of its device, or of the machine's memory within the limit of their group."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    lines = Path("/proc/meminfo").read_text().splitlines()
    told = {line.split(":")[0]: int(line.split()[1]) * 1024 for line in lines}
    free = told["MemAvailable"]
    try:
        limit = Path("/sys/fs/cgroup/memory.max").read_text().strip()
        used = int(Path("/sys/fs/cgroup/memory.current").read_text())
    except (OSError, ValueError):
        return free // processes
    return (free if limit == "max" else min(free, int(limit) - used)) // processes


def _without_numbers(folder: Path, precision: str, device: torch.device) -> Loaded:
    try:
        config = AutoConfig.from_pretrained(folder, trust_remote_code=False)
        kind: Any = AutoModelForSeq2SeqLM if config.is_encoder_decoder else AutoModelForCausalLM
        with torch.device("meta"):
            dtype = torch.bfloat16 if precision == "bf16" else torch.float32
            model = kind.from_config(config, dtype=dtype)
    except (OSError, ValueError, KeyError, AttributeError) as error:
        raise InvalidInput(f"the base model {folder} cannot be built: {error}", field="base_model") from error
    if getattr(model, "_supports_attention_backend", False):
        model.set_attn_implementation(_MEASURED)
    return Loaded(folder=folder, model=model, tokenizer=None, device=device, precision=precision)


def _activations(model: Any, loaded: Loaded, sides: Sides) -> int:
    """Bytes that a backward pass would keep of one forward pass, weights not counted."""
    own = {weight.untyped_storage()._cdata for weight in model.parameters()}
    kept: dict[int, int] = {}

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage._cdata not in own:
            kept[storage._cdata] = storage.nbytes()
            alive.append(storage)  # else another one might get its place, and count as the same
        return tensor

    alive: list[Any] = []
    ids = torch.zeros((sides.rows, sides.response), dtype=torch.long, device="meta")
    if loaded.encoder_decoder:
        read = torch.zeros((sides.rows, sides.prompt), dtype=torch.long, device="meta")
        inputs = {"input_ids": read, "decoder_input_ids": ids}
        stack = model
    else:
        inputs = {"input_ids": ids}
        stack = loaded.model.get_decoder()
    model.train()
    if not any(weight.requires_grad for weight in loaded.model.get_input_embeddings().parameters()):
        loaded.model.enable_input_require_grads()
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        stack(**inputs, use_cache=False)
    return sum(kept.values())


def _checkpointed(activations: int, loaded: Loaded, sides: Sides, precision: str) -> int:
    """With layers recomputed: what enters each of them, and all of one."""
    config = loaded.model.config
    layers = config.num_hidden_layers + (config.num_decoder_layers if loaded.encoder_decoder else 0)
    element = 2 if precision == "bf16" else 4
    tokens = sides.rows * (sides.prompt + sides.response)
    return int(layers * tokens * config.hidden_size * element + activations / layers)


def _weight_bytes(parameters: int, trained: int, recipe: Recipe, precision: str) -> float:
    frozen = parameters - trained
    if recipe.quantization == "nf4":
        return _FOUR_BITS * frozen + 4 * trained
    if recipe.method == "lora":
        return (2 if precision == "bf16" else 4) * frozen + 4 * trained
    # Under bfloat16 each weight has a coarse copy besides, while it is used.
    return (6 if precision == "bf16" else 4) * parameters


class _Attended(torch.autograd.Function):
    """Keeps what a fused attention keeps, its inputs and its output; the pass is only measured, so none leads back."""

    @staticmethod
    def forward(ctx: Any, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        output = torch.empty_like(query)
        ctx.save_for_backward(query, key, value, output)
        return output


def _measured(
    module: Any, query: Tensor, key: Tensor, value: Tensor, attention_mask: Any, **told: Any
) -> tuple[Tensor, None]:
    del module, attention_mask, told
    output: Tensor = _Attended.apply(query, key, value)  # type: ignore[no-untyped-call]
    return output.transpose(1, 2).contiguous(), None


AttentionInterface.register(_MEASURED, _measured)
