"""How well a model foretells texts that it was not trained on: bits per byte of held-out responses.

Bits per byte compares models with different tokenizers and needs no judge: 8 is knowing nothing, less is
better. The end-of-sequence token is not counted: it is no byte of the text, and a base model has never met
it in this place.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from longstream_trainer.data import IGNORED, Batch, Example, collate, micro_batches
from longstream_trainer.model import Loaded


def summed_loss(model: Any, batch: Batch) -> Tensor:
    """Negative log-likelihood in nats, summed over the batch's labelled tokens; a scalar in float32."""
    output = model(input_ids=batch.input_ids, attention_mask=batch.attention_mask, use_cache=False)
    labels = batch.labels[:, 1:]
    wanted = labels != IGNORED
    # Picking the labelled places first keeps the vocabulary-wide float32 copy as small as it can be.
    return functional.cross_entropy(output.logits[:, :-1][wanted].float(), labels[wanted], reduction="sum")


def bits_per_byte(
    model: nn.Module, loaded: Loaded, examples: Sequence[Example], micro_batch: int, check: Callable[[], None]
) -> float | None:
    """Bits that the model needs for each byte of the responses, given their prompts; None without examples.

    check: called between batches; may raise to stop. The model's train or eval mode is the same afterwards.
    """
    if not examples:
        return None
    endless = [replace(example, response_ids=example.response_ids[:-1]) for example in examples]
    was_training = model.training
    model.eval()
    nats = 0.0
    try:
        for group in micro_batches(endless, micro_batch):
            check()
            with torch.no_grad(), loaded.autocast():
                nats += summed_loss(model, collate(group, loaded.pad_id).to(loaded.device)).item()
    finally:
        model.train(was_training)
    return nats / math.log(2) / sum(example.response_bytes for example in examples)
