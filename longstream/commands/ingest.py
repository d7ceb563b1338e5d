"""`longstream ingest`: whole corpora into the stream, from files and buckets, going on where it was."""

from __future__ import annotations

import argparse
import glob
import json
import os
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Protocol

from longstream.client import Client
from longstream.commands.common import Subparsers, client, remote_command, show
from longstream.commands.preparing import add_preparation, add_reading, origin_of, preparation_of
from longstream.commands.submit import Account, readable, submit
from longstream.commands.terminal import TerminalLine
from longstream.data import Document, Pair, open_source
from longstream.data.preparing import prepared
from longstream.data.whole import whole
from longstream.errors import InvalidInput, NotFound, SuiteError
from longstream.ids import digest
from longstream.storage.s3_settings import s3_settings

if TYPE_CHECKING:  # its client takes long to import
    from longstream.storage.s3_inputs import RemoteFile

_FORMAT = "longstream-ingest/1"
_S3 = "s3://"
_EVERY_S = 1.0
_READING = (
    *("format", "source", "licence", "encoding", "tidy", "scrub", "paragraphs", "min_words", "max_words"),
    *("only_languages", "most", "seed", "pairs"),
)
"""Options that decide which records are read, and in what order."""

_EPILOG = """\
INPUT is a file, a folder, a glob, or s3://BUCKET/KEYS with * in it (LONGSTREAM_S3_* say where). With --state an ingest
that was stopped goes on where it was: what was acknowledged is not sent again, and what changed since is sent anew.
Without it everything is sent again, which doubles nothing.
"""


def register(subparsers: Subparsers) -> None:
    """Add the command."""
    parser = remote_command(subparsers, "ingest", run, "send whole corpora, from files and buckets")
    parser.epilog = _EPILOG
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    option = parser.add_argument
    option("inputs", nargs="+", metavar="INPUT", help="a file, a folder, a glob, or s3://BUCKET/KEYS")
    add_reading(parser)
    add_preparation(parser)
    option("--pairs", action="store_true", help="refuse records that bring no instruction")
    option("--seed", type=int, default=0, metavar="S", help="of all draws (%(default)s)")
    option("--state", type=Path, metavar="FILE", help="keep there how far it has come")


def run(args: argparse.Namespace) -> int:
    """Send everything; 2 if there was something and nothing of it was accepted, else 0."""
    account = Account(TerminalLine(sys.stderr))
    preparation = preparation_of(args)
    state = State.read(args.state, digest("ingest", *(str(getattr(args, name)) for name in _READING)))
    with ExitStack() as stack:
        inputs = _inputs(args.inputs, stack)
        services = stack.enter_context(client(args))
        stack.callback(account.terminal.clear)
        try:
            for number, one in enumerate(inputs, 1):
                place = state.place_of(one)
                if place.done:
                    account.skipped += place.sent
                    continue
                account.prefix = f"{number:,} of {len(inputs):,} inputs, "
                with one.local() as path:
                    items = prepared(open_source(path, args.format, origin=origin_of(args)), preparation)
                    _send(
                        services, readable(items, one.name, account, pairs=args.pairs), account, state, place
                    )
        except SuiteError:
            again = "the same goes on from there" if args.state else "the same again doubles nothing"
            print(f"stopped after {account.so_far} accepted; {again}", file=sys.stderr)
            raise
        finally:
            state.keep()
    show(args, account.document(), account.text)
    return 0 if account.accepted or account.skipped or not account.rejections.total else 2


def _send(
    services: Client, items: Iterator[Document | Pair], account: Account, state: State, place: Place
) -> None:
    """Send what was not acknowledged before; after each call the state knows what is now."""
    before = account.acknowledged - place.sent

    def heard() -> None:
        place.sent = account.acknowledged - before
        state.keep_sometimes()

    already = sum(1 for _ in islice(items, place.sent))
    account.skipped += already
    if already < place.sent:
        raise InvalidInput(
            f"{place.name} has fewer records than were sent of it; remove the state", field="--state"
        )
    account.heard = heard
    submit(services, items, account)
    account.heard = None
    place.done = True
    state.keep()


@dataclass(slots=True)
class Place:
    """How far an input has come. sent: of its records that can be sent, those that were acknowledged."""

    name: str
    version: str
    sent: int = 0
    done: bool = False


