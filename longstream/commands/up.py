"""`longstream up`: the installed services as child processes over one data folder, until Ctrl-C."""

from __future__ import annotations

import argparse
import os
import signal
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from rich.console import Console
from rich.text import Text

from longstream import pipeline as pipeline_file
from longstream.bus.opening import open_bus
from longstream.bus.security import kafka_security
from longstream.childprocess import ServiceProgram
from longstream.commands.common import Subparsers
from longstream.commands.resources import add_layout_options, count, layout
from longstream.errors import InvalidInput
from longstream.health import ask_health
from longstream.pipeline import Pipeline
from longstream.suite import (
    DEFAULT_DATA,
    DEFAULT_PORT_BASE,
    SUITE_FILE,
    SuiteOptions,
    check_ports,
    forget_suite,
    hold,
    installed_services,
    programs,
    write_suite,
)
from longstream.supervisor import Event, Supervisor
from longstream.topics import topics

_PORTS = "gRPC ports N to N+3: curator, instructor, trainer, judge; metrics from N+10 (%(default)s)"
_ENGINE = "language model of instructor and judge (vllm:BASE_MODEL of the first pipeline)"
_KAFKA = "brokers of the cluster that is the log (a file in the data folder)"
_STORAGE = "where objects are: file:///FOLDER or s3://BUCKET[/PREFIX] (a folder in the data folder)"
_REPLICA = "which of the suites this is that share one cluster: each has its own number (%(default)s)"
_STYLES = {"ready": "green", "crashed": "yellow", "refused": "bold red", "killed": "yellow"}


def register(subparsers: Subparsers) -> None:
    """Add the command."""
    about = "Start every installed service over one data folder, and keep it running until Ctrl-C."
    parser = subparsers.add_parser("up", help="start the installed services here", description=about)
    parser.set_defaults(run=run)
    option = parser.add_argument
    option("--pipeline", type=Path, action="append", required=True, metavar="FILE", help="repeatable")
    option("--data", type=Path, default=DEFAULT_DATA, help="folder for everything (%(default)s)")
    add_suite_options(parser)


def add_suite_options(parser: argparse.ArgumentParser) -> None:
    """The options that say what a suite on this machine is made of, beside its folder and its pipelines."""
    option = parser.add_argument
    option("--port-base", type=_port_base, default=DEFAULT_PORT_BASE, metavar="N", help=_PORTS)
    option("--engine", metavar="URL", help=_ENGINE)
    option("--instructor-engine", metavar="URL", help="language model of the instructor alone")
    option("--judge-engine", metavar="URL", help="language model of the judge alone")
    option("--only", type=_names, default=(), metavar="NAMES", help="these services, with commas between")
    option("--kafka", metavar="HOST:PORT[,...]", default="", help=_KAFKA)
    option("--storage", metavar="URL", default="", help=_STORAGE)
    option("--replica", type=int, default=0, metavar="N", help=_REPLICA)
    add_layout_options(parser)


def run(args: argparse.Namespace) -> int:
    """Start, watch, drain. 0 after Ctrl-C or SIGTERM, 1 if a service cannot run as it is set up."""
    pipelines = _pipelines(args.pipeline)
    options = suite_options(args, pipelines[0].base_model)
    services = programs(options, installed_services(args.only))
    prepare(options)
    return serve(options.data, [one.name for one in pipelines], services)


def prepare(options: SuiteOptions) -> None:
    """Bring the log's topics to what the suite needs; a file in the data folder is made when a service opens it.

    Raises Refused for topics of another layout, Unavailable for a cluster that does not answer.
    """
    if options.kafka:
        with open_bus(options.bus_url, security=kafka_security(os.environ)) as bus:
            bus.create_topics(topics(options.layout))


def serve(data: Path, pipelines: Sequence[str], services: Sequence[ServiceProgram]) -> int:
    """Run the services over the data folder until a signal; pipelines are named for those who look for the
    suite.

    Raises Refused, before anything is started, if another suite has the folder or another program a port.
    """
    with ExitStack() as stack:
        stack.enter_context(hold(data))
        check_ports(services)
        stack.callback(forget_suite, data)
        suite = _Suite(data, pipelines, services)
        for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            if signal.getsignal(signum) is not signal.SIG_IGN:  # as under nohup
                former = signal.signal(signum, lambda *_: suite.supervisor.stop())
                stack.callback(signal.signal, signum, former)
        return 0 if suite.supervisor.run(os.environ) else 1


class _Suite:
    """Tells people and programs what the supervisor does."""

    def __init__(self, data: Path, pipelines: Sequence[str], services: Sequence[ServiceProgram]) -> None:
        self._data = data
        self._pipelines = pipelines
        self._services = services
        self._console = Console(highlight=False, soft_wrap=True)
        self._hinted = False
        self.supervisor = Supervisor(services, data / "logs", is_ready=_is_ready, tell=self._tell)

    def _tell(self, event: Event) -> None:
        self._say(event.service, event.text, _STYLES.get(event.kind, ""))
        try:
            write_suite(self._data, self._pipelines, self._services, self.supervisor.pids)
        except OSError as error:
            # The services know themselves what to do on a full disk; this file is for people and scripts.
            self._say("suite", f"cannot write {SUITE_FILE}: {error}", "yellow")
        if event.kind == "ready" and self.supervisor.all_ready and not self._hinted:
            self._hinted = True
            self._console.print(self._next_steps())

    def _say(self, who: str, text: str, style: str) -> None:
        self._console.print(Text.assemble((f"{who:<11}", "bold"), (text, style)))

    def _next_steps(self) -> str:
        where = "" if self._data == DEFAULT_DATA else f" --data {self._data}"
        which = f" --pipeline {self._pipelines[0]}" if len(self._pipelines) > 1 else ""
        return f"""
Everything is ready. In another terminal:
  longstream status --watch{where}
  longstream submit FILE-OR-FOLDER --source NAME{where}
  longstream cut --wait{which}{where}
Ctrl-C here lets the services finish what they have begun, then stops them.
"""


def _is_ready(address: str) -> bool:
    return ask_health(address).state == "ready"


def _pipelines(paths: Sequence[Path]) -> list[Pipeline]:
    loaded = [pipeline_file.load(path) for path in paths]
    names = [one.name for one in loaded]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise InvalidInput(f"two pipeline files have the name {', '.join(twice)}; give each its own")
    return loaded


def suite_options(args: argparse.Namespace, base_model: str) -> SuiteOptions:
    """The suite that the arguments describe. base_model: of the first pipeline, the engines' where none is named."""
    engine = args.engine or f"vllm:{base_model}"
    return SuiteOptions(
        data=args.data,
        pipelines=tuple(args.pipeline),
        port_base=args.port_base,
        instructor_engine=args.instructor_engine or engine,
        judge_engine=args.judge_engine or engine,
        layout=layout(args),
        kafka=args.kafka,
        storage=args.storage,
        replica=args.replica,
    )


def _names(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",") if name.strip())


def _port_base(text: str) -> int:
    base = count(text)
    if not 1_024 <= base <= 65_500:
        raise argparse.ArgumentTypeError(f"must lie between 1024 and 65500, not {text}")
    return base
