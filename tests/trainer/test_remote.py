"""The body of a training Job, as a real process beside an owner over a real log."""

from __future__ import annotations

import copy
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from longstream.app import Stop
from longstream.errors import InvalidInput, Unavailable
from longstream.pipeline import Pipeline, parse
from longstream.storage import open_storage
from longstream.topics import MODELS, RELEASES
from longstream.v1.records_pb2 import Model, TrainingJob
from longstream_trainer import kubernetes_jobs
from longstream_trainer.kubernetes_jobs import KubernetesLauncher
from longstream_trainer.remote import Patience, _laid_out, _parser, attempt_told
from scripts.kafka import free_port
from tests.support.house import opened, soon
from tests.support.scraping import scraped
from tests.support.trainees import Trainer, a_release
from tests.support.trainingjobs import RECIPE

TEMPLATE: Mapping[str, Any] = {
    "spec": {
        "suspend": True,
        "jobTemplate": {"spec": {"template": {"spec": {"containers": [{"name": "trainer"}]}}}},
    }
}


@dataclass
class Processes:
    """Implements `JobsApi` with processes in place of pods."""

    folder: Path
    nodes: bool = False
    """Whether each has a working folder of its own, as on a node of its own without a shared claim."""
    machines: int = 1
    """Pods of each Job, which make one model."""
    metrics_port: int = field(default_factory=free_port)
    """Where the first pod shows its metrics."""
    pods: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    """By name of the Job, or by that and the pod's number."""

    def template(self) -> Mapping[str, Any]:
        if self.machines == 1:
            return TEMPLATE
        told: Any = copy.deepcopy(TEMPLATE)
        spec = told["spec"]["jobTemplate"]["spec"]
        spec.update(completionMode="Indexed", completions=self.machines, parallelism=self.machines)
        spec["template"]["spec"]["subdomain"] = "training"
        return dict(told)

    def create(self, job: Mapping[str, Any]) -> None:
        if job["metadata"]["name"] in self.pods:
            return
        arguments = job["spec"]["template"]["spec"]["containers"][0]["args"]
        if self.machines > 1:  # names of pods mean nothing here
            arguments = [*arguments, f"--first=127.0.0.1:{free_port()}"]
        for number in range(self.machines):
            self._start(job["metadata"]["name"] + (f"-{number}" if number else ""), number, arguments)

    def _start(self, name: str, number: int, arguments: Sequence[str]) -> None:
        with (self.folder / "pod.log").open("ab") as log:
            self.pods[name] = subprocess.Popen(
                [sys.executable, "-m", "longstream_trainer.remote", *arguments],
                env={
                    **os.environ,
                    "JOB_COMPLETION_INDEX": str(number),
                    "LONGSTREAM_BUS_URL": f"sqlite:{self.folder / 'log.sqlite'}",
                    "LONGSTREAM_STORAGE_URL": (self.folder / "objects").as_uri(),
                    "TRAINER_JOB_METRICS_ADDRESS": "" if number else f"127.0.0.1:{self.metrics_port}",
                    "TRAINER_WORK_DIR": str(self.folder / (f"node-{name}" if self.nodes else "claim")),
                },
                stdin=subprocess.DEVNULL,
                stderr=log,
            )

    def get(self, name: str) -> Mapping[str, Any] | None:
        codes = [pod.poll() for pod in self._of(name)]
        if any(codes):
            self.delete(name)  # as a Job does whose pods may not fail
        if None in codes:
            return {}
        kind = "Failed" if any(codes) else "Complete"
        reason = "PodFailurePolicy" if 42 in codes else "BackoffLimitExceeded"
        return {"status": {"conditions": [{"type": kind, "status": "True", "reason": reason}]}}

    def delete(self, name: str) -> None:
        for pod in self._of(name):
            pod.terminate()

    def _of(self, name: str) -> list[subprocess.Popen[bytes]]:
        names = [name, *(f"{name}-{number}" for number in range(1, self.machines))]
        return [self.pods[one] for one in names]

    def end(self) -> None:
        for pod in self.pods.values():
            pod.kill()
            pod.wait()


def trains(base_model: str, **recipe: object) -> Pipeline:
    return parse({"name": "p", "base_model": base_model, "train": {"recipe": {**RECIPE, **recipe}}})


