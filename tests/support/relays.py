"""A feeder and relays on a broker behind a proxy, what may befall them, and the evidence that they leave."""

from __future__ import annotations

import itertools
import json
import os
import random
import signal
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from longstream.bus import Topic
from longstream.bus.opening import open_bus
from longstream.errors import Unavailable
from scripts.kafka import LocalBroker, NoBroker, free_port
from tests.support import broker as brokers
from tests.support.brokerlog import BrokerLog
from tests.support.checker import Attempt, Batch, Copied, Counted, Evidence, Input, Told
from tests.support.crew import Crew
from tests.support.journal import facts
from tests.support.nemesis import Fault, Wire
from tests.support.proxy import Proxy
from tests.support.relay import GROUP, IN, OUT, STATE, TOPICS

PATIENCE_S = 400.0
SESSION_S = 6.0
FEEDER = "feeder"


@contextmanager
def behind_a_proxy(folder: Path) -> Iterator[tuple[LocalBroker, Proxy]]:
    """A broker whose clients all come through a proxy. Skips where no broker can be had."""
    port = free_port()
    with Proxy(port) as proxy, brokers.running(folder, port, proxy.address) as broker:
        yield broker, proxy


def created(url: str, topics: Iterable[Topic]) -> bool:
    """Create the topics; False if the broker was away."""
    try:
        with open_bus(url) as bus:
            bus.create_topics(topics)
    except Unavailable:
        return False
    return True


@dataclass(slots=True)
class Relays:
    """The processes of a campaign at bus level, and each fault's act."""

    broker: LocalBroker
    proxy: Proxy
    crew: Crew
    draw: random.Random
    freeze_s: float
    """How long the broker stands still."""
    _numbers: Iterator[int] = field(default_factory=itertools.count)

    def begin(self, relays: int) -> None:
        """Create the topics, and start a feeder and so many relays."""
        self.crew.until(partial(created, self._url, TOPICS), PATIENCE_S, "the topics are created")
        self._start(FEEDER, "feed")
        for _ in range(relays):
            self.join()

    def acts(self) -> Mapping[str, Callable[[Fault], str]]:
        """What each kind of fault does; each returns whom it met."""
        wire = Wire(proxy=self.proxy, crew=self.crew, draw=self.draw, hold_s=(0.5, self.freeze_s))
        return {
            "crash of a relay": lambda fault: self._crash(self._someone(), fault.at),
            "crash of the feeder": lambda fault: self._crash(FEEDER, fault.at),
            "kill of a relay": lambda _: self._kill(self._someone()),
            "kill of the broker": self._kill_broker,
            "broker stands still": self._freeze,
            "connections reset": wire.reset,
            "network holds everything back": wire.hold,
            "network is slow": wire.slow,
            "zombie that was replaced": self._replaced,
            "zombie that slept too long": self._outslept,
            "relay joins": lambda _: self.join(),
            "relay leaves": self._leave,
        }

    def join(self) -> str:
        """One relay more; returns its name."""
        name = f"relay-{next(self._numbers)}"
        self._start(name, "relay")
        return name

    def settle(self) -> None:
        """End the feeder, let the relays come to the end of all that was published, and end them too."""
        self.crew.leave(FEEDER)
        self.crew.until(lambda: not self.crew.names(FEEDER), PATIENCE_S, "the feeder ends")
        log = BrokerLog(self.proxy.address)
        ends = log.ends(IN)

        def done() -> bool:
            self.crew.mend()
            positions = log.positions(IN, GROUP)
            return all(positions.get(number, 0) >= end for number, end in ends.items())

        self.crew.until(done, PATIENCE_S, f"the relays come to {ends}")
        for name in self.crew.names("relay"):
            self.crew.leave(name)
        self.crew.until(self.crew.all_ended, PATIENCE_S, f"{self.crew.names('')} and the sleepers end")

    def _start(self, name: str, act: str) -> None:
        argv = [sys.executable, "-m", "tests.support.relay", act, self._url, "--member", name]
        journal = self.crew.folder / f"{name}.{act}"
        self.crew.start(name, [*argv, "--journal", str(journal), "--session-s", str(SESSION_S)])

    @property
    def _url(self) -> str:
        return f"kafka:{self.proxy.address}"

    def _someone(self) -> str:
        return self.draw.choice(self.crew.names("relay"))

    def _crash(self, name: str, point: str) -> str:
        self.crew.kill(name, f"{point}:{self.draw.randint(1, 3)}")
        self.crew.until(lambda: self.crew.crashed(name), PATIENCE_S, f"{name} passes {point}")
        return name

    def _kill(self, name: str) -> str:
        self.crew.kill(name)
        return name

    def _kill_broker(self, _fault: Fault) -> str:
        self.broker.kill()
        self.crew.rest(self.draw.uniform(0.0, 2.0))
        revive(self.broker)
        return "broker"

    def _freeze(self, _fault: Fault) -> str:
        stop(self.broker.pid, self.freeze_s, self.crew)
        return "broker"

    def _replaced(self, _fault: Fault) -> str:
        """The sleeper's seat is filled anew; it wakes when its successor commits, and must end."""
        name = self._someone()
        sleeper = self.crew.replace(name)
        journal = self.crew.folder / f"{name}.relay"
        before = journal.stat().st_size if journal.exists() else 0

        def at_work() -> bool:
            return journal.exists() and journal.stat().st_size > before

        self.crew.until(at_work, PATIENCE_S, f"{name}'s successor commits")
        sleeper.send_signal(signal.SIGCONT)
        self.crew.until(lambda: not self.crew.sleepers, PATIENCE_S, f"the replaced {name} ends")
        return name

    def _outslept(self, _fault: Fault) -> str:
        """The sleeper's session runs out, others take over, and it wakes."""
        name = self._someone()
        self.crew.signal(name, signal.SIGSTOP)
        self.crew.rest(SESSION_S + self.draw.uniform(0.5, 2.0))
        self.crew.signal(name, signal.SIGCONT)
        return name

    def _leave(self, _fault: Fault) -> str:
        present = self.crew.names("relay")
        if len(present) < 3:
            self.join()
        name = self.draw.choice(present)
        self.crew.leave(name)
        self.crew.until(lambda: name not in self.crew.names(name), PATIENCE_S, f"{name} leaves")
        return name


