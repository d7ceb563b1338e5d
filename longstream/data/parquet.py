"""Records of a Parquet file, a batch of rows at a time."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from longstream.data.containers import Flaw
from longstream.data.opening import BROKEN
from longstream.data.records import Item
from longstream.data.shapes import FIELDS, Reading, rejected
from longstream.errors import InvalidInput

BATCH_ROWS = 256

Row = Mapping[str, Any]
"""A row's fields by column."""


def parquet_items(path: Path, reading: Reading) -> Iterator[Item]:
    """The rows as items. Raises InvalidInput if the file is not Parquet or has no column that is read."""
    for index, row, _ in table_rows(path, FIELDS):
        yield rejected(index, row) if isinstance(row, Flaw) else reading.item(index, row)


def table_rows(
    path: Path, columns: Collection[str] | None = None, at: Callable[[int], None] | None = None
) -> Iterator[tuple[int, Row | Flaw, int]]:
    """Index, fields and bytes in memory of each row. columns: those to read, of which one must be there; None: all.

    at: told about how many bytes of the file have been read. Raises InvalidInput as `parquet_items`.
    """
    try:
        file = pq.ParquetFile(path)
    except (pa.ArrowException, OSError) as error:
        raise InvalidInput(f"{path} is no Parquet file: {error}") from None
    with file:
        names = [name for name in file.schema_arrow.names if columns is None or name in columns]
        if not names:
            raise InvalidInput(f"{path} has none of the columns {', '.join(columns or ())}")
        size, index = path.stat().st_size / max(1, file.metadata.num_rows), 0
        try:
            for batch in file.iter_batches(batch_size=BATCH_ROWS, columns=names):
                bytes_each = batch.nbytes // max(1, batch.num_rows)
                for row in _rows(batch):
                    yield index, row, bytes_each
                    index += 1
                if at is not None:
                    at(int(index * size))
        except (pa.ArrowException, OSError):
            yield index, Flaw("truncated", BROKEN), 0


def _rows(batch: pa.RecordBatch) -> Iterator[Row | Flaw]:
    try:
        yield from batch.to_pylist()
    except UnicodeDecodeError:  # some row's text is not UTF-8: one by one, to find which
        for offset in range(batch.num_rows):
            try:
                yield batch.slice(offset, 1).to_pylist()[0]
            except UnicodeDecodeError:
                yield Flaw("invalid_utf8", "a text of the row is not UTF-8")
