"""The summed loss of a batch, without the logits of all its places, or of all its vocabulary, in memory at once.

Only places with a target reach the output matrix, and they do in pieces, each of which leaves its gradient instead of
its logits behind. That holds for models whose logits are their last hidden states times one matrix, which is tried out
before it is used (`ways.py`); for others transformers computes the logits.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from longstream_trainer.layout import IGNORED, Batch

PIECE = 4 * 1024 * 1024
"""Logits that are in memory at once: 16 MiB."""


class SummedLoss(nn.Module):
    """Negative log-likelihood of a batch's targets, in nats, summed; one forward pass of the model."""

    def __init__(self, model: Any, base: Any, *, direct: bool) -> None:
        """model: base, or base with an adapter in it. direct: multiply hidden states with the output matrix here."""
        super().__init__()
        self.model = model
        # In a tuple, so that the base is not a second child of this module.
        self._base = (base,)
        self._direct = direct

    def forward(self, batch: Batch) -> Tensor:
        """A scalar in float32. Raises ValueError if no place has a target."""
        wanted = batch.targets != IGNORED
        targets = batch.targets[wanted]
        if not len(targets):
            raise ValueError("a batch without a supervised token has no loss")
        if not self._direct:
            logits = self.model(**batch.inputs, use_cache=False).logits
            return functional.cross_entropy(logits[wanted].float(), targets, reduction="sum")
        (base,) = self._base
        hidden = base.get_decoder()(**batch.inputs, use_cache=False)[0]
        head = base.get_output_embeddings()
        return summed_cross_entropy(hidden[wanted], head.weight, head.bias, targets)


def summed_cross_entropy(hidden: Tensor, weight: Tensor, bias: Tensor | None, targets: Tensor) -> Tensor:
    """Cross-entropy of softmax(hidden @ weight.T + bias), summed; a scalar in float32.

    hidden: (places, width). weight: (vocabulary, width). bias: (vocabulary) or None. targets: int64, (places).
    """
    total: Tensor = _Summed.apply(hidden, weight, bias, (targets, torch.is_grad_enabled()))  # type: ignore[no-untyped-call]
    return total


class _Summed(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, hidden: Tensor, weight: Tensor, bias: Tensor | None, told: tuple[Tensor, bool]
    ) -> Tensor:
        targets, with_grad = told
        wanted = [
            with_grad and tensor is not None and tensor.requires_grad for tensor in (hidden, weight, bias)
        ]
        grads = [
            torch.zeros_like(tensor) if needed and tensor is not None else None
            for tensor, needed in zip((hidden, weight, bias), wanted, strict=True)
        ]
        total = torch.zeros((), device=hidden.device)
        places = max(1, PIECE // weight.shape[0])
        for start in range(0, len(hidden), places):
            piece = slice(start, start + places)
            total += _one(hidden[piece], weight, bias, targets[piece], (grads, piece))
        ctx.save_for_backward(*grads)
        return total

    @staticmethod
    def backward(ctx: Any, *upstream: Tensor) -> tuple[Tensor | None, ...]:
        (factor,) = upstream
        return (*(None if grad is None else grad * factor for grad in ctx.saved_tensors), None)


def _one(
    hidden: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    targets: Tensor,
    into: tuple[list[Tensor | None], slice],
) -> Tensor:
    """The loss of a piece; adds its gradients."""
    (of_hidden, of_weight, of_bias), piece = into
    logits = functional.linear(hidden, weight, bias).float()
    peak = logits.logsumexp(dim=-1, keepdim=True)
    loss = (peak.squeeze(-1) - logits.gather(1, targets.unsqueeze(1)).squeeze(1)).sum()
    if of_hidden is None and of_weight is None and of_bias is None:
        return loss
    error = logits.sub_(peak).exp_()
    error[torch.arange(len(targets), device=targets.device), targets] -= 1.0
    if of_bias is not None:
        of_bias += error.sum(dim=0).to(of_bias.dtype)
    error = error.to(hidden.dtype)
    if of_hidden is not None:
        of_hidden[piece] = (error @ weight).to(of_hidden.dtype)
    if of_weight is not None:
        of_weight += (error.T @ hidden).to(of_weight.dtype)
    return loss
