"""`longstream topics diff|apply`: the log's topics as `longstream/topics.py` says they should be."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import asdict, replace

from longstream.bus import Topic, TopicChange
from longstream.commands.common import Subparsers, columns
from longstream.commands.resources import add_bus_options, add_layout_options, count, layout, opened_bus
from longstream.topics import topics

_ABOUT = (
    "Create the suite's topics and take over their settings. Safe to run again; a change that would break "
    "what lies in them is refused, and then nothing is changed."
)
_DIFF = "Tell what `apply` would do. The exit status is 0 if that is nothing, else 1."
_COPIES = "of each partition (three, or as many as there are brokers); a topic that exists keeps its copies"


def register(subparsers: Subparsers) -> None:
    """Add the commands."""
    parser = subparsers.add_parser("topics", help="create and check the log's topics", description=_ABOUT)
    acts = parser.add_subparsers(metavar="ACT", required=True)
    for name, run, about in (("diff", _diff, _DIFF), ("apply", _apply, _ABOUT)):
        act = acts.add_parser(name, help=about, description=about)
        act.set_defaults(run=run)
        add_bus_options(act)
        add_layout_options(act)
        act.add_argument("--copies", type=count, default=0, metavar="N", help=_COPIES)
        act.add_argument("--json", action="store_true", help="print JSON")


def _diff(args: argparse.Namespace) -> int:
    with opened_bus(args) as bus:
        changes = bus.topic_changes(_wanted(args))
    _print(args, changes, "every topic is as it should be")
    return 1 if any(change.kind != "note" for change in changes) else 0


def _apply(args: argparse.Namespace) -> int:
    wanted = _wanted(args)
    with opened_bus(args) as bus:
        changes = bus.topic_changes(wanted)
        bus.create_topics(wanted)
    _print(args, changes, "nothing to do: every topic is as it should be")
    return 0


def _wanted(args: argparse.Namespace) -> list[Topic]:
    return [replace(topic, copies=args.copies) for topic in topics(layout(args))]


def _print(args: argparse.Namespace, changes: Sequence[TopicChange], none: str) -> None:
    if args.json:
        print(json.dumps([asdict(change) for change in changes], indent=2))
    elif changes:
        print(columns(("TOPIC", "ACT", "WHAT"), [(c.topic, c.kind, c.text) for c in changes]))
    else:
        print(none)
