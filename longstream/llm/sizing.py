"""How an engine should be set up for a model on a GPU, worked out from the model's own files.

A decoder keeps keys and values of every token that it has read: 2 x layers x key-value heads x size of a head numbers.
What the weights and the engine's own needs leave of the GPU's memory holds so many tokens, and so many requests side by
side; each step reads all weights and all kept tokens once, which bounds how fast it can write.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from longstream.errors import InvalidInput, TooLarge
from longstream.llm.model_files import find_model, is_encoder_decoder


class Gpu(NamedTuple):
    """memory: bytes. bandwidth: bytes a second."""

    memory: float
    bandwidth: float


GPUS: Mapping[str, Gpu] = {
    "T4": Gpu(16e9, 320e9),
    "L4": Gpu(24e9, 300e9),
    "A10": Gpu(24e9, 600e9),
    "A30": Gpu(24e9, 933e9),
    "A100-40GB": Gpu(40e9, 1_555e9),
    "L40S": Gpu(48e9, 864e9),
    "A100-80GB": Gpu(80e9, 2_039e9),
    "H100-PCIe": Gpu(80e9, 2_000e9),
    "H100": Gpu(80e9, 3_350e9),
    "H200": Gpu(141e9, 4_800e9),
    "B200": Gpu(180e9, 8_000e9),
}
"""As NVIDIA's data sheets state them."""
_BYTES = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2, "I64": 8, "I32": 4, "I16": 2, "I8": 1, "U8": 1, "BOOL": 1}
_HALF = 2
"""Bytes of a number as vLLM computes with on a GPU, where it is not told otherwise; stored float32 is halved."""
_OWN_BYTES = 2e9
"""Activations, CUDA's graphs and context: an allowance of ours."""
_MOST_SEQUENCES = 512
_STEP = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """What a decoder's files say. weights: bytes, at two for each number that has more."""

    weights: int
    layers: int
    kv_heads: int
    head: int
    context_tokens: int

    @property
    def token_bytes(self) -> int:
        """What keeping one token takes."""
        return 2 * self.layers * self.kv_heads * self.head * _HALF


@dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    """cache_tokens: that fit beside the weights. sequences: requests side by side. most_tokens_s: tokens that memory
    lets all of them write in a second, half-way through their answers; arithmetic takes its own time besides.
    """

    context_tokens: int
    cache_tokens: int
    sequences: int
    in_flight: int
    most_tokens_s: float


def shape_of(name: str) -> Shape:
    """Of a model's folder or cached hub id. Raises InvalidInput."""
    folder = find_model(name)
    if is_encoder_decoder(folder):
        raise InvalidInput(
            f"{name} is an encoder-decoder, which vLLM does not serve; there is nothing to work out"
        )
    told = json.loads((folder / "config.json").read_bytes())
    config = told.get("text_config", told)
    heads = _whole(config, "num_attention_heads", name)
    return Shape(
        weights=sum(map(_weights, sorted(folder.glob("*.safetensors")))),
        layers=_whole(config, "num_hidden_layers", name),
        kv_heads=int(config.get("num_key_value_heads") or heads),
        head=int(config.get("head_dim") or _whole(config, "hidden_size", name) // heads),
        context_tokens=_whole(config, "max_position_embeddings", name),
    )


def setup(shape: Shape, gpu: Gpu, prompt_tokens: int, answer_tokens: int, ratio: float = 0.9) -> Setup:
    """How to serve requests of such a length. ratio: of the GPU's memory that the engine may take.

    Raises TooLarge, with the numbers, where weights and one request do not fit.
    """
    request = prompt_tokens + answer_tokens
    if request > shape.context_tokens:
        raise TooLarge(
            f"prompt and answer have {request:,} tokens; the model's context holds {shape.context_tokens:,}"
        )
    left = ratio * gpu.memory - _OWN_BYTES - shape.weights
    tokens = int(left // shape.token_bytes)
    if tokens < request:
        needed = (shape.weights + _OWN_BYTES + request * shape.token_bytes) / ratio
        raise TooLarge(
            f"weights, one request and the engine's own need {needed / 1e9:.1f} GB, and the GPU has "
            f"{gpu.memory / 1e9:.0f}; take a larger one, or a server of several with openai:URL"
        )
    sequences = min(_MOST_SEQUENCES, tokens // request)
    sequences -= sequences % _STEP if sequences > _STEP else 0
    read = shape.weights + sequences * (prompt_tokens + answer_tokens / 2) * shape.token_bytes
    return Setup(
        context_tokens=min(shape.context_tokens, _rounded(request)),
        cache_tokens=tokens,
        sequences=sequences,
        in_flight=sequences + max(1, sequences // 4),  # so that one waits for each that ends
        most_tokens_s=sequences * gpu.bandwidth / read,
    )


def _rounded(tokens: int) -> int:
    """A quarter more, up to the next 256: prompts differ."""
    return -(-(tokens * 5 // 4) // 256) * 256


def _weights(path: Path) -> int:
    """Bytes of a file's tensors as they are computed with, from its header alone."""
    try:
        with path.open("rb") as file:
            header: dict[str, Any] = json.loads(file.read(int.from_bytes(file.read(8), "little")))
        tensors = [entry for name, entry in header.items() if name != "__metadata__"]
        return sum(_size(entry) for entry in tensors)
    except (ValueError, KeyError, TypeError, AttributeError, MemoryError, OverflowError) as error:
        raise InvalidInput(f"{path} is damaged: {error}") from error


def _size(entry: Mapping[str, Any]) -> int:
    begin, end = entry["data_offsets"]
    stored = int(end) - int(begin)
    width = _BYTES.get(entry["dtype"], 1)
    return stored * _HALF // width if width > _HALF else stored


def _whole(config: Mapping[str, Any], key: str, name: str) -> int:
    value = config.get(key)
    if not isinstance(value, int) or value < 1:
        raise InvalidInput(f"the config.json of {name} does not say {key}")
    return value
