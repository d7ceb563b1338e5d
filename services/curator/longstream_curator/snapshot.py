"""A partition's kept set at a barrier, as one Parquet file: ranks in columns, examples as the bytes that came."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from longstream.v1.records_pb2 import Example, KeptExample, Rank

MEDIA_TYPE = "application/vnd.apache.parquet"
GROUP_BYTES = 64 * 1024 * 1024
"""Of examples that are encoded or decoded at once: Arrow's columns of bytes end at 2 GiB."""

_RANK = ("length", "source_order", "source_index", "example_id", "score", "draw")
_SCHEMA = pa.schema(
    [
        pa.field("length", pa.uint64(), nullable=False),
        pa.field("source_order", pa.uint32(), nullable=False),
        pa.field("source_index", pa.uint64()),
        pa.field("example_id", pa.string(), nullable=False),
        pa.field("score", pa.uint64(), nullable=False),
        pa.field("draw", pa.uint64(), nullable=False),
        pa.field("had_duplicates", pa.bool_(), nullable=False),
        pa.field("stratum", pa.string(), nullable=False),
        pa.field("time_ms", pa.int64(), nullable=False),
        pa.field("example", pa.binary(), nullable=False),
    ]
)


def encode(kept: Iterable[KeptExample], group_bytes: int = GROUP_BYTES) -> bytes:
    """The file of a kept set, in the order given; equal sets in equal order give equal bytes."""
    sink = io.BytesIO()
    with pq.ParquetWriter(sink, _SCHEMA, compression="zstd") as writer:
        for rows in _groups(kept, group_bytes):
            writer.write_table(pa.Table.from_pylist(rows, schema=_SCHEMA))
    return sink.getvalue()


def decode(file: BinaryIO, pipeline: str) -> list[KeptExample]:
    """The kept set of a file that `encode` made."""
    parquet = pq.ParquetFile(file)
    groups = (parquet.read_row_group(group).to_pylist() for group in range(parquet.num_row_groups))
    return [_kept(row, pipeline) for rows in groups for row in rows]


def _groups(kept: Iterable[KeptExample], group_bytes: int) -> Iterator[list[dict[str, Any]]]:
    rows: list[dict[str, Any]] = []
    size = 0
    for item in kept:
        rows.append(_row(item))
        size += len(rows[-1]["example"])
        if size >= group_bytes:
            yield rows
            rows, size = [], 0
    yield rows


def _row(item: KeptExample) -> dict[str, Any]:
    return {
        "length": item.rank.length,
        "source_order": item.rank.source_order,
        "source_index": item.rank.source_index if item.rank.HasField("source_index") else None,
        "example_id": item.rank.example_id,
        "score": item.rank.score,
        "draw": item.rank.draw,
        "had_duplicates": item.had_duplicates,
        "stratum": item.stratum,
        "time_ms": item.time_ms,
        "example": item.example.SerializeToString(deterministic=True),
    }


def _kept(row: dict[str, Any], pipeline: str) -> KeptExample:
    return KeptExample(
        pipeline=pipeline,
        rank=Rank(**{name: row[name] for name in _RANK if row.get(name) is not None}),
        example=Example.FromString(row["example"]),
        **{name: row[name] for name in ("had_duplicates", "stratum", "time_ms") if name in row},
    )
