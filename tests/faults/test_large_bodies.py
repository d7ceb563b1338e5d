"""Texts that only storage can hold: a process killed between the object and the record that names it loses nothing."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import pytest

from longstream.bodies import ABOVE_BYTES
from longstream.bus import MAX_RECORD_BYTES
from longstream.client import Client
from longstream.data.records import Pair
from longstream.v1 import records_pb2 as pb
from tests.support.campaign import Campaign, Setting
from tests.support.logreader import broken, missing, rows_of
from tests.support.stages import cut, final, same_bytes, write_pipeline

pytestmark = [pytest.mark.kills, pytest.mark.slow]

LARGE = [
    Pair(response=f"{n} is a number. " * 70_000 * (n % 2 + 1), instruction=f"Go on about {n}.", source="book")
    for n in range(1, 5)
]
CRASHES = ["bodies.stored:1", "bodies.stored:3", "bodies.stored:1"]
"""In a submission, behind a committed one, and in what the keepers commit."""


def released(folder: Path, setting: Setting, crashes: Sequence[str] = ()) -> tuple[pb.Release, list[str]]:
    """The release of the large pairs by a curator that is killed so, and the responses of its rows."""
    with Campaign(folder, setting) as campaign:
        campaign.start("curator", crashes=crashes)
        campaign.ask(partial(Client.submit_pairs, pairs=LARGE))
        release = final(campaign, cut(campaign))
        campaign.stop()
        assert campaign.kills == len(crashes)
    assert broken(campaign.data) == []
    assert missing(campaign.data, [(pair.instruction, pair.response) for pair in LARGE]) == []
    return release, [str(row["response"]) for row in rows_of(campaign.data, release)]


@pytest.mark.timeout(1_800)
def test_a_curator_killed_between_object_and_record_makes_the_same_release(tmp_path: Path) -> None:
    pipeline = write_pipeline(tmp_path / "faults.yaml", Path("/models/none"))
    setting = Setting(pipeline=pipeline, engine="vllm:none", patience_s=400.0)  # a curator needs neither
    sizes = [len(pair.response) for pair in LARGE]
    assert ABOVE_BYTES < min(sizes) < MAX_RECORD_BYTES * 2 < max(sizes)
    undisturbed, responses = released(tmp_path / "peace", setting)
    assert sorted(responses) == sorted(pair.response for pair in LARGE)
    killed, again = released(tmp_path / "killed", setting, CRASHES)
    assert same_bytes(killed, undisturbed)
    assert again == responses
