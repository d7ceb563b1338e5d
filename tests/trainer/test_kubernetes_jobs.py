"""Attempts as Jobs: what the Job says, how an owner finds it again, and how its reports become a model."""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from longstream.errors import InvalidInput, Unavailable
from longstream.storage import open_storage
from longstream.topics import MODELS, TRAINING, TRAINING_EVENTS
from longstream.v1 import trainer_pb2 as pb
from longstream.v1.records_pb2 import Model, ReportTraining, TrainingCommand, TrainingEvent, TrainingJob
from longstream_trainer import kubernetes_jobs
from longstream_trainer.kubernetes_jobs import KubernetesLauncher, ending, job_name, job_of
from longstream_trainer.launch import Attempt
from longstream_trainer.report import Done, Event, ExitCode, Failed, encode_event
from tests.support.house import opened, soon
from tests.support.trainees import Trainer, done, started, step

TEMPLATE: Mapping[str, Any] = {
    "spec": {
        "suspend": True,
        "jobTemplate": {
            "metadata": {"labels": {"team": "models"}},
            "spec": {
                "backoffLimit": 0,
                "template": {
                    "spec": {
                        "containers": [{"name": "proxy", "args": ["on"]}, {"name": "trainer", "image": "t:1"}]
                    }
                },
            },
        },
    }
}


DISRUPTED = "Pod t/p has condition DisruptionTarget matching FailJob rule at index 0"
"""Kubernetes' words, as seen on a cluster of version 1.36."""


@dataclass
class Cluster:
    """Implements `JobsApi`: the Jobs of one namespace, as a test makes them end."""

    template_now: Mapping[str, Any] = field(default_factory=lambda: copy.deepcopy(TEMPLATE))
    jobs: dict[str, dict[str, Any]] = field(default_factory=dict)
    created: list[str] = field(default_factory=list)
    deleted: list[str] = field(default_factory=list)
    errors: list[Exception] = field(default_factory=list)

    def template(self) -> Mapping[str, Any]:
        return self.template_now

    def create(self, job: Mapping[str, Any]) -> None:
        if self.errors:
            raise self.errors.pop(0)
        name = job["metadata"]["name"]
        if name not in self.jobs:
            self.created.append(name)
            self.jobs[name] = dict(job)

    def get(self, name: str) -> Mapping[str, Any] | None:
        return self.jobs.get(name)

    def delete(self, name: str) -> None:
        self.deleted.append(name)
        self.jobs.pop(name, None)

    def end(self, name: str, kind: str, reason: str = "", message: str = "") -> None:
        condition = {"type": kind, "status": "True", "reason": reason, "message": message}
        self.jobs[name] = {**self.jobs[name], "status": {"conditions": [condition]}}


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kubernetes_jobs, "_LOOK_EVERY_S", 0.02)
    monkeypatch.setattr(kubernetes_jobs, "_REPORTED_WITHIN_S", 0.2)


def an_attempt(folder: Path, number: int = 1) -> Attempt:
    return Attempt(
        pipeline="p", job_id="a" * 64, number=number, job={"recipe": {}}, shards=("s",), work_dir=folder
    )


def trainer_on(folder: Path, cluster: Cluster) -> Trainer:
    storage = open_storage((folder / "objects").as_uri())
    return Trainer(folder, KubernetesLauncher(cluster, storage))


def report(trainer: Trainer, job: TrainingJob, number: int, event: Event, /, **changes: Any) -> None:
    """What the attempt's process would send."""
    told = ReportTraining(
        **{
            "job_id": job.id,
            "attempt": job.attempt,
            "source": "pod",
            "number": number,
            "event": encode_event(event),
            **changes,
        }
    )
    command = TrainingCommand(pipeline="p", report=told)
    trainer.house.bus.publish([trainer.house.keys.output(TRAINING, "p", "", command.SerializeToString())])