def revive(broker: LocalBroker) -> None:
    """Start a killed broker again, which takes its time while others use the machine."""
    for attempt in range(5):
        try:
            broker.start()
            return
        except NoBroker:
            if attempt == 4:
                raise


def stop(pid: int, seconds: float, crew: Crew) -> None:
    """A process stands still for so long."""
    os.kill(pid, signal.SIGSTOP)
    crew.rest(seconds)
    os.kill(pid, signal.SIGCONT)


def evidence(address: str, folder: Path) -> tuple[Evidence, int]:
    """What lies in the topics and journals at the end; and how many records readers do not see, being aborted."""
    log = BrokerLog(address)
    records = {topic: log.read(topic) for topic in (IN, OUT, STATE)}
    everything = sum(len(log.read(topic, committed_only=False)) for topic in (IN, OUT, STATE))
    found = Evidence(
        batches=_batches(folder),
        attempts=_attempts(folder),
        inputs=[
            Input(partition=one.partition, offset=one.offset, key=one.key.decode()) for one in records[IN]
        ],
        copies=[
            Copied(
                partition=one.partition, key=one.key.decode(), attempt=_attempt(one), **json.loads(one.value)
            )
            for one in records[OUT]
        ],
        counts=[
            Counted(partition=one.partition, attempt=_attempt(one), **json.loads(one.value))
            for one in records[STATE]
        ],
        positions=log.positions(IN, GROUP),
    )
    return found, everything - sum(map(len, records.values()))


def _attempt(record: Any) -> str:
    return str(next(value for name, value in record.headers if name == "attempt"), "utf-8")


def _batches(folder: Path) -> dict[str, Batch]:
    found: dict[str, Batch] = {}
    for fact in facts(*folder.glob("*.feed")):
        keys = tuple(fact["keys"]) if "keys" in fact else found[fact["batch"]].keys
        found[fact["batch"]] = Batch(keys, Told(fact.get("told", "nothing")))
    return found


def _attempts(folder: Path) -> dict[str, Attempt]:
    found: dict[str, Attempt] = {}
    for fact in facts(*folder.glob("*.relay")):
        name, told = fact["attempt"], Told(fact.get("told", "nothing"))
        if "outputs" in fact:
            found[name] = Attempt(fact["outputs"], told, fact["states"])
        else:
            found[name] = replace(found[name], told=told)
    return found
