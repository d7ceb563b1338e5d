"""Chosen records written out as they came in, in the order of their sources, each with its length and rank.

Where something is held out, each also says what part of the split it is.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date, datetime, time
from pathlib import Path
from typing import Any

from longstream.data.shapes import decoded
from longstream.data.whole import STDOUT, whole
from longstream.errors import InvalidInput
from longstream_curator.files.blocks import fields_of
from longstream_curator.files.longest import Chosen

PARQUET = ".parquet"


def in_source_order(chosen: Iterable[Chosen]) -> list[Chosen]:
    """As the paper writes its selection: not by length, but as the records stood."""
    return sorted(chosen, key=lambda one: (one.source, one.place))


def write(chosen: Sequence[Chosen], output: str) -> None:
    """Write JSON lines, or Parquet if output ends so; a file appears whole or not at all.

    What an earlier run wrote as length, rank and split gives way. output: a path, or "-" for standard output.
    Raises InvalidInput where Parquet cannot hold the records.
    """
    if output == STDOUT:
        for line in _lines(chosen):
            sys.stdout.buffer.write(line)
        sys.stdout.buffer.flush()
        return
    with whole(Path(output)) as draft:
        if output.endswith(PARQUET):
            _write_table(chosen, draft)
        else:
            with draft.open("wb") as file:
                file.writelines(_lines(chosen))


def _lines(chosen: Iterable[Chosen]) -> Iterator[bytes]:
    for one in chosen:
        ours = _ours(one)
        raw = one.record
        if isinstance(raw, bytes) and b"\n" not in raw and ours.keys().isdisjoint(known := fields_of(raw)):
            # Numbers and escapes stay as their author wrote them.
            added = json.dumps(ours).encode()
            yield raw.rstrip()[:-1].rstrip() + (b", " if known else b"") + added[1:] + b"\n"
        else:
            yield json.dumps(_fields(one), ensure_ascii=False, default=_as_json).encode() + b"\n"


def _ours(one: Chosen) -> dict[str, Any]:
    return {"length": one.length, "rank": one.rank} | ({"split": one.part} if one.part else {})


def _fields(one: Chosen) -> dict[str, Any]:
    """The record's fields and ours, which come last; by JSON's own reader, which keeps numbers of any size."""
    fields: Mapping[str, Any] = decoded(one.record) if isinstance(one.record, bytes) else one.record
    ours = _ours(one)
    return {name: value for name, value in fields.items() if name not in ours} | ours


def _as_json(value: object) -> str:
    if isinstance(value, date | datetime | time):
        return value.isoformat()
    raise InvalidInput(
        f"JSON has no {type(value).__name__}, which a column holds; write .parquet", field="--output"
    )


def _write_table(chosen: Iterable[Chosen], path: Path) -> None:
    import pyarrow as pa  # it takes long to import, and only Parquet needs it
    import pyarrow.parquet as pq

    rows = [_fields(one) for one in chosen]
    # Arrow would take the names of the first row alone.
    names = dict.fromkeys(name for row in rows for name in row)
    try:
        table = pa.table({name: [row.get(name) for row in rows] for name in names})
    except (pa.ArrowException, OverflowError) as error:
        raise InvalidInput(f"the records do not fit into Parquet's columns: {error}; write .jsonl") from None
    pq.write_table(table, path, compression="zstd")
