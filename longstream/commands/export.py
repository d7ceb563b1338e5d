"""`longstream export`: a final release as one file, in a format that other trainers read."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from longstream.commands.common import (
    Subparsers,
    add_pipeline,
    add_storage,
    client,
    pipeline,
    remote_command,
    show,
    storage_url,
)
from longstream.data.releases import Row, release_rows
from longstream.data.whole import STDOUT, whole
from longstream.errors import InvalidInput, Refused
from longstream.storage import open_storage
from longstream.v1.records_pb2 import Release

_SPLITS = ("train", "validation", "test", "all")


def register(subparsers: Subparsers) -> None:
    """Add the command."""
    parser = remote_command(subparsers, "export", run, "write a final release as one file for other trainers")
    add_pipeline(parser)
    option = parser.add_argument
    option("release", nargs="?", default="", metavar="RELEASE", help="its id (the newest final one)")
    option("--format", choices=[*FORMATS, "parquet"], default="messages", help="of a row (%(default)s)")
    option("--split", choices=_SPLITS, default="train", help="which rows (%(default)s)")
    option(
        "--order", choices=["rank", "source"], default="rank", help="longest first, or as the sources stood"
    )
    option(
        "--output", required=True, metavar="FILE", help=".jsonl for lines, .json for an array; - for stdout"
    )
    add_storage(parser)


def run(args: argparse.Namespace) -> int:
    """Read the release's shards and write the file; it appears whole or not at all."""
    if args.json and args.output == STDOUT:
        raise InvalidInput("--json and --output - would both write to standard output", field="--json")
    with client(args) as services, open_storage(storage_url(args)) as storage:
        release = services.get_release(pipeline(args), args.release)
        if release.state != Release.STATE_FINAL:
            raise Refused(f"release {release.id} is not final yet; wait for it, or name another")
        rows = [row for row in release_rows(storage, release) if args.split in {"all", row["split"]}]
    rows.sort(key=_in_order(release, args.order))
    _write(rows, args.format, args.output)
    told = {
        "release": release.id,
        "content_hash": release.content_hash,
        "rows": len(rows),
        "file": args.output,
    }
    if args.output != STDOUT:
        show(args, told, lambda: f"{len(rows):,} rows of release {release.id} written to {args.output}")
    return 0


def alpaca(row: Row) -> dict[str, Any]:
    """Stanford Alpaca's fields."""
    return {"instruction": row["instruction"], "input": row["input"], "output": row["response"]}


def sharegpt(row: Row) -> dict[str, Any]:
    """ShareGPT's conversation of one turn."""
    turns = [{"from": "human", "value": _question(row)}, {"from": "gpt", "value": row["response"]}]
    return {"id": row["row_id"], "conversations": turns}


def messages(row: Row) -> dict[str, Any]:
    """Chat messages, as chat templates and TRL take them."""
    turns = [
        {"role": "user", "content": _question(row)},
        {"role": "assistant", "content": row["response"]},
    ]
    return {"messages": turns}


def longform(row: Row) -> dict[str, Any]:
    """The fields of LongForm's published records (arXiv 2304.08460): subset is how the instruction came about."""
    subset = f"reverse instruction ({row['style']})" if row["style"] else "pair"
    return {"input": _question(row), "output": row["response"], "source": row["source"], "subset": subset}


FORMATS: dict[str, Callable[[Row], dict[str, Any]]] = {
    "alpaca": alpaca,
    "sharegpt": sharegpt,
    "messages": messages,
    "longform": longform,
}


def _question(row: Row) -> str:
    return f"{row['instruction']}\n\n{row['input']}" if row["input"] else str(row["instruction"])


def _in_order(release: Release, order: str) -> Callable[[Row], tuple[Any, ...]]:
    if order == "rank":
        return lambda row: (row["rank"],)
    sources = json.loads(release.revision.document or "{}").get("sources", [])
    places = {name: place for place, name in enumerate(sources)}

    def in_source(row: Row) -> tuple[Any, ...]:
        index = row["source_index"]
        return places.get(row["source"], len(places)), row["source"], index is None, index or 0, row["rank"]

    return in_source


def _write(rows: Sequence[Row], format: str, output: str) -> None:
    if output == STDOUT:
        if format == "parquet":
            raise InvalidInput("Parquet needs a file: --output FILE.parquet", field="--output")
        sys.stdout.writelines(_lines(map(FORMATS[format], rows)))
        return
    path = Path(output)
    wanted = {".parquet"} if format == "parquet" else {".json", ".jsonl"}
    if path.suffix not in wanted:
        raise InvalidInput(
            f"the format {format} is written as {' or '.join(sorted(wanted))}", field="--output"
        )
    with whole(path) as draft:
        if format == "parquet":
            pq.write_table(pa.Table.from_pylist(list(rows)), draft, compression="zstd")
        else:
            texts = _lines if path.suffix == ".jsonl" else _array
            with draft.open("w", encoding="utf-8") as file:
                file.writelines(texts(map(FORMATS[format], rows)))


def _lines(rows: Iterable[dict[str, Any]]) -> Iterator[str]:
    return (json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def _array(rows: Iterable[dict[str, Any]]) -> Iterator[str]:
    between = "[\n"
    for row in rows:
        yield between + json.dumps(row, ensure_ascii=False)
        between = ",\n"
    yield "[]\n" if between == "[\n" else "\n]\n"
