"""`longstream cut`: asks a pipeline's owner for a release, and can wait until it is final."""

from __future__ import annotations

import argparse
import sys

from longstream.client import Client
from longstream.commands.common import Subparsers, add_pipeline, client, pipeline, remote_command, show
from longstream.status import plain
from longstream.v1.records_pb2 import Release


def register(subparsers: Subparsers) -> None:
    """Add the command."""
    parser = remote_command(subparsers, "cut", run, "cut a release of what is kept now")
    add_pipeline(parser)
    parser.add_argument("--wait", action="store_true", help="until the release is final")
    parser.add_argument("--timeout-s", type=float, metavar="S", help="with --wait: at most so long")


def run(args: argparse.Namespace) -> int:
    """Cut, follow the release if wanted, print it."""
    name = pipeline(args)
    with client(args) as services:
        release = services.cut_release(name)
        if args.wait:
            release = _final(services, release, args.timeout_s)
    show(args, plain(release), lambda: describe(release))
    return 0


def _final(services: Client, release: Release, timeout_s: float | None) -> Release:
    for seen in services.watch_releases(release.pipeline, timeout_s):
        if seen.id != release.id:
            continue
        if seen.state == Release.STATE_FINAL:
            return seen
        print(describe(seen), file=sys.stderr)
    raise AssertionError("a watch without a final release ends with an error")


def describe(release: Release) -> str:
    """A release in one line."""
    state = Release.State.Name(release.state).removeprefix("STATE_").lower()
    refused = sum(release.refused.values())
    parts = [f"release {release.id} {state}", f"{release.rows_ready:,} of {release.rows_wanted:,} rows"]
    parts += [f"{refused:,} refused"] if refused else []
    if release.state == Release.STATE_FINAL:
        parts.append("exact" if release.exact else "not exact")
        parts += ["short"] if release.short else []
        parts.append(f"content {release.content_hash}")
    return ", ".join(parts)