def finished(trainer: Trainer) -> Done:
    folder = trainer.house.folder / "made"
    folder.mkdir(exist_ok=True)
    (folder / "adapter_model.safetensors").write_bytes(b"weights")
    return done(trainer.storage.put_tree(folder))


def launched(trainer: Trainer, cluster: Cluster, count: int = 1) -> TrainingJob:
    soon(lambda: cluster.created if len(cluster.created) >= count else None)
    return trainer.job(TrainingJob.STATE_RUNNING)


def test_a_job_is_the_template_with_a_name_labels_and_arguments(tmp_path: Path) -> None:
    job = job_of(TEMPLATE, an_attempt(tmp_path), "sha256:told")
    assert job["metadata"]["name"] == job_name("a" * 64, 1)
    assert job["metadata"]["labels"]["team"] == "models"
    pod = job["spec"]["template"]
    assert pod["metadata"]["annotations"]["longstream.dev/pipeline"] == "p"
    proxy, trainer = pod["spec"]["containers"]
    assert proxy == {"name": "proxy", "args": ["on"]}
    assert trainer["args"] == ["--pipeline=p", f"--job={'a' * 64}", "--attempt=1", "--told=sha256:told"]
    assert "metadata" not in TEMPLATE["spec"]["jobTemplate"]["spec"]["template"]


def test_names_and_labels_are_such_as_kubernetes_takes(tmp_path: Path) -> None:
    job = job_of(TEMPLATE, an_attempt(tmp_path, number=4_000_000), "sha256:told")
    assert len(job["metadata"]["name"]) <= 63
    assert all(len(value) <= 63 for value in job["metadata"]["labels"].values())


def test_a_template_that_runs_by_itself_or_trains_nothing_is_refused(tmp_path: Path) -> None:
    running, empty = copy.deepcopy(dict(TEMPLATE)), copy.deepcopy(dict(TEMPLATE))
    running["spec"]["suspend"] = False
    empty["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"] = [{"name": "proxy"}]
    for template, words in ((running, "suspended"), (empty, "called trainer")):
        with pytest.raises(InvalidInput, match=words):
            job_of(template, an_attempt(tmp_path), "sha256:told")


def indexed(**told: Any) -> dict[str, Any]:
    template = copy.deepcopy(dict(TEMPLATE))
    spec = template["spec"]["jobTemplate"]["spec"]
    spec.update(completionMode="Indexed", completions=4, parallelism=4)
    spec["template"]["spec"]["subdomain"] = "training"
    spec.update(told)
    return template


def test_pods_of_an_indexed_template_are_told_how_many_they_are_and_where_they_meet(tmp_path: Path) -> None:
    job = job_of(indexed(), an_attempt(tmp_path), "sha256:told")
    told = job["spec"]["template"]["spec"]["containers"][1]["args"]
    assert told[4:] == ["--machines=4", f"--first={job['metadata']['name']}-0.training:29500"]


@pytest.mark.parametrize(
    ("told", "words"),
    [
        ({"parallelism": 2}, "must be one number"),
        ({"completions": None}, "must be one number"),
        ({"template": {"spec": {"containers": [{"name": "trainer"}]}}}, "need a subdomain"),
    ],
)
def test_pods_that_could_not_meet_are_not_started(tmp_path: Path, told: Any, words: str) -> None:
    with pytest.raises(InvalidInput, match=words):
        job_of(indexed(**told), an_attempt(tmp_path), "sha256:told")


@pytest.mark.parametrize(
    ("conditions", "code"),
    [
        ([], None),
        ([{"type": "Suspended", "status": "True"}], None),
        ([{"type": "Failed", "status": "False"}], None),
        ([{"type": "Complete", "status": "True"}], ExitCode.DONE),
        ([{"type": "Failed", "status": "True", "reason": "BackoffLimitExceeded"}], ExitCode.FAILED),
        (
            [{"type": "Failed", "status": "True", "reason": "PodFailurePolicy", "message": "exit code 42"}],
            ExitCode.PERMANENT,
        ),
        (
            [{"type": "Failed", "status": "True", "reason": "PodFailurePolicy", "message": DISRUPTED}],
            ExitCode.STOPPED,
        ),
    ],
)
def test_how_a_job_ended_is_read_from_its_conditions(
    conditions: list[dict[str, str]], code: ExitCode | None
) -> None:
    assert ending({"status": {"conditions": conditions}}) == code


