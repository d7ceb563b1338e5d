"""Each service, killed at each gap between two effects that it has, goes on as if nothing had happened.

The engine is outside the killed processes and answers by rule, so a release must have the bytes of the
undisturbed run's. `make test` kills a service in one life after another, each at the next crash point of a
chain; `make soak` (SOAK is set) also tries each point alone, and later passes through it.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from longstream.faults import crash_points
from longstream.v1 import records_pb2 as pb
from tests.support.campaign import ROOT, Campaign
from tests.support.logfile import LogFile
from tests.support.logreader import broken, finals, missing
from tests.support.stages import (
    MORE_PAIRS,
    PIPELINE,
    SUBMITTED,
    Stages,
    asked,
    cut,
    final,
    idle,
    release_pairs,
    same_bytes,
)

pytestmark = [pytest.mark.kills, pytest.mark.slow]

Chains = Mapping[str, Sequence[str]]

JOIN = [f"bus.join.{gap}:1" for gap in ("begun", "shared_out", "after")]
COMMIT = [
    *(f"bus.commit.{gap}:1" for gap in ("before", "begun", "outputs_written", "positions_moved", "after")),
    *("worker.commit.before:1", "worker.commit.after:1"),
]
PUT = [f"storage.put.{gap}:1" for gap in ("before_rename", "between_renames", "after")]
PUBLISH = [f"bus.publish.{gap}:1" for gap in ("before", "written", "after")]

CHAINS: Mapping[str, Chains] = {
    "curator": {
        "joining": [*JOIN, *(f"{point[:-1]}2" for point in JOIN)],  # two groups
        # Pairs, the command, its marks, their reports: any release takes four commits, and each later crash
        # is in a later one.
        "committing": ["bus.commit.outputs_written:4", "worker.poll.after:1", *COMMIT],
        # Three submissions, then the command to cut.
        "publishing": [
            *PUBLISH,
            "curator.submit.published:1",
            "bus.publish.written:4",
            "bus.publish.after:1",
        ],
        # Snapshots, then shard, manifest and data card.
        "storing": [
            *PUT,
            "curator.snapshot.stored:1",
            *PUT,
            "storage.put.after:2",
            "curator.release.stored:1",
        ],
    },
    "gathering curator": {
        "walking": [
            *("bus.commit.outputs_written:1", "curator.release.stored:1", "storage.put.after:1"),
            *("worker.commit.before:1", "bus.commit.positions_moved:1", "bus.commit.after:1"),
        ],
    },
    "instructor": {"writing": [*JOIN, "worker.poll.after:1", *COMMIT]},
    "judge": {
        "starting": [*JOIN, *COMMIT],
        "judging": [
            *("storage.fetch.before_rename:1", "storage.tree.before_rename:1"),
            *(*PUT, "judge.verdicts.stored:1", "bus.commit.positions_moved:2"),
        ],
    },
    "trainer": {
        "launching": [
            *(*JOIN, *COMMIT, "storage.fetch.before_rename:1"),
            *("trainer.launch.laid_out:1", "trainer.launch.started:1"),
        ],
        # A child's next attempts find its model.
        "finishing": [*PUT, "trainer.model.stored:1", "bus.commit.positions_moved:2"],
    },
}
ASKED = [*PUBLISH, "worker.poll.after:1"]
"""What a service of which nothing is asked does not pass."""
LATER: Chains = {
    "curator": [
        *(f"{point[:-1]}{at}" for point in COMMIT for at in (2, 3, 4)),
        *(f"{point[:-1]}{at}" for point in PUT for at in (2, 3, 4, 5, 6, 7)),
    ],
    "gathering curator": COMMIT,
    "instructor": [f"{point[:-1]}2" for point in COMMIT],
    "judge": [f"{point[:-1]}2" for point in COMMIT],
    "trainer": [f"{point[:-1]}{at}" for point in COMMIT for at in (2, 3, 4)],
}
"""Passes that only `make soak` tries."""
ELSEWHERE = {
    "bodies.stored": "test_large_bodies",
    "client.submit.answered": "test_clients",
    "trainer.publish.before_rename": "test_training_child",
    "trainer.publish.renamed": "test_training_child",
    "bus.compact.deleted": "test_housekeeping",
    "bus.expire.deleted": "test_housekeeping",
}


def killed(service: str) -> pytest.MarkDecorator:
    """Parametrise by chains of crash points; when soaking, also by each point alone."""
    chains = {f"{service}-{name}": list(crashes) for name, crashes in CHAINS[service].items()}
    if "SOAK" in os.environ:
        singles = {crash for crashes in chains.values() for crash in crashes} | set(LATER[service])
        chains |= {f"{service}-{crash}": [crash] for crash in sorted(singles)}
    return pytest.mark.parametrize("crashes", list(chains.values()), ids=list(chains))


def test_every_crash_point_in_the_source_is_tried() -> None:
    in_source = {*crash_points(ROOT / "longstream"), *crash_points(ROOT / "services")}
    crashes = [*ASKED, *(crash for chains in CHAINS.values() for chain in chains.values() for crash in chain)]
    # The suite runs on the embedded log here; tests/longstream/bus/test_kafka_kills.py has the gaps of the other.
    here = {point for point in in_source if not point.startswith("kafka.")}
    assert {*(crash.rpartition(":")[0] for crash in crashes), *ELSEWHERE} == here
    for point, module in ELSEWHERE.items():
        assert point in Path(__file__).with_name(f"{module}.py").read_text()


@killed("curator")
def test_a_curator_killed_anywhere_makes_the_same_release(
    crashes: list[str], undisturbed: pb.Release, stages: Stages, tmp_path: Path
) -> None:
    with Campaign(tmp_path / "data", stages.setting) as campaign:
        release = release_pairs(campaign, crashes)
        campaign.stop()
        assert campaign.kills == len(crashes)
    assert broken(campaign.data) == []
    assert missing(campaign.data, [(pair.instruction, pair.response) for pair in MORE_PAIRS]) == []
    assert same_bytes(release, undisturbed)
    assert len(finals(campaign.log)) == 1


def gather(data: Path, stages: Stages, services: Sequence[str], crashes: list[str]) -> None:
    """Have the documents of an open cut written about, the last service being killed; compare with peace."""
    with Campaign(stages.copy("opened", data), stages.setting) as campaign:
        # So few at a time that the work lasts for the acts of a whole chain.
        campaign.start(*services, crashes=crashes, INSTRUCTOR_IN_FLIGHT="2")
        release = final(campaign, cut(campaign))
        campaign.until(lambda: idle(campaign.log, "instructor"))
        campaign.stop()
        assert campaign.kills == len(crashes)
    whole = LogFile(stages.at("final") / "log.sqlite")
    assert broken(data) == []
    assert missing(data, SUBMITTED) == []
    assert same_bytes(release, finals(whole)[0])
    assert campaign.log.net("rows") == whole.net("rows")


@killed("instructor")
def test_an_instructor_killed_anywhere_writes_the_same_rows(
    crashes: list[str], stages: Stages, tmp_path: Path
) -> None:
    gather(tmp_path / "data", stages, ["curator", "instructor"], crashes)


@killed("gathering curator")
def test_a_curator_killed_while_rows_come_in_asks_for_none_twice(
    crashes: list[str], stages: Stages, tmp_path: Path
) -> None:
    gather(tmp_path / "data", stages, ["instructor", "curator"], crashes)


@killed("judge")
def test_a_judge_killed_anywhere_decides_once_and_alike(
    crashes: list[str], stages: Stages, tmp_path: Path
) -> None:
    with Campaign(stages.copy("trained", tmp_path / "data"), stages.setting) as campaign:
        campaign.start("judge", crashes=crashes)
        campaign.until(lambda: idle(campaign.log, "judge"))
        campaign.stop()
        assert campaign.kills == len(crashes)
    whole = LogFile(stages.at("judged") / "log.sqlite")
    assert broken(campaign.data) == []
    assert campaign.log.lines("verdicts") == whole.lines("verdicts")
    [decided], [wanted] = (log.messages("promotions", pb.Promotion) for log in (campaign.log, whole))
    assert (decided.id, decided.outcome, decided.reasons) == (wanted.id, wanted.outcome, wanted.reasons)


def test_a_judge_killed_in_an_evaluation_asks_for_nothing_twice(stages: Stages, tmp_path: Path) -> None:
    """Killed when all was asked and nothing was decided: answers, scores and comparisons are there in the next life."""
    stages.at("judged")
    before = asked(stages.setting.engine)
    with Campaign(stages.copy("trained", tmp_path / "data"), stages.setting) as campaign:
        campaign.start("judge", crashes=["judge.verdicts.stored:1"])
        campaign.until(lambda: idle(campaign.log, "judge"))
        campaign.stop()
        assert campaign.kills == 1
    assert asked(stages.setting.engine) - before == stages.asked["judge"] > 0


@pytest.mark.timeout(600)
@killed("trainer")
def test_a_trainer_killed_anywhere_makes_one_model(
    crashes: list[str], stages: Stages, tmp_path: Path
) -> None:
    patient = replace(stages.setting, patience_s=500)
    with Campaign(stages.copy("final", tmp_path / "data"), patient) as campaign:
        campaign.start("trainer", crashes=crashes)
        campaign.until(lambda: idle(campaign.log, "trainer"))
        campaign.stop()
        assert campaign.kills == len(crashes)
    assert broken(campaign.data) == []
    [model] = campaign.log.messages("models", pb.Model)
    [wanted] = LogFile(stages.at("trained") / "log.sqlite").messages("models", pb.Model)
    assert (model.id, model.metrics.bits_per_byte) == (wanted.id, wanted.metrics.bits_per_byte)


def test_a_trainer_asked_again_after_each_kill_makes_one_job(stages: Stages, tmp_path: Path) -> None:
    with Campaign(stages.copy("judged", tmp_path / "data"), stages.setting) as campaign:
        campaign.start("trainer", crashes=ASKED)
        release = finals(campaign.log)[0].id
        jobs = [
            campaign.ask(lambda client: client.create_training_job(PIPELINE, release, request_id="again"))
            for _ in range(2)
        ]
        ended = campaign.ask(
            lambda client: client.cancel_training_job(PIPELINE, jobs[0].id, request_id="back")
        )
        assert ended.state == pb.TrainingJob.STATE_CANCELLED
        campaign.stop()
        assert campaign.kills == len(ASKED)
    assert broken(campaign.data) == []
    assert jobs[0].id == jobs[1].id
    assert len({one.id for one in campaign.log.messages("training-jobs", pb.TrainingJob)}) == 2


def test_a_judge_asked_again_after_each_kill_evaluates_once(stages: Stages, tmp_path: Path) -> None:
    with Campaign(stages.copy("judged", tmp_path / "data"), stages.setting) as campaign:
        campaign.start("judge", crashes=ASKED)
        model = campaign.log.messages("models", pb.Model)[0].id
        for _ in range(2):
            campaign.ask(lambda client: client.create_evaluation(PIPELINE, model, request_id="again"))
            campaign.until(lambda: len(campaign.log.messages("promotions", pb.Promotion)) == 2)
        campaign.stop()
        assert campaign.kills == len(ASKED)
    assert broken(campaign.data) == []
    assert len({one.id for one in campaign.log.messages("evaluations", pb.Evaluation)}) == 2
