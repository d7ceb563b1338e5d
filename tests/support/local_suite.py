"""The four services as small servers on this machine, which answer with facts that the test gives them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeVar

from prometheus_client import CollectorRegistry

from longstream.client import Addresses
from longstream.errors import NotFound, SuiteError
from longstream.server import GrpcServer, ServerSettings
from longstream.telemetry import Metrics
from longstream.v1 import (
    curator_pb2,
    curator_pb2_grpc,
    instructor_pb2,
    instructor_pb2_grpc,
    judge_pb2,
    judge_pb2_grpc,
    trainer_pb2,
    trainer_pb2_grpc,
)
from longstream.v1.records_pb2 import (
    Evaluation,
    Model,
    Promotion,
    Rank,
    Release,
    TrainingEvent,
    TrainingJob,
    TrainingStep,
)

Answer = TypeVar("Answer", curator_pb2.SubmitDocumentsResponse, curator_pb2.SubmitPairsResponse)

PAGE = 2
"""Items on a page of every list, whatever the caller asks for, so that a few facts make several pages."""


def paged(items: list[Any], token: str) -> tuple[list[Any], str]:
    start = int(token or 0)
    return items[start : start + PAGE], str(start + PAGE) if start + PAGE < len(items) else ""


@dataclass
class Curator(curator_pb2_grpc.CuratorServiceServicer):
    """Takes everything but texts that say `refuse`; the failures are raised first, one a call."""

    documents: list[curator_pb2.Document] = field(default_factory=list)
    pairs: list[curator_pb2.Pair] = field(default_factory=list)
    erased: list[str] = field(default_factory=list)
    messages: list[int] = field(default_factory=list)
    failures: list[SuiteError] = field(default_factory=list)
    lengths: list[int] = field(default_factory=list)
    seen: int = 0
    releases: list[Release] = field(default_factory=list)
    changes: list[Release] = field(default_factory=list)
    requests: list[Any] = field(default_factory=list)

    def SubmitDocuments(self, requests: Any, context: Any) -> curator_pb2.SubmitDocumentsResponse:
        return self._submit(requests, "documents", curator_pb2.SubmitDocumentsResponse())

    def SelectDiverse(self, requests: Any, context: Any) -> curator_pb2.SelectDiverseResponse:
        """Picks the first texts; each is a cluster of its own."""
        wish, *parts = requests
        self.requests.append(wish.options)
        texts = [text for part in parts for text in part.texts]
        self.requests.append([text.site for text in texts])
        response = curator_pb2.SelectDiverseResponse(seen=len(texts), embedding="first")
        for n in range(min(wish.options.count, len(texts))):
            response.picked.add(index=n, cluster_size=1)
        response.clusters = len(response.picked)
        return response

    def SubmitPairs(self, requests: Any, context: Any) -> curator_pb2.SubmitPairsResponse:
        return self._submit(requests, "pairs", curator_pb2.SubmitPairsResponse())

    def _submit(self, requests: Any, kind: str, answer: Answer) -> Answer:
        index = 0
        for request in requests:
            items = getattr(request, kind)
            self.messages.append(len(items))
            for item in items:
                text = item.text if kind == "documents" else item.response
                if text == "refuse":
                    told = {
                        "index": index,
                        "external_id": item.external_id,
                        "reason": "repetition",
                        "message": "no",
                    }
                    answer.rejections.append(curator_pb2.Rejection(**told))
                    answer.rejected += 1
                else:
                    getattr(self, kind).append(item)
                    answer.accepted += 1
                index += 1
            if self.failures:
                raise self.failures.pop(0)
        return answer

    def Rank(self, request: curator_pb2.RankRequest, context: Any) -> curator_pb2.RankResponse:
        order = sorted(range(len(request.responses)), key=lambda place: -len(request.responses[place]))
        ranked = [
            curator_pb2.RankResponse.Ranked(index=place, length=len(request.responses[place]))
            for place in order
        ]
        return curator_pb2.RankResponse(ranked=ranked[: request.k or None], metric=request.metric)

    def GetSelection(self, request: Any, context: Any) -> curator_pb2.GetSelectionResponse:
        self.requests.append(request)
        lengths, token = paged(self.lengths, request.page_token)
        return curator_pb2.GetSelectionResponse(
            selected=[curator_pb2.GetSelectionResponse.Selected(rank=Rank(length=n)) for n in lengths],
            next_page_token=token,
            seen=self.seen,
            kept=len(self.lengths),
            metric="nltk-words",
        )

    def Explain(self, request: curator_pb2.ExplainRequest, context: Any) -> curator_pb2.ExplainResponse:
        held = curator_pb2.HeldBy(pipeline=request.pipeline, release_id="r1", row=2, model_ids=["m1"])
        return curator_pb2.ExplainResponse(
            example_id=request.example_id or request.document.text,
            outcome=curator_pb2.ExplainResponse.OUTCOME_NOT_KEPT,
            reason="too_short",
            message="its length is 3",
            held_by=[held],
        )

    def EraseDocument(
        self, request: curator_pb2.EraseDocumentRequest, context: Any
    ) -> curator_pb2.EraseDocumentResponse:
        self.erased.append(request.example_id or request.pair.response)
        held = curator_pb2.HeldBy(pipeline="p", release_id="r1", row=1)
        return curator_pb2.EraseDocumentResponse(
            example_id=self.erased[-1], held_by=[held], remains=["backups made before"]
        )

    def CutRelease(self, request: Any, context: Any) -> curator_pb2.CutReleaseResponse:
        self.requests.append(request)
        if self.failures:
            raise self.failures.pop(0)
        release = Release(pipeline=request.pipeline, id="r-new", state=Release.STATE_OPEN)
        return curator_pb2.CutReleaseResponse(release=release)

    def GetRelease(self, request: Any, context: Any) -> curator_pb2.GetReleaseResponse:
        found = [release for release in self.releases if request.release_id in ("", release.id)]
        if not found:
            raise NotFound(f"{request.pipeline} has no release {request.release_id or 'that is final'}")
        return curator_pb2.GetReleaseResponse(release=found[0])

    def ListReleases(self, request: Any, context: Any) -> curator_pb2.ListReleasesResponse:
        releases, token = paged(self.releases, request.page_token)
        return curator_pb2.ListReleasesResponse(releases=releases, next_page_token=token)

    def WatchReleases(self, request: Any, context: Any) -> Iterator[curator_pb2.WatchReleasesResponse]:
        for release in self.changes:
            yield curator_pb2.WatchReleasesResponse(release=release)
        if self.failures:
            raise self.failures.pop(0)
        while context.is_active():
            time.sleep(0.01)


@dataclass
class Instructor(instructor_pb2_grpc.InstructorServiceServicer):
    """Asks for the document's beginning."""

    def Generate(self, request: Any, context: Any) -> instructor_pb2.GenerateResponse:
        return instructor_pb2.GenerateResponse(
            instruction=f"Write: {request.document[:10]}", style=request.style, refusal=request.options
        )

    def Refine(self, request: Any, context: Any) -> instructor_pb2.RefineResponse:
        return instructor_pb2.RefineResponse(response=request.response.upper())


