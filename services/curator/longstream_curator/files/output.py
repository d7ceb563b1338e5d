"""Chosen records written out as they came in, in the order of their sources, each with its length and rank."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import date, datetime, time
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from longstream.data.shapes import decoded
from longstream.errors import InvalidInput
from longstream_curator.files.longest import Chosen

STDOUT = "-"
PARQUET = ".parquet"
OURS = ("length", "rank")
"""Fields that are added; what an earlier run wrote under these names gives way."""


def in_source_order(chosen: Iterable[Chosen]) -> list[Chosen]:
    """As the paper writes its selection: not by length, but as the records stood."""
    return sorted(chosen, key=lambda one: (one.source, one.place))


def write(chosen: Sequence[Chosen], output: str) -> None:
    """Write JSON lines, or Parquet if output ends so; a file appears whole or not at all.

    output: a path, or "-" for standard output. Raises InvalidInput where Parquet cannot hold the records.
    """
    if output == STDOUT:
        for line in _lines(chosen):
            sys.stdout.buffer.write(line)
        sys.stdout.buffer.flush()
        return
    path = Path(output)
    draft = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        if path.suffix == PARQUET:
            pq.write_table(_table(chosen), draft, compression="zstd")
        else:
            with draft.open("wb") as file:
                file.writelines(_lines(chosen))
        draft.replace(path)
    finally:
        with suppress(FileNotFoundError):
            draft.unlink()


def fields_of(one: Chosen) -> dict[str, Any]:
    """The record's fields, without ours."""
    record = one.record
    fields: Mapping[str, Any] = decoded(record) if isinstance(record, bytes) else record
    return {name: value for name, value in fields.items() if name not in OURS}


def _lines(chosen: Iterable[Chosen]) -> Iterator[bytes]:
    for one in chosen:
        fields = fields_of(one)
        ours = {"length": one.length, "rank": one.rank}
        raw = one.record
        if isinstance(raw, bytes) and b"\n" not in raw and len(fields) == len(decoded(raw)):
            # Numbers and escapes stay as their author wrote them.
            added = json.dumps(ours).encode()
            yield raw.rstrip()[:-1].rstrip() + (b", " if fields else b"") + added[1:] + b"\n"
        else:
            yield json.dumps(fields | ours, ensure_ascii=False, default=_as_json).encode() + b"\n"


def _as_json(value: object) -> str:
    if isinstance(value, date | datetime | time):
        return value.isoformat()
    raise InvalidInput(
        f"JSON has no {type(value).__name__}, which a column holds; write .parquet", field="--output"
    )


def _table(chosen: Iterable[Chosen]) -> pa.Table:
    rows = [{**fields_of(one), "length": one.length, "rank": one.rank} for one in chosen]
    # Arrow would take the names of the first row alone.
    names = dict.fromkeys(name for row in rows for name in row)
    try:
        return pa.table({name: [row.get(name) for row in rows] for name in names})
    except (pa.ArrowException, OverflowError) as error:
        raise InvalidInput(f"the records do not fit into Parquet's columns: {error}; write .jsonl") from None
