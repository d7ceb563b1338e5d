"""`longstream dlq`: what could not be worked on, why, and what shall become of it. Works on the log itself."""

from __future__ import annotations

import argparse
import getpass
import heapq
import os
import socket
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from longstream.bodies import ELSEWHERE
from longstream.bodies_bus import BodiesBus
from longstream.bus import Bus, Position, Record
from longstream.commands import dlq_text
from longstream.commands.common import Run, Subparsers
from longstream.commands.dlq_choice import add_filters, filter_of, is_filtered, matching
from longstream.commands.resources import (
    add_bus_options,
    add_storage_options,
    count,
    opened_bus,
    opened_storage,
)
from longstream.dead_letter_replay import Replayer
from longstream.dead_letter_search import fetch
from longstream.dead_letter_settle import Report, Wish, foresee, settle
from longstream.dead_letters import Letter, letter_of, position_of
from longstream.errors import InvalidInput, NotFound, Refused
from longstream.settlements import settlements
from longstream.v1.records_pb2 import Settlement

_SOME_REFUSED = 1


def register(subparsers: Subparsers) -> None:
    """Add the command and what it can do."""
    what = "look at dead letters, replay them or drop them"
    acts = subparsers.add_parser("dlq", help=what, description=what).add_subparsers(
        title="commands", metavar="COMMAND", required=True
    )
    listing = _command(acts, "list", _list, "list the open ones, newest first")
    add_filters(listing)
    listing.add_argument("--all", action="store_true", help="also those that were replayed or dropped")
    listing.add_argument("--limit", type=count, default=20, metavar="N", help="at most so many (%(default)s)")
    show = _command(acts, "show", _show, "show one with its headers and its value")
    show.add_argument("id", metavar="LETTER", help="as `list` names it")
    show.add_argument("--raw", action="store_true", help="only the value's bytes, as they came")
    replay = _settling(acts, "replay", _replay, "write records again to where they came from")
    replay.add_argument("--again", action="store_true", help="also what was replayed or dropped before")
    replay.add_argument("--why", default="", metavar="TEXT", help="kept with the letter")
    drop = _settling(acts, "drop", _drop, "settle letters without replaying them")
    drop.add_argument("--why", required=True, metavar="TEXT", help="kept with the letter")


def _command(acts: Subparsers, name: str, run: Run, what: str) -> argparse.ArgumentParser:
    parser = acts.add_parser(name, help=what, description=what)
    parser.set_defaults(run=run)
    add_bus_options(parser)
    add_storage_options(parser)
    parser.add_argument("--json", action="store_true", help="print JSON")
    return parser


def _settling(acts: Subparsers, name: str, run: Run, what: str) -> argparse.ArgumentParser:
    parser = _command(acts, name, run, what)
    parser.add_argument("ids", nargs="*", metavar="LETTER", help="or choose by the options below")
    add_filters(parser)
    parser.add_argument("--limit", type=count, metavar="N", help="the oldest N of them")
    parser.add_argument("--dry-run", action="store_true", help="say what would be done")
    parser.add_argument("--yes", action="store_true", help="do not ask before what was chosen by options")
    return parser


@contextmanager
def _opened(args: argparse.Namespace) -> Iterator[Bus]:
    """The log, with the values that lie in storage. Without a storage, those values stay where they are."""
    with opened_bus(args) as log, ExitStack() as opened:
        try:
            storage = opened.enter_context(opened_storage(args))
        except NotFound:
            yield log
        else:
            yield BodiesBus(log, storage)


