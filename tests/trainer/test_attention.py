"""Attention within segments: each example of a packed row sees itself alone, and all of itself."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from longstream_trainer.attention import segment_attention

LENGTHS = [5, 1, 9]


def heads(tokens: int, count: int, seed: int) -> Tensor:
    return torch.randn(1, count, tokens, 4, generator=torch.Generator().manual_seed(seed))


def attended(query: Tensor, key: Tensor, value: Tensor, **told: Any) -> Tensor:
    return segment_attention(nn.Identity(), query, key, value, None, **told)[0]


def reference(query: Tensor, key: Tensor, value: Tensor, seen: Tensor) -> Tensor:
    """By softmax over what is seen, written out."""
    key, value = (tensor.repeat_interleave(query.shape[1] // key.shape[1], 1) for tensor in (key, value))
    scores = query @ key.transpose(-1, -2) * 0.3
    weights = functional.softmax(scores.masked_fill(~seen, float("-inf")), dim=-1)
    return (weights @ value).transpose(1, 2)


@pytest.mark.parametrize("window", [None, 3])
@pytest.mark.parametrize("key_heads", [4, 2])
def test_each_segment_sees_what_stands_before_in_itself(window: int | None, key_heads: int) -> None:
    total = sum(LENGTHS)
    query, key, value = heads(total, 4, 0), heads(total, key_heads, 1), heads(total, key_heads, 2)
    segment = torch.repeat_interleave(torch.arange(len(LENGTHS)), torch.tensor(LENGTHS))
    places = torch.arange(total)
    back = places.unsqueeze(1) - places
    seen = (segment.unsqueeze(1) == segment) & (back >= 0) & (back < (window or total))
    found = attended(query, key, value, scaling=0.3, sliding_window=window, segment_lengths=LENGTHS)
    torch.testing.assert_close(found, reference(query, key, value, seen))


def test_rows_without_segments_are_causal_throughout() -> None:
    query, key, value = (heads(7, 2, seed).repeat(3, 1, 1, 1) for seed in range(3))
    seen = torch.ones(7, 7, dtype=torch.bool).tril()
    torch.testing.assert_close(attended(query, key, value, scaling=0.3), reference(query, key, value, seen))


def test_no_gradient_passes_from_one_segment_to_another() -> None:
    query, key, value = (heads(sum(LENGTHS), 2, seed).requires_grad_() for seed in range(3))
    attended(query, key, value, segment_lengths=LENGTHS)[:, :5].sum().backward()
    for tensor in (query, key, value):
        assert tensor.grad is not None
        assert tensor.grad[:, :, 5:].abs().sum() == 0


@pytest.mark.parametrize("told", [{"softcap": 30.0}, {"s_aux": torch.zeros(2)}])
def test_what_it_cannot_do_is_refused(told: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="causal attention without a cache"):
        attended(heads(4, 2, 0), heads(4, 2, 1), heads(4, 2, 2), **told)


def test_a_cache_is_refused() -> None:
    with pytest.raises(ValueError, match="without a cache"):
        attended(heads(1, 2, 0), heads(4, 2, 1), heads(4, 2, 2))
