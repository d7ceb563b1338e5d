"""A fault drill: what breaks makes its alert fire in a real Prometheus, and the alert clears when it is mended.

The rules are the repository's with every duration sixty times shorter. Services, training and the log are real; the
engine is the stand-in, so that it can be taken away. With SOAK set the log is also a Kafka broker.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from longstream.bus import Output
from longstream.bus.opening import open_bus
from longstream.client import Addresses, Client, Patience
from longstream.errors import SuiteError
from longstream.suite import METRICS_PORT_OFFSET, ORDER
from longstream.topics import EXAMPLES, topics
from tests.support import standin
from tests.support.broker import running
from tests.support.campaign import Campaign, Setting
from tests.support.prometheus import Prometheus, faster, prometheus
from tests.support.stages import DOCUMENTS, PAIRS, PIPELINE

pytestmark = [pytest.mark.kills, pytest.mark.slow]

WITHIN_S = 150.0
STACKS = (
    ["embedded", pytest.param("kafka", marks=pytest.mark.kafka)] if "SOAK" in os.environ else ["embedded"]
)


class Engine:
    """The stand-in on a port that it keeps when it comes back."""

    def __init__(self) -> None:
        self._port = "0"
        self._process: subprocess.Popen[str] | None = None
        self.start()

    @property
    def url(self) -> str:
        return f"openai:http://127.0.0.1:{self._port}/v1?model={standin.MODEL}"

    def start(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, str(Path(standin.__file__)), "--port", self._port],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        assert self._process.stdout is not None
        self._port = self._process.stdout.readline().strip()

    def stop(self) -> None:
        assert self._process is not None
        self._process.kill()
        self._process.communicate()


@dataclass
class Drill:
    """The suite, and a Prometheus that watches it."""

    campaign: Campaign
    engine: Engine
    watching: Prometheus
    bus_url: str

    def fires(self, *alerts: str) -> None:
        """Wait until all of them have fired."""
        seen: set[str] = set()
        deadline = time.monotonic() + WITHIN_S
        while not set(alerts) <= seen:
            seen |= self.watching.firing()
            assert time.monotonic() < deadline, f"of {alerts} only {seen} fired"
            time.sleep(0.5)

    def clears(self, *alerts: str) -> None:
        """Wait until none of them fires."""
        deadline = time.monotonic() + WITHIN_S
        while firing := self.watching.firing() & set(alerts):
            assert time.monotonic() < deadline, f"still firing: {firing}"
            time.sleep(0.5)


@pytest.fixture(params=STACKS)
def drill(request: pytest.FixtureRequest, tmp_path: Path, setting: Setting) -> Iterator[Drill]:
    with ExitStack() as ending:
        engine = Engine()
        ending.callback(engine.stop)
        bus_url = f"sqlite:{tmp_path / 'data' / 'log.sqlite'}"
        if request.param == "kafka":
            bus_url = f"kafka:{ending.enter_context(running(tmp_path / 'broker')).address}"
            with_open_bus(bus_url, lambda bus: bus.create_topics(topics(setting.layout)))
        told = replace(setting, engine=engine.url, environ={"LONGSTREAM_BUS_URL": bus_url})
        campaign = ending.enter_context(Campaign(tmp_path / "data", told, complete=False))
        campaign.start(*ORDER)
        watching = ending.enter_context(
            prometheus(tmp_path, targets(tmp_path, campaign), rules=faster(tmp_path / "rules"))
        )
        campaign.until(lambda: all(map(campaign.ready, ORDER)))
        yield Drill(campaign, engine, watching, bus_url)


def targets(folder: Path, campaign: Campaign) -> Path:
    """Where Prometheus finds the services."""

    def metrics(name: str) -> str:
        host, _, port = campaign.address(name).rpartition(":")
        return f"{host}:{int(port) + METRICS_PORT_OFFSET}"

    listed = [{"targets": [metrics(name)], "labels": {"job": name}} for name in ORDER]
    path = folder / "targets.json"
    path.write_text(json.dumps(listed))
    return path


def keep_asking(drill: Drill, until: threading.Event) -> None:
    """A caller who wants instructions at once and gets UNAVAILABLE while there is no engine."""

    addresses = Addresses(curator="", instructor=drill.campaign.address("instructor"), trainer="", judge="")
    with Client(addresses, patience=Patience(call_s=5, attempts=1)) as client:
        while not until.wait(0.2):
            with suppress(SuiteError):
                client.generate("A text of some words.")


def child_of(pid: int) -> int | None:
    """The training child of that process."""
    for folder in Path("/proc").iterdir():
        with suppress(OSError, IndexError):
            below = folder.name.isdecimal() and f"\nPPid:\t{pid}\n" in (folder / "status").read_text()
            if below and b"longstream_trainer.child" in (folder / "cmdline").read_bytes():
                return int(folder.name)
    return None


@pytest.mark.timeout(900)
def test_what_breaks_is_alerted_and_the_alert_clears_once_it_is_mended(drill: Drill) -> None:
    campaign = drill.campaign
    campaign.ask(lambda client: client.submit_documents(DOCUMENTS), curator="curator")
    campaign.ask(lambda client: client.submit_pairs(PAIRS), curator="curator")
    assert drill.watching.firing() == set()

    with_open_bus(drill.bus_url, lambda bus: bus.publish([Output(EXAMPLES, b"k", b"\xff no record", 0)]))
    drill.fires("LongstreamDeadLetters")
    drill.clears("LongstreamDeadLetters")

    campaign.signal("judge", signal.SIGSTOP)
    drill.fires("LongstreamDown")
    campaign.signal("judge", signal.SIGCONT)
    drill.clears("LongstreamDown")

    lacking = without_an_engine(drill)
    a_child_that_hangs(drill)  # that of the release which was held up
    drill.clears(*lacking)
    a_job_that_cannot_be_done(drill)


def without_an_engine(drill: Drill) -> list[str]:
    """Take the engine away until all that follows from it has fired; returns what must clear now."""
    lacking = [
        f"Longstream{name}"
        for name in ("Retries", "EngineDown", "LagWithoutProgress", "CutStuck", "Freshness", "Availability")
    ]
    enough = threading.Event()
    asking = threading.Thread(target=keep_asking, args=(drill, enough), daemon=True)
    drill.engine.stop()
    drill.campaign.ask(lambda client: client.cut_release(PIPELINE, "cut-1"), curator="curator")
    asking.start()
    try:
        drill.fires(*lacking)
    finally:
        enough.set()
        asking.join()
        drill.engine.start()
    return lacking


def a_child_that_hangs(drill: Drill) -> None:
    child = drill.campaign.until(lambda: child_of(drill.campaign.pid("trainer")))
    os.kill(child, signal.SIGSTOP)
    try:
        drill.fires("LongstreamTrainingStuck")
    finally:
        os.kill(child, signal.SIGCONT)
    drill.clears("LongstreamTrainingStuck")


def a_job_that_cannot_be_done(drill: Drill) -> None:
    def ask(client: Client) -> None:
        release = client.get_release(PIPELINE)
        client.create_training_job(
            PIPELINE, release.id, recipe={"max_tokens": 1_000_000}, request_id="cannot"
        )

    drill.campaign.ask(ask, curator="curator", trainer="trainer")
    drill.fires("LongstreamTrainingFailed")
    drill.clears("LongstreamTrainingFailed")


def with_open_bus(url: str, act: Callable[..., object]) -> None:
    bus = open_bus(url)
    try:
        act(bus)
    finally:
        bus.close()
