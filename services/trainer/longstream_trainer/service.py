"""The trainer's calls: commands to the owner, and views of what it has decided.

In: jobs to create or cancel, which the port sends to `training`. Out: what the views know of `training-jobs` and
`models`, and a job's `training-events`, which no view keeps: a watch reads them from the log.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import grpc

from longstream.bus import Bus, Partition
from longstream.errors import InvalidInput, NotFound
from longstream.owner import CommandPort
from longstream.paging import page
from longstream.pipeline import must_run
from longstream.records import TRAINING_ENDED, parse
from longstream.server import time_left_s
from longstream.topics import TRAINING_EVENTS, PipelineTopics, pipeline_key
from longstream.v1 import trainer_pb2 as pb
from longstream.v1.records_pb2 import (
    CancelTraining,
    CreateTraining,
    Model,
    TrainingCommand,
    TrainingEvent,
    TrainingJob,
)
from longstream.v1.trainer_pb2_grpc import TrainerServiceServicer
from longstream.view import View

_BATCH = 500
_POLL_S = 0.2
_CommandRequest = pb.CreateTrainingJobRequest | pb.CancelTrainingJobRequest


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainerViews:
    """What the calls read."""

    jobs: View[TrainingJob]
    models: View[Model]


class TrainerService(TrainerServiceServicer):
    """Servicer of TrainerService; any replica answers for every pipeline."""

    def __init__(
        self,
        bus: Bus,
        layout: PipelineTopics,
        port: CommandPort,
        views: TrainerViews,
        pipelines: frozenset[str],
    ) -> None:
        """bus, layout: where a job's events are read. pipelines: the names of those that this service runs."""
        self._bus = bus
        self._layout = layout
        self._port = port
        self._views = views
        self._pipelines = pipelines

    def CreateTrainingJob(
        self, request: pb.CreateTrainingJobRequest, context: grpc.ServicerContext
    ) -> pb.CreateTrainingJobResponse:
        """Queue a job for a final release. Raises InvalidInput, Refused for a release that is not final."""
        if not request.release_id:
            raise InvalidInput("release_id must be set", field="release_id")
        create = CreateTraining(release_id=request.release_id, recipe=request.recipe)
        job = self._send(request, TrainingCommand(create=create), context)
        return pb.CreateTrainingJobResponse(job=job)

    def CancelTrainingJob(
        self, request: pb.CancelTrainingJobRequest, context: grpc.ServicerContext
    ) -> pb.CancelTrainingJobResponse:
        """Stop a job that is queued or running. Raises NotFound, Refused for a job that has ended."""
        self._job(request.pipeline, request.job_id)  # for its NotFound, before anything is sent
        cancel = CancelTraining(job_id=request.job_id)
        job = self._send(request, TrainingCommand(cancel=cancel), context)
        return pb.CancelTrainingJobResponse(job=job)

    def GetTrainingJob(
        self, request: pb.GetTrainingJobRequest, context: grpc.ServicerContext
    ) -> pb.GetTrainingJobResponse:
        """A job as it stands, with its model once there is one. Raises NotFound."""
        job = self._job(request.pipeline, request.job_id)
        model = None
        if job.model_id:  # committed with the job; its view may only be a moment behind
            key = f"{job.pipeline}/{job.model_id}"
            model = self._views.models.wait(lambda view: view.get(key), time_left_s(context))
        return pb.GetTrainingJobResponse(job=job, model=model)

    def ListTrainingJobs(
        self, request: pb.ListTrainingJobsRequest, context: grpc.ServicerContext
    ) -> pb.ListTrainingJobsResponse:
        """A pipeline's jobs, newest first."""
        del context
        must_run(request.pipeline, self._pipelines)
        jobs = [job for _, job in self._views.jobs.under(f"{request.pipeline}/")]
        jobs.sort(key=lambda job: (job.create_time.ToNanoseconds(), job.id), reverse=True)
        listing = f"jobs/{request.pipeline}"
        chosen, token = page(
            jobs, lambda job: job.id, listing=listing, size=request.page_size, token=request.page_token
        )
        return pb.ListTrainingJobsResponse(jobs=chosen, next_page_token=token)

    def WatchTrainingJob(
        self, request: pb.WatchTrainingJobRequest, context: grpc.ServicerContext
    ) -> Iterator[pb.WatchTrainingJobResponse]:
        """The job's events from the first on, until the job has ended and all are told. Raises NotFound."""
        self._job(request.pipeline, request.job_id)
        key = pipeline_key(request.pipeline, request.job_id)
        # The partition that the pipeline's name decides holds the events of other jobs too.
        partition = Partition(TRAINING_EVENTS, self._layout.partition(request.pipeline))
        reader = self._bus.reader([partition])
        last: int | None = None
        try:
            while context.is_active():
                # The last events are written no later than the job's end, so they lie before what is the log's end
                # when the job's is seen.
                if last is None and self._job(request.pipeline, request.job_id).state in TRAINING_ENDED:
                    last = self._bus.ends([partition])[partition]
                for record in reader.poll(_BATCH, _POLL_S):
                    if record.key == key:
                        yield pb.WatchTrainingJobResponse(event=parse(TrainingEvent, record))
                if last is not None and reader.position(partition) >= last:
                    return
        finally:
            reader.close()

    def _send(
        self, request: _CommandRequest, command: TrainingCommand, context: grpc.ServicerContext
    ) -> TrainingJob:
        """Have the owner apply the command; returns the job that it made or touched, as it stands after that."""
        must_run(request.pipeline, self._pipelines)
        command.pipeline, command.request_id = request.pipeline, request.request_id
        job_id = self._port.send(command, time_left_s(context))
        key = f"{request.pipeline}/{job_id}"
        # The answer came by the view of states; that of jobs may be behind, and show the job as it was before.
        self._views.jobs.catch_up(time_left_s(context))
        return self._views.jobs.wait(lambda view: view.get(key), time_left_s(context))

    def _job(self, pipeline: str, job_id: str) -> TrainingJob:
        """The job as this replica's view has it. Raises NotFound for the pipeline or the job."""
        must_run(pipeline, self._pipelines)
        job = self._views.jobs.get(f"{pipeline}/{job_id}")
        if job is None:
            raise NotFound(f"pipeline {pipeline} has no job {job_id}", field="job_id")
        return job
