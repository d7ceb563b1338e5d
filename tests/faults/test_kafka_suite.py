"""Curators and an instructor on a real broker, cut after cut under a seeded nemesis: the releases are those of peace.

Each release must have the bytes that an undisturbed suite on the embedded log makes of the examples which stood before
its barriers. With SOAK set every crash point of the two services is met, twice.
"""

from __future__ import annotations

import os
import random
import time
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from longstream.client import Client, Document, Pair
from longstream.topics import Layout
from longstream.v1 import records_pb2 as pb
from tests.support.brokerlog import BrokerLog
from tests.support.campaign import Campaign, Setting
from tests.support.crew import Crew
from tests.support.curators import Curators
from tests.support.logreader import before_the_cut, broken, finals, missing
from tests.support.nemesis import Fault, Nemesis, drawn, seed_of_the_run
from tests.support.relays import behind_a_proxy
from tests.support.stages import cut, final, same_bytes

pytestmark = [pytest.mark.kills, pytest.mark.kafka, pytest.mark.slow]

SOAKING = "SOAK" in os.environ
FREEZE_S = 20.0 if SOAKING else 4.0
FOUR = Layout(examples_partitions=4, selected_partitions=2)

COMMIT = [
    *(
        f"kafka.commit.{gap}"
        for gap in ("before", "begun", "outputs_sent", "positions_sent", "acknowledged", "after")
    ),
    *("worker.poll.after", "worker.commit.before", "worker.commit.after"),
]
OF_A_CURATOR = [
    *COMMIT,
    *("kafka.publish.before", "kafka.publish.after", "curator.submit.published"),
    *("curator.snapshot.stored", "curator.release.stored"),
    *(f"storage.put.{gap}" for gap in ("before_rename", "between_renames", "after")),
]
CURATORS = [Fault(kind="crash of a curator", at=point) for point in OF_A_CURATOR]
INSTRUCTOR = [Fault(kind="crash of the instructor", at=point) for point in COMMIT]
OTHERS = [
    Fault(kind=kind)
    for kind in (
        *("curator joins during a cut", "curator leaves during a cut", "zombie that was replaced"),
        *("kill of the broker", "broker stands still", "connections reset", "kill of a curator"),
    )
]
SLOW = [
    Fault(kind=kind)
    for kind in ("zombie that slept too long", "network holds everything back", "kill of the instructor")
]


def deck(draw: random.Random) -> list[Fault]:
    """All faults twice when soaking; else some of the crash points beside one of each of the others."""
    if SOAKING:
        return drawn(draw, [*CURATORS, *INSTRUCTOR, *OTHERS, *SLOW], 2)
    return drawn(draw, [*draw.sample(CURATORS, 2), *draw.sample(INSTRUCTOR, 1), *OTHERS], 1)


def in_peace(data: Path, setting: Setting, cuts: Sequence[Sequence[pb.Example]]) -> list[pb.Release]:
    """What an undisturbed suite makes of these cuts, each of which holds what the one before held."""
    known: set[str] = set()
    releases = []
    with Campaign(data, setting) as campaign:
        campaign.start("curator", "instructor")
        for number, examples in enumerate(cuts):
            new = {one.id: one for one in examples if one.id not in known}
            known |= new.keys()
            documents = [
                Document(text=one.response, source=one.source, source_index=one.source_index)
                for one in new.values()
                if not one.instruction
            ]
            pairs = [
                Pair(response=one.response, instruction=one.instruction, source=one.source)
                for one in new.values()
                if one.instruction
            ]
            campaign.ask(partial(Client.submit_documents, documents=documents), curator="curator")
            campaign.ask(partial(Client.submit_pairs, pairs=pairs), curator="curator")
            releases.append(final(campaign, cut(campaign, f"peace-{number}")))
        campaign.stop()
    return releases


def texts(items: Sequence[Document | Pair]) -> list[tuple[str, str]]:
    return [("", one.text) if isinstance(one, Document) else (one.instruction, one.response) for one in items]


@pytest.mark.timeout(7200 if SOAKING else 1800)
def test_whatever_befalls_the_suite_each_release_is_that_of_peace(setting: Setting, tmp_path: Path) -> None:
    begun, seed = time.monotonic(), seed_of_the_run()
    with behind_a_proxy(tmp_path / "kafka") as (broker, proxy), Crew(tmp_path / "data") as crew:
        nemesis = Nemesis(seed, crew, tmp_path / "history.jsonl", acts={})
        suite = Curators(broker, proxy, crew, nemesis.draw, replace(setting, layout=FOUR), FREEZE_S)
        nemesis.acts = suite.acts()
        suite.begin(2)
        nemesis.strike(deck(nemesis.draw))
        suite.settle()
        assert crew.wrong == [], nemesis.told()
        log = BrokerLog(proxy.address, settled=True)
        told = f"{nemesis.told()}; {len(suite.submitted)} items, {crew.returns} returns"
        assert broken(crew.folder, log) == [], told
        assert missing(crew.folder, texts(suite.submitted), log) == [], told
        made = finals(log)
        cuts = [before_the_cut(log, release) for release in made]
    wanted = in_peace(tmp_path / "peace", setting, cuts)
    print(f"{told}; {len(made)} releases; {time.monotonic() - begun:.0f} s")
    assert [release.id for release in made] == suite.releases, told
    assert [same_bytes(*two) for two in zip(made, wanted, strict=True)] == [True] * len(made), told
    assert len({release.content_hash for release in made}) > 1, told
    assert nemesis.done.total() >= (50 if SOAKING else 9), told
