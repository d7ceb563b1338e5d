"""What the instructor's file commands read, and what holds for all of it."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

from longstream.commands.preparing import add_reading, origin_of
from longstream.data import Document, Item, Pair, open_source
from longstream.data.preparing import Preparation, prepared

ENGINE_PREFIX = "INSTRUCTOR_ENGINE_"
"""The engine's knobs are those of the service, from the same variables."""


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
