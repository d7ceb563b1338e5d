"""Loading the base model, choosing what is trained of it, and writing the result: the door to transformers
and peft.

Weights are read and written as safetensors only, and no code that comes with a model is ever run.
"""

from __future__ import annotations

import logging
import math
import re
import shutil
import time
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, PeftModel, get_peft_model, prepare_model_for_kbit_training
from safetensors import SafetensorError
from torch import nn
from transformers import AutoModelForCausalLM, AutoModelForSeq2SeqLM, BitsAndBytesConfig

from longstream.errors import InvalidInput
from longstream.llm import encoding
from longstream.llm.encoding import ending_of
from longstream.llm.model_files import find_model, is_encoder_decoder
from longstream.llm.tokens import TokenEncoder
from longstream_trainer.examples import Tokens
from longstream_trainer.flops import ModelSize, Side, peak_flops
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

    @property
    def encoder_decoder(self) -> bool:
        """Whether prompts go into an encoder."""
        return bool(self.model.config.is_encoder_decoder)

    def autocast(self) -> AbstractContextManager[Any]:
        """The context of a forward pass in the model's precision."""
        if self.precision == "fp32":
            return nullcontext()
        return torch.autocast(self.device.type, dtype=torch.bfloat16)

    @property
    def gpus(self) -> int:
        """Devices in use."""
        return int(self.device.type == "cuda")

    @property
    def pad_id(self) -> int:
        """A token id to fill up rows with; the attention mask hides it."""
        pad = self.tokenizer.pad_token_id
        return int(self.tokenizer.eos_token_id if pad is None else pad)


def load_base(path: str, recipe: Recipe, device: torch.device | None = None) -> Loaded:
    """Load a model of either family. Raises InvalidInput if it cannot be, or cannot hold max_tokens."""
    device = device or torch.device("cuda" if torch.cuda.is_available() else "cpu")
    precision = choose_precision(recipe, device)
    # An adapter trains on frozen weights, so those may be coarse; weights that are trained keep their small
    # changes.
    coarse = precision == "bf16" and recipe.method == "lora"
    options: dict[str, Any] = {"dtype": torch.bfloat16 if coarse else torch.float32}
    if recipe.quantization == "nf4":
        if device.type != "cuda":
            # Its kernels for CPUs have no backward pass, and torch goes on without one.
            raise InvalidInput("quantization needs a GPU; set it to none", field="recipe.quantization")
        options |= {"quantization_config": _four_bits(options["dtype"]), "device_map": {"": device}}
    folder = find_model(path)
    tokenizer, model = _read(folder, options)
    context = getattr(model.config, "max_position_embeddings", None)
    if context is not None and recipe.max_tokens > context:
        raise InvalidInput(
            f"max_tokens {recipe.max_tokens} is over the base model's {context} positions",
            field="recipe.max_tokens",
        )
    if recipe.quantization == "none":
        model = model.to(device)
    return Loaded(folder=folder, model=model, tokenizer=tokenizer, device=device, precision=precision)


def load_tokenizer(path: str) -> Tokens:
    """How texts become a base model's tokens. Raises InvalidInput."""
    folder = find_model(path)
    tokenizer = _tokenizer(folder)
    end = tuple(ending_of(tokenizer)) if is_encoder_decoder(folder) else None
    return Tokens(
        folder=folder, encoder=TokenEncoder(tokenizer), eos_id=tokenizer.eos_token_id, prompt_end=end
    )


def _tokenizer(folder: Path) -> Any:
    tokenizer = encoding.load_tokenizer(folder)
    if tokenizer.eos_token_id is None:
        raise InvalidInput("the base model's tokenizer has no end-of-sequence token", field="base_model")
    return tokenizer


def _four_bits(dtype: torch.dtype) -> BitsAndBytesConfig:
    return BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=dtype,
    )


def _read(folder: Path, options: dict[str, Any]) -> tuple[Any, Any]:
    tokenizer = _tokenizer(folder)
    try:
        model, report = _with_report(folder, options)
    except (OSError, ValueError, KeyError, RuntimeError, ImportError, SafetensorError) as error:
        raise InvalidInput(
            f"the base model {folder} cannot be loaded: {error}", field="base_model"
        ) from error
    if report["missing_keys"]:
        # transformers would go on with random numbers in their place.
        missing = ", ".join(sorted(report["missing_keys"])[:3])
        raise InvalidInput(f"the base model {folder} lacks weights: {missing}", field="base_model")
    return tokenizer, model


