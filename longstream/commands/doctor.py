"""`longstream doctor`: looks at a machine, a pod or a running suite, and says what to mend. It changes nothing."""

from __future__ import annotations

import argparse
import json
import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from longstream import pipeline as pipeline_file
from longstream.commands.common import Subparsers, add_address, addresses
from longstream.commands.up import add_suite_options, suite_options
from longstream.doctor.examine import examine
from longstream.doctor.finding import Finding
from longstream.doctor.place import Place, environ_of, own_prefix, own_settings
from longstream.errors import InvalidInput, NotFound
from longstream.suite import (
    DEFAULT_DATA,
    LOG_FILE,
    OBJECTS,
    RunningSuite,
    installed_services,
    programs,
    read_suite,
)

_ABOUT = (
    "Look at this machine and at what the services are told, and say what to mend. With --pipeline: whether "
    "`longstream up` with the same options would run. With --data: the suite on that folder. Else by the variables "
    "of this process, as in a pod. Nothing is changed. The exit status is 1 if anything fails, else 0."
)
_DATA = f"folder of `longstream up` ({DEFAULT_DATA}, unless LONGSTREAM_BUS_URL says where the log is)"
_PATIENCE = "how long all checks together may take (%(default)g)"
_BUS, _STORAGE = "LONGSTREAM_BUS_URL", "LONGSTREAM_STORAGE_URL"


def register(subparsers: Subparsers) -> None:
    """Add the command."""
    parser = subparsers.add_parser(
        "doctor", help="look for what would keep the suite from running", description=_ABOUT
    )
    parser.set_defaults(run=run)
    option = parser.add_argument
    option(
        "--pipeline", type=Path, action="append", default=[], metavar="FILE", help="as for `up`; repeatable"
    )
    option("--data", type=Path, metavar="DIR", help=_DATA)
    add_suite_options(parser)
    add_address(parser)
    option("--patience-s", type=float, default=20.0, metavar="N", help=_PATIENCE)
    option("--json", action="store_true", help="print JSON")


def run(args: argparse.Namespace) -> int:
    """Print a line for each finding; 1 if anything fails, else 0."""
    # What a broker or a bucket does is told as a finding, not by the library that saw it.
    for name in ("kafka", "botocore", "urllib3", "httpx"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    found: list[Finding] = []
    for finding in examine(find_place(args, os.environ)):
        found.append(finding)
        if not args.json:
            print(finding.line(), flush=True)
    if args.json:
        print(json.dumps([finding.document() for finding in found], indent=2, ensure_ascii=False))
    else:
        print(
            ", ".join(
                f"{sum(one.level == level for one in found)} {level}" for level in ("ok", "warn", "fail")
            )
        )
    return 1 if any(finding.level == "fail" for finding in found) else 0


def find_place(args: argparse.Namespace, environ: Mapping[str, str]) -> Place:
    """What the arguments mean: a suite to be started, one that runs, what this process is told, or a folder."""
    given = addresses(args)
    told_here = args.data is None and not args.pipeline and (_BUS in environ or bool(given))
    data = args.data or DEFAULT_DATA
    suite = None if told_here else _suite(data)
    if args.pipeline:
        place = _planned(args, data, environ)
    elif told_here:
        place = _told(args.only, environ)
    elif suite is not None:
        place = _running(suite, data, environ)
    else:
        place = _kept(data, environ)
    facts = suite.services if suite is not None else {}
    return replace(
        place,
        bus_url=f"kafka:{args.kafka}" if args.kafka else place.bus_url,
        storage_url=args.storage or place.storage_url,
        running={name: str(one["address"]) for name, one in facts.items()} | given,
        metrics={name: str(one["metrics"]) for name, one in facts.items() if one.get("metrics")},
        patience_s=args.patience_s,
    )


def _planned(args: argparse.Namespace, data: Path, environ: Mapping[str, str]) -> Place:
    """What `longstream up` with these arguments would start."""
    told = argparse.Namespace(**{**vars(args), "data": data})
    options = suite_options(told, _base_model(args.pipeline))
    services = {
        program.name: {**environ, **program.environ}
        for program in programs(options, installed_services(args.only))
    }
    return Place(
        environ=environ,
        services=services,
        bus_url=options.bus_url,
        storage_url=options.storage_url,
        data=data,
    )


def _base_model(paths: Sequence[Path]) -> str:
    try:
        return pipeline_file.load(paths[0]).base_model
    except InvalidInput:
        return ""  # the check of the pipelines tells


def _running(suite: RunningSuite, data: Path, environ: Mapping[str, str]) -> Place:
    """What the services of that folder were started with."""
    known = {name: environ_of(facts.get("pid")) for name, facts in suite.services.items()}
    services = {name: told for name, told in known.items() if _BUS in told}
    return Place(
        environ=next(iter(services.values()), environ),
        services=services,
        bus_url=suite.bus_url,
        storage_url=suite.storage_url,
        data=data,
    )


def _told(only: Sequence[str], environ: Mapping[str, str]) -> Place:
    """What this process is told, for the services that it can be meant for."""
    services = dict.fromkeys(_meant(only, environ), environ) if _BUS in environ else {}
    return Place(
        environ=environ,
        services=services,
        bus_url=environ.get(_BUS, ""),
        storage_url=environ.get(_STORAGE, ""),
    )


def _meant(only: Sequence[str], environ: Mapping[str, str]) -> Iterator[str]:
    """An image holds one service; where several are installed, those that are named or told enough to run."""
    try:
        names = installed_services(only)
    except NotFound:
        return
    for name in names:
        if only or len(names) == 1 or any(variable.startswith(own_prefix(name)) for variable in environ):
            yield name
            continue
        with suppress(InvalidInput):
            own_settings(name, environ)
            yield name


def _kept(data: Path, environ: Mapping[str, str]) -> Place:
    """A folder whose suite does not run, or a new one."""
    return Place(
        environ=environ,
        bus_url=f"sqlite:{(data / LOG_FILE).absolute()}",
        storage_url=(data / OBJECTS).absolute().as_uri(),
        data=data,
    )


def _suite(data: Path) -> RunningSuite | None:
    try:
        return read_suite(data)
    except NotFound:
        return None
