"""What another team's program imports: the four services as one typed object.

    with Client(Addresses(curator="curator:7400")) as client:
        report = client.submit_documents(documents)
        release = client.cut_release("essays")

Facts come back as the messages of the contract (longstream.v1). Every call has a deadline. A mutating call
carries a request id, made here if none is given, so that repeating it is harmless. Errors are those of
longstream.errors, as the service raised them.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Self, TypeVar

import grpc

from longstream.batches import (
    BatchLimits,
    Call,
    Message,
    SubmitReport,
    calls,
    check_size,
    diverse_requests,
    document_message,
    pair_message,
    which,
)
from longstream.calls import (
    PAGE_SIZE,
    NoService,
    Patience,
    ask,
    ask_with,
    exchange,
    follow,
    fresh_id,
    pages,
    repeated,
)
from longstream.channel import channel
from longstream.client_judge import JudgeCalls
from longstream.data.records import Document, Pair
from longstream.faults import crash_point
from longstream.v1 import curator_pb2, instructor_pb2, trainer_pb2
from longstream.v1.curator_pb2_grpc import CuratorServiceStub
from longstream.v1.instructor_pb2_grpc import InstructorServiceStub
from longstream.v1.judge_pb2_grpc import JudgeServiceStub
from longstream.v1.records_pb2 import Release, TrainingEvent, TrainingJob
from longstream.v1.trainer_pb2_grpc import TrainerServiceStub

__all__ = ["Addresses", "BatchLimits", "Client", "Document", "Pair", "Patience", "SubmitReport"]

R = TypeVar("R")
Answer = TypeVar("Answer", curator_pb2.SubmitDocumentsResponse, curator_pb2.SubmitPairsResponse)


@dataclass(frozen=True, slots=True, kw_only=True)
class Addresses:
    """host:port of each service, by default those of `longstream up`; empty: there is none, and calls to it
    raise NotFound."""

    curator: str = "127.0.0.1:7400"
    instructor: str = "127.0.0.1:7401"
    trainer: str = "127.0.0.1:7402"
    judge: str = "127.0.0.1:7403"


class Client(JudgeCalls):
    """Calls the four services. May be used by several threads; close it, or use it as a context manager."""

    def __init__(
        self,
        addresses: Addresses | None = None,
        *,
        patience: Patience | None = None,
        limits: BatchLimits | None = None,
    ) -> None:
        """No connection is made before the first call."""
        addresses = addresses or Addresses()
        self._patience = patience or Patience()
        self._limits = limits or BatchLimits()
        self._channels: list[grpc.Channel] = []
        self._curator = self._stub(CuratorServiceStub, "curator", addresses.curator)
        self._instructor = self._stub(InstructorServiceStub, "instructor", addresses.instructor)
        self._trainer = self._stub(TrainerServiceStub, "trainer", addresses.trainer)
        self._judge = self._stub(JudgeServiceStub, "judge", addresses.judge)

    def _stub(self, stub: Callable[[grpc.Channel], Any], name: str, address: str) -> Any:
        if not address:
            return NoService(name)
        self._channels.append(channel(address))
        return stub(self._channels[-1])

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections; calls in flight are cancelled."""
        for opened in self._channels:
            opened.close()

    def submit_documents(
        self, documents: Iterable[Document], progress: Callable[[SubmitReport], None] | None = None
    ) -> SubmitReport:
        """Add human-written documents; what the report counts as accepted is durable.

        documents may be endless: only some megabytes are held at a time. What no service would take (too
        large, not Unicode) is rejected here, unsent, and counted with the rest. progress is told the report
        so far after each call. Raises what the service raised last, after a broken call was repeated
        `Patience.attempts` times; the whole submission may then be repeated too.
        """

        def send(call: Call[curator_pb2.Document]) -> curator_pb2.SubmitDocumentsResponse:
            requests = (curator_pb2.SubmitDocumentsRequest(documents=items) for items in call.messages)
            return self._stream(self._curator.SubmitDocuments, requests, curator_pb2.SubmitDocumentsResponse)

        return self._submit(calls(documents, document_message, self._limits), send, progress)

    def submit_pairs(
        self, pairs: Iterable[Pair], progress: Callable[[SubmitReport], None] | None = None
    ) -> SubmitReport:
        """Add instruction-response pairs, with the same promise as `submit_documents`."""

        def send(call: Call[curator_pb2.Pair]) -> curator_pb2.SubmitPairsResponse:
            requests = (curator_pb2.SubmitPairsRequest(pairs=items) for items in call.messages)
            return self._stream(self._curator.SubmitPairs, requests, curator_pb2.SubmitPairsResponse)

        return self._submit(calls(pairs, pair_message, self._limits), send, progress)

    def rank(self, responses: Iterable[str], metric: str, k: int = 0) -> curator_pb2.RankResponse:
        """The caller's own texts, at most 1,000, longest first; only the k longest unless k is 0. Keeps
        nothing."""
        request = curator_pb2.RankRequest(responses=responses, metric=metric, k=k)
        return self._ask(self._curator.Rank, request, curator_pb2.RankResponse)

    def select_diverse(
        self,
        texts: Iterable[tuple[str, str]],
        wish: curator_pb2.SelectDiverseOptions,
        timeout_s: float = 600.0,
    ) -> curator_pb2.SelectDiverseResponse:
        """Of the caller's own texts, each with its site, those nearest to the centres of k-means. Keeps nothing.

        Raises InvalidInput or TooLarge for a wish or a text that cannot be met, Overloaded while others choose.
        """
        requests = diverse_requests(texts, wish, self._limits)
        return ask_with(self._curator.SelectDiverse, requests, curator_pb2.SelectDiverseResponse, timeout_s)

    def selection(self, pipeline: str, at_most: int = PAGE_SIZE) -> curator_pb2.GetSelectionResponse:
        """What a pipeline would keep if it were cut now: its counts, and its at_most best examples (1 or
        more)."""

        def page(token: str) -> curator_pb2.GetSelectionResponse:
            request = curator_pb2.GetSelectionRequest(
                pipeline=pipeline, page_size=min(at_most, 1_000), page_token=token
            )
            return self._ask(self._curator.GetSelection, request, curator_pb2.GetSelectionResponse)

        whole = curator_pb2.GetSelectionResponse()
        for part in pages(page):
            best = [*whole.selected, *part.selected][:at_most]
            whole = part
            del whole.selected[:]
            whole.selected.extend(best)
            if len(best) == at_most:
                break
        return whole

    def explain(self, pipeline: str, example: str | Document | Pair) -> curator_pb2.ExplainResponse:
        """Where an example stands, by its id; or, by the item as it was submitted, also why it is not kept."""
        request = curator_pb2.ExplainRequest(pipeline=pipeline, **which(example))
        return self._ask(self._curator.Explain, request, curator_pb2.ExplainResponse)

    def erase_document(
        self, example: str | Document | Pair, request_id: str = ""
    ) -> curator_pb2.EraseDocumentResponse:
        """Take an example out of everything that is not final, for ever; tells what holds it all the same."""
        request = curator_pb2.EraseDocumentRequest(request_id=request_id or fresh_id(), **which(example))
        return self._ask(self._curator.EraseDocument, request, curator_pb2.EraseDocumentResponse)

    def cut_release(self, pipeline: str, request_id: str = "") -> Release:
        """Cut a release; returns it as soon as it is open. `watch_releases` tells when it is final."""
        request = curator_pb2.CutReleaseRequest(pipeline=pipeline, request_id=request_id or fresh_id())
        return self._ask(self._curator.CutRelease, request, curator_pb2.CutReleaseResponse).release

    def get_release(self, pipeline: str, release_id: str = "") -> Release:
        """A release; without an id the newest final one."""
        request = curator_pb2.GetReleaseRequest(pipeline=pipeline, release_id=release_id)
        return self._ask(self._curator.GetRelease, request, curator_pb2.GetReleaseResponse).release

    def list_releases(self, pipeline: str, page_size: int = PAGE_SIZE) -> Iterator[Release]:
        """Every release, newest first, fetched page by page as they are read."""

        def page(token: str) -> curator_pb2.ListReleasesResponse:
            request = curator_pb2.ListReleasesRequest(
                pipeline=pipeline, page_size=page_size, page_token=token
            )
            return self._ask(self._curator.ListReleases, request, curator_pb2.ListReleasesResponse)

        return (release for part in pages(page) for release in part.releases)

    def watch_releases(self, pipeline: str, timeout_s: float | None = None) -> Iterator[Release]:
        """The releases as they stand, then every change, without end. Raises DeadlineExceeded after
        timeout_s."""
        request = curator_pb2.WatchReleasesRequest(pipeline=pipeline)
        seen: dict[str, Release] = {}
        opened = self._opener(self._curator.WatchReleases, request)
        for message in follow(opened, self._patience, timeout_s, ends=False):
            # A stream that was opened anew begins with what was told before.
            if seen.get(message.release.id) != message.release:
                seen[message.release.id] = message.release
                yield message.release

    def generate(
        self, document: str, style: str = "", seed: int = 0, options: str = ""
    ) -> instructor_pb2.GenerateResponse:
        """The instruction that the document could be the answer to. options: an `instruct` section as JSON.

        Raises TooLarge before anything is sent."""
        check_size(document, self._limits)
        request = instructor_pb2.GenerateRequest(document=document, style=style, seed=seed, options=options)
        method, timeout_s = self._instructor.Generate, self._patience.generate_s
        return ask(method, request, instructor_pb2.GenerateResponse, timeout_s)

    def generate_stream(
        self, requests: Iterable[instructor_pb2.GenerateStreamRequest], timeout_s: float
    ) -> Iterator[instructor_pb2.GenerateStreamResponse]:
        """Instructions of many documents, each as soon as it is done, under the caller's own ids.

        timeout_s: of the whole stream. Closing the iterator gives up what has not begun.
        """
        return exchange(self._instructor.GenerateStream, requests, timeout_s)

    def refine(self, request: instructor_pb2.RefineRequest) -> instructor_pb2.RefineResponse:
        """An answer, criticised and written anew, or as it came, with the reason."""
        check_size(request.response, self._limits)
        method, timeout_s = self._instructor.Refine, self._patience.generate_s
        return ask(method, request, instructor_pb2.RefineResponse, timeout_s)

    def create_training_job(
        self, pipeline: str, release_id: str, recipe: Mapping[str, Any] | None = None, request_id: str = ""
    ) -> TrainingJob:
        """Queue a job for a final release; recipe replaces keys of the pipeline's recipe."""
        request = trainer_pb2.CreateTrainingJobRequest(
            pipeline=pipeline,
            request_id=request_id or fresh_id(),
            release_id=release_id,
            recipe=json.dumps(recipe) if recipe else "",
        )
        return self._ask(self._trainer.CreateTrainingJob, request, trainer_pb2.CreateTrainingJobResponse).job

    def get_training_job(self, pipeline: str, job_id: str) -> trainer_pb2.GetTrainingJobResponse:
        """A job, and its model once it has succeeded."""
        request = trainer_pb2.GetTrainingJobRequest(pipeline=pipeline, job_id=job_id)
        return self._ask(self._trainer.GetTrainingJob, request, trainer_pb2.GetTrainingJobResponse)

    def list_training_jobs(self, pipeline: str, page_size: int = PAGE_SIZE) -> Iterator[TrainingJob]:
        """Every job, newest first, fetched page by page as they are read."""

        def page(token: str) -> trainer_pb2.ListTrainingJobsResponse:
            request = trainer_pb2.ListTrainingJobsRequest(
                pipeline=pipeline, page_size=page_size, page_token=token
            )
            return self._ask(self._trainer.ListTrainingJobs, request, trainer_pb2.ListTrainingJobsResponse)

        return (job for part in pages(page) for job in part.jobs)

    def cancel_training_job(self, pipeline: str, job_id: str, request_id: str = "") -> TrainingJob:
        """Stop a job that is queued or running. Raises Refused if it has ended."""
        request = trainer_pb2.CancelTrainingJobRequest(
            pipeline=pipeline, request_id=request_id or fresh_id(), job_id=job_id
        )
        return self._ask(self._trainer.CancelTrainingJob, request, trainer_pb2.CancelTrainingJobResponse).job

    def watch_training_job(
        self, pipeline: str, job_id: str, timeout_s: float | None = None
    ) -> Iterator[TrainingEvent]:
        """The job's events from the first on, each once, until it has ended."""
        request = trainer_pb2.WatchTrainingJobRequest(pipeline=pipeline, job_id=job_id)
        last = (0, -1)
        opened = self._opener(self._trainer.WatchTrainingJob, request)
        for message in follow(opened, self._patience, timeout_s, ends=True):
            place = (message.event.attempt, message.event.sequence)
            if place > last:
                last = place
                yield message.event

    def _stream(self, method: Callable[..., Any], requests: Iterator[object], answer: type[R]) -> R:
        return ask(method, requests, answer, self._patience.submit_s)

    def _opener(self, method: Callable[..., Any], request: object) -> Callable[[float], Any]:
        return lambda timeout_s: method(request, timeout=timeout_s)

    def _submit(
        self,
        parts: Iterator[Call[Message]],
        send: Callable[[Call[Message]], Answer],
        progress: Callable[[SubmitReport], None] | None,
    ) -> SubmitReport:
        report = SubmitReport()
        for part in parts:
            answer = repeated(partial(send, part), self._patience) if part.messages else None
            crash_point("client.submit.answered")
            report.add(part, answer)
            if progress is not None:
                progress(report)
        return report