@dataclass
class Trainer(trainer_pb2_grpc.TrainerServiceServicer):
    """Knows the jobs that it was given."""

    jobs: list[TrainingJob] = field(default_factory=list)
    models: list[Model] = field(default_factory=list)
    events: list[TrainingEvent] = field(default_factory=list)
    requests: list[Any] = field(default_factory=list)
    failures: list[SuiteError] = field(default_factory=list)

    def CreateTrainingJob(self, request: Any, context: Any) -> trainer_pb2.CreateTrainingJobResponse:
        self.requests.append(request)
        job = TrainingJob(id="j-new", release_id=request.release_id, state=TrainingJob.STATE_QUEUED)
        return trainer_pb2.CreateTrainingJobResponse(job=job)

    def GetTrainingJob(self, request: Any, context: Any) -> trainer_pb2.GetTrainingJobResponse:
        job = next((job for job in self.jobs if job.id == request.job_id), None)
        if job is None:
            raise NotFound(f"no job {request.job_id}")
        model = next((model for model in self.models if model.job_id == job.id), None)
        return trainer_pb2.GetTrainingJobResponse(job=job, model=model)

    def ListTrainingJobs(self, request: Any, context: Any) -> trainer_pb2.ListTrainingJobsResponse:
        jobs, token = paged(self.jobs, request.page_token)
        return trainer_pb2.ListTrainingJobsResponse(jobs=jobs, next_page_token=token)

    def CancelTrainingJob(self, request: Any, context: Any) -> trainer_pb2.CancelTrainingJobResponse:
        self.requests.append(request)
        job = TrainingJob(id=request.job_id, state=TrainingJob.STATE_CANCELLED)
        return trainer_pb2.CancelTrainingJobResponse(job=job)

    def WatchTrainingJob(self, request: Any, context: Any) -> Iterator[trainer_pb2.WatchTrainingJobResponse]:
        for event in self.events:
            yield trainer_pb2.WatchTrainingJobResponse(event=event)
        for sequence in range(0 if self.events else 4):
            step = TrainingStep(step=sequence, loss=3.0 - sequence)
            event = TrainingEvent(job_id=request.job_id, attempt=1, sequence=sequence, step=step)
            yield trainer_pb2.WatchTrainingJobResponse(event=event)
            if sequence == 1 and self.failures:
                raise self.failures.pop(0)


