"""The rows of a final release, from its Parquet shards in storage."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from longstream.errors import Corrupt
from longstream.storage import Storage
from longstream.v1.records_pb2 import Release

Row = dict[str, Any]


def release_rows(storage: Storage, release: Release, columns: Sequence[str] | None = None) -> Iterator[Row]:
    """Every row, shard by shard. columns: those that are read; None: all. Raises NotFound, Corrupt."""
    for shard in release.shards:
        with storage.open(shard.address) as file:
            try:
                table = pq.read_table(file, columns=None if columns is None else list(columns))
            except pa.ArrowException as error:
                raise Corrupt(f"shard {shard.address} is not a readable Parquet file: {error}") from error
        yield from table.to_pylist()