@dataclass(slots=True)
class State:
    """What `--state` keeps: written whole, now and then and at the end."""

    path: Path | None
    reading: str
    places: dict[str, Place] = field(default_factory=dict)
    _kept_s: float = 0.0

    @classmethod
    def read(cls, path: Path | None, reading: str) -> State:
        """The state of the file, or a new one. reading: hash of the options that decide what is read.

        Raises InvalidInput for a file of something else, or of other options.
        """
        if path is None or not path.exists():
            return cls(path, reading)
        try:
            document = json.loads(path.read_bytes())
            if document["format"] != _FORMAT:
                raise ValueError(document["format"])
            places = [Place(**one) for one in document["inputs"]]
            told = str(document["reading"])
        except (ValueError, KeyError, TypeError):
            raise InvalidInput(
                f"{path} is no state of an ingest; name another file", field="--state"
            ) from None
        if told != reading:
            raise InvalidInput(
                f"{path} was kept under other options; give the same, or name another file", field="--state"
            )
        return cls(path, reading, {place.name: place for place in places})

    def place_of(self, one: Input) -> Place:
        """How far that input has come; nowhere if its content has changed since."""
        place = self.places.get(one.name)
        if place is None or place.version != one.version:
            place = self.places[one.name] = Place(one.name, one.version)
        return place

    def keep_sometimes(self) -> None:
        """Write it, if that was some time ago."""
        if time.monotonic() - self._kept_s > _EVERY_S:
            self.keep()

    def keep(self) -> None:
        """Write it."""
        if self.path is None:
            return
        self._kept_s = time.monotonic()
        inputs = [
            {"name": one.name, "version": one.version, "sent": one.sent, "done": one.done}
            for one in self.places.values()
        ]
        with whole(self.path) as draft:
            draft.write_text(
                json.dumps({"format": _FORMAT, "reading": self.reading, "inputs": inputs}, indent=1)
            )


class Fetches(Protocol):
    """What brings an object of a bucket here."""

    def fetch(self, remote: RemoteFile, into: Path) -> object:
        """Write it to the path. Raises NotFound, Unavailable."""


@dataclass(frozen=True, slots=True)
class Input:
    """A file or folder to be read, here or in a bucket. version: changes with its content; empty: nobody knows."""

    name: str
    version: str
    path: Path | None = None
    remote: RemoteFile | None = None
    files: Fetches | None = None

    @contextmanager
    def local(self) -> Iterator[Path]:
        """Where it lies on this machine while the block runs. Raises NotFound, Unavailable."""
        if self.path is not None:
            yield self.path
            return
        assert self.remote is not None  # what is not here lies in a bucket
        assert self.files is not None
        with TemporaryDirectory(prefix="longstream-ingest-") as folder:
            # The folder of a file may tell what it is, as a site's does. Whoever named the key must not choose
            # where it goes here.
            names = [name for name in self.remote.key.split("/") if name not in {"", ".", ".."}]
            target = Path(folder, *names[-2:])
            target.parent.mkdir(parents=True, exist_ok=True)
            self.files.fetch(self.remote, target)
            yield target


def _inputs(patterns: Sequence[str], stack: ExitStack) -> list[Input]:
    """The inputs in the order that they were named, those of a pattern by name; none twice."""
    found: dict[str, Input] = {}
    for pattern in patterns:
        for one in _in_bucket(pattern, stack) if pattern.startswith(_S3) else _here(pattern):
            found.setdefault(one.name, one)
    return list(found.values())


def _here(pattern: str) -> Iterator[Input]:
    paths = [pattern] if Path(pattern).exists() else sorted(glob.glob(pattern, recursive=True))
    if not paths:
        raise NotFound(f"there is no file or folder {pattern}", field="INPUT")
    for path in map(Path, paths):
        yield Input(str(path.resolve()), _version(path), path=path)


def _version(path: Path) -> str:
    """Of a file, its size and time; of a folder, those of all that is in it."""
    files = sorted(path.rglob("*")) if path.is_dir() else [path]
    stats = [(str(file), file.stat()) for file in files if file.is_file()]
    return digest("version", *(f"{name} {stat.st_size} {stat.st_mtime_ns}" for name, stat in stats))


def _in_bucket(pattern: str, stack: ExitStack) -> Iterator[Input]:
    from longstream.storage.s3_inputs import RemoteFiles  # the client takes long to import

    files = stack.enter_context(RemoteFiles(pattern, s3_settings(os.environ)))
    for remote in files.listed():
        yield Input(remote.url, remote.version, remote=remote, files=files)
