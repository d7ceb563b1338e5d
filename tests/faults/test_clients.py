"""A client that dies between send and acknowledgement may send everything again: only `examples` shows it."""

from __future__ import annotations

import os
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest

from longstream.client import Client
from longstream.v1 import records_pb2 as pb
from tests.support.campaign import KILLED, PATIENCE_S, ROOT, Campaign
from tests.support.logreader import broken, missing
from tests.support.stages import MORE_PAIRS, Stages, cut, final, same_bytes

pytestmark = [pytest.mark.kills, pytest.mark.slow]


@pytest.mark.parametrize(
    ("options", "crash"), [(["--hold"], ""), ([], "client.submit.answered:1")], ids=["unanswered", "answered"]
)
def test_a_client_killed_before_it_knew_sends_again_and_nothing_is_doubled(
    options: list[str], crash: str, undisturbed: pb.Release, stages: Stages, tmp_path: Path
) -> None:
    with Campaign(tmp_path / "data", stages.setting) as campaign:
        campaign.start("curator")
        campaign.until(lambda: campaign.ready("curator"))
        before = len(campaign.log.lines("examples"))
        command = [sys.executable, "-m", "tests.support.submitter", campaign.address("curator"), *options]
        environ = {**os.environ, "LONGSTREAM_CRASH_AT": crash}
        with subprocess.Popen(command, env=environ, cwd=ROOT, stdin=subprocess.PIPE) as client:
            campaign.until(lambda: len(campaign.log.lines("examples")) == before + len(MORE_PAIRS))
            if not crash:
                client.kill()
            assert client.wait(PATIENCE_S) == KILLED
        campaign.ask(partial(Client.submit_pairs, pairs=MORE_PAIRS))
        assert len(campaign.log.lines("examples")) == before + 2 * len(MORE_PAIRS)
        release = final(campaign, cut(campaign))
        campaign.stop()
    assert broken(campaign.data) == []
    assert missing(campaign.data, [(pair.instruction, pair.response) for pair in MORE_PAIRS]) == []
    assert same_bytes(release, undisturbed)
