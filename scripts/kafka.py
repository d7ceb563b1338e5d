"""A real Apache Kafka broker on this machine, for `make kafka` and for the tests: one node, no container.

Needs Java 17 or newer; Maven brings the broker's jars once, into `.cache/kafka` of the checkout.
"""

from __future__ import annotations

import base64
import random
import shutil
import socket
import subprocess
import tempfile
import time
import uuid
from pathlib import Path

from longstream.childprocess import Guard
from scripts.kafka_listeners import Listener, Secured

_HERE = Path(__file__).resolve().parent / "kafka_broker"
JARS = _HERE.parent.parent / ".cache" / "kafka" / "4.3.0"
_FETCH_S = 180.0
_START_S = 120.0
_STOP_S = 20.0
port_range = range(16_000, 32_000)
"""Below the ports that systems give to clients, so that none of them can take one while its server is away."""
given: set[int] = set()
"""Ports that this program has promised to a broker, a store or a service that may not listen yet."""


class NoBroker(Exception):
    """No broker can be had here; the message says what is missing."""


def fetch() -> None:
    """Bring the broker's jars unless they are there. Raises NoBroker."""
    for tool in ("java", "mvn"):
        if shutil.which(tool) is None and not (tool == "mvn" and JARS.is_dir()):
            raise NoBroker(f"there is no {tool} on the PATH (Debian: openjdk-17-jre-headless, maven)")
    if JARS.is_dir():
        return
    JARS.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=JARS.parent) as folder:
        there = Path(folder) / "jars"
        command = ["mvn", "-q", "-B", "-f", str(_HERE / "pom.xml"), "dependency:copy-dependencies"]
        try:
            subprocess.run(
                [*command, "-DincludeScope=runtime", f"-DoutputDirectory={there}"],
                capture_output=True,
                text=True,
                timeout=_FETCH_S,
                check=True,
            )
        except subprocess.CalledProcessError as error:
            raise NoBroker(f"Maven could not bring the broker: {error.stdout[-300:]}") from error
        except subprocess.TimeoutExpired as error:
            raise NoBroker(f"Maven did not bring the broker within {_FETCH_S:.0f} s") from error
        if not JARS.is_dir():
            there.rename(JARS)


class LocalBroker:
    """One broker that is its own controller; its log lies in a folder and outlives it."""

    def __init__(
        self, folder: Path, port: int = 0, advertised: str = "", secured: Secured | None = None
    ) -> None:
        """port 0: a free one. advertised: host:port that clients are told, if they come by another way.

        secured: listeners beside the plaintext one.
        """
        self._folder = folder
        self._advertised = advertised
        self._secured = secured
        self.port = port or free_port()
        self._controller_port = free_port()
        self._process: subprocess.Popen[bytes] | None = None
        self._guard: Guard | None = None

    @property
    def address(self) -> str:
        """host:port for clients."""
        return f"127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        """The running broker's process."""
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        """Format the folder if it is new, start the broker and wait until it answers. Raises NoBroker."""
        fetch()
        self._folder.mkdir(parents=True, exist_ok=True)
        settings = self._folder / "server.properties"
        settings.write_text(self._settings())
        if not (self._folder / "log" / "meta.properties").exists():
            users = self._secured.format_arguments() if self._secured else []
            command = ["format", "--standalone", f"--cluster-id={_identity()}", "-c", str(settings), *users]
            self._java("kafka.tools.StorageTool", *command)
        # Guarded: Ctrl-C in the terminal is for those who still need the broker, and none of them may leave it behind.
        self._guard = Guard()
        with (self._folder / "broker.log").open("ab") as told:
            self._process = subprocess.Popen(
                self._command("-Xmx512m", "kafka.Kafka", str(settings)),
                stdout=told,
                stderr=told,
                process_group=self._guard.group,
            )
        deadline = time.monotonic() + _START_S
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.kill()
                raise NoBroker(f"the broker did not start; see {self._folder / 'broker.log'}")
            time.sleep(0.1)

    def stop(self) -> None:
        """End it in order."""
        if self._process is not None:
            self._process.terminate()
            try:
                self._process.wait(_STOP_S)
            except subprocess.TimeoutExpired:
                self.kill()
            self._unguard()

    def kill(self) -> None:
        """End it as a power cut would."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._unguard()

    def _unguard(self) -> None:
        if self._guard is not None:
            self._guard.end()

    def wait(self) -> int:
        """Wait for its end; returns its exit status."""
        assert self._process is not None
        return self._process.wait()

    def _answers(self) -> bool:
        with socket.socket() as probe:
            probe.settimeout(1.0)
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def _java(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            self._command(*arguments), capture_output=True, text=True, timeout=_START_S, check=False
        )
        if done.returncode != 0:
            told = [line for line in (done.stdout + done.stderr).splitlines() if not line.startswith("\t")]
            raise NoBroker(f"{arguments[0]} failed: {' '.join(told)[-600:]}")
        return done

    def _command(self, *arguments: str) -> list[str]:
        logging = f"-Dlog4j2.configurationFile={_HERE / 'log4j2.properties'}"
        return ["java", "-XX:TieredStopAtLevel=1", logging, "-cp", f"{JARS}/*", *arguments]

    def _settings(self) -> str:
        one_copy = ("offsets.topic", "transaction.state.log", "share.coordinator.state.topic")
        doors = (
            Listener(name="PLAINTEXT", protocol="PLAINTEXT", port=self.port, advertised=self._advertised),
            *(self._secured.listeners if self._secured else ()),
        )
        here = [f"{door.name}://{door.address}" for door in doors]
        lines = {
            "process.roles": "broker,controller",
            "node.id": "1",
            "controller.quorum.bootstrap.servers": f"127.0.0.1:{self._controller_port}",
            "listeners": ",".join((f"CONTROLLER://127.0.0.1:{self._controller_port}", *here)),
            "advertised.listeners": ",".join(
                f"{door.name}://{door.advertised or door.address}" for door in doors
            ),
            "controller.listener.names": "CONTROLLER",
            "listener.security.protocol.map": ",".join(
                ("CONTROLLER:PLAINTEXT", *(f"{door.name}:{door.protocol}" for door in doors))
            ),
            "log.dirs": str(self._folder / "log"),
            **{f"{topic}.replication.factor": "1" for topic in one_copy},
            "transaction.state.log.min.isr": "1",
            "share.coordinator.state.topic.min.isr": "1",
            "offsets.topic.num.partitions": "2",
            "transaction.state.log.num.partitions": "2",
            "group.initial.rebalance.delay.ms": "0",
            "group.min.session.timeout.ms": "1000",
            "auto.create.topics.enable": "false",
            **(self._secured.settings() if self._secured else {}),
        }
        return "".join(f"{name}={value}\n" for name, value in lines.items())


def _identity() -> str:
    """A cluster's name as Kafka writes it; made here, since the tool that makes one takes a second to start."""
    return base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")


def free_port() -> int:
    """A port of the range that nobody listens on now, and that this program has not been given before."""
    while True:
        port = random.choice(port_range)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        if port not in given:
            given.add(port)
            return port
