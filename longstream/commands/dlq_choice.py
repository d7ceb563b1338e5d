"""Which dead letters a command is about: named by their ids, or by what they have in common."""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator
from datetime import datetime

from longstream.bus import Bus, Record
from longstream.dead_letter_search import Filter, scan
from longstream.dead_letters import Letter, letter_of
from longstream.errors import InvalidInput
from longstream.topics import DEAD_LETTERS, READERS

_AGO = re.compile(r"(\d+)([smhd])", re.ASCII)
_SECONDS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}
_NAMES = ("topic", "reason", "since", "until", "key", "id", "match")


def add_filters(parser: argparse.ArgumentParser) -> None:
    """The options that say which letters are meant; several narrow the choice."""
    option = parser.add_argument_group("which letters").add_argument
    option("--topic", action="append", metavar="NAME", help="whose records they were; repeatable")
    option("--reason", action="append", metavar="NAME", help="such as invalid_input; repeatable")
    option("--since", metavar="TIME", help="written then or later: 2026-03-01T12:00, or 2h or 7d ago")
    option("--until", metavar="TIME", help="written before that")
    option("--key", metavar="TEXT", help="the record's key, as `show` prints it")
    option("--id", metavar="TEXT", help="an id in the record begins so: example, row, request, external")
    option("--match", metavar="TEXT", help="stands in the error's message")


def filter_of(args: argparse.Namespace, now_ms: int) -> Filter:
    """What the options ask for. Raises InvalidInput."""
    return Filter(
        topics=frozenset(_topic(name) for name in args.topic or ()),
        reasons=frozenset(args.reason or ()),
        since_ms=None if args.since is None else time_ms(args.since, now_ms),
        until_ms=None if args.until is None else time_ms(args.until, now_ms),
        key=args.key or "",
        identifier=args.id or "",
        text=args.match or "",
    )


def is_filtered(args: argparse.Namespace) -> bool:
    """Whether any of the options is given."""
    return any(getattr(args, name) is not None for name in _NAMES)


def matching(bus: Bus, wanted: Filter) -> Iterator[tuple[Letter, Record]]:
    """The letters that the filter admits, topic by topic, oldest first."""
    for record in scan(bus, sorted(wanted.topics) or READERS):
        letter = letter_of(record)
        if wanted.admits(letter, record):
            yield letter, record


def time_ms(text: str, now_ms: int) -> int:
    """A time in milliseconds since 1970: ISO 8601, without a zone by this machine's clock; or so long before now."""
    ago = _AGO.fullmatch(text)
    if ago is not None:
        return now_ms - int(ago[1]) * _SECONDS[ago[2]] * 1_000
    try:
        return int(datetime.fromisoformat(text).timestamp() * 1_000)
    except (ValueError, OverflowError, OSError):
        raise InvalidInput(f"{text!r} is no time; write 2026-03-01T12:00, or 30m, 2h or 7d ago") from None


def _topic(name: str) -> str:
    topic = name.removesuffix(DEAD_LETTERS)
    if topic not in READERS:
        raise InvalidInput(f"{name} has no dead letters; {', '.join(READERS)} have")
    return topic
