"""What the remote commands share: where the suite is, which pipeline is meant, and how facts are printed."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC
from pathlib import Path
from typing import Any, TypeAlias

from google.protobuf.timestamp_pb2 import Timestamp

from longstream.client import Addresses, Client, Patience
from longstream.errors import InvalidInput, NotFound
from longstream.suite import DEFAULT_DATA, ORDER, read_suite

Subparsers: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"
"""What a command registers itself with; its parser's default `run` takes the arguments and returns the
status."""
Run: TypeAlias = Callable[[argparse.Namespace], int]

_ADDRESS = "where a service answers, if the suite was not started on this machine; repeatable"


@dataclass(frozen=True, slots=True)
class Where:
    """The services' addresses by name, and the pipelines that the suite is known to run."""

    addresses: dict[str, str]
    pipelines: tuple[str, ...]


def remote_command(subparsers: Subparsers, name: str, run: Run, help: str) -> argparse.ArgumentParser:
    """Add a command that talks to a running suite, with the options that all of them have."""
    parser = subparsers.add_parser(name, help=help, description=help)
    parser.set_defaults(run=run)
    option = parser.add_argument
    option("--data", type=Path, default=DEFAULT_DATA, help="folder of `longstream up` (%(default)s)")
    add_address(parser)
    option("--json", action="store_true", help="print JSON")
    return parser


def add_address(parser: argparse.ArgumentParser) -> None:
    """The option that says where services answer."""
    parser.add_argument("--address", action="append", default=[], metavar="SERVICE=HOST:PORT", help=_ADDRESS)


def add_pipeline(parser: argparse.ArgumentParser) -> None:
    """The option that names a pipeline."""
    parser.add_argument("--pipeline", metavar="NAME", default="", help="needed where the suite runs several")


def add_storage(parser: argparse.ArgumentParser) -> None:
    """The option that says where objects lie."""
    parser.add_argument("--storage", metavar="URL", help="object store (file:// and `objects` under --data)")


def storage_url(args: argparse.Namespace) -> str:
    """The storage that --storage names, or that of the suite under --data."""
    return str(args.storage or (args.data.resolve() / "objects").as_uri())


def where(args: argparse.Namespace) -> Where:
    """Where the suite is: from its data folder, or from --address. Raises NotFound, InvalidInput."""
    given = addresses(args)
    try:
        suite = read_suite(args.data)
    except NotFound:
        if not given:
            raise
        return Where(given, ())
    return Where(suite.addresses | given, suite.pipelines)


def addresses(args: argparse.Namespace) -> dict[str, str]:
    """What --address told, by service. Raises InvalidInput."""
    return dict(_address(text) for text in args.address)


def _address(text: str) -> tuple[str, str]:
    service, _, address = text.partition("=")
    if service not in ORDER or not address:
        names = ", ".join(ORDER)
        raise InvalidInput(f"--address is SERVICE=HOST:PORT with a service of {names}, not {text!r}")
    return service, address


def client(args: argparse.Namespace, patience: Patience | None = None) -> Client:
    """A client of the services of the suite that the arguments name, and of no others."""
    known = dict.fromkeys(ORDER, "") | where(args).addresses
    return Client(Addresses(**known), patience=patience)


def pipeline(args: argparse.Namespace) -> str:
    """The pipeline that the arguments name, or the suite's only one. Raises InvalidInput."""
    if args.pipeline:
        return str(args.pipeline)
    known = where(args).pipelines
    if len(known) == 1:
        return known[0]
    raise InvalidInput(f"name one with --pipeline{': ' + ', '.join(known) if known else ''}")


def show(args: argparse.Namespace, document: Any, text: Callable[[], str]) -> None:
    """Print the document as JSON if --json was given, or else the text."""
    print(json.dumps(document, indent=2, ensure_ascii=False) if args.json else text())


def columns(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A plain table, never cut, so that ids can be copied from it."""
    lines = [tuple(heads), *map(tuple, rows)]
    widths = [max(len(line[place]) for line in lines) for place in range(len(heads))]
    return "\n".join("  ".join(map(str.ljust, line, widths)).rstrip() for line in lines)


def moment(time: Timestamp) -> str:
    """A time as the reader's clock shows it; empty if it is not set."""
    if not time.seconds:
        return ""
    return time.ToDatetime(tzinfo=UTC).astimezone().strftime("%Y-%m-%d %H:%M:%S")
