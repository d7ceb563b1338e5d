"""kill -9 of every service at random moments while vLLM writes and judges: nothing lost, nothing doubled.

What it writes depends on its batches, so that here no two runs are compared; the first row of an id stands.
"""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from longstream.v1 import records_pb2 as pb
from tests.support.campaign import Campaign, Setting
from tests.support.logfile import LogFile
from tests.support.logreader import broken, missing, rows_of
from tests.support.stages import LOOSE, SUBMITTED, K, cut, final, idle, submit, write_pipeline
from tests.support.tinymodel import make_tiny_llama

KILLS = 3 if "SOAK" in os.environ else 1
"""Of each service."""


def at_work(log: LogFile, service: str) -> bool:
    """Whether the service is in the middle of something."""
    match service:
        case "curator":
            return not idle(log, service)
        case "instructor":
            return 0 < len(log.lines("rows")) < len(log.lines("selected"))
        case "trainer":
            return any(event.HasField("step") for event in log.messages("training-events", pb.TrainingEvent))
    return any(one.stage for one in log.messages("evaluations", pb.Evaluation))


@pytest.fixture
def setting(tmp_path: Path) -> Setting:
    base = make_tiny_llama(tmp_path / "base")
    pipeline = write_pipeline(tmp_path / "faults.yaml", base, LOOSE)
    few = {"INSTRUCTOR_IN_FLIGHT": "2", "INSTRUCTOR_ENGINE_EAGER": "true", "JUDGE_ENGINE_EAGER": "true"}
    return Setting(pipeline=pipeline, engine=f"vllm:{base}", environ=few, patience_s=600)


@pytest.mark.engine
@pytest.mark.kills
@pytest.mark.slow
@pytest.mark.timeout(1_800)
def test_kills_with_the_real_engine(setting: Setting, tmp_path: Path) -> None:
    chance = random.Random()
    seed = chance.randrange(10**6)
    print(f"moments drawn by {seed}")  # pytest shows it with a failure
    chance.seed(seed)

    with Campaign(tmp_path / "data", setting) as campaign:

        def kill(service: str, over: Callable[[], bool]) -> None:
            """Once at work, then at any moment; the pauses are what makes the moments random."""
            for number in range(KILLS):
                if number == 0:
                    campaign.until(lambda: at_work(campaign.log, service) or over())
                time.sleep(chance.uniform(0.0, 0.3 if number == 0 else 20.0))
                campaign.kill(service)

        def released() -> bool:
            return idle(campaign.log, "instructor")

        campaign.start("curator", "judge", "instructor")  # the two engines load beside each other
        submit(campaign)
        kill("curator", lambda: True)
        release_id = cut(campaign)
        kill("instructor", released)
        release = final(campaign, release_id)
        campaign.start("trainer")
        kill("trainer", lambda: idle(campaign.log, "trainer"))
        campaign.until(lambda: idle(campaign.log, "trainer"))
        kill("judge", lambda: idle(campaign.log, "judge"))
        campaign.until(lambda: idle(campaign.log, "judge"))
        campaign.stop()
        assert campaign.kills == 4 * KILLS
    assert broken(campaign.data) == []
    assert missing(campaign.data, SUBMITTED) == []
    assert [row["split"] for row in rows_of(campaign.data, release)].count("train") == K
