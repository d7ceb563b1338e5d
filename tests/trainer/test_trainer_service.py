"""The trainer's calls over a real gRPC server, answered by a real owner."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest

from longstream.client import Addresses, Client
from longstream.errors import AlreadyExists, InvalidInput, NotFound, Refused, SuiteError, TooLarge
from longstream.topics import TRAINING_JOBS
from longstream.v1 import trainer_pb2 as pb
from longstream.v1.records_pb2 import Release, TrainingJob
from tests.support.house import details, opened, soon, told
from tests.support.trainees import Trainees, Trainer, a_pipeline, recipe_of, started, step


@pytest.fixture
def trainees() -> Trainees:
    return Trainees()


@pytest.fixture
def trainer(tmp_path: Path, trainees: Trainees) -> Iterator[Trainer]:
    """Trains on demand, so that each test has the jobs that it asks for."""
    with opened(Trainer(tmp_path, trainees, {"p": a_pipeline(on_release=False)})) as trainer:
        yield trainer


@pytest.fixture
def client(trainer: Trainer) -> Iterator[Client]:
    with Client(Addresses(curator="", instructor="", trainer=trainer.address, judge="")) as client:
        yield client


def test_a_job_is_queued_with_the_pipelines_recipe_and_the_callers_changes(
    trainer: Trainer, client: Client
) -> None:
    release = trainer.release()
    job = client.create_training_job("p", release.id, {"rank": 8, "epochs": 1})
    assert (job.pipeline, job.release_id, job.base_model) == ("p", release.id, "base")
    assert (recipe_of(job)["rank"], recipe_of(job)["epochs"]) == (8, 1.0)
    assert job.revision == release.revision


def test_the_same_request_gets_the_same_job(trainer: Trainer, client: Client) -> None:
    release = trainer.release()
    first, second = (client.create_training_job("p", release.id, request_id="one") for _ in range(2))
    third = client.create_training_job("p", release.id, request_id="two")
    assert first.id == second.id != third.id
    assert len(list(client.list_training_jobs("p"))) == 2


def test_a_request_id_used_for_another_request_is_refused(trainer: Trainer, client: Client) -> None:
    release = trainer.release()
    client.create_training_job("p", release.id, request_id="one")
    with pytest.raises(AlreadyExists, match="fresh UUID"):
        client.create_training_job("p", release.id, {"rank": 3}, request_id="one")


def test_many_at_once_with_one_request_id_make_one_job(trainer: Trainer, client: Client) -> None:
    release = trainer.release()
    made: list[str] = []
    threads = [
        threading.Thread(
            target=lambda: made.append(client.create_training_job("p", release.id, request_id="x").id)
        )
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) == 8
    assert len(set(made)) == 1


def test_a_callers_request_id_never_takes_the_place_of_a_job_that_the_release_made(tmp_path: Path) -> None:
    trainees = Trainees()
    with opened(Trainer(tmp_path, trainees)) as trainer:
        release = trainer.release()
        trainees.next(1)
        request = pb.CreateTrainingJobRequest(pipeline="p", request_id="release", release_id=release.id)
        asked = trainer.calls.CreateTrainingJob(request).job
        assert asked.id != trainer.job(TrainingJob.STATE_RUNNING).id


def test_a_request_that_everybody_has_forgotten_finds_its_job_as_it_is(
    trainer: Trainer, trainees: Trainees, client: Client
) -> None:
    release = trainer.release()
    first = client.create_training_job("p", release.id, request_id="old")
    trainees.next(1).succeed()
    trainer.job(TrainingJob.STATE_SUCCEEDED)
    for number in range(200):
        with pytest.raises(Refused):
            client.cancel_training_job("p", first.id, request_id=f"later-{number}")
    again = client.create_training_job("p", release.id, request_id="old")
    assert (again.id, again.state) == (first.id, TrainingJob.STATE_SUCCEEDED)


@pytest.mark.parametrize(
    ("asked", "refusal"),
    [
        (("", {}), (InvalidInput, "release_id must be set")),
        (("r00009", {}), (Refused, "not final")),
        (("r00002", {}), (Refused, "not final")),
        (("r00001", {"rnak": 1}), (InvalidInput, "unknown recipe keys: rnak")),
        (("r00001", {"rank": -1}), (InvalidInput, "rank")),
        (("r00001", {"target_modules": ["m" * 70_000]}), (TooLarge, "over the limit")),
    ],
)
def test_a_job_that_cannot_be_made_is_refused_with_the_reason(
    trainer: Trainer,
    client: Client,
    asked: tuple[str, dict[str, object]],
    refusal: tuple[type[SuiteError], str],
) -> None:
    (release_id, recipe), (kind, message) = asked, refusal
    trainer.release(1)
    trainer.release(2, state=Release.STATE_INSTRUCTING)
    with pytest.raises(kind, match=message):
        client.create_training_job("p", release_id, recipe)
    assert list(client.list_training_jobs("p")) == []


@pytest.mark.parametrize("recipe", ["{", "[]", "3", '"text"'])
def test_a_recipe_that_is_no_json_object_is_refused_with_its_field(trainer: Trainer, recipe: str) -> None:
    release = trainer.release()
    request = pb.CreateTrainingJobRequest(
        pipeline="p", request_id="one", release_id=release.id, recipe=recipe
    )
    with pytest.raises(grpc.RpcError) as raised:
        trainer.calls.CreateTrainingJob(request)
    assert told(raised.value) == ("INVALID_ARGUMENT", "INVALID_INPUT")
    assert "recipe" in (raised.value.details() or "")


@pytest.mark.parametrize("request_id", ["", "x" * 200])
def test_a_request_id_must_be_one(trainer: Trainer, request_id: str) -> None:
    trainer.release()
    request = pb.CreateTrainingJobRequest(pipeline="p", request_id=request_id, release_id="r00001")
    with pytest.raises(grpc.RpcError) as raised:
        trainer.calls.CreateTrainingJob(request)
    assert raised.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert details(raised.value)["BadRequest"].field_violations[0].field == "request_id"


def test_every_call_refuses_a_pipeline_that_is_not_run_here_and_names_those_that_are(
    trainer: Trainer,
) -> None:
    calls = trainer.calls
    for call, request in (
        (calls.CreateTrainingJob, pb.CreateTrainingJobRequest(pipeline="x", request_id="1", release_id="r")),
        (calls.CancelTrainingJob, pb.CancelTrainingJobRequest(pipeline="x", request_id="1", job_id="j")),
        (calls.GetTrainingJob, pb.GetTrainingJobRequest(pipeline="x", job_id="j")),
        (calls.ListTrainingJobs, pb.ListTrainingJobsRequest(pipeline="x")),
    ):
        with pytest.raises(grpc.RpcError, match="known: p") as raised:
            call(request)
        assert told(raised.value) == ("NOT_FOUND", "NOT_FOUND")
    with pytest.raises(grpc.RpcError, match="known: p"):
        list(calls.WatchTrainingJob(pb.WatchTrainingJobRequest(pipeline="x", job_id="j")))


def test_a_job_that_nobody_knows_is_not_found(client: Client) -> None:
    with pytest.raises(NotFound, match="no job"):
        client.get_training_job("p", "nobody")
    with pytest.raises(NotFound, match="no job"):
        client.cancel_training_job("p", "nobody")
    with pytest.raises(NotFound, match="no job"):
        list(client.watch_training_job("p", "nobody"))


def test_a_cancelled_job_stops_its_child_and_stays_cancelled(
    trainer: Trainer, trainees: Trainees, client: Client
) -> None:
    release = trainer.release()
    job = client.create_training_job("p", release.id)
    trainees.next(1)
    cancelled = client.cancel_training_job("p", job.id, request_id="c")
    assert (cancelled.state, cancelled.reason) == (TrainingJob.STATE_CANCELLED, "cancelled by a caller")
    assert trainees.next(1).stopped.wait(10)
    assert client.cancel_training_job("p", job.id, request_id="c").state == TrainingJob.STATE_CANCELLED
    with pytest.raises(Refused, match="STATE_CANCELLED"):
        client.cancel_training_job("p", job.id, request_id="another")
    assert len(trainees.launched) == 1


def test_a_queued_job_can_be_cancelled_before_it_runs(
    trainer: Trainer, trainees: Trainees, client: Client
) -> None:
    release = trainer.release()
    running = client.create_training_job("p", release.id)
    waiting = client.create_training_job("p", release.id)
    assert client.cancel_training_job("p", waiting.id).state == TrainingJob.STATE_CANCELLED
    trainees.next(1).succeed()
    soon(lambda: client.get_training_job("p", running.id).job.state == TrainingJob.STATE_SUCCEEDED)
    assert len(trainees.launched) == 1


def test_a_finished_job_comes_with_its_model(trainer: Trainer, trainees: Trainees, client: Client) -> None:
    job = client.create_training_job("p", trainer.release().id)
    assert not client.get_training_job("p", job.id).HasField("model")
    trainees.next(1).succeed()
    done = soon(lambda: a if (a := client.get_training_job("p", job.id)).job.model_id else None)
    assert done.model.id == done.job.model_id
    assert done.model.job_id == job.id


def test_jobs_are_listed_newest_first_over_all_pages(trainer: Trainer, client: Client) -> None:
    release = trainer.release()
    made = [client.create_training_job("p", release.id).id for _ in range(5)]
    assert [job.id for job in client.list_training_jobs("p", page_size=2)] == made[::-1]
    first = trainer.calls.ListTrainingJobs(pb.ListTrainingJobsRequest(pipeline="p", page_size=2))
    assert len(first.jobs) == 2
    with pytest.raises(grpc.RpcError) as raised:
        trainer.calls.ListTrainingJobs(pb.ListTrainingJobsRequest(pipeline="p", page_token="nonsense"))
    assert raised.value.code() is grpc.StatusCode.INVALID_ARGUMENT


def test_a_watcher_sees_every_event_once_and_the_end(
    trainer: Trainer, trainees: Trainees, client: Client
) -> None:
    release = trainer.release()
    job = client.create_training_job("p", release.id)
    other = client.create_training_job("p", release.id)
    trainees.next(1).say(started(), step(1))
    events = client.watch_training_job("p", job.id, timeout_s=30)
    kinds = [next(events).WhichOneof("event"), next(events).WhichOneof("event")]
    trainees.next(1).say(step(2))
    trainees.next(1).succeed()
    trainees.next(2).say(started())
    kinds += [event.WhichOneof("event") for event in events]
    assert kinds == ["started", "step", "step", "finished"]
    assert client.get_training_job("p", other.id).job.state == TrainingJob.STATE_RUNNING


def test_a_watcher_that_comes_late_sees_the_same(
    trainer: Trainer, trainees: Trainees, client: Client
) -> None:
    job = client.create_training_job("p", trainer.release().id)
    trainees.next(1).say(started(), step(1))
    trainees.next(1).fail("diverged", retryable=False)
    soon(lambda: client.get_training_job("p", job.id).job.state == TrainingJob.STATE_FAILED)
    kinds = [event.WhichOneof("event") for event in client.watch_training_job("p", job.id, timeout_s=30)]
    assert kinds == ["started", "step", "failed"]


def test_a_watcher_of_a_cancelled_job_is_let_go(trainer: Trainer, trainees: Trainees, client: Client) -> None:
    job = client.create_training_job("p", trainer.release().id)
    trainees.next(1).say(started())
    events = client.watch_training_job("p", job.id, timeout_s=30)
    assert next(events).WhichOneof("event") == "started"
    client.cancel_training_job("p", job.id)
    assert list(events) == []


def test_a_command_for_an_owner_that_is_away_is_applied_when_it_is_back(tmp_path: Path) -> None:
    trainees = Trainees()
    pipelines = {"p": a_pipeline(on_release=False)}
    request = pb.CreateTrainingJobRequest(pipeline="p", request_id="one", release_id="r00001")
    with opened(Trainer(tmp_path, trainees, pipelines)) as trainer:
        trainer.release()
        trainer.worker.stop()
        with pytest.raises(grpc.RpcError) as raised:
            trainer.calls.CreateTrainingJob(request, timeout=0.5)
        assert raised.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    with opened(Trainer(tmp_path, trainees, pipelines)) as trainer:
        trainees.next(1)
        again = trainer.calls.CreateTrainingJob(request).job
        assert again.state == TrainingJob.STATE_RUNNING
        assert len({job.id for job in trainer.house.facts(TRAINING_JOBS, TrainingJob)}) == 1
