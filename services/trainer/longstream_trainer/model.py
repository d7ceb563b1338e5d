"""Loading the base model, choosing what is trained of it, and writing the result: the door to transformers
and peft.

Weights are read and written as safetensors only, and no code that comes with a model is ever run.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, get_peft_model
from safetensors import SafetensorError
from torch import nn
from transformers import AutoModelForCausalLM, AutoTokenizer

from longstream.errors import InvalidInput
from longstream.llm.model_files import find_model
from longstream_trainer.flops import ModelSize
from longstream_trainer.recipe import Recipe

_log = logging.getLogger(__name__)

_PROBE = 1_024


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """A base model, its tokenizer, and where and how they compute."""

    folder: Path
    model: Any
    tokenizer: Any
    device: torch.device
    precision: str
    """fp32 or bf16."""

    def autocast(self) -> AbstractContextManager[Any]:
        """The context of a forward pass in the model's precision."""
        if self.precision == "fp32":
            return nullcontext()
        return torch.autocast(self.device.type, dtype=torch.bfloat16)

    @property
    def device_name(self) -> str:
        """What the device calls itself; "" for a CPU."""
        return torch.cuda.get_device_name(self.device) if self.device.type == "cuda" else ""

    @property
    def gpus(self) -> int:
        """Devices in use."""
        return int(self.device.type == "cuda")

    @property
    def pad_id(self) -> int:
        """A token id to fill up rows with; the attention mask hides it."""
        pad = self.tokenizer.pad_token_id
        return int(self.tokenizer.eos_token_id if pad is None else pad)


def load_base(path: str, recipe: Recipe) -> Loaded:
    """Load a decoder-only model. Raises InvalidInput if it cannot be, or cannot hold max_tokens."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    precision = _precision(recipe, device)
    # An adapter trains on frozen weights, so those may be coarse; weights that are trained keep their small
    # changes.
    coarse = precision == "bf16" and recipe.method == "lora"
    folder = find_model(path)
    tokenizer, model = _read(folder, torch.bfloat16 if coarse else torch.float32)
    context = getattr(model.config, "max_position_embeddings", None)
    if context is not None and recipe.max_tokens > context:
        raise InvalidInput(
            f"max_tokens {recipe.max_tokens} is over the base model's {context} positions",
            field="recipe.max_tokens",
        )
    return Loaded(
        folder=folder, model=model.to(device), tokenizer=tokenizer, device=device, precision=precision
    )


def _read(folder: Path, dtype: torch.dtype) -> tuple[Any, Any]:
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
        model, report = _with_report(folder, dtype)
    except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as error:
        raise InvalidInput(
            f"the base model {folder} cannot be loaded: {error}", field="base_model"
        ) from error
    if report["missing_keys"]:
        # transformers would go on with random numbers in their place.
        missing = ", ".join(sorted(report["missing_keys"])[:3])
        raise InvalidInput(f"the base model {folder} lacks weights: {missing}", field="base_model")
    if tokenizer.eos_token_id is None:
        raise InvalidInput("the base model's tokenizer has no end-of-sequence token", field="base_model")
    return tokenizer, model


def _with_report(folder: Path, dtype: torch.dtype) -> tuple[Any, dict[str, Any]]:
    loaded: Any = AutoModelForCausalLM.from_pretrained(
        folder, dtype=dtype, use_safetensors=True, trust_remote_code=False, output_loading_info=True
    )
    return loaded[0], loaded[1]


def _precision(recipe: Recipe, device: torch.device) -> str:
    if recipe.precision == "auto":
        return "bf16" if device.type == "cuda" and torch.cuda.is_bf16_supported() else "fp32"
    return recipe.precision


def trainable(loaded: Loaded, recipe: Recipe) -> Any:
    """The base with a fresh adapter, or the base itself. Raises InvalidInput for unknown targets."""
    model = loaded.model
    if recipe.gradient_checkpointing:
        # Layers are recomputed whole; without an input that needs a gradient a frozen base would give none.
        model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
        model.enable_input_require_grads()
    if recipe.method == "full":
        return model.train()
    targets: str | list[str] = list(recipe.target_modules)
    config = LoraConfig(
        r=recipe.rank,
        lora_alpha=recipe.lora_alpha,  # type: ignore[arg-type]  # a fraction is fine, whatever the annotation says
        target_modules="all-linear" if targets == ["all-linear"] else targets,
        task_type="CAUSAL_LM",
    )
    try:
        return get_peft_model(model, config).train()
    except ValueError as error:
        raise InvalidInput(f"no adapter can be added: {error}", field="recipe.target_modules") from error


def trained_parameters(model: nn.Module) -> Iterator[tuple[str, nn.Parameter]]:
    """Names and parameters that training changes; tied weights come once."""
    return ((name, weight) for name, weight in model.named_parameters() if weight.requires_grad)


def measured_flops(loaded: Loaded) -> float:
    """FLOP/s of a product of square matrices on the device, the best of a few: what is possible, but for its name."""
    ones = torch.ones(_PROBE, _PROBE, device=loaded.device)
    best_s = math.inf
    with torch.no_grad(), loaded.autocast():
        for _ in range(4):
            begun = time.perf_counter()
            (ones @ ones)[0, 0].item()  # waits for the device
            best_s = min(best_s, time.perf_counter() - begun)
    return 2.0 * _PROBE**3 / best_s


def model_size(model: nn.Module, base: Any) -> ModelSize:
    """The matrices of a model (with its adapter, if it has one) on that base, and its attention."""
    looked_up = base.get_input_embeddings().weight
    head = base.get_output_embeddings()
    tied = head is not None and head.weight is looked_up
    matrices = [
        weight for weight in model.parameters() if weight.ndim > 1 and (tied or weight is not looked_up)
    ]
    config = base.config
    return ModelSize(
        matrices=sum(weight.numel() for weight in matrices),
        trained=sum(weight.numel() for weight in matrices if weight.requires_grad),
        layers=getattr(config, "num_hidden_layers", 0),
        width=getattr(config, "hidden_size", 0),
    )


def save_model(model: Any, loaded: Loaded, recipe: Recipe, folder: Path) -> None:
    """Write a PEFT adapter, or whole weights with their tokenizer, into folder."""
    if recipe.method == "lora":
        # Embeddings are never trained here; asking peft to find that out would ask the hub for the base
        # model.
        model.save_pretrained(folder, safe_serialization=True, save_embedding_layers=False)
        return
    if loaded.precision == "bf16":
        model = model.to(torch.bfloat16)
    model.save_pretrained(folder)
    loaded.tokenizer.save_pretrained(folder)
