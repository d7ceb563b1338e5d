"""The loss without all logits in memory: torch's own, to rounding, with torch's own gradients."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional

from longstream_trainer import loss as module
from longstream_trainer.layout import IGNORED, Batch
from longstream_trainer.loss import SummedLoss, summed_cross_entropy
from tests.trainer.test_neftune import small_llama


def tensors(places: int, words: int, seed: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    hidden = torch.randn(places, 8, generator=generator)
    weight = torch.randn(words, 8, generator=generator)
    bias = torch.randn(words, generator=generator)
    targets = torch.randint(0, words, (places,), generator=generator)
    return hidden, weight, bias, targets


@settings(deadline=None)
@given(st.integers(1, 40), st.integers(2, 30), st.integers(0, 99), st.booleans(), st.integers(1, 64))
def test_loss_and_gradients_are_torchs_whatever_the_pieces(
    places: int, words: int, seed: int, biased: bool, piece: int
) -> None:
    hidden, weight, bias, targets = tensors(places, words, seed)
    pairs = []
    for ours in (True, False):
        given_ = [tensor.clone().requires_grad_() for tensor in (hidden, weight, bias)]
        one = given_[2] if biased else None
        if ours:
            before, module.PIECE = module.PIECE, piece
            total = summed_cross_entropy(given_[0], given_[1], one, targets)
            module.PIECE = before
        else:
            logits = functional.linear(given_[0], given_[1], one)
            total = functional.cross_entropy(logits, targets, reduction="sum")
        (total * 0.37).backward()
        pairs.append([total.detach(), *(tensor.grad for tensor in given_)])
    for own, theirs in zip(*pairs, strict=True):
        if theirs is None:
            assert own is None
        else:
            assert own is not None
            torch.testing.assert_close(own, theirs, rtol=1e-4, atol=1e-4)


def test_a_frozen_matrix_gets_no_gradient_and_costs_none() -> None:
    hidden, weight, _, targets = tensors(5, 9, 0)
    hidden.requires_grad_()
    summed_cross_entropy(hidden, weight, None, targets).backward()
    assert hidden.grad is not None
    assert weight.grad is None


def test_without_gradients_the_same_number_comes_out() -> None:
    hidden, weight, bias, targets = tensors(5, 9, 0)
    expected = functional.cross_entropy(functional.linear(hidden, weight, bias), targets, reduction="sum")
    with torch.no_grad():
        torch.testing.assert_close(summed_cross_entropy(hidden, weight, bias, targets), expected)


@pytest.mark.parametrize("direct", [True, False])
def test_a_models_loss_is_that_of_its_own_logits(direct: bool) -> None:
    model = small_llama().eval()
    ids = torch.arange(12).unsqueeze(0)
    targets = ids.roll(-1, dims=1).clone()
    targets[0, :4] = targets[0, -1] = IGNORED
    found = SummedLoss(model, model, direct=direct)(
        Batch(inputs={"input_ids": ids}, targets=targets, positions=12)
    )
    logits = model(input_ids=ids).logits[0, 4:11]
    torch.testing.assert_close(found, functional.cross_entropy(logits, targets[0, 4:11], reduction="sum"))


def test_a_batch_without_a_target_is_an_error() -> None:
    model = small_llama()
    ids = torch.arange(4).unsqueeze(0)
    batch = Batch(inputs={"input_ids": ids}, targets=torch.full((1, 4), IGNORED), positions=4)
    with pytest.raises(ValueError, match="no loss"):
        SummedLoss(model, model, direct=True)(batch)
