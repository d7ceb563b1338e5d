"""How the examples of a step become tensors: packed end to end, padded side by side, or an encoder's and a decoder's.

What is computed at once decides memory and speed and nothing else: the loss is summed over the step's tokens and
divided by their number at the end, and NEFTune draws for each example by itself.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

from longstream_trainer.examples import Example

IGNORED = -100
"""Target of a place without loss."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """What is computed at once.

    inputs: what the model is called with. targets: int64, (rows, tokens) of the decoder: the token that is to follow
    each place, or IGNORED. positions: places that are computed, padding included.
    """

    inputs: Mapping[str, Any]
    targets: Tensor
    positions: int

    def to(self, device: torch.device) -> Batch:
        """The same on a device."""
        moved = {
            name: value.to(device) if isinstance(value, Tensor) else value
            for name, value in self.inputs.items()
        }
        return Batch(inputs=moved, targets=self.targets.to(device), positions=self.positions)


class Layout(Protocol):
    """One way to compute examples together."""

    def groups(self, examples: Sequence[Example]) -> list[list[int]]:
        """Which examples, by their place, are computed together; the largest first."""

    def batch(self, examples: Sequence[Example]) -> Batch:
        """The tensors of a group."""


@dataclass(frozen=True, slots=True)
class Packed:
    """Examples end to end in one row without padding, of at most so many tokens unless one alone is longer."""

    capacity: int

    def groups(self, examples: Sequence[Example]) -> list[list[int]]:
        """Best fit, the longest first: each example goes where it leaves the least room."""
        return best_fit([len(example) for example in examples], self.capacity)

    def batch(self, examples: Sequence[Example]) -> Batch:
        """One row. position_ids start anew with each example, and segment_lengths say the same to attention.py."""
        ids = [token for example in examples for token in (*example.prompt_ids, *example.response_ids)]
        places = [place for example in examples for place in range(len(example))]
        targets = torch.tensor([token for example in examples for token in _targets(example)])
        inputs = {
            "input_ids": torch.tensor([ids]),
            "position_ids": torch.tensor([places]),
            "segment_lengths": [len(example) for example in examples],
        }
        return Batch(inputs=inputs, targets=targets.unsqueeze(0), positions=len(ids))


@dataclass(frozen=True, slots=True)
class Padded:
    """So many rows of one example each, padded on the right to the longest of them."""

    rows: int
    pad_id: int

    def groups(self, examples: Sequence[Example]) -> list[list[int]]:
        """Alike in length, so that little is padding."""
        return by_length([len(example) for example in examples], self.rows)

    def batch(self, examples: Sequence[Example]) -> Batch:
        """Rows with their attention_mask."""
        ids = _rows([(*example.prompt_ids, *example.response_ids) for example in examples], self.pad_id)
        mask = _rows([(1,) * len(example) for example in examples], 0)
        targets = _rows([_targets(example) for example in examples], IGNORED)
        inputs = {"input_ids": ids, "attention_mask": mask}
        return Batch(inputs=inputs, targets=targets, positions=ids.numel())


@dataclass(frozen=True, slots=True)
class Paired:
    """For encoder-decoder models: prompts in the encoder and responses in the decoder, both padded on the right."""

    rows: int
    pad_id: int
    start_id: int
    """What the decoder reads first."""

    def groups(self, examples: Sequence[Example]) -> list[list[int]]:
        """Alike in length, so that little is padding."""
        return by_length([len(example) for example in examples], self.rows)

    def batch(self, examples: Sequence[Example]) -> Batch:
        """Both sides with their masks."""
        prompts = [example.prompt_ids for example in examples]
        read = [(self.start_id, *example.response_ids[:-1]) for example in examples]
        targets = _rows([example.response_ids for example in examples], IGNORED)
        inputs = {
            "input_ids": _rows(prompts, self.pad_id),
            "attention_mask": _rows([(1,) * len(ids) for ids in prompts], 0),
            "decoder_input_ids": _rows(read, self.pad_id),
            "decoder_attention_mask": _rows([(1,) * len(ids) for ids in read], 0),
        }
        positions = inputs["input_ids"].numel() + targets.numel()
        return Batch(inputs=inputs, targets=targets, positions=positions)


def best_fit(lengths: Sequence[int], capacity: int) -> list[list[int]]:
    """Numbers of lengths, put into as few groups of at most capacity as best fit decreasing finds.

    Each group has room for its members, or is one that is too long by itself. Equal lengths go in their order.
    """
    groups: list[list[int]] = []
    room: list[tuple[int, int]] = []  # left in each group that has some, and its number; in order
    for index in sorted(range(len(lengths)), key=lambda one: -lengths[one]):
        place = bisect_left(room, (lengths[index], -1))
        left, group = room.pop(place) if place < len(room) else (capacity, len(groups))
        if group == len(groups):
            groups.append([])
        groups[group].append(index)
        if left > lengths[index]:
            insort(room, (left - lengths[index], group))
    return groups


def by_length(lengths: Sequence[int], rows: int) -> list[list[int]]:
    """Numbers of lengths in groups of at most so many, the longest first."""
    order = sorted(range(len(lengths)), key=lambda one: -lengths[one])
    return [order[start : start + rows] for start in range(0, len(order), rows)]


def _targets(example: Example) -> tuple[int, ...]:
    """What follows each token of an example, where that is of the response; nothing follows its end."""
    before = len(example.prompt_ids) - 1
    followed = example.response_ids if before >= 0 else example.response_ids[1:]
    return (*(IGNORED,) * max(before, 0), *followed, IGNORED)


def _rows(values: Sequence[Sequence[int]], fill: int) -> Tensor:
    width = max(map(len, values))
    return torch.tensor([[*row, *(fill,) * (width - len(row))] for row in values])
