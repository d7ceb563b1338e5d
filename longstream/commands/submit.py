"""`longstream submit`: files and folders into the stream, with a running account of what was accepted."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import chain, groupby
from pathlib import Path
from typing import Any, cast

from longstream.client import Client, SubmitReport
from longstream.commands.common import Subparsers, client, remote_command, show
from longstream.commands.diverse import Chosen, choose, wish_of
from longstream.commands.preparing import add_preparation, add_reading, origin_of, preparation_of
from longstream.commands.rejections import Rejections
from longstream.commands.terminal import TerminalLine
from longstream.data import Document, Item, Pair, Rejected, open_source
from longstream.data.preparing import prepared
from longstream.errors import InvalidInput, SuiteError

_NO_INSTRUCTION = {
    "reason": "no_instruction",
    "message": "it brings no instruction; leave --pairs out to have one written",
}


def register(subparsers: Subparsers) -> None:
    """Add the command."""
    parser = remote_command(subparsers, "submit", run, "send documents or instruction-response pairs")
    option = parser.add_argument
    option("paths", type=Path, nargs="+", metavar="PATH", help="a file, or a folder of texts")
    add_reading(parser)
    add_preparation(parser)
    option("--pairs", action="store_true", help="refuse records that bring no instruction")
    option(
        "--select",
        default="",
        metavar="diverse:N",
        help="of all documents send the N nearest to centres of k-means",
    )
    option(
        "--seed",
        type=int,
        default=0,
        metavar="S",
        help="of all draws: --select, --paragraphs, --most, a format's templates (%(default)s)",
    )
    option(
        "--per-site", type=int, default=0, metavar="N", help="of --select: at most N of one site (any number)"
    )


def run(args: argparse.Namespace) -> int:
    """Send everything; 2 if there was something and nothing of it was accepted, else 0."""
    account = Account(TerminalLine(sys.stderr))
    origin, preparation = origin_of(args), preparation_of(args)
    wish = wish_of(args.select, args.seed, args.per_site)
    if wish is not None and args.pairs:
        raise InvalidInput("--select is for documents, which --pairs refuses", field="--select")

    def read() -> list[Iterator[Item]]:
        opened = [open_source(path, args.format, origin=origin) for path in args.paths]
        return [prepared(items, preparation) for items in opened]

    sources = read()
    try:
        with client(args) as services:
            if wish is not None:
                account.chosen = choose(services, lambda: chain.from_iterable(read()), wish, account.terminal)
            for path, items in zip(args.paths, sources, strict=True):
                wanted = items if account.chosen is None else account.chosen.take(items)
                submit(services, readable(wanted, path, account, pairs=args.pairs), account)
    except SuiteError:
        print(f"stopped after {account.so_far} accepted; the same again doubles nothing", file=sys.stderr)
        raise
    finally:
        account.terminal.clear()
    show(args, account.document(), account.text)
    return 0 if account.accepted or not account.rejections.total else 2


@dataclass(slots=True)
class Account:
    """What became of everything that was read, here and by the service; told on the terminal as it goes."""

    terminal: TerminalLine = field(default_factory=TerminalLine)
    accepted: int = 0
    rejections: Rejections = field(default_factory=Rejections)
    bytes: int = 0
    began_s: float = field(default_factory=time.monotonic)
    chosen: Chosen | None = None
    acknowledged: int = 0
    """Of what was sent, all that a service has answered for, accepted or not."""
    skipped: int = 0
    """Acknowledged in an earlier run."""
    prefix: str = ""
    """Stands before the line of the terminal."""
    heard: Callable[[], None] | None = None
    """Called when more was acknowledged."""
    _current: SubmitReport = field(default_factory=SubmitReport)

    @property
    def so_far(self) -> int:
        """Accepted records, those of the submission under way included."""
        return self.accepted + self._current.accepted

    def progress(self, report: SubmitReport) -> None:
        """Show the report so far."""
        self._hear(report)
        self._current = report
        self.terminal.show(lambda: self.prefix + self._line())

    def add(self, report: SubmitReport) -> None:
        """Count a finished submission."""
        self._hear(report)
        self._current = SubmitReport()
        self.accepted += report.accepted
        self.bytes += report.bytes
        for rejection in report.rejections:
            fact: dict[str, Any] = {"record": rejection.index, "message": rejection.message}
            if rejection.external_id:
                fact["external_id"] = rejection.external_id
            self.rejections.add(rejection.reason, fact)
        if untold := report.rejected - len(report.rejections):
            self.rejections.reasons["not told one by one"] += untold

    def _hear(self, report: SubmitReport) -> None:
        more = report.accepted + report.rejected - self._current.accepted - self._current.rejected
        self.acknowledged += more
        if self.heard is not None:
            self.heard()

    def document(self) -> dict[str, Any]:
        """The account as plain values."""
        seconds = round(time.monotonic() - self.began_s, 3)
        skipped = {"skipped": self.skipped} if self.skipped else {}
        chosen = {} if self.chosen is None else {"chosen": self.chosen.document()}
        return {
            "accepted": self.accepted,
            **self.rejections.document(),
            **chosen,
            **skipped,
            "seconds": seconds,
        }

    def text(self) -> str:
        """The account for people."""
        chosen = [] if self.chosen is None else [self.chosen.text()]
        skipped = [f"{self.skipped:,} were accepted before"] if self.skipped else []
        return "\n".join([*chosen, self._line(), *skipped, *self.rejections.lines()])

    def _line(self) -> str:
        seconds = max(time.monotonic() - self.began_s, 1e-9)
        accepted = self.so_far
        rejected = self.rejections.total + self._current.rejected
        rate, megabytes = accepted / seconds, (self.bytes + self._current.bytes) / 1e6
        return f"{accepted:,} accepted, {rejected:,} rejected, {rate:,.0f} per second, {megabytes:,.1f} MB"


def submit(services: Client, items: Iterable[Document | Pair], account: Account) -> None:
    """Send documents and pairs, each by its own call, in the order in which they come."""
    for kind, group in groupby(items, key=type):
        if kind is Document:
            report = services.submit_documents(cast("Iterator[Document]", group), account.progress)
        else:
            report = services.submit_pairs(cast("Iterator[Pair]", group), account.progress)
        account.add(report)


def readable(
    items: Iterable[Item], path: str | Path, account: Account, *, pairs: bool
) -> Iterator[Document | Pair]:
    """What can be sent; the rest is counted. pairs: whether documents belong to the rest."""
    for item in items:
        if isinstance(item, Rejected):
            account.rejections.unusable(path, item)
        elif pairs and isinstance(item, Document):
            account.rejections.unusable(path, Rejected(source_index=item.source_index, **_NO_INSTRUCTION))
        else:
            yield item