def test_a_job_that_is_gone_or_has_no_status_yet() -> None:
    assert ending(None) == ExitCode.FAILED
    assert ending({"metadata": {}}) is None


def test_reports_become_events_and_a_model(tmp_path: Path) -> None:
    cluster = Cluster()
    with opened(trainer_on(tmp_path, cluster)) as trainer:
        trainer.release()
        job = launched(trainer, cluster)
        told = cluster.jobs[cluster.created[0]]["spec"]["template"]["spec"]["containers"][1]["args"][3]
        assert json.loads(trainer.storage.get(told.partition("=")[2]))["job"]["base_model"] == "base"
        report(trainer, job, 1, started())
        report(trainer, job, 2, step(1))
        report(trainer, job, 3, finished(trainer))
        done = trainer.job(TrainingJob.STATE_SUCCEEDED)
        assert (done.attempt, done.step, done.events) == (1, 1, 3)
        (model,) = trainer.house.facts(MODELS, Model)
        assert model.id == done.model_id
        assert trainer.storage.fetch_tree(model.address, tmp_path / "fetched").is_dir()
        assert [event.sequence for event in trainer.events()] == [1, 2, 3]


def test_a_report_sent_twice_or_of_another_attempt_counts_once_or_not(tmp_path: Path) -> None:
    cluster = Cluster()
    with opened(trainer_on(tmp_path, cluster)) as trainer:
        trainer.release()
        job = launched(trainer, cluster)
        for number, changes in ((1, {}), (1, {}), (2, {"attempt": 7}), (2, {"job_id": "other"}), (2, {})):
            report(trainer, job, number, step(number), **changes)
        # The node was drained, and the cluster moved the pod: the same attempt, told by another process.
        report(trainer, job, 1, started(resumed=2), source="next pod")
        soon(lambda: len(trainer.events()) == 3 or None)
        assert [event.WhichOneof("event") for event in trainer.events()] == ["step", "step", "started"]


def test_a_report_that_cannot_be_read_is_a_dead_letter_and_changes_nothing(tmp_path: Path) -> None:
    cluster = Cluster()
    with opened(trainer_on(tmp_path, cluster)) as trainer:
        trainer.release()
        job = launched(trainer, cluster)
        report(trainer, job, 1, step(1), event='{"type": "dance"}')
        report(trainer, job, 1, step(1))
        soon(lambda: trainer.events() or None)
        assert len(trainer.house.dead(TRAINING)) == 1


def test_a_finished_attempt_whose_model_is_not_in_storage_fails_and_says_so(tmp_path: Path) -> None:
    cluster = Cluster()
    with opened(trainer_on(tmp_path, cluster)) as trainer:
        trainer.release()
        job = launched(trainer, cluster)
        report(trainer, job, 1, replace(finished(trainer), output="sha256:" + "0" * 64))
        assert "sha256:" in trainer.job(TrainingJob.STATE_FAILED).reason
        assert trainer.house.facts(MODELS, Model) == []


def test_a_job_outlives_its_owner_which_finds_it_again_with_nothing_lost(tmp_path: Path) -> None:
    cluster = Cluster()
    with opened(trainer_on(tmp_path, cluster)) as trainer:
        trainer.release()
        job = launched(trainer, cluster)
        report(trainer, job, 1, started())
        soon(lambda: trainer.events() or None)
    assert cluster.deleted == []
    with opened(trainer_on(tmp_path, cluster)) as trainer:
        report(trainer, job, 2, step(1))  # before the owner is back, as far as the process can know
        report(trainer, job, 3, finished(trainer))
        assert trainer.job(TrainingJob.STATE_SUCCEEDED).attempt == 1
        assert [event.sequence for event in trainer.house.facts(TRAINING_EVENTS, TrainingEvent)] == [1, 2, 3]
    assert cluster.created == [job_name(job.id, 1)]


