"""The suite on one machine: its services, where each answers, what each is told, where it all lies.

A data folder holds the log (`log.sqlite`) unless that is a Kafka cluster, the objects unless they have a store
elsewhere, the trainer's scratch space, the services' logs, and `suite.json`, which tells `longstream status` and
other programs where everything is. One supervisor at a time may use a folder.
"""

from __future__ import annotations

import fcntl
import json
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

from longstream.childprocess import ServiceProgram
from longstream.errors import InvalidInput, NotFound, Refused
from longstream.ports import is_free
from longstream.topics import Layout

GROUP = "longstream.services"
"""Entry points by which an installed service makes itself known; `python -m longstream_<name>` runs it."""
ORDER = ("curator", "instructor", "trainer", "judge")
"""The services in the order of their ports."""
HOST = "127.0.0.1"
DEFAULT_DATA = Path("longstream-data")
DEFAULT_PORT_BASE = 7400
METRICS_PORT_OFFSET = 10
SUITE_FILE = "suite.json"
TARGETS_FILE = "targets.json"
LOG_FILE = "log.sqlite"
OBJECTS = "objects"


@dataclass(frozen=True, slots=True, kw_only=True)
class SuiteOptions:
    """A suite over one data folder."""

    data: Path
    pipelines: tuple[Path, ...]
    port_base: int = DEFAULT_PORT_BASE
    """gRPC ports from here on, in ORDER; Prometheus ports from ten above."""
    instructor_engine: str
    """Engine URL, such as vllm:PATH."""
    judge_engine: str
    layout: Layout = field(default_factory=Layout)
    kafka: str = ""
    """HOST:PORT[,HOST:PORT...] of the cluster that is the log; empty: a file in the data folder."""
    storage: str = ""
    """URL of the object store; empty: a folder in the data folder."""
    replica: int = 0
    """Which of the suites this is that share one Kafka cluster."""

    @property
    def bus_url(self) -> str:
        """Where the log is."""
        return f"kafka:{self.kafka}" if self.kafka else f"sqlite:{self.data.resolve() / LOG_FILE}"

    @property
    def storage_url(self) -> str:
        """Where the objects are."""
        return self.storage or (self.data.resolve() / OBJECTS).as_uri()

    def port(self, service: str) -> int:
        """The service's gRPC port, the same whichever services run beside it."""
        return self.port_base + ORDER.index(service)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunningSuite:
    """What `suite.json` says: the supervisor's process id, where log and objects are, pipeline names, and each
    service's whereabouts."""

    pid: int
    bus_url: str
    storage_url: str
    pipelines: tuple[str, ...]
    services: Mapping[str, Mapping[str, Any]]
    """By name: address, metrics, log, pid (None while it does not run)."""

    @property
    def addresses(self) -> dict[str, str]:
        """gRPC address of each service by name."""
        return {name: str(facts["address"]) for name, facts in self.services.items()}


def installed_services(only: Sequence[str] = ()) -> tuple[str, ...]:
    """Names of the installed services, in ORDER; of those in `only` if it is given.

    Raises InvalidInput for a name that is not installed, NotFound if nothing is.
    """
    found = {entry.name for entry in entry_points(group=GROUP)}
    names = tuple(name for name in ORDER if name in found)
    if not names:
        raise NotFound("no service is installed beside the library; install the four under services/")
    missing = sorted(set(only) - set(names))
    if missing:
        raise InvalidInput(f"no service {', '.join(missing)} is installed; there are {', '.join(names)}")
    return tuple(name for name in names if not only or name in only)


def programs(options: SuiteOptions, names: Sequence[str]) -> list[ServiceProgram]:
    """The services as child processes, told by their environment where everything is."""
    return [
        ServiceProgram(
            name=name,
            argv=(sys.executable, "-m", f"longstream_{name}"),
            address=f"{HOST}:{options.port(name)}",
            environ=_environ(options, name),
        )
        for name in names
    ]