@contextmanager
def training(
    folder: Path,
    pipeline: Pipeline,
    shards: Sequence[Path | str],
    monkeypatch: pytest.MonkeyPatch,
    machines: int = 1,
) -> Iterator[tuple[Trainer, Processes]]:
    monkeypatch.setattr(kubernetes_jobs, "_REPORTED_WITHIN_S", 2.0)
    storage = open_storage((folder / "objects").as_uri())
    processes = Processes(folder, machines=machines)
    try:
        with opened(Trainer(folder, KubernetesLauncher(processes, storage), {"p": pipeline})) as trainer:
            release = a_release(pipeline)
            for shard in shards:
                release.shards.add(
                    address=shard if isinstance(shard, str) else storage.put_file(shard), rows=1
                )
            trainer.house.put(RELEASES, "p", release.id, release)
            yield trainer, processes
    finally:
        processes.end()


def shown(port: int) -> dict[str, float]:
    """Values of a pod's own gauges by name; empty while nobody answers."""
    try:
        samples = list(scraped(f"127.0.0.1:{port}"))
    except OSError:
        return {}
    return {sample.name: sample.value for sample in samples if sample.labels.get("pipeline") == "p"}


def job_that(trainer: Trainer, state: TrainingJob.State) -> TrainingJob:
    return soon(
        lambda: next((job for _, job in trainer.jobs.under("") if job.state == state), None), timeout_s=120
    )


