"""Attention inside each example of a packed row, by torch's own kernels.

A packed row is attended example by example, so no mask of its length squared is ever built and FlashAttention is not
needed. A row that is padded on the right needs no mask at all: nothing before its end sees what stands behind it, and
what stands there has no loss. For training and scoring of decoder-only models; it keeps no cache.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import AttentionInterface

SEGMENTS = "longstream_segments"
"""Its name among transformers' attention functions."""
_BEYOND_US = ("softcap", "s_aux", "position_bias")


def segment_attention(
    module: nn.Module, query: Tensor, key: Tensor, value: Tensor, attention_mask: Tensor | None, **told: Any
) -> tuple[Tensor, None]:
    """Causal attention of (rows, heads, tokens, width) within segments; returns (rows, tokens, heads, width).

    told: `segment_lengths` of the examples that make up the single row; none: each row is one. And what transformers
    tells: `dropout`, `scaling`, `sliding_window`. attention_mask is None, since transformers makes none for a function
    that declares no mask of its own. Raises ValueError for what this cannot do: caches, bidirectional or biased
    attention, sinks.
    """
    asked = [name for name in _BEYOND_US if told.get(name) is not None]
    if asked or query.shape[2] != key.shape[2] or not getattr(module, "is_causal", True):
        raise ValueError(
            f"{SEGMENTS} is causal attention without a cache; {type(module).__name__} needs more"
        )
    lengths: Sequence[int] = told.get("segment_lengths") or [query.shape[2]]
    parts = []
    for start, length in zip(accumulate(lengths, initial=0), lengths, strict=False):
        one, keys, values = (tensor.narrow(2, start, length) for tensor in (query, key, value))
        band = _band(one, told.get("sliding_window"))
        part = functional.scaled_dot_product_attention(
            one,
            keys,
            values,
            attn_mask=band,
            dropout_p=told.get("dropout", 0.0),
            is_causal=band is None,
            scale=told.get("scaling"),
            enable_gqa=query.shape[1] != key.shape[1],
        )
        parts.append(part)
    whole = parts[0] if len(parts) == 1 else torch.cat(parts, dim=2)
    return whole.transpose(1, 2).contiguous(), None


def _band(query: Tensor, window: int | None) -> Tensor | None:
    """The mask of a sliding window, where the segment is longer than that; (tokens, tokens), True where seen."""
    tokens = query.shape[2]
    if window is None or tokens <= window:
        return None
    places = torch.arange(tokens, device=query.device)
    back = places.unsqueeze(1) - places
    return (back >= 0) & (back < window)


AttentionInterface.register(SEGMENTS, segment_attention)
