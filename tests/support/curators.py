"""Curators and an instructor on a broker behind a proxy, under a stream of submissions and cuts, and their faults."""

from __future__ import annotations

import itertools
import os
import random
import signal
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TypeVar

from longstream.client import Addresses, Client, Document, Pair, Patience
from longstream.errors import SuiteError
from longstream.health import ask_health
from longstream.suite import SuiteOptions, programs
from longstream.topics import topics
from longstream.v1 import records_pb2 as pb
from scripts.kafka import LocalBroker
from tests.support.brokerlog import BrokerLog
from tests.support.campaign import FOLDERS, Setting, give_ports, take_ports
from tests.support.crew import Crew
from tests.support.nemesis import Fault, Wire
from tests.support.proxy import Proxy
from tests.support.relays import created, revive, stop
from tests.support.stages import PIPELINE

R = TypeVar("R")

PATIENCE_S = 400.0
SESSION_S = 10.0
"""The services' own."""
_PAUSE_S = 0.4
_BETWEEN_CUTS_S = 3.0
_WORDS = ("harbour", "mill", "stone", "garden", "winter", "bridge", "council", "river", "lamp", "orchard")
_CALM = Patience(call_s=20, submit_s=20, attempts=1)


def item(number: int) -> Document | Pair:
    """The nth of an endless stream: every fourth a document, and the longer the later, so that each cut differs."""
    drawn = random.Random(number)
    words = " ".join(drawn.choice(_WORDS) for _ in range(8 + number // 12 + drawn.randrange(12)))
    text = f"The {words} of {number}."
    if number % 4 == 0:
        return Document(text=text, source="town", source_index=number)
    return Pair(response=text, instruction=f"Tell about {number}.", source="book")


@dataclass(slots=True)
class Curators:
    """The processes of a campaign at suite level, what is asked of them, and each fault's act."""

    broker: LocalBroker
    proxy: Proxy
    crew: Crew
    draw: random.Random
    setting: Setting
    freeze_s: float
    submitted: list[Document | Pair] = field(default_factory=list)
    """What was acknowledged."""
    releases: list[str] = field(default_factory=list)
    """The cuts that were asked for and answered, in their order."""
    _addresses: dict[str, str] = field(default_factory=dict)
    _numbers: Iterator[int] = field(default_factory=itertools.count)
    _open: threading.Event = field(default_factory=threading.Event)
    _ending: threading.Event = field(default_factory=threading.Event)
    _threads: list[threading.Thread] = field(default_factory=list)
    _wrong: list[str] = field(default_factory=list)
    _bases: list[int] = field(default_factory=list)

    @property
    def data(self) -> Path:
        return self.crew.folder

    def begin(self, curators: int) -> None:
        """Create the topics, start the services, and let documents, pairs and cuts come in until `settle`."""
        made = partial(created, f"kafka:{self.proxy.address}", topics(self.setting.layout))
        self.crew.until(made, PATIENCE_S, "the topics are created")
        for _ in range(curators):
            self.join()
            self.crew.until(lambda: self._ready(*self._addresses), PATIENCE_S, "the first curators are ready")
        self._start("instructor-0", "instructor")
        for work in (self._submit, self._cut):
            thread = threading.Thread(target=self._noting, args=(work,), name="asker", daemon=True)
            thread.start()
            self._threads.append(thread)

    def acts(self) -> Mapping[str, Callable[[Fault], str]]:
        """What each kind of fault does; each returns whom it met."""
        wire = Wire(proxy=self.proxy, crew=self.crew, draw=self.draw, hold_s=(0.5, self.freeze_s))
        return {
            "crash of a curator": lambda fault: self._crash("curator", fault.at),
            "crash of the instructor": lambda fault: self._crash("instructor", fault.at),
            "kill of a curator": lambda _: self._kill(self._someone()),
            "kill of the instructor": lambda _: self._kill("instructor-0"),
            "kill of the broker": self._kill_broker,
            "broker stands still": self._freeze,
            "connections reset": wire.reset,
            "network holds everything back": wire.hold,
            "zombie that was replaced": self._replaced,
            "zombie that slept too long": self._outslept,
            "curator joins during a cut": lambda _: self._during_a_cut(self.join),
            "curator leaves during a cut": lambda _: self._during_a_cut(self._leave),
        }

    def join(self) -> str:
        """One curator more; returns its name."""
        name = f"curator-{next(self._numbers)}"
        self._start(name, "curator")
        return name

    def settle(self) -> None:
        """Let a third cut be asked for at least, the last one become final and all work end; then end the processes."""
        self.crew.until(lambda: len(self.releases) > 2 or bool(self._wrong), 2 * PATIENCE_S, "the third cut")
        self._ending.set()
        for thread in self._threads:
            self.crew.until(lambda thread=thread: not thread.is_alive(), 2 * PATIENCE_S, "the last cut")  # type: ignore[misc]
        self.crew.wrong.extend(self._wrong)
        log = BrokerLog(self.proxy.address)
        work = [
            ("examples", "curator-keepers"),
            ("curation", "curator-owners"),
            ("selected", "instructor-writers"),
        ]
        for topic, group in work:
            self.crew.until(partial(log.done, topic, group), PATIENCE_S, f"{group} have done all of {topic}")
        for name in self.crew.names(""):
            self.crew.leave(name)
        self.crew.until(self.crew.all_ended, PATIENCE_S, f"{self.crew.names('')} and the sleepers end")
        for base in self._bases:
            give_ports(base)

    def _start(self, name: str, service: str) -> None:
        environ = self._environ(service)
        self.crew.start(
            name, programs(self._options(0), [service])[0].argv, LONGSTREAM_MEMBER=name, **environ
        )
        self._addresses[name] = environ["LONGSTREAM_GRPC_ADDRESS"]

    def _environ(self, service: str) -> dict[str, str]:
        """What a process is told, with ports of its own."""
        self._bases.append(take_ports(self._options(0)))
        [program] = programs(self._options(self._bases[-1]), [service])
        told = {name: value for name, value in program.environ.items() if name != "LONGSTREAM_MEMBER"}
        return {
            **told,
            "LONGSTREAM_BUS_URL": f"kafka:{self.proxy.address}",
            "PYTHONPATH": os.pathsep.join(map(str, FOLDERS)),
        }

    def _options(self, port_base: int) -> SuiteOptions:
        return SuiteOptions(
            data=self.data,
            pipelines=(self.setting.pipeline,),
            port_base=port_base,
            instructor_engine=self.setting.engine,
            judge_engine=self.setting.engine,
            layout=self.setting.layout,
        )

    def _noting(self, work: Callable[[], None]) -> None:
        try:
            work()
        except BaseException as error:
            self._wrong.append(f"{type(error).__name__}: {error}")

    def _submit(self) -> None:
        """Three items at a time, each until it is acknowledged."""
        for number in itertools.count(step=3):
            if self._ending.wait(_PAUSE_S):
                return
            items = [item(n) for n in range(number, number + 3)]
            documents = [one for one in items if isinstance(one, Document)]
            pairs = [one for one in items if isinstance(one, Pair)]
            self._ask(lambda client, these=documents: client.submit_documents(these))  # type: ignore[misc]
            self._ask(lambda client, these=pairs: client.submit_pairs(these))  # type: ignore[misc]
            self.submitted += items

    def _cut(self) -> None:
        """One cut after the other; the last one is waited for too."""
        for number in itertools.count(1):
            if self._ending.wait(_BETWEEN_CUTS_S):
                return
            release = self._ask(partial(Client.cut_release, pipeline=PIPELINE, request_id=f"cut-{number}"))
            self.releases.append(release.id)
            self._open.set()
            while self._ask(partial(Client.get_release, pipeline=PIPELINE, release_id=release.id)).state != (
                pb.Release.STATE_FINAL
            ):
                threading.Event().wait(0.2)
            self._open.clear()

    def _ask(self, act: Callable[[Client], R]) -> R:
        """What one of the curators answers, whoever first does."""
        turn = random.Random(0)
        for _ in range(int(PATIENCE_S / 0.2)):
            known = [where for name, where in list(self._addresses.items()) if name.startswith("curator")]
            try:
                with Client(Addresses(curator=turn.choice(known)), patience=_CALM) as client:
                    return act(client)
            except SuiteError as error:
                if not error.retryable:
                    raise
            threading.Event().wait(0.2)
        raise AssertionError(f"no curator answered within {PATIENCE_S:.0f} s")

    def _ready(self, *names: str) -> bool:
        return all(ask_health(self._addresses[name], 5.0).state == "ready" for name in names)

    def _someone(self) -> str:
        return self.draw.choice(self.crew.names("curator"))

    def _crash(self, prefix: str, point: str) -> str:
        """All of that name begin a life that may end there, since only the owner of a pipeline passes some points."""
        names = self.crew.names(prefix)
        for name in names:
            self.crew.kill(name, f"{point}:{self.draw.randint(1, 2)}")
        self.crew.until(lambda: any(map(self.crew.crashed, names)), PATIENCE_S, f"{prefix} passes {point}")
        return ", ".join(name for name in names if self.crew.crashed(name))

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
        """The sleeper wakes when its successor, of the same name, is ready; it must end."""
        name = self._someone()
        environ = self._environ("curator")
        sleeper = self.crew.replace(name, **environ)
        self._addresses[name] = environ["LONGSTREAM_GRPC_ADDRESS"]
        self.crew.until(lambda: self._ready(name), PATIENCE_S, f"{name}'s successor is ready")
        sleeper.send_signal(signal.SIGCONT)
        self.crew.until(lambda: not self.crew.sleepers, PATIENCE_S, f"the replaced {name} ends")
        return name

    def _outslept(self, _fault: Fault) -> str:
        name = self._someone()
        self.crew.signal(name, signal.SIGSTOP)
        self.crew.rest(SESSION_S + self.draw.uniform(1.0, 3.0))
        self.crew.signal(name, signal.SIGCONT)
        return name

    def _leave(self) -> str:
        present = self.crew.names("curator")
        if len(present) < 2:
            return ""
        name = self.draw.choice(present)
        del self._addresses[name]
        self.crew.leave(name)
        self.crew.until(lambda: name not in self.crew.names(name), PATIENCE_S, f"{name} leaves")
        return name

    def _during_a_cut(self, act: Callable[[], str]) -> str:
        self.crew.until(self._open.is_set, PATIENCE_S, "a cut is open")
        return act()
