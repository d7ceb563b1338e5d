"""`longstream`: remote commands of its own, and the file commands that installed services bring along.

A service registers file commands by an entry point of the group `longstream.commands`, a function that gets
argparse's subparsers; a command's parser sets the default `run`, which takes the parsed arguments and returns
the exit status. They are loaded only when they are needed: by `--help`, or by a command that is none of the
remote ones.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from importlib.metadata import EntryPoint, entry_points
from types import ModuleType

from longstream.commands import (
    costs,
    cut,
    dlq,
    doctor,
    examples,
    export,
    ingest,
    lineage,
    listing,
    report,
    sizing,
    status,
    submit,
    sweep,
    topics,
    up,
)
from longstream.commands.common import Subparsers
from longstream.errors import InvalidInput, SuiteError, Unavailable

GROUP = "longstream.commands"
"""Entry points of file commands."""
REMOTE: tuple[ModuleType, ...] = (
    up,
    status,
    submit,
    ingest,
    cut,
    listing,
    costs,
    lineage,
    examples,
    export,
    report,
    topics,
    dlq,
    sweep,
    doctor,
    sizing,
)

USAGE, RETRYABLE, FAILED, INTERRUPTED = 2, 75, 1, 130
"""Exit statuses: wrong usage or input; worth a retry (EX_TEMPFAIL); any other failure; Ctrl-C."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; returns the exit status. Every failure is one line on stderr that says what to do."""
    words = list(sys.argv[1:] if argv is None else argv)
    args = None
    try:
        args = _parser(words, tuple(entry_points(group=GROUP))).parse_args(words)
        return int(args.run(args))
    except SuiteError as error:
        return _failed(error, remote=hasattr(args, "address"))
    except BrokenPipeError:
        # Whoever read our output has enough of it; the interpreter must not complain when it flushes.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    except OSError as error:
        where = f": {error.filename}" if error.filename else ""
        print(f"longstream: {error.strerror or error}{where}", file=sys.stderr)
        return FAILED
    except KeyboardInterrupt:
        return INTERRUPTED


def _failed(error: SuiteError, *, remote: bool) -> int:
    hint = ""
    if remote and isinstance(error, Unavailable):
        hint = " (is the suite running? `longstream status` tells)"
    print(f"longstream: {error.message}{hint}", file=sys.stderr)
    if isinstance(error, InvalidInput):
        return USAGE
    return RETRYABLE if error.retryable else FAILED


def _parser(words: Sequence[str], entries: Sequence[EntryPoint]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="longstream", description="Documents in, better models out.")
    subparsers = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for module in REMOTE:
        module.register(subparsers)
    remote = tuple(subparsers.choices)
    if not words or words[0] not in remote:
        for entry in entries:
            _register(entry, subparsers)
        own = tuple(subparsers.choices)[len(remote) :]
        parser.epilog = f"These work on files and need no running suite: {', '.join(own)}." if own else None
    return parser


def _register(entry: EntryPoint, subparsers: Subparsers) -> None:
    """Let a service add its commands. What it brings is another program's code, so whatever it raises is
    told."""
    try:
        entry.load()(subparsers)
    except Exception as error:
        what = f"{type(error).__name__}: {error}"
        print(f"longstream: the file commands of {entry.name} cannot be used ({what})", file=sys.stderr)
