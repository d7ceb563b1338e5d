"""A partition's kept set at a barrier, as one Parquet file: ranks in columns, examples as the bytes that came."""

from __future__ import annotations

import io
from collections.abc import Iterable

import pyarrow as pa
import pyarrow.parquet as pq

from longstream.v1.records_pb2 import Example, KeptExample, Rank

MEDIA_TYPE = "application/vnd.apache.parquet"

_SCHEMA = pa.schema(
    [
        pa.field("length", pa.uint64(), nullable=False),
        pa.field("source_order", pa.uint32(), nullable=False),
        pa.field("source_index", pa.uint64()),
        pa.field("example_id", pa.string(), nullable=False),
        pa.field("had_duplicates", pa.bool_(), nullable=False),
        pa.field("example", pa.binary(), nullable=False),
    ]
)


def encode(kept: Iterable[KeptExample]) -> bytes:
    """The file of a kept set, in the order given; equal sets in equal order give equal bytes."""
    rows = [
        {
            "length": item.rank.length,
            "source_order": item.rank.source_order,
            "source_index": item.rank.source_index if item.rank.HasField("source_index") else None,
            "example_id": item.rank.example_id,
            "had_duplicates": item.had_duplicates,
            "example": item.example.SerializeToString(deterministic=True),
        }
        for item in kept
    ]
    sink = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows, schema=_SCHEMA), sink, compression="zstd")
    return sink.getvalue()


def decode(file: bytes, pipeline: str) -> list[KeptExample]:
    """The kept set of a file that `encode` made."""
    rows = pq.read_table(io.BytesIO(file), schema=_SCHEMA).to_pylist()
    return [
        KeptExample(
            pipeline=pipeline,
            rank=Rank(
                **{name: row[name] for name in ("length", "source_order", "source_index", "example_id")}
            ),
            example=Example.FromString(row["example"]),
            had_duplicates=row["had_duplicates"],
        )
        for row in rows
    ]
