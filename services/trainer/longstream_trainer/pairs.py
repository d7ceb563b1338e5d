"""Pairs of files as the rows that training reads: one Parquet file, the same for the same inputs."""

from __future__ import annotations

import argparse
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from longstream.commands.preparing import origin_of
from longstream.commands.rejections import Rejections
from longstream.data import Pair, Rejected, open_source
from longstream.data.whole import whole
from longstream.draws import of_document
from longstream.errors import InvalidInput
from longstream.ids import digest

_TEXTS = ("row_id", "instruction", "input", "response", "source", "licence", "split")
_SCHEMA = pa.schema([pa.field("rank", pa.uint32()), *(pa.field(name, pa.string()) for name in _TEXTS)])
_BLOCK = 1_000


@dataclass(slots=True, kw_only=True)
class Pairs:
    """What was read. content_hash: of the rows."""

    trained: int = 0
    held_out: int = 0
    content_hash: str = ""
    rejections: Rejections = field(default_factory=Rejections)


def write_pairs(args: argparse.Namespace, target: Path) -> Pairs:
    """Write the rows of all inputs; a part is held out by the hash of its document, which it never divides.

    A pair that comes again is left out as `repeated`. Raises InvalidInput where there is nothing to train on.
    """
    pairs = Pairs()
    with whole(target) as draft, pq.ParquetWriter(draft, _SCHEMA, compression="zstd") as writer:
        block: list[dict[str, Any]] = []
        for row in _rows(args, pairs):
            block.append(row)
            if len(block) == _BLOCK:
                writer.write_table(pa.Table.from_pylist(block, schema=_SCHEMA))
                block = []
        writer.write_table(pa.Table.from_pylist(block, schema=_SCHEMA))
    if not pairs.trained:
        raise InvalidInput(
            f"there is no pair to train on among {', '.join(map(str, args.data))}", field="--data"
        )
    return pairs


def _rows(args: argparse.Namespace, pairs: Pairs) -> Iterator[dict[str, Any]]:
    seen: set[str] = set()
    state = hashlib.sha256()
    for path in args.data:
        for item in open_source(path, args.format, origin=origin_of(args)):
            if isinstance(item, Rejected):
                pairs.rejections.unusable(path, item)
                continue
            if not isinstance(item, Pair):
                pairs.rejections.add(
                    "no_instruction", {"record": item.source_index, "message": "it is no pair"}
                )
                continue
            row_id = digest("pair", item.instruction, item.input, item.response)
            if row_id in seen:
                pairs.rejections.add("repeated", {"record": item.source_index, "message": "it came before"})
                continue
            seen.add(row_id)
            held_out = of_document(args.seed, item.provenance, item.response) < args.held_out
            pairs.held_out += held_out
            pairs.trained += not held_out
            state.update(row_id.encode())
            pairs.content_hash = state.hexdigest()
            yield {
                "rank": len(seen),
                "row_id": row_id,
                "instruction": item.instruction,
                "input": item.input,
                "response": item.response,
                "source": item.source,
                "licence": item.licence,
                "split": "test" if held_out else "train",
            }
