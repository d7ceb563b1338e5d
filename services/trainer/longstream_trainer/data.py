"""From a release's Parquet shards to batches: rows, tokenised examples, their order, padding.

Loss falls on the response and its end only (LongForm and Long Is More both train so). A prompt is encoded
by the same functions that answer with the model later, and no text of a row can become a control token.
Nothing is ever cut silently: what does not fit is refused or left out and counted.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import torch
from torch import Tensor

from longstream.errors import Corrupt, InvalidInput, NotFound
from longstream.llm.tokens import TokenEncoder
from longstream.template import template_named
from longstream_trainer.recipe import Recipe

IGNORED = -100
"""Label of a token without loss."""

_COLUMNS = ("rank", "row_id", "instruction", "input", "response", "source", "licence", "split")
_SPLITS = ("train", "validation", "test")


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One row of a release, as far as training needs it."""

    rank: int
    row_id: str
    instruction: str
    input: str
    response: str
    source: str
    licence: str
    split: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """A tokenised row. response_ids end with the end-of-sequence token, which response_bytes do not count."""

    row_id: str
    prompt_ids: tuple[int, ...]
    response_ids: tuple[int, ...]
    response_bytes: int

    def __len__(self) -> int:
        return len(self.prompt_ids) + len(self.response_ids)


@dataclass(frozen=True, slots=True, kw_only=True)
class Examples:
    """What is trained on, what is held out, and how many rows were left out for which reason."""

    train: tuple[Example, ...]
    heldout: tuple[Example, ...]
    dropped: dict[str, int]

    @property
    def response_tokens(self) -> int:
        """Loss-bearing tokens of the training examples."""
        return sum(len(example.response_ids) for example in self.train)

    @property
    def prompt_tokens(self) -> int:
        """Tokens of the training examples without loss."""
        return sum(len(example.prompt_ids) for example in self.train)


@dataclass(frozen=True, slots=True)
class Batch:
    """Right-padded examples: int64 tensors (examples, tokens); labels are IGNORED outside the responses."""

    input_ids: Tensor
    attention_mask: Tensor
    labels: Tensor

    def to(self, device: torch.device) -> Batch:
        """The same batch on a device."""
        return Batch(self.input_ids.to(device), self.attention_mask.to(device), self.labels.to(device))


def read_rows(shards: Sequence[Path]) -> list[Row]:
    """All rows of the shards in the order of their rank, however they were spread over the shards.

    Raises NotFound for a missing shard, Corrupt for one that is no Parquet file, InvalidInput for missing
    columns, an unknown split or a row that occurs twice.
    """
    rows = sorted(
        (row for shard in shards for row in _read_shard(shard)), key=lambda row: (row.rank, row.row_id)
    )
    twice = [key for key, count in Counter(row.row_id for row in rows).items() if count > 1]
    if twice:
        raise InvalidInput(f"{len(twice)} rows occur more than once in the shards, first {twice[0]}")
    return rows


def _read_shard(shard: Path) -> list[Row]:
    if not shard.is_file():
        raise NotFound(f"there is no shard {shard}", field="shards")
    try:
        names = set(pq.read_schema(shard).names)
        missing = [name for name in _COLUMNS if name not in names]
        if missing:
            raise InvalidInput(f"{shard.name} lacks the columns {', '.join(missing)}", field="shards")
        rows = [_row(values) for values in pq.read_table(shard, columns=list(_COLUMNS)).to_pylist()]
    except pa.ArrowException as error:
        raise Corrupt(f"{shard.name} is not a readable Parquet file: {error}") from error
    return rows


def _row(values: dict[str, Any]) -> Row:
    filled = {"input": "", "source": "", "licence": "", **{k: v for k, v in values.items() if v is not None}}
    missing = [name for name in _COLUMNS if name not in filled]
    if missing:
        raise InvalidInput(f"row {values['row_id']} has no {', '.join(missing)}", field="shards")
    if filled["split"] not in _SPLITS:
        raise InvalidInput(f"row {filled['row_id']} has the split {filled['split']!r}", field="shards")
    return Row(**filled)


