"""How well a model foretells texts that it was not trained on: bits per byte of held-out responses.

Bits per byte compares models with different tokenizers and needs no judge: 8 is knowing nothing, less is
better. The end-of-sequence token is not counted: it is no byte of the text, and a base model has never met
it in this place.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace

from longstream_trainer.examples import Example
from longstream_trainer.layout import Layout
from longstream_trainer.loss import SummedLoss
from longstream_trainer.model import Loaded, measuring


def bits_per_byte(
    loss: SummedLoss, loaded: Loaded, examples: Sequence[Example], layout: Layout, check: Callable[[], None]
) -> float | None:
    """Bits that the model needs for each byte of the responses, given their prompts; None without examples.

    check: called between batches; may raise to stop. The model's train or eval mode is the same afterwards.
    """
    if not examples:
        return None
    endless = [replace(example, response_ids=example.response_ids[:-1]) for example in examples]
    nats = 0.0
    with measuring(loss, loaded):
        for group in layout.groups(endless):
            check()
            nats += loss(layout.batch([endless[one] for one in group]).to(loaded.device)).item()
    return nats / math.log(2) / sum(example.response_bytes for example in examples)
