"""Which fast ways of computing are right for a model: each is tried out on it before it is used.

Models differ in what they do to their logits and in what passes from one token to the next, and new ones come every
month. So no list of names decides: two short examples do, in a few milliseconds.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from torch import Tensor, nn

from longstream_trainer.attention import SEGMENTS
from longstream_trainer.examples import Example
from longstream_trainer.layout import Batch, Layout, Packed, Padded, Paired
from longstream_trainer.loss import SummedLoss
from longstream_trainer.model import Loaded, measuring
from longstream_trainer.recipe import Recipe

_log = logging.getLogger(__name__)

_TRIED_TOKENS = 48
"""Of each example that is tried: enough for one to be seen by another."""
_SAME = {"fp32": 1e-3, "bf16": 3e-2}
"""Relative difference that rounding makes; a scale or a place that was left out makes more."""
_APART = 1e-4
"""Share of the largest logit by which an example may change with its neighbour, both computed alike."""


def layout_of(loaded: Loaded, examples: Sequence[Example], recipe: Recipe) -> Layout:
    """How examples are put together for this model; also sets how it attends.

    Packed where the recipe allows it and the model keeps examples of one row apart, else padded.
    """
    if loaded.encoder_decoder:
        start = loaded.model.config.decoder_start_token_id
        return Paired(recipe.micro_batch, loaded.pad_id, loaded.pad_id if start is None else int(start))
    padded = Padded(recipe.micro_batch, loaded.pad_id)
    if not getattr(loaded.model, "_supports_attention_backend", False):
        return padded
    before = loaded.model.config._attn_implementation
    loaded.model.set_attn_implementation(SEGMENTS)
    if not _apart(loaded, examples):
        loaded.model.set_attn_implementation(before)
        _log.warning("this model does not keep packed examples apart; they are padded instead")
        return padded
    return padded if recipe.packing == "off" else Packed(recipe.micro_batch * recipe.max_tokens)


def is_direct(loaded: Loaded, model: Any, examples: Sequence[Example], layout: Layout) -> bool:
    """Whether hidden states times the output matrix are this model's logits."""
    head = loaded.model.get_output_embeddings()
    if loaded.encoder_decoder or type(head) is not nn.Linear:
        return False
    batch = layout.batch([_short(examples[0])]).to(loaded.device)
    own, ours = (_summed(loaded, SummedLoss(model, loaded.model, direct=one), batch) for one in (False, True))
    return abs(own - ours) <= _SAME[loaded.precision] * abs(own)


def _apart(loaded: Loaded, examples: Sequence[Example]) -> bool:
    """Whether what stands before an example in its row changes nothing in it."""
    first, second = _short(examples[0]), _short(examples[-1])
    other = replace(
        first,
        prompt_ids=first.prompt_ids[::-1],
        response_ids=tuple((token + 1) % 7 for token in first.response_ids),
    )
    try:
        alone = _logits(loaded, [second])
        alike, unlike = (_logits(loaded, [one, second])[len(first) :] for one in (first, other))
    except (ValueError, RuntimeError, TypeError) as error:
        _log.info("no packing: %s", error)
        return False
    largest = alone.abs().max()
    same = (alone - alike).abs().max() <= _SAME[loaded.precision] * largest
    return bool(same and (alike - unlike).abs().max() <= _APART * largest)


def _short(example: Example) -> Example:
    prompt = example.prompt_ids[-_TRIED_TOKENS // 2 :]
    return replace(example, prompt_ids=prompt, response_ids=example.response_ids[: _TRIED_TOKENS // 2])


def _logits(loaded: Loaded, examples: Sequence[Example]) -> Tensor:
    batch = Packed(2 * _TRIED_TOKENS).batch(examples).to(loaded.device)
    with measuring(loaded.model, loaded):
        logits: Tensor = loaded.model(**batch.inputs, use_cache=False).logits[0].float()
    return logits


def _summed(loaded: Loaded, loss: SummedLoss, batch: Batch) -> float:
    with measuring(loss.model, loaded):
        return float(loss(batch).item())