def test_a_job_that_ends_without_a_word_is_tried_again_under_another_name(tmp_path: Path) -> None:
    cluster = Cluster()
    with opened(trainer_on(tmp_path, cluster)) as trainer:
        trainer.release()
        launched(trainer, cluster)
        cluster.end(cluster.created[0], "Failed", "BackoffLimitExceeded")
        launched(trainer, cluster, 2)
        assert cluster.created[1].endswith("-2")
        cluster.end(cluster.created[1], "Failed", "PodFailurePolicy")
        assert trainer.job(TrainingJob.STATE_FAILED).attempt == 2


def test_nodes_may_be_taken_away_more_often_than_a_job_may_fail(tmp_path: Path) -> None:
    cluster = Cluster()
    with opened(trainer_on(tmp_path, cluster)) as trainer:
        trainer.release()
        for number in range(5):
            launched(trainer, cluster, number + 1)
            cluster.end(cluster.created[number], "Failed", "PodFailurePolicy", DISRUPTED)
        assert launched(trainer, cluster, 6).attempt == 6


def test_a_pod_that_never_ends_on_a_lost_node_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kubernetes_jobs, "_LOST_AFTER_S", 0.2)
    cluster = Cluster()
    with opened(trainer_on(tmp_path, cluster)) as trainer:
        trainer.release()
        job = launched(trainer, cluster)
        cluster.jobs[cluster.created[0]]["status"] = {"terminating": 1}
        launched(trainer, cluster, 2)
        report(trainer, job, 1, step(1))  # it lives after all, where nobody looked
        report(trainer, trainer.job(TrainingJob.STATE_RUNNING), 1, finished(trainer), source="second")
        done = trainer.job(TrainingJob.STATE_SUCCEEDED)
        assert (done.attempt, [event.attempt for event in trainer.events()]) == (2, [2])


def test_an_attempt_that_reports_its_failure_is_judged_by_the_report(tmp_path: Path) -> None:
    cluster = Cluster()
    with opened(trainer_on(tmp_path, cluster)) as trainer:
        trainer.release()
        job = launched(trainer, cluster)
        report(trainer, job, 1, Failed(reason="diverged", message="loss is not a number", retryable=False))
        assert trainer.job(TrainingJob.STATE_FAILED).reason == "loss is not a number"
        assert cluster.deleted == []  # it ends by itself


def test_cancelling_deletes_the_job(tmp_path: Path) -> None:
    cluster = Cluster()
    with opened(trainer_on(tmp_path, cluster)) as trainer:
        trainer.release()
        job = launched(trainer, cluster)
        request = pb.CancelTrainingJobRequest(pipeline="p", request_id="c", job_id=job.id)
        trainer.calls.CancelTrainingJob(request, timeout=20)
        soon(lambda: cluster.deleted or None)
        assert cluster.jobs == {}


def test_a_job_that_somebody_deleted_is_tried_again(tmp_path: Path) -> None:
    cluster = Cluster()
    with opened(trainer_on(tmp_path, cluster)) as trainer:
        trainer.release()
        launched(trainer, cluster)
        cluster.jobs.clear()
        launched(trainer, cluster, 2)


def test_a_cluster_that_refuses_for_now_is_waited_for_and_one_that_refuses_the_template_is_not(
    tmp_path: Path,
) -> None:
    cluster = Cluster(errors=[Unavailable("quota"), Unavailable("quota")])
    with opened(trainer_on(tmp_path, cluster)) as trainer:
        trainer.release()
        assert launched(trainer, cluster).attempt == 1
        cluster.errors.append(InvalidInput("mend the template: spec.x"))
        cluster.end(cluster.created[0], "Failed")
        assert "spec.x" in trainer.job(TrainingJob.STATE_FAILED).reason
