"""What a file command reads, where it writes, and where it tells what became of it all."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import datetime
from pathlib import Path
from typing import Any, TextIO

from longstream.commands.preparing import add_reading, origin_of
from longstream.data import Document, Item, Pair, open_source
from longstream.data.preparing import Preparation, prepared
from longstream.data.whole import STDOUT, whole
from longstream_instructor.commands.account import Account


def add_inputs(parser: argparse.ArgumentParser, what: str) -> None:
    """Paths, and what holds for all that is in them."""
    option = parser.add_argument
    option("paths", type=Path, nargs="+", metavar="PATH", help=what)
    add_reading(parser)
    option("--output", required=True, metavar="FILE", help="JSON lines; - for standard output")
    option("--json", action="store_true", help="print the account as JSON")


def items(args: argparse.Namespace, preparation: Preparation) -> Iterator[tuple[Path, Item]]:
    """Every record of every path, prepared, with the path that it came from."""
    opened = [(path, open_source(path, args.format, origin=origin_of(args))) for path in args.paths]
    for path, found in opened:
        for item in prepared(found, preparation):
            yield path, item


def about(item: Document | Pair) -> dict[str, Any]:
    """Where a record comes from, as fields of the line that is written for it."""
    fields: dict[str, Any] = {
        "id": item.external_id,
        "source": item.source,
        "source_index": item.source_index,
        "licence": item.licence,
        "provenance": dict(item.provenance),
        "event_time": item.time.isoformat() if isinstance(item.time, datetime) else None,
    }
    return {name: value for name, value in fields.items() if value not in ("", None, {})}


def opened(args: argparse.Namespace, files: ExitStack) -> TextIO:
    """The output, to be whole or absent once files are closed."""
    return sys.stdout if args.output == STDOUT else opened_file(Path(args.output), files)


def opened_file(path: Path, files: ExitStack) -> TextIO:
    """A text file to be whole or absent once files are closed."""
    return files.enter_context(files.enter_context(whole(path)).open("w", encoding="utf-8"))


def tell(args: argparse.Namespace, account: Account) -> None:
    """Print the account, where no output goes."""
    out = sys.stderr if args.output == STDOUT else sys.stdout
    print(json.dumps(account.document()) if args.json else account.text(), file=out)


def line(fields: dict[str, Any]) -> str:
    """One line of JSON."""
    return json.dumps(fields, ensure_ascii=False) + "\n"