@dataclass
class Judge(judge_pb2_grpc.JudgeServiceServicer):
    """Knows the evaluations and decisions that it was given."""

    evaluations: list[Evaluation] = field(default_factory=list)
    promotions: list[Promotion] = field(default_factory=list)
    reign: judge_pb2.GetChampionResponse = field(default_factory=judge_pb2.GetChampionResponse)
    board: judge_pb2.GetLeaderboardResponse = field(default_factory=judge_pb2.GetLeaderboardResponse)
    requests: list[Any] = field(default_factory=list)

    def CreateEvaluation(self, request: Any, context: Any) -> judge_pb2.CreateEvaluationResponse:
        self.requests.append(request)
        evaluation = Evaluation(id="e-new", model_id=request.model_id, state=Evaluation.STATE_QUEUED)
        return judge_pb2.CreateEvaluationResponse(evaluation=evaluation)

    def GetEvaluation(self, request: Any, context: Any) -> judge_pb2.GetEvaluationResponse:
        found = next((one for one in self.evaluations if one.id == request.evaluation_id), None)
        if found is None:
            raise NotFound(f"no evaluation {request.evaluation_id}")
        promotion = next((one for one in self.promotions if one.evaluation_id == found.id), None)
        return judge_pb2.GetEvaluationResponse(evaluation=found, promotion=promotion)

    def ListEvaluations(self, request: Any, context: Any) -> judge_pb2.ListEvaluationsResponse:
        evaluations, token = paged(self.evaluations, request.page_token)
        return judge_pb2.ListEvaluationsResponse(evaluations=evaluations, next_page_token=token)

    def GetChampion(self, request: Any, context: Any) -> judge_pb2.GetChampionResponse:
        return self.reign

    def Rollback(self, request: Any, context: Any) -> judge_pb2.RollbackResponse:
        self.requests.append(request)
        promotion = Promotion(
            id="p-new",
            sequence=3,
            outcome=Promotion.OUTCOME_ROLLED_BACK,
            model_id=request.expected_champion_id,
            reasons=[request.reason],
        )
        return judge_pb2.RollbackResponse(promotion=promotion)

    def Promote(self, request: Any, context: Any) -> judge_pb2.PromoteResponse:
        self.requests.append(request)
        promotion = Promotion(
            id="p-new",
            sequence=3,
            outcome=Promotion.OUTCOME_PROMOTED,
            model_id=request.model_id,
            reasons=[request.reason],
        )
        return judge_pb2.PromoteResponse(promotion=promotion)

    def GetLeaderboard(self, request: Any, context: Any) -> judge_pb2.GetLeaderboardResponse:
        return self.board


@dataclass
class LocalSuite:
    """The four servicers, their servers, and where these answer."""

    curator: Curator = field(default_factory=Curator)
    instructor: Instructor = field(default_factory=Instructor)
    trainer: Trainer = field(default_factory=Trainer)
    judge: Judge = field(default_factory=Judge)
    servers: dict[str, GrpcServer] = field(default_factory=dict)

    def address(self, service: str) -> str:
        return f"127.0.0.1:{self.servers[service].port}"

    @property
    def by_name(self) -> dict[str, str]:
        return {service: self.address(service) for service in self.servers}

    @property
    def addresses(self) -> Addresses:
        return Addresses(**self.by_name)


@contextmanager
def local_suite() -> Iterator[LocalSuite]:
    """All four, ready, on free ports."""
    suite = LocalSuite()
    register: dict[str, Callable[[Any], None]] = {
        "curator": partial(curator_pb2_grpc.add_CuratorServiceServicer_to_server, suite.curator),
        "instructor": partial(instructor_pb2_grpc.add_InstructorServiceServicer_to_server, suite.instructor),
        "trainer": partial(trainer_pb2_grpc.add_TrainerServiceServicer_to_server, suite.trainer),
        "judge": partial(judge_pb2_grpc.add_JudgeServiceServicer_to_server, suite.judge),
    }
    with ExitStack() as stack:
        for name, add in register.items():
            server = GrpcServer(ServerSettings(), [add], Metrics(name, CollectorRegistry()))
            server.start()
            stack.callback(server.stop)
            server.set_ready(True)
            suite.servers[name] = server
        yield suite