def _environ(options: SuiteOptions, name: str) -> dict[str, str]:
    data = options.data.resolve()
    told = {
        "LONGSTREAM_BUS_URL": options.bus_url,
        "LONGSTREAM_STORAGE_URL": options.storage_url,
        "LONGSTREAM_PIPELINES": ",".join(str(path.resolve()) for path in options.pipelines),
        "LONGSTREAM_GRPC_ADDRESS": f"{HOST}:{options.port(name)}",
        "LONGSTREAM_METRICS_ADDRESS": f"{HOST}:{options.port(name) + METRICS_PORT_OFFSET}",
        "LONGSTREAM_MEMBER": f"{name}-{options.replica}",
        "LONGSTREAM_EXAMPLES_PARTITIONS": str(options.layout.examples_partitions),
        "LONGSTREAM_SELECTED_PARTITIONS": str(options.layout.selected_partitions),
        "LONGSTREAM_CONTROL_PARTITIONS": str(options.layout.control_partitions),
    }
    own = {
        "instructor": {"INSTRUCTOR_ENGINE_URL": options.instructor_engine},
        "judge": {"JUDGE_ENGINE_URL": options.judge_engine},
        "trainer": {"TRAINER_WORK_DIR": str(data / "training")},
    }
    return told | own.get(name, {})


def check_ports(programs: Sequence[ServiceProgram]) -> None:
    """Raises Refused that names every port which another program holds, or one that this user may not have."""
    ports = [(program.name, port) for program in programs for port in _ports(program)]
    try:
        taken = [f"{port} (for the {name})" for name, port in ports if not is_free(HOST, port)]
    except OSError as error:
        raise Refused(f"a port cannot be had: {error.strerror}; choose another --port-base") from None
    if taken:
        raise Refused(f"ports in use: {', '.join(taken)}; stop what holds them or choose another --port-base")


def _ports(program: ServiceProgram) -> list[int]:
    addresses = [program.address, program.environ.get("LONGSTREAM_METRICS_ADDRESS", "")]
    return [int(address.rpartition(":")[2]) for address in addresses if address]


@contextmanager
def hold(data: Path) -> Iterator[None]:
    """Keep the data folder for this process, made if it is missing. Raises Refused if another one has it."""
    data.mkdir(parents=True, exist_ok=True)
    with (data / "lock").open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            raise Refused(
                f"`longstream up` runs on {data} already (process {file.read().strip()}); "
                "stop it, or choose another folder with --data"
            ) from None
        file.truncate(0)
        file.write(f"{os.getpid()}\n")
        file.flush()
        yield


def write_suite(
    data: Path, pipelines: Sequence[str], programs: Sequence[ServiceProgram], pids: Mapping[str, int]
) -> None:
    """Tell others where the suite is; whole or not at all."""
    services = {
        program.name: {
            "address": program.address,
            "metrics": program.environ.get("LONGSTREAM_METRICS_ADDRESS", ""),
            "log": str((data / "logs" / f"{program.name}.log").resolve()),
            "pid": pids.get(program.name),
        }
        for program in programs
    }
    told = {
        "pid": os.getpid(),
        "bus": _told_all(programs, "LONGSTREAM_BUS_URL"),
        "storage": _told_all(programs, "LONGSTREAM_STORAGE_URL"),
        "pipelines": list(pipelines),
        "services": services,
    }
    _replace(data / SUITE_FILE, told)
    _replace(data / TARGETS_FILE, _targets(services))


def _targets(services: Mapping[str, Mapping[str, Any]]) -> list[dict[str, Any]]:
    """As Prometheus reads them (file_sd_configs), each service under the name that rules and dashboards know."""
    return [
        {"targets": [facts["metrics"]], "labels": {"job": name}}
        for name, facts in services.items()
        if facts["metrics"]
    ]


def _replace(path: Path, value: object) -> None:
    draft = path.with_name(f"{path.name}.new")
    draft.write_text(json.dumps(value, indent=2) + "\n", encoding="utf-8")
    draft.replace(path)


def _told_all(programs: Sequence[ServiceProgram], variable: str) -> str:
    return next((program.environ[variable] for program in programs if variable in program.environ), "")


def forget_suite(data: Path) -> None:
    """Take the suite's file away: nothing runs any more."""
    for name in (SUITE_FILE, TARGETS_FILE):
        with suppress(FileNotFoundError):
            (data / name).unlink()


def read_suite(data: Path) -> RunningSuite:
    """The suite on that folder. Raises NotFound if none runs there."""
    try:
        told = json.loads((data / SUITE_FILE).read_text(encoding="utf-8"))
        return RunningSuite(
            pid=told["pid"],
            bus_url=told["bus"],
            storage_url=told["storage"],
            pipelines=tuple(told["pipelines"]),
            services=told["services"],
        )
    except FileNotFoundError:
        raise NotFound(
            f"no suite runs on {data}; start one with `longstream up`, or name its folder by --data"
        ) from None
    except (ValueError, KeyError, TypeError):
        raise InvalidInput(f"{data / SUITE_FILE} is not what `longstream up` writes; delete it") from None
