"""`longstream report`: what became of the newest model, as one HTML file."""

from __future__ import annotations

import argparse
from pathlib import Path

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
from longstream.report import told, write_report
from longstream.report.outcome import headline
from longstream.storage import open_storage


def register(subparsers: Subparsers) -> None:
    """Add the command."""
    parser = remote_command(subparsers, "report", run, "write what became of the newest model as HTML")
    add_pipeline(parser)
    parser.add_argument(
        "--out", type=Path, default=Path("longstream-report.html"), metavar="FILE", help="(%(default)s)"
    )
    add_storage(parser)


def run(args: argparse.Namespace) -> int:
    """Write it and tell the outcome; 0 whatever was decided."""
    name = pipeline(args)
    with client(args) as services, open_storage(storage_url(args)) as storage:
        facts = write_report(services, storage, name, args.out)
    _, outcome, reasons = headline(facts)
    document = {"report": str(args.out), "outcome": outcome, "reasons": reasons}
    show(args, document, lambda: f"{told(facts)}\nreport: {args.out}")
    return 0
