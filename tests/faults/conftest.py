"""What the kill tests share: an engine outside the killed processes, a base model, the undisturbed run."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from longstream.v1 import records_pb2 as pb
from tests.support import standin
from tests.support.campaign import Campaign, Setting
from tests.support.stages import Stages, release_pairs, write_pipeline


@pytest.fixture(scope="session")
def engine() -> Iterator[str]:
    """URL of the deterministic stand-in for an engine."""
    process = subprocess.Popen(
        [sys.executable, str(Path(standin.__file__))],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert process.stdout is not None
    yield f"openai:http://127.0.0.1:{process.stdout.readline().strip()}/v1?model={standin.MODEL}"
    process.kill()
    process.communicate()


@pytest.fixture(scope="session")
def setting(engine: str, tmp_path_factory: pytest.TempPathFactory) -> Setting:
    from tests.support.tinymodel import make_tiny_llama

    folder = tmp_path_factory.mktemp("setting")
    pipeline = write_pipeline(folder / "faults.yaml", make_tiny_llama(folder / "base"))
    return Setting(pipeline=pipeline, engine=engine)


@pytest.fixture(scope="session")
def stages(setting: Setting, tmp_path_factory: pytest.TempPathFactory) -> Stages:
    return Stages(tmp_path_factory.mktemp("stages"), setting)


@pytest.fixture(scope="session")
def undisturbed(stages: Stages, tmp_path_factory: pytest.TempPathFactory) -> pb.Release:
    """The release of pairs that a curator makes in peace."""
    with Campaign(tmp_path_factory.mktemp("peace") / "data", stages.setting) as campaign:
        release = release_pairs(campaign)
        campaign.stop()
        return release
