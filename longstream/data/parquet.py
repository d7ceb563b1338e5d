"""Records of a Parquet file, a batch of rows at a time."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from longstream.data.containers import Flaw
from longstream.data.records import Item
from longstream.data.shapes import FIELDS, Reading, rejected
from longstream.errors import InvalidInput

BATCH_ROWS = 256


def parquet_items(path: Path, reading: Reading) -> Iterator[Item]:
    """The rows as items. Raises InvalidInput if the file is not Parquet or has no column that is read."""
    try:
        file = pq.ParquetFile(path)
    except (pa.ArrowException, OSError) as error:
        raise InvalidInput(f"{path} is no Parquet file: {error}") from None
    with file:
        columns = [name for name in file.schema_arrow.names if name in FIELDS]
        if not columns:
            raise InvalidInput(f"{path} has none of the columns {', '.join(FIELDS)}")
        yield from _rows(file, columns, reading)


def _rows(file: pq.ParquetFile, columns: list[str], reading: Reading) -> Iterator[Item]:
    index = 0
    try:
        for batch in file.iter_batches(batch_size=BATCH_ROWS, columns=columns):
            yield from _items(batch, index, reading)
            index += batch.num_rows
    except (pa.ArrowException, OSError):
        yield rejected(index, Flaw("truncated", "the file is broken here; what came before has been read"))


def _items(batch: pa.RecordBatch, first: int, reading: Reading) -> Iterator[Item]:
    try:
        rows = batch.to_pylist()
    except UnicodeDecodeError:  # some row's text is not UTF-8: one by one, to find which
        for offset in range(batch.num_rows):
            yield _item(batch.slice(offset, 1), first + offset, reading)
        return
    for offset, row in enumerate(rows):
        yield reading.item(first + offset, row)


def _item(row: pa.RecordBatch, index: int, reading: Reading) -> Item:
    try:
        return reading.item(index, row.to_pylist()[0])
    except UnicodeDecodeError:
        return rejected(index, Flaw("invalid_utf8", "a text of the row is not UTF-8"))
