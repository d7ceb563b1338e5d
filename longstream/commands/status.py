"""`longstream status`: every stage of a running suite, once or live."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import datetime

from rich.console import Console
from rich.live import Live

from longstream.client import Patience
from longstream.commands.common import Subparsers, add_pipeline, client, remote_command, show, where
from longstream.health import ask_health
from longstream.status import StatusReader, SuiteStatus
from longstream.status_screen import screen

_QUICK = Patience(call_s=3.0)
"""A service that is busy or gone must not hold the screen."""
_PLAIN_WIDTH = 160


def register(subparsers: Subparsers) -> None:
    """Add the command."""
    parser = remote_command(subparsers, "status", run, "show what every stage does")
    add_pipeline(parser)
    parser.add_argument("--watch", action="store_true", help="stay and follow, until Ctrl-C")
    parser.add_argument("--every-s", type=float, default=1.0, metavar="S", help="with --watch (%(default)s)")


def run(args: argparse.Namespace) -> int:
    """Show the status; 0 whatever it says, so that a starting suite is no error."""
    found = where(args)
    pipelines = (args.pipeline,) if args.pipeline else found.pipelines
    with client(args, _QUICK) as services:
        reader = StatusReader(services, found.addresses, ask_health=ask_health, now_s=time.time)
        if not args.watch:
            status = reader.read(pipelines)
            show(args, status.document(), lambda: _plain(status))
            return 0
        with suppress(KeyboardInterrupt):
            _follow(args, lambda: reader.read(pipelines))
    return 0


def _follow(args: argparse.Namespace, read: Callable[[], SuiteStatus]) -> None:
    console = Console()
    if args.json:
        for status in _changes(read, args.every_s):
            print(json.dumps(status.document(), ensure_ascii=False), flush=True)
    elif not console.is_terminal:
        for status in _changes(read, args.every_s):
            print(_plain(status), flush=True)
    else:
        with Live(console=console, auto_refresh=False, vertical_overflow="visible") as live:
            while True:
                live.update(screen(read(), datetime.now()), refresh=True)
                time.sleep(args.every_s)


def _changes(read: Callable[[], SuiteStatus], every_s: float) -> Iterator[SuiteStatus]:
    last = None
    while True:
        status = read()
        if status != last:
            last = status
            yield status
        time.sleep(every_s)


def _plain(status: SuiteStatus) -> str:
    console = Console(file=sys.stdout, width=None if sys.stdout.isatty() else _PLAIN_WIDTH)
    with console.capture() as capture:
        console.print(screen(status, datetime.now()))
    return "\n".join(line.rstrip() for line in capture.get().splitlines())