@pytest.mark.slow
def test_a_job_trains_for_real_and_its_model_is_in_storage(
    tmp_path: Path, base_model: Path, shards: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    with training(tmp_path, trains(str(base_model)), shards, monkeypatch) as (trainer, processes):
        job = job_that(trainer, TrainingJob.STATE_SUCCEEDED)
        (model,) = trainer.house.facts(MODELS, Model)
        assert (job.step, job.steps, model.id) == (6, 6, job.model_id)
        tree = trainer.storage.fetch_tree(model.address, tmp_path / "fetched")
        assert (tree / "adapter_model.safetensors").is_file()
        events = trainer.events()
        assert [event.sequence for event in events] == list(range(1, len(events) + 1))
        assert [event.step.step for event in events if event.HasField("step")] == [1, 2, 3, 4, 5, 6]
        (pod,) = processes.pods.values()
        assert pod.wait(30) == 0
        assert not (tmp_path / "claim" / job.id / "work").exists()


@pytest.mark.slow
def test_a_job_whose_pod_is_asked_to_end_goes_on_in_the_next_from_its_checkpoint(
    tmp_path: Path, base_model: Path, shards: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    pipeline = trains(str(base_model), epochs=60)
    with training(tmp_path, pipeline, shards, monkeypatch) as (trainer, processes):

        def own_figures() -> dict[str, float] | None:
            figures = shown(processes.metrics_port)
            return figures if "training_loss" in figures else None

        own = soon(own_figures, timeout_s=120)
        assert own["training_step"] >= 1
        assert (own["training_attempts"], own["training_planned_steps"]) == (1, 180)
        assert own["training_memory_bytes"] > 1_000_000
        assert 0 < own["training_progress_timestamp_seconds"] <= time.time()
        soon(lambda: any(event.HasField("step") for event in trainer.events()) or None, timeout_s=120)
        next(iter(processes.pods.values())).send_signal(signal.SIGTERM)
        job = job_that(trainer, TrainingJob.STATE_SUCCEEDED)
        codes = [pod.wait(30) for pod in processes.pods.values()]
        assert (job.attempt, codes) == (2, [75, 0])
        assert shown(processes.metrics_port) == {}
        resumed = [event.started.resumed_from_step for event in trainer.events() if event.HasField("started")]
        assert resumed[0] == 0 < resumed[1]


@pytest.mark.slow
def test_a_job_goes_on_on_another_node_from_the_checkpoint_in_storage(
    tmp_path: Path, base_model: Path, shards: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed without a word; nothing but what was stored is there for the next."""
    pipeline = trains(str(base_model), epochs=60, checkpoint_every_steps=4)
    with training(tmp_path, pipeline, shards, monkeypatch) as (trainer, processes):
        processes.nodes = True
        stored = soon(
            lambda: next((job.checkpoint for _, job in trainer.jobs.under("") if job.checkpoint), None),
            timeout_s=120,
        )
        assert stored.startswith("sha256:")
        next(iter(processes.pods.values())).kill()
        job = job_that(trainer, TrainingJob.STATE_SUCCEEDED)
        assert (job.attempt, job.checkpoint) == (2, "")
        events = trainer.events()
        resumed = [event.started.resumed_from_step for event in events if event.HasField("started")]
        assert resumed[0] == 0 < resumed[1]
        assert resumed[1] % 4 == 0
        told = [event.checkpoint.address for event in events if event.HasField("checkpoint")]
        # One that was replaced by a newer one before it could be stored is reported without an address.
        assert {address[:7] for address in told} <= {"sha256:", ""}
        left = [event.step.seconds_left for event in events if event.HasField("step")]
        assert left[0] > left[-1] == 0


def test_each_machine_is_told_which_it_is_and_works_in_a_folder_of_its_own(tmp_path: Path) -> None:
    storage = open_storage((tmp_path / "objects").as_uri())
    told = storage.put(
        json.dumps({"job": {"recipe": {}}, "shards": ["s"], "checkpoint": "c"}).encode(), "text/plain"
    )
    words = ["--pipeline=p", "--job=j", "--attempt=2", f"--told={told}", "--machines=2", "--first=one:29500"]
    attempts = [
        attempt_told(_parser().parse_args([*words, f"--here={here}"]), storage, tmp_path / "work")
        for here in (0, 1)
    ]
    assert [attempt.job["machines"] for attempt in attempts] == [
        {"count": 2, "here": here, "first": "one:29500"} for here in (0, 1)
    ]
    assert len({attempt.work_dir for attempt in attempts}) == 2
    # What the first one lays out is spread to the other: it has nothing to fetch.
    _laid_out(attempts[1], storage)
    assert not attempts[1].work_dir.exists()
    with pytest.raises(InvalidInput, match="HOST:PORT"):
        attempt_told(_parser().parse_args([*words[:-1], "--first=one"]), storage, tmp_path / "work")


@pytest.mark.skipif(
    not os.environ.get("SOAK"),
    reason="SOAK=1: eight programs that import torch; the cluster's tests have two pods",
)
@pytest.mark.slow
@pytest.mark.kills
def test_two_nodes_make_one_model_and_go_on_together_from_what_the_first_one_had(
    tmp_path: Path, base_model: Path, shards: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second node is killed, and in the next attempt has nothing but what the first one gives it."""
    pipeline = trains(str(base_model), epochs=20, checkpoint_every_steps=2)
    with training(tmp_path, pipeline, shards, monkeypatch, machines=2) as (trainer, processes):
        processes.nodes = True
        soon(
            lambda: next((job.checkpoint for _, job in trainer.jobs.under("") if job.checkpoint), None),
            timeout_s=120,
        )
        [second] = [pod for name, pod in processes.pods.items() if name.endswith("-1-1")]
        second.kill()
        job = job_that(trainer, TrainingJob.STATE_SUCCEEDED)
        assert job.attempt == 2
        starts = [event.started for event in trainer.events() if event.HasField("started")]
        assert [start.resumed_from_step > 0 for start in starts] == [False, True]
        steps = [event.step.step for event in trainer.events() if event.HasField("step")]
        assert sorted(set(steps)) == list(range(1, job.steps + 1))
        assert [pod.wait(60) for name, pod in processes.pods.items() if "-2" in name] == [0, 0]


@pytest.mark.slow
def test_a_base_model_that_is_not_there_fails_the_job_at_once_and_says_so(
    tmp_path: Path, shards: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    missing = str(tmp_path / "no-such-model")
    with training(tmp_path, trains(missing), shards, monkeypatch) as (trainer, processes):
        job = job_that(trainer, TrainingJob.STATE_FAILED)
        assert missing in job.reason
        assert [pod.wait(30) for pod in processes.pods.values()] == [42]


@pytest.mark.slow
def test_rows_that_are_gone_fail_the_job_at_once_and_are_named(
    tmp_path: Path, base_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = "sha256:" + "0" * 64
    with training(tmp_path, trains(str(base_model)), [gone], monkeypatch) as (trainer, processes):
        assert gone in job_that(trainer, TrainingJob.STATE_FAILED).reason
        assert [pod.wait(30) for pod in processes.pods.values()] == [42]


def test_what_fails_for_now_is_tried_again_until_the_program_is_to_end() -> None:
    stop, tries = Stop(), []

    def act() -> str:
        tries.append(1)
        if len(tries) < 2:
            raise Unavailable("away")
        return "done"

    assert Patience(stop)(act) == "done"
    tries.clear()
    stop.ask()
    with pytest.raises(Unavailable):
        Patience(stop)(act)
    assert len(tries) == 1
