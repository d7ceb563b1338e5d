"""A training child killed at any gap leaves what the next attempt needs: the model has the same bits."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from longstream.v1 import records_pb2 as pb
from tests.support.campaign import FOLDERS, KILLED, PATIENCE_S, Campaign
from tests.support.logreader import broken
from tests.support.stages import Stages, idle
from tests.support.tinymodel import make_tiny_llama
from tests.support.trainingjobs import small_release, write_job

pytestmark = [pytest.mark.kills, pytest.mark.slow]

CRASHES = [
    "trainer.publish.before_rename:1",  # the first checkpoint is not there
    "trainer.publish.renamed:1",  # it is
    "trainer.publish.before_rename:3",  # the second and third are, the model is not
    "trainer.publish.renamed:1",  # it is, and nobody was told
]


def start(job: Path, crash: str = "") -> subprocess.Popen[bytes]:
    environ = {**os.environ, "LONGSTREAM_CRASH_AT": crash, "PYTHONPATH": os.pathsep.join(map(str, FOLDERS))}
    command = [sys.executable, "-m", "longstream_trainer.child", str(job)]
    return subprocess.Popen(
        command, env=environ, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )


def test_a_child_killed_at_every_gap_makes_the_same_model(tmp_path: Path) -> None:
    base, shards = make_tiny_llama(tmp_path / "base"), small_release(tmp_path)
    disturbed, whole = (
        write_job(tmp_path / name, base, shards, epochs=1, checkpoint_every_steps=1)
        for name in ("disturbed", "whole")
    )
    with start(whole) as peaceful:
        for crash in CRASHES:
            with start(disturbed, crash) as child:
                assert child.wait(PATIENCE_S) == KILLED, crash
        with start(disturbed) as child:
            assert child.wait(PATIENCE_S) == 0
        assert peaceful.wait(PATIENCE_S) == 0
    models = [job.parent / "output" / "adapter_model.safetensors" for job in (disturbed, whole)]
    assert models[0].read_bytes() == models[1].read_bytes()


def children(pid: int) -> list[int]:
    """The processes that any thread of pid has started."""
    return [
        int(child)
        for path in Path(f"/proc/{pid}/task").glob("*/children")
        for child in path.read_text().split()
    ]


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="finds the child by /proc")
def test_a_job_whose_child_is_killed_gets_another_attempt(stages: Stages, tmp_path: Path) -> None:
    with Campaign(stages.copy("final", tmp_path / "data"), stages.setting) as campaign:
        campaign.start("trainer")

        def trained() -> bool:
            return bool(campaign.log.messages("training-events", pb.TrainingEvent))

        campaign.until(trained)
        [child] = children(campaign.pid("trainer"))
        os.kill(child, signal.SIGKILL)
        campaign.until(lambda: idle(campaign.log, "trainer"))
        campaign.stop()
    assert broken(campaign.data) == []
    [model] = campaign.log.messages("models", pb.Model)
    [job] = {job.id: job for job in campaign.log.messages("training-jobs", pb.TrainingJob)}.values()
    assert (job.model_id, job.attempt) == (model.id, 2)
