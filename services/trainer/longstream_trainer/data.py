"""From a release's Parquet shards to examples: rows and their tokens.

Loss falls on the response and its end only (LongForm and Long Is More both train so). A prompt is encoded
by the same functions that answer with the model later, and no text of a row can become a control token.
Nothing is ever cut silently: what does not fit is refused or left out and counted.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from longstream.errors import Corrupt, InvalidInput, NotFound
from longstream.template import template_named
from longstream_trainer.examples import Example, Examples, Tokens
from longstream_trainer.recipe import Recipe

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


def prepare(rows: Sequence[Row], tokens: Tokens, recipe: Recipe) -> Examples:
    """Tokenise rows in their order. Raises InvalidInput if one is too long and must not be left out, none is left, or
    the template does not tell a decoder-only model where the response begins.

    An empty response is left out as `empty_response`, a too long example as `over_length`, held-out ones
    under the same names with `heldout_` before them.
    """
    if tokens.prompt_end is None and not template_named(recipe.template).end:
        raise InvalidInput(
            f"template {recipe.template} is for encoder-decoder models; a decoder needs one that ends with a separator",
            field="recipe.template",
        )
    kept: dict[str, list[Example]] = {split: [] for split in _SPLITS}
    dropped: Counter[str] = Counter()
    for row in rows:
        example = _example(row, tokens, recipe)
        reason = _misfit(row, example, tokens, recipe)
        if reason:
            dropped[reason if row.split == "train" else f"heldout_{reason}"] += 1
        else:
            kept[row.split].append(example)
    if not kept["train"]:
        raise InvalidInput(f"no example is left to train on; left out: {dict(dropped)}", field="shards")
    # A release without a share for watching is watched by what it will be tested with; nothing is chosen by that.
    heldout = kept["validation"] or kept["test"]
    return Examples(train=tuple(kept["train"]), heldout=tuple(heldout), dropped=dict(dropped))


def _example(row: Row, tokens: Tokens, recipe: Recipe) -> Example:
    prompt = template_named(recipe.template).render(row.instruction, row.input)
    if tokens.prompt_end is None:
        prompt_ids, response = tokens.encoder.continued(prompt, row.response)
    else:
        prompt_ids = [*tokens.encoder.prompt(prompt), *tokens.prompt_end]
        response = tokens.encoder.data(row.response)
    return Example(
        row_id=row.row_id,
        prompt_ids=tuple(prompt_ids),
        response_ids=(*response, tokens.eos_id),
        response_bytes=len(row.response.encode("utf-8", "replace")),
    )


def _misfit(row: Row, example: Example, tokens: Tokens, recipe: Recipe) -> str:
    if not row.response.strip():
        return "empty_response"
    sides = (len(example.prompt_ids), len(example.response_ids))
    size = sum(sides) if tokens.prompt_end is None else max(sides)
    if size <= recipe.max_tokens:
        return ""
    if recipe.over_length == "refuse":
        raise InvalidInput(
            f"row {row.row_id} has {size} tokens, more than max_tokens {recipe.max_tokens}: raise "
            "it, cap lengths in the selection, or set over_length to drop",
            field="recipe.max_tokens",
        )
    return "over_length"
