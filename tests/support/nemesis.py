"""The faults of a campaign, drawn from a seed, and the history of what was done when.

`LONGSTREAM_TEST_FAULT_SEED` gives the seed of a campaign that is to be repeated; what is drawn is then the same, though
the processes' own timing is not.
"""

from __future__ import annotations

import os
import random
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.support.crew import Crew
from tests.support.journal import Journal
from tests.support.proxy import Proxy

VARIABLE = "LONGSTREAM_TEST_FAULT_SEED"


def seed_of_the_run() -> int:
    """The given seed, or a new one."""
    given = os.environ.get(VARIABLE, "")
    return int(given) if given else random.SystemRandom().randrange(1 << 32)


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One fault to come. at: the crash point, if it is one."""

    kind: str
    at: str = ""


def drawn(draw: random.Random, faults: Sequence[Fault], rounds: int) -> list[Fault]:
    """The faults as so many decks, each shuffled: every kind comes, none rules."""
    return [fault for _ in range(rounds) for fault in draw.sample(faults, len(faults))]


@dataclass(slots=True)
class Nemesis:
    """Does faults, each by the act of its kind, and keeps the history."""

    seed: int
    crew: Crew
    path: Path
    acts: Mapping[str, Callable[[Fault], str]]
    """By kind; an act returns what it has met, empty if there was nothing to meet."""
    draw: random.Random = field(init=False)
    done: Counter[str] = field(default_factory=Counter)
    _journal: Journal = field(init=False)
    _begun: float = field(default_factory=time.monotonic)

    def __post_init__(self) -> None:
        self.draw = random.Random(self.seed)
        self._journal = Journal(self.path)
        self._journal.note(seed=self.seed)

    def strike(self, faults: Sequence[Fault], *, rest_s: tuple[float, float] = (0.0, 1.0)) -> None:
        """Do the faults one after the other, with a drawn pause between; stops once something is wrong."""
        for fault in faults:
            if self.crew.wrong:
                return
            at_s = time.monotonic() - self._begun
            target = self.acts[fault.kind](fault)
            self._journal.note(
                at_s=round(at_s, 2),
                until_s=round(time.monotonic() - self._begun, 2),
                fault=fault.kind,
                at=fault.at,
                target=target,
            )
            self.done[fault.kind] += bool(target)
            self.crew.rest(self.draw.uniform(*rest_s))

    def told(self) -> str:
        """How to repeat this, and what was done."""
        kinds = ", ".join(f"{count} {kind}" for kind, count in sorted(self.done.items()))
        return f"{VARIABLE}={self.seed}: {self.done.total()} faults ({kinds}); history: {self.path}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wire:
    """Faults of the network between all clients and the broker."""

    proxy: Proxy
    crew: Crew
    draw: random.Random
    hold_s: tuple[float, float]

    def reset(self, _fault: Fault) -> str:
        """Three times, some or all of the connections."""
        met = 0
        for _ in range(3):
            met += self.proxy.reset(self.draw, self.draw.choice([0.3, 0.6, 1.0]))
            self.crew.rest(self.draw.uniform(0.05, 0.4))
        return f"{met} connections" if met else ""

    def hold(self, _fault: Fault) -> str:
        """Nothing passes for a while, then all that was held back does."""
        met = self.proxy.connections
        self.proxy.hold()
        self.crew.rest(self.draw.uniform(*self.hold_s))
        self.proxy.free()
        return f"{met} connections" if met else ""

    def slow(self, _fault: Fault) -> str:
        """Every piece is late."""
        met = self.proxy.connections
        self.proxy.delay_s = self.draw.uniform(0.02, 0.08)
        self.crew.rest(self.draw.uniform(1.0, 2.5))
        self.proxy.delay_s = 0.0
        return f"{met} connections" if met else ""