def _list(args: argparse.Namespace) -> int:
    wanted = filter_of(args, time.time_ns() // 1_000_000)
    reasons: Counter[str] = Counter()
    # A list needs no values, unless it is asked for what stands in them.
    with _opened(args) if args.id else opened_bus(args) as bus:
        settled = settlements(bus)

        def found() -> Iterator[Letter]:
            for letter, _ in matching(bus, wanted):
                if args.all or letter.id not in settled:
                    reasons[letter.reason] += 1
                    yield letter

        newest = heapq.nlargest(args.limit, found(), key=lambda letter: letter.time_ms)
    if args.json:
        letters = [dlq_text.letter_document(letter, settled.get(letter.id)) for letter in newest]
        print(dlq_text.json_text({"found": reasons.total(), "reasons": reasons, "letters": letters}))
        return 0
    if newest:
        print(dlq_text.letter_table([(one, settled.get(one.id)) for one in newest], with_state=args.all))
    print(dlq_text.reasons_line(reasons, "in all" if args.all else "open"))
    if len(newest) < reasons.total():
        print(f"{len(newest):,} are shown; --limit shows more")
    return 0


def _show(args: argparse.Namespace) -> int:
    with _opened(args) as bus:
        record = next(fetch(bus, [position_of(args.id)]), None)
        if record is None:
            raise NotFound(f"no letter lies at {args.id}; the log keeps letters for 30 days")
        if args.raw:
            _check_value(record)
            sys.stdout.buffer.write(record.value or b"")
            sys.stdout.flush()
            return 0
        letter, settled = letter_of(record), settlements(bus).get(args.id)
        replay = _why_not(bus, record, settled)
    if args.json:
        print(dlq_text.json_text(dlq_text.whole_document(record, letter, settled, replay)))
    else:
        print(dlq_text.letter_text(record, letter, settled, replay))
    return 0


def _check_value(record: Record) -> None:
    if record.fault is not None:
        raise record.fault
    if record.value == ELSEWHERE:
        raise NotFound("the value lies in storage, and which one that is was not found; name it by --storage")


def _why_not(bus: Bus, record: Record, settled: Settlement | None) -> str:
    try:
        Replayer(bus).output(record, settled)
    except Refused as refusal:
        return refusal.message
    return ""


def _replay(args: argparse.Namespace) -> int:
    wish = Wish(outcome=Settlement.OUTCOME_REPLAYED, by=_operator(), why=args.why, again=args.again)
    return _settle(args, wish, "replay")


def _drop(args: argparse.Namespace) -> int:
    if not args.why.strip():
        raise InvalidInput("--why must say why the letters are dropped")
    return _settle(args, Wish(outcome=Settlement.OUTCOME_DROPPED, by=_operator(), why=args.why), "drop")


def _settle(args: argparse.Namespace, wish: Wish, verb: str) -> int:
    with _opened(args) as bus:
        letters = _chosen(args, bus, wish.again)
        if args.dry_run:
            report = foresee(bus, letters, wish)
            _tell(args, report, f"would be {_past(verb)}", f"would not be {_past(verb)}")
        else:
            if not args.ids and letters:
                _agree(args, f"{verb} {len(letters):,} letter{'s' if len(letters) > 1 else ''}")
            report = Report()
            try:
                if letters:
                    settle(bus, letters, wish, report)
            finally:
                _tell(args, report, _past(verb), f"not {_past(verb)}")
    return _SOME_REFUSED if report.refused else 0


def _past(verb: str) -> str:
    return {"replay": "replayed", "drop": "dropped"}[verb]


def _chosen(args: argparse.Namespace, bus: Bus, again: bool) -> list[Position]:
    if bool(args.ids) == is_filtered(args):
        raise InvalidInput("name letters, or choose them by options such as --topic, and not both")
    if args.ids:
        return list(dict.fromkeys(position_of(text) for text in args.ids))[: args.limit]
    settled = {} if again else settlements(bus)
    wanted = filter_of(args, time.time_ns() // 1_000_000)
    open_ones = [
        (letter.time_ms, letter.id) for letter, _ in matching(bus, wanted) if letter.id not in settled
    ]
    return [position_of(letter) for _, letter in sorted(open_ones)[: args.limit]]


def _agree(args: argparse.Namespace, question: str) -> None:
    """Ask whoever sits there. Raises Refused for a no, InvalidInput if nobody can be asked."""
    if args.yes:
        return
    if not sys.stdin.isatty():
        raise InvalidInput(f"to {question}, add --yes; --dry-run says what would be done")
    print(f"{question}? [y/N] ", end="", file=sys.stderr, flush=True)
    if sys.stdin.readline().strip().lower() not in {"y", "yes"}:
        raise Refused("nothing was done")


def _tell(args: argparse.Namespace, report: Report, done: str, not_done: str) -> None:
    if args.json:
        print(dlq_text.json_text({"done": report.done, "refused": report.refused, "dry_run": args.dry_run}))
    else:
        print(dlq_text.report_text(report, done, not_done))


def _operator() -> str:
    """Who does it, as far as this machine knows."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):
        user = str(os.getuid())
    return f"{user}@{socket.gethostname()}"
