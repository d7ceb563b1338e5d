"""`longstream sweep`: remove stored objects that no record names any more; to be run every so often."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from datetime import UTC, datetime, timedelta

from longstream.commands.common import Subparsers
from longstream.commands.resources import (
    add_bus_options,
    add_storage_options,
    opened_bus,
    opened_storage,
)
from longstream.sweep import Swept, least_grace, sweep

_ABOUT = (
    "Remove stored objects that no record of the log names and that are older than the grace. Safe beside a "
    "running suite and safe to repeat. A storage belongs to one log: name the two that belong together."
)
_GRACE = "since an object was last stored (%(default)g); longer than the longest retention of the topics"
_SHOWN = 20


def register(subparsers: Subparsers) -> None:
    """Add the command."""
    parser = subparsers.add_parser(
        "sweep", help="remove stored objects that nothing names", description=_ABOUT
    )
    parser.set_defaults(run=run)
    add_bus_options(parser)
    add_storage_options(parser)
    days = (least_grace() + timedelta(days=1)) // timedelta(days=1)
    parser.add_argument("--grace-days", type=_days, default=days, metavar="N", help=_GRACE)
    parser.add_argument("--dry-run", action="store_true", help="only say what would be removed")
    parser.add_argument("--json", action="store_true", help="print JSON")


def _days(text: str) -> float:
    try:
        days = float(text)
        timedelta(days=days)
    except (ValueError, OverflowError):
        raise argparse.ArgumentTypeError(f"must be a number of days, not {text!r}") from None
    return days


def run(args: argparse.Namespace) -> int:
    """Sweep once; 0 also if there was nothing to remove."""
    grace = timedelta(days=args.grace_days)
    with opened_bus(args) as log, opened_storage(args) as storage:
        swept = sweep(log, storage, grace=grace, now=datetime.now(UTC), dry_run=args.dry_run)
    if args.json:
        print(json.dumps({**asdict(swept), "dry_run": args.dry_run}, indent=2))
    else:
        print(_text(swept, args.grace_days, args.dry_run))
    return 0


def _text(swept: Swept, grace_days: float, dry_run: bool) -> str:
    done = "would be removed" if dry_run else "removed"
    lines = [
        f"{swept.objects:,} objects: {swept.named:,} named, {swept.young:,} named by nothing but younger than "
        f"{grace_days:g} days, {swept.removed:,} {done} ({swept.bytes:,} bytes)"
    ]
    if swept.missing:
        lines.append(f"{len(swept.missing):,} are named but not in storage:")
        lines += [f"  {address} by {place}" for address, place in list(swept.missing.items())[:_SHOWN]]
    if len(swept.missing) > _SHOWN:
        lines.append(f"  and {len(swept.missing) - _SHOWN:,} more; --json tells all")
    return "\n".join(lines)