def _with_report(folder: Path, options: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    kind: Any = AutoModelForSeq2SeqLM if is_encoder_decoder(folder) else AutoModelForCausalLM
    loaded: Any = kind.from_pretrained(
        folder, use_safetensors=True, trust_remote_code=False, output_loading_info=True, **options
    )
    return loaded[0], loaded[1]


def choose_precision(recipe: Recipe, device: torch.device) -> str:
    """fp32 or bf16, as the recipe says or the device can."""
    if recipe.precision == "auto":
        return "bf16" if device.type == "cuda" and torch.cuda.is_bf16_supported() else "fp32"
    return recipe.precision


def trainable(loaded: Loaded, recipe: Recipe) -> Any:
    """The base with a fresh adapter, or the base itself. Raises InvalidInput for unknown targets."""
    model = loaded.model
    checkpointing = {"use_reentrant": False}
    if recipe.quantization != "none":
        prepare_model_for_kbit_training(
            model,
            use_gradient_checkpointing=recipe.gradient_checkpointing,
            gradient_checkpointing_kwargs=checkpointing,
        )
    elif recipe.gradient_checkpointing:
        # Layers are recomputed whole; without an input that needs a gradient a frozen base would give none.
        model.gradient_checkpointing_enable(gradient_checkpointing_kwargs=checkpointing)
        model.enable_input_require_grads()
    if recipe.method == "full":
        return model.train()
    targets: str | list[str] = list(recipe.target_modules)
    config = LoraConfig(
        r=recipe.rank,
        lora_alpha=recipe.lora_alpha,  # type: ignore[arg-type]  # a fraction is fine, whatever the annotation says
        target_modules="all-linear" if targets == ["all-linear"] else targets,
        use_dora=recipe.dora,
        task_type="SEQ_2_SEQ_LM" if loaded.encoder_decoder else "CAUSAL_LM",
    )
    try:
        return get_peft_model(model, config).train()
    except ValueError as error:
        raise InvalidInput(f"no adapter can be added: {error}", field="recipe.target_modules") from error


def trained_parameters(model: nn.Module) -> Iterator[tuple[str, nn.Parameter]]:
    """Names and parameters that training changes; tied weights come once."""
    return ((name, weight) for name, weight in model.named_parameters() if weight.requires_grad)


@contextmanager
def measuring(module: nn.Module, loaded: Loaded) -> Iterator[None]:
    """Evaluation without gradients in the model's precision; the mode is the same afterwards."""
    was_training = module.training
    module.eval()
    try:
        with torch.no_grad(), loaded.autocast():
            yield
    finally:
        module.train(was_training)


def device_flops(device: torch.device, recipe: Recipe) -> float:
    """What one device can do, FLOP/s: as the recipe says, else as its name does, else as it is measured."""
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else ""
    return recipe.peak_flops or peak_flops(name) or _measured_flops(device, choose_precision(recipe, device))


def _measured_flops(device: torch.device, precision: str) -> float:
    """FLOP/s of a product of square matrices on the device, the best of a few: what is possible, but for its name."""
    ones = torch.ones(_PROBE, _PROBE, device=device)
    best_s = math.inf
    coarse = torch.autocast(device.type, dtype=torch.bfloat16, enabled=precision == "bf16")
    with torch.no_grad(), coarse:
        for _ in range(4):
            begun = time.perf_counter()
            (ones @ ones)[0, 0].item()  # waits for the device
            best_s = min(best_s, time.perf_counter() - begun)
    return 2.0 * _PROBE**3 / best_s


_ENCODER = re.compile(r"(^|\.)encoder\.")


def model_sizes(model: nn.Module, base: Any) -> list[tuple[ModelSize, Side]]:
    """The matrices of a model (with its adapter, if it has one) on that base, and what passes through them."""
    looked_up = base.get_input_embeddings().weight
    head = base.get_output_embeddings()
    tied = head is not None and head.weight is looked_up
    matrices = {
        name: weight
        for name, weight in model.named_parameters()
        if weight.ndim > 1 and (tied or weight is not looked_up)
    }
    config = base.config
    if not getattr(config, "is_encoder_decoder", False):
        return [(_size(matrices.values(), config, "num_hidden_layers"), "all")]
    encoder = {name for name in matrices if _ENCODER.search(name)}
    read = [weight for name, weight in matrices.items() if name in encoder]
    written = [weight for name, weight in matrices.items() if name not in encoder]
    return [
        (_size(read, config, "num_hidden_layers"), "prompt"),
        (_size(written, config, "num_decoder_layers"), "response"),
    ]


def _size(matrices: Iterable[nn.Parameter], config: Any, layers: str) -> ModelSize:
    weights = list(matrices)
    return ModelSize(
        matrices=sum(map(_elements, weights)),
        trained=sum(weight.numel() for weight in weights if weight.requires_grad),
        layers=getattr(config, layers, 0),
        width=getattr(config, "hidden_size", 0),
    )


def _elements(weight: nn.Parameter) -> int:
    # Of quantized weights two lie in a byte.
    return weight.numel() * (2 if getattr(weight, "quant_state", None) is not None else 1)


def save_model(model: Any, loaded: Loaded, recipe: Recipe, folder: Path) -> None:
    """Write a PEFT adapter, or whole weights with their tokenizer, into folder."""
    if recipe.method == "lora":
        # Embeddings are never trained here; asking peft to find that out would ask the hub for the base
        # model.
        adapter = folder if recipe.writes_adapter else folder / "adapter"
        model.save_pretrained(adapter, safe_serialization=True, save_embedding_layers=False)
        if recipe.writes_adapter:
            return
        model = _merged(loaded, recipe, adapter)
        shutil.rmtree(adapter)
    elif loaded.precision == "bf16":
        model = model.to(torch.bfloat16)
    model.save_pretrained(folder)
    loaded.tokenizer.save_pretrained(folder)


def _merged(loaded: Loaded, recipe: Recipe, adapter: Path) -> Any:
    """The base as it lies on disk, in full numbers, with the adapter worked into it."""
    whole = replace(recipe, quantization="none")
    base = load_base(str(loaded.folder), whole, torch.device("cpu"))
    return PeftModel.from_pretrained(base.model, str(adapter)).merge_and_unload()
