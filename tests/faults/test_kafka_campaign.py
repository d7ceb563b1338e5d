"""Relays on a real broker under a seeded nemesis: nothing is lost, doubled, torn or put out of order.

What is judged was read by kafka-python alone. `make test` goes once through the deck of all faults, each crash point
among them; with SOAK set it is dealt seven times, which makes 161. A failure names its seed, and
LONGSTREAM_TEST_FAULT_SEED repeats it.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

import longstream.bus
from longstream.faults import crash_points
from tests.support.checker import complaints
from tests.support.crew import Crew
from tests.support.nemesis import Fault, Nemesis, drawn, seed_of_the_run
from tests.support.relays import Relays, behind_a_proxy, evidence

pytestmark = [pytest.mark.kills, pytest.mark.kafka, pytest.mark.slow]

SOAKING = "SOAK" in os.environ
ROUNDS = 7 if SOAKING else 1
FREEZE_S = 20.0 if SOAKING else 5.0

BUS = [p for p in crash_points(Path(longstream.bus.__file__).parent) if p.startswith("kafka.")]
OF_A_RELAY = [
    *(point for point in BUS if point.startswith("kafka.commit.")),
    *("worker.poll.after", "worker.commit.before", "worker.commit.after"),
]
OF_THE_FEEDER = [
    "kafka.publish.before",
    "kafka.commit.begun",
    "kafka.commit.outputs_sent",
    "kafka.commit.acknowledged",
    "kafka.publish.after",
]
DECK = [
    *(Fault(kind="crash of a relay", at=point) for point in OF_A_RELAY),
    *(Fault(kind="crash of the feeder", at=point) for point in OF_THE_FEEDER),
    *(
        Fault(kind=kind)
        for kind in (
            *("kill of a relay", "kill of the broker", "broker stands still"),
            *("connections reset", "connections reset", "network holds everything back", "network is slow"),
            *("zombie that was replaced", "zombie that slept too long", "relay joins", "relay leaves"),
        )
    ),
]


def test_the_deck_holds_every_crash_point_of_the_bus() -> None:
    assert {fault.at for fault in DECK} >= set(BUS)


@pytest.mark.timeout(7200 if SOAKING else 1800)
def test_whatever_befalls_relays_and_broker_each_record_is_copied_once(tmp_path: Path) -> None:
    begun, seed = time.monotonic(), seed_of_the_run()
    with behind_a_proxy(tmp_path / "kafka") as (broker, proxy), Crew(tmp_path / "crew") as crew:
        nemesis = Nemesis(seed, crew, tmp_path / "history.jsonl", acts={})
        relays = Relays(broker, proxy, crew, nemesis.draw, FREEZE_S)
        nemesis.acts = relays.acts()
        relays.begin(3)
        nemesis.strike(drawn(nemesis.draw, DECK, ROUNDS))
        relays.settle()
        assert crew.wrong == [], nemesis.told()
        found, aborted = evidence(proxy.address, crew.folder)
    told = (
        f"{nemesis.told()}; {len(found.inputs)} records, {len(found.attempts)} commits, {aborted} aborted records, "
        f"{crew.returns} returns, {time.monotonic() - begun:.0f} s"
    )
    print(told)
    assert complaints(found) == [], told
    assert nemesis.done.total() >= 20 * ROUNDS, told
    assert len(found.inputs) > 100 * ROUNDS, told
    assert aborted > 0, told
