"""How much arithmetic a training step is, and what share of the device's speed that makes (MFU).

Model FLOPs utilisation counts what the model needs and no more (PaLM, arXiv 2204.02311, appendix B): padding and
recomputed layers earn nothing. A multiplication with an addition is two FLOP.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from longstream_trainer.examples import Example

Side = Literal["all", "prompt", "response"]
"""Which tokens of an example pass through a part of a model."""

_DENSE_BF16 = {
    "A100": 312e12,
    "A10": 125e12,
    "A30": 165e12,
    "L4": 121e12,
    "L40": 181e12,
    "L40S": 362e12,
    "H100 PCIe": 756e12,
    "H100": 989e12,
    "H200": 989e12,
    "GH200": 989e12,
    "B200": 2_250e12,
}
"""FLOP/s by the words in a device's name, bfloat16 without sparsity, as NVIDIA's data sheets state them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSize:
    """What decides the work that a token causes."""

    matrices: int
    """Elements of all weight matrices that tokens are multiplied with, without an embedding that is only looked up."""
    trained: int
    """Elements of those that training changes."""
    layers: int = 0
    width: int = 0
    """Of the attention: heads x size of a head. 0 leaves attention's own products out."""


def step_flops(size: ModelSize, lengths: Iterable[int]) -> float:
    """FLOP of one forward and backward pass over examples of these true lengths, in tokens.

    Forward 2 for each matrix element and token, backward 2 for the activations' gradients and 2 for each trained
    element's; attention 12 x layers x width x length for each token, the causal mask not deducted, as is usual.
    """
    lengths = tuple(lengths)
    products = (4 * size.matrices + 2 * size.trained) * sum(lengths)
    attention = 12 * size.layers * size.width * sum(length * length for length in lengths)
    return float(products + attention)


def flops_of(sizes: Iterable[tuple[ModelSize, Side]], examples: Sequence[Example]) -> float:
    """FLOP of one forward and backward pass over examples, by the parts of a model that their sides pass through."""
    lengths: dict[Side, list[int]] = {
        "all": [len(one) for one in examples],
        "prompt": [len(one.prompt_ids) for one in examples],
        "response": [len(one.response_ids) for one in examples],
    }
    return sum(step_flops(size, lengths[side]) for size, side in sizes)


def peak_flops(device: str) -> float | None:
    """What a device of that name does at most, FLOP/s in bfloat16; None for one that is not known here."""
    words = device.replace("-", " ").split()
    fitting = [name for name in _DENSE_BF16 if set(name.split()) <= set(words)]
    return _DENSE_BF16[max(fitting, key=len)] if fitting else None