def prepare(rows: Sequence[Row], encoder: TokenEncoder, eos_id: int, recipe: Recipe) -> Examples:
    """Tokenise rows in their order. Raises InvalidInput if one is too long and must not be left out, or
    none is left.

    An empty response is left out as `empty_response`, a too long example as `over_length`, held-out ones
    under the same names with `heldout_` before them.
    """
    template = template_named(recipe.template)
    kept: dict[str, list[Example]] = {split: [] for split in _SPLITS}
    dropped: Counter[str] = Counter()
    for row in rows:
        prompt, response = encoder.continued(template.render(row.instruction, row.input), row.response)
        example = Example(
            row_id=row.row_id,
            prompt_ids=tuple(prompt),
            response_ids=(*response, eos_id),
            response_bytes=len(row.response.encode("utf-8", "replace")),
        )
        reason = _misfit(row, example, recipe)
        if reason:
            dropped[reason if row.split == "train" else f"heldout_{reason}"] += 1
        else:
            kept[row.split].append(example)
    if not kept["train"]:
        raise InvalidInput(f"no example is left to train on; left out: {dict(dropped)}", field="shards")
    # A release without a share for watching is watched by what it will be tested with; nothing is chosen by that.
    heldout = kept["validation"] or kept["test"]
    return Examples(train=tuple(kept["train"]), heldout=tuple(heldout), dropped=dict(dropped))


def _misfit(row: Row, example: Example, recipe: Recipe) -> str:
    if not row.response.strip():
        return "empty_response"
    if len(example) <= recipe.max_tokens:
        return ""
    if recipe.over_length == "refuse":
        raise InvalidInput(
            f"row {row.row_id} has {len(example)} tokens, more than max_tokens {recipe.max_tokens}: raise "
            "it, cap lengths in the selection, or set over_length to drop",
            field="recipe.max_tokens",
        )
    return "over_length"


class Order:
    """The endless stream of examples that steps draw from: every epoch a fresh order of all of them.

    It depends on nothing but the seed and the row ids, so a resumed run goes on where it was without stored
    state.
    """

    def __init__(self, examples: Sequence[Example], seed: int) -> None:
        self._examples = examples
        self._seed = seed
        self._epoch = -1
        self._permutation: list[int] = []

    def take(self, start: int, count: int) -> list[Example]:
        """Examples start .. start + count - 1 of the stream."""
        return [self._at(place) for place in range(start, start + count)]

    def _at(self, place: int) -> Example:
        epoch, offset = divmod(place, len(self._examples))
        if epoch != self._epoch:
            self._epoch, self._permutation = epoch, self._permuted(epoch)
        return self._examples[self._permutation[offset]]

    def _permuted(self, epoch: int) -> list[int]:
        def key(index: int) -> bytes:
            return hashlib.sha256(f"{self._seed}/{epoch}/{self._examples[index].row_id}".encode()).digest()

        return sorted(range(len(self._examples)), key=key)


def micro_batches(examples: Sequence[Example], size: int) -> list[list[Example]]:
    """The examples of a step in groups of at most size, alike in length so that little is padding."""
    by_length = sorted(examples, key=lambda example: (-len(example), example.row_id))
    return [by_length[start : start + size] for start in range(0, len(by_length), size)]


def collate(examples: Sequence[Example], pad_id: int) -> Batch:
    """Pad examples on the right to the longest of them."""
    width = max(map(len, examples))
    shape = (len(examples), width)
    input_ids = torch.full(shape, pad_id, dtype=torch.long)
    attention_mask = torch.zeros(shape, dtype=torch.long)
    labels = torch.full(shape, IGNORED, dtype=torch.long)
    for place, example in enumerate(examples):
        prompt, end = len(example.prompt_ids), len(example)
        input_ids[place, :end] = torch.tensor([*example.prompt_ids, *example.response_ids])
        attention_mask[place, :end] = 1
        labels[place, prompt:end] = input_ids[place, prompt:end]
    return Batch(input_ids, attention_mask, labels)
