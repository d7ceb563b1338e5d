"""What the commands share that work on a suite's log and objects themselves, whether its services run or not."""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from longstream.bus import Bus
from longstream.bus.opening import open_bus
from longstream.bus.security import kafka_security
from longstream.errors import NotFound
from longstream.storage import Storage, open_storage
from longstream.storage.s3_settings import s3_settings
from longstream.suite import DEFAULT_DATA, LOG_FILE, OBJECTS, RunningSuite, read_suite
from longstream.topics import Layout

BUS_VARIABLE = "LONGSTREAM_BUS_URL"
STORAGE_VARIABLE = "LONGSTREAM_STORAGE_URL"

_PARTITIONS = "of the topics of that kind (%(default)s); cannot change once there are records"
_DATA = f"folder of `longstream up` ({DEFAULT_DATA}, unless --bus or {BUS_VARIABLE} says where the log is)"


def add_bus_options(parser: argparse.ArgumentParser) -> None:
    """The options that say where the log is."""
    option = parser.add_argument
    option("--data", type=Path, metavar="DIR", help=_DATA)
    option("--bus", metavar="URL", help="the log itself: sqlite:PATH or kafka:HOST:PORT")


def add_storage_options(parser: argparse.ArgumentParser) -> None:
    """The option that says where the objects are; beside those of `add_bus_options`."""
    parser.add_argument("--storage", metavar="URL", help=f"where the objects are ({STORAGE_VARIABLE})")


def add_layout_options(parser: argparse.ArgumentParser) -> None:
    """The options that say how the topics are cut."""
    for name in Layout.__slots__:
        flag, default = f"--{name.replace('_', '-')}", getattr(Layout(), name)
        parser.add_argument(flag, type=count, default=default, metavar="N", help=_PARTITIONS)


def layout(args: argparse.Namespace) -> Layout:
    """How the topics are to be cut."""
    return Layout(**{name: getattr(args, name) for name in Layout.__slots__})


def count(text: str) -> int:
    """A number of at least 1, for argparse."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"must be a number of at least 1, not {text!r}")
    return int(text)


@contextmanager
def opened_bus(args: argparse.Namespace) -> Iterator[Bus]:
    """The log that the arguments name, closed at the end of the block. Raises NotFound if none is there."""
    with open_bus(bus_url(args), security=kafka_security(os.environ)) as bus:
        yield bus


@contextmanager
def opened_storage(args: argparse.Namespace) -> Iterator[Storage]:
    """The object store that the arguments name, closed at the end of the block. Raises NotFound."""
    with open_storage(_storage_url(args), s3_settings(os.environ)) as storage:
        yield storage


def bus_url(args: argparse.Namespace) -> str:
    """What was asked for by --bus or --data, or else by the environment, or else lies in the usual folder."""
    if args.bus:
        return str(args.bus)
    if args.data is None and (told := os.environ.get(BUS_VARIABLE)):
        return told
    data = args.data or DEFAULT_DATA
    if suite := _running_suite(data):
        return suite.bus_url
    if not (data / LOG_FILE).is_file():
        raise NotFound(f"{data} holds no log; name its folder with --data, or the log itself with --bus")
    return f"sqlite:{(data / LOG_FILE).resolve()}"


def _storage_url(args: argparse.Namespace) -> str:
    if args.storage:
        return str(args.storage)
    if args.data is None and (told := os.environ.get(STORAGE_VARIABLE)):
        return told
    data = args.data or DEFAULT_DATA
    if suite := _running_suite(data):
        return suite.storage_url
    if not (data / OBJECTS).is_dir():
        raise NotFound(f"{data} holds no objects; name their folder with --data, or the store with --storage")
    return (data / OBJECTS).resolve().as_uri()


def _running_suite(data: Path) -> RunningSuite | None:
    try:
        return read_suite(data)
    except NotFound:
        return None
